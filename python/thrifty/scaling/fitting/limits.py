"""Between what ends coefficients are looked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.laws.form import Power, Quadratic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from thrifty.scaling.laws.scale import Scale

    Values = NDArray[np.float64]

__all__ = ["limits"]

#: Exponents of terms.
EXPONENT = (0.01, 5.0)
#: A term's largest and smallest share at the middle of the data, times the losses' own range.
SHARE = (1e-9, 1e3)
#: Logs of coefficients whose columns are not centred.
ANY = (-300.0, 300.0)


def limits(scale: Scale, columns: Mapping[str, Values], losses: Values) -> tuple[Values, Values]:
    """Return the lowest and highest fitted coefficients, (p,) each.

    The best shape may lie outside the data by as much as they span.
    """
    form = scale.form
    ends = {name: (math.log(SHARE[0] * losses.min()), math.log(SHARE[1] * losses.max())) for name in form.linear}
    for term in form.terms:
        if any(abs(float(columns[column].mean())) > 1e-6 for column, _ in term.powers):
            ends[term.coefficient] = ANY
    ends |= dict.fromkeys(form.exponents, EXPONENT)
    shape = form.shape
    if shape is not None:
        ends[shape.coefficient] = (math.log(SHARE[0]), math.log(SHARE[1]))
        if isinstance(shape, Power) and abs(float(columns[shape.column].mean())) > 1e-6:
            ends[shape.coefficient] = ANY
    if isinstance(shape, Power) and all(shape.exponent != e for t in form.terms for _, e in t.powers):
        ends[shape.exponent] = (-EXPONENT[1], EXPONENT[1])
    if isinstance(shape, Quadratic):
        ratio = columns["ratio"]
        span = float(np.ptp(ratio)) or 1.0
        ends[shape.centre] = (float(ratio.min()) - span, float(ratio.max()) + span)
        if shape.drift:
            ends[shape.drift] = (-5.0, 5.0)
    for name, (low, high) in form.bounds.items():
        if name in form.linear:
            ends[name] = (math.log(low) if low > 0 else ANY[0], math.log(high) if math.isfinite(high) else ANY[1])
        else:
            ends[name] = (low, high)
    low, high = np.array([ends[name] for name in form.names]).T
    return low, high
