"""Decimals of 100 digits against mpmath, floats against decimals."""

from __future__ import annotations

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.exam.maths import precise
from thrifty.exam.maths.floats import CALLS as FLOAT_CALLS
from thrifty.exam.maths.parser import parse
from thrifty.exam.maths.points import POINTS
from thrifty.exam.maths.values import floated, precisely

NAMES = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh"}
TESTED = sorted(set(precise.CALLS) - {"bar", "arccot", "arcsec", "arccsc"})


def theirs(name: str, z: complex) -> object:
    function = {"abs": abs, "re": mpmath.re, "im": mpmath.im}.get(name) or getattr(mpmath, NAMES.get(name, name))
    return mpmath.mpc(function(mpmath.mpc(z)))


@pytest.mark.parametrize("name", TESTED)
@given(st.complex_numbers(min_magnitude=0.01, max_magnitude=50, allow_nan=False))
def test_functions_to_eighty_digits(name: str, z: complex) -> None:
    z = complex(round(z.real, 3), round(z.imag, 3))
    if min(abs(z - 1), abs(z + 1), abs(z), abs(z - 1j), abs(z + 1j)) < 0.01 or abs(z.imag) < 0.01:
        return
    with mpmath.workdps(110), precise.localcontext(precise.context()):
        given_ = precise.Z(precise.Decimal(z.real), precise.Decimal(z.imag))
        found = precise.CALLS[name](given_)
        expected = theirs(name, z)
        ours = mpmath.mpc(mpmath.mpf(str(found.re)), mpmath.mpf(str(found.im)))
        assert abs(ours - expected) <= abs(expected) * mpmath.mpf(10) ** -80


@given(st.floats(0.001, 30), st.sampled_from(sorted(set(precise.CALLS) & set(FLOAT_CALLS))))
def test_floats_are_rounded_decimals(x: float, name: str) -> None:
    inverse = 1 / x if name in {"arcsec", "arccsc"} else x
    if inverse > 0.99 and name in {"arcsin", "arccos", "arcsec", "arccsc", "arcosh", "artanh"}:
        return  # on a branch cut
    node = parse(rf"\operatorname{{{name}}}({x:.4f})") if name != "bar" else parse(rf"\overline{{({x:.4f})}}")
    u, v = floated(node), precisely(node, POINTS[0])
    if u is not None and v is not None:
        assert math.isclose(u.real, float(v.re), rel_tol=1e-6, abs_tol=1e-9)
        assert math.isclose(u.imag, float(v.im), rel_tol=1e-6, abs_tol=1e-9)


def test_near_misses_are_told_apart() -> None:
    """Within 10^-12 of an integer, and not one."""
    from thrifty.exam.maths import compare

    assert compare(r"e^{\pi\sqrt{163}}", "262537412640768744") == "different"
    assert compare(r"\frac{1}{10^{40}}", r"\frac{1}{10^{40}} + \frac{1}{10^{90}}") == "different"
    assert compare("e^{200}", "e^{200}+1") == "different"
    assert compare(r"\pi^{300}", r"\pi^{300}+\sin 1") == "different"
    assert compare(r"e^{(y+9)^3}", r"e^{(y+9)^3}+\frac{1}{7}") == "different"
    assert compare(r"e^{200}\cdot\pi^{300}", r"\pi^{299}\cdot e^{200} \pi") == "equal"
    assert compare(r"e^{200}\sin 1 + e^{200}\sin 2", r"2e^{200}\sin 1.5\cos 0.5") == "equal"
    assert compare(r"\sqrt{2}+10^{-50}", r"\sqrt2") == "different"
