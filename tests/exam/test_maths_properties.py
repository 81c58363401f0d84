"""What holds for all expressions: rewriting keeps them, changing them does not, and no text raises."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exam.maths_pairs import DIFFERENT, EQUAL
from thrifty.exam.maths import compare
from thrifty.exam.maths.exact import rational
from thrifty.exam.maths.parser import parse
from thrifty.exam.maths.tree import MAX_DEPTH, MAX_NODES, NotMathsError, pieces

COEFFICIENTS = st.lists(st.integers(-9, 9), min_size=1, max_size=5).filter(any)


def polynomial(coefficients: list[int], style: str = "plain") -> str:
    """As people write it: 3x^2 - x + 1."""
    terms = []
    for power, c in enumerate(coefficients):
        if c:
            symbol = {0: "", 1: "x"}.get(power, f"x^{power}" if style == "plain" else f"x^{{{power}}}")
            size = "" if abs(c) == 1 and power else str(abs(c))
            times = r" \cdot " if style == "dots" and size and symbol else ""
            terms.append(("-" if c < 0 else "+") + size + times + symbol)
    return "".join(reversed(terms)).removeprefix("+")


def product(a: list[int], b: list[int]) -> list[int]:
    found = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            found[i + j] += x * y
    return found


@given(COEFFICIENTS, COEFFICIENTS)
def test_a_product_is_what_it_expands_to(a: list[int], b: list[int]) -> None:
    factored = f"({polynomial(a)})({polynomial(b)})"
    assert compare(polynomial(product(a, b), "dots"), factored) == "equal"
    assert compare(factored, polynomial(product(a, b), "braces")) == "equal"


@given(COEFFICIENTS, st.integers(0, 4), st.integers(-9, 9).filter(bool))
def test_another_coefficient_is_another_polynomial(a: list[int], at: int, by: int) -> None:
    other = a + [0] * (at + 1 - len(a))
    other = [c + by * (i == at) for i, c in enumerate(other)]
    if any(other):
        assert compare(polynomial(a), polynomial(other)) == "different"


@given(st.fractions(max_denominator=500), st.fractions(max_denominator=500))
def test_fractions_are_exact(a: Fraction, b: Fraction) -> None:
    ways = [
        f"{a.numerator}/{a.denominator}",
        rf"\frac{{{a.numerator}}}{{{a.denominator}}}",
        rf"\frac{{{2 * a.numerator}}}{{{2 * a.denominator}}}",
        f"{a.numerator}*{a.denominator}^-1",
    ]
    for way in ways:
        assert rational(parse(way)) == a
        assert compare(ways[0], way) == "equal"
        assert compare(f"{b.numerator}/{b.denominator}", way) == ("equal" if a == b else "different")


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6), st.randoms())
def test_sets_have_no_order_and_tuples_have_one(values: list[int], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = ", ".join(map(str, values)), ", ".join(map(str, shuffled))
    assert compare(rf"\{{{one}\}}", rf"\{{{other}\}}") == "equal"
    assert compare(f"({one})", f"({other})") == ("equal" if values == shuffled else "different")
    assert compare(one, other) == ("equal" if values == shuffled else "different")


@given(st.integers(2, 400), st.integers(1, 30))
def test_roots_by_their_squares(n: int, factor: int) -> None:
    assert compare(rf"\sqrt{{{n * factor**2}}}", rf"{factor}\sqrt{{{n}}}") == "equal"
    assert compare(rf"\sqrt{{{n * factor**2 + 1}}}", rf"{factor}\sqrt{{{n}}}") == "different"
    assert compare(rf"\frac{{1}}{{\sqrt{{{n}}}}}", rf"\frac{{\sqrt{{{n}}}}}{{{n}}}") == "equal"


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    assert compare(text, "x+1") in {"equal", "different", None}
    assert compare("x+1", text) in {"equal", "different", None}
    assert compare(text, text) in {"equal", "different", None}


SIGNS = [
    *"0123456789xyei+-*/^_(){}[]|!%,;:=<>.'& ",
    r"\frac",
    r"\sqrt",
    r"\pm",
    r"\{",
    r"\}",
    r"\sum",
    r"\int",
    r"\sin",
]
SIGNS += [
    r"\begin{pmatrix}",
    r"\end{pmatrix}",
    r"\\",
    r"\cup",
    r"\infty",
    r"\text{or}",
    r"\left",
    r"\ln",
    r"\in",
    "^{",
    "_{",
]


@given(st.lists(st.sampled_from(SIGNS), max_size=30).map("".join))
def test_nothing_made_of_signs_raises(text: str) -> None:
    assert compare(text, "x") in {"equal", "different", None}
    assert compare(r"\{x, (1,2)\}", text) in {"equal", "different", None}


@pytest.mark.parametrize(
    ("open_", "close"), [("(", ")"), ("{", "}"), (r"\frac{1}{", "}"), (r"\sqrt{", "}"), ("|", "|")]
)
def test_depth_is_limited(open_: str, close: str) -> None:
    deep = open_ * 30 + "1" + close * 30
    assert parse(deep)
    for depth in (MAX_DEPTH + 1, 300):
        with pytest.raises(NotMathsError):
            parse(open_ * depth + "1" + close * depth)


def test_length_and_parts_are_limited() -> None:
    with pytest.raises(NotMathsError, match="too long"):
        parse("1+" * 4000 + "1")
    with pytest.raises(NotMathsError, match="parts"):
        parse("x " * (MAX_NODES + 10))
    assert sum(1 for _ in pieces(parse("+".join(["x"] * 900)))) == 901


def test_names_are_symbols_and_nothing_else() -> None:
    """Nothing that is written runs: unknown names become letters, words or nothing."""
    for text in ("__import__('os')", "().__class__", "exit()", "lambda: 0", "open('x')", "eval(1)"):
        try:
            kinds = {part.kind for part in pieces(parse(text))}
        except NotMathsError:
            continue
        assert kinds <= {"symbol", "mul", "index", "text", "unit", "list", "ratio", "number", "apply", "tuple"}


WRITTEN = sorted({text for table in (EQUAL, DIFFERENT) for pairs in table.values() for pair in pairs for text in pair})


@given(
    st.sampled_from(WRITTEN), st.sampled_from(WRITTEN), st.integers(0, 60), st.integers(0, 60), st.sampled_from(SIGNS)
)
def test_nothing_that_answers_are_cut_into_raises(a: str, b: str, i: int, j: int, sign: str) -> None:
    for text in (a[:i] + b[j:], a[:i] + sign + a[i:], a + sign + b):
        try:
            parse(text)
        except NotMathsError:
            assert compare(text, a) is None


@pytest.mark.parametrize(
    "text", [r"\boxed", r"\boxed x", r"\frac.7", r"2/\begin{pmatrix}1&2\\3&4\end{pmatrix}", "1011_99999"]
)
def test_odd_ends_are_no_mathematics(text: str) -> None:
    assert compare(text, "3") in {None, "different"}
