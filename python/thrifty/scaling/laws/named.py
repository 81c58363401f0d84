"""Laws that have a name."""

from __future__ import annotations

from thrifty.scaling.laws.form import Form, Power, Quadratic, Term

__all__ = ["NAMED", "named"]

_E, _A, _B = Term("E"), Term("A", (("n_params", "alpha"),)), Term("B", (("n_tokens", "beta"),))
_TIED = Term("B", (("n_tokens", "alpha"),))
_WIDTH_DEPTH = (
    _E,
    Term("A", (("d_model", "alpha"),)),
    Term("B", (("n_layers", "beta"),)),
    Term("C", (("n_tokens", "zeta"),)),
)
_GEMSTONES = (
    _E,
    Term("A", (("d_model", "alpha"),)),
    Term("B", (("n_layers", "beta"),)),
    Term("C", (("n_params", "gamma"),)),
    Term("D", (("n_tokens", "zeta"),)),
)

#: By name: Hoffmann et al. 2022 and the same with one exponent; 2501.18107 as its authors coded it, one exponent for
#: all, and with three; a shape that is best somewhere; McLeish et al. 2025 (2502.06857), without and with size.
NAMED: dict[str, Form] = {
    form.name: form
    for form in (
        Form("chinchilla", (_E, _A, _B)),
        Form("chinchilla_tied", (_E, _A, _TIED)),
        Form("morph", (_E, _A, _TIED), Power("gamma", "alpha")),
        Form("morph_free", (_E, _A, _B), Power("gamma", "eta")),
        Form("u_shape", (_E, _A, _B), Quadratic()),
        Form("u_shape_drift", (_E, _A, _B), Quadratic(drift="k")),
        Form("width_depth", _WIDTH_DEPTH),
        Form("gemstones", _GEMSTONES),
    )
}


def named(name: str) -> Form:
    """Return the form of that name.

    Raises
    ------
    ValueError
        When none has it.
    """
    if name not in NAMED:
        raise ValueError(f"law: {name!r} is none of {', '.join(NAMED)}, auto")
    return NAMED[name]
