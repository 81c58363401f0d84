"""Profile intervals: the values of one coefficient at which the others, fitted anew, still tell the runs as well."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thrifty.scaling.fitting.descent import descend
from thrifty.scaling.fitting.limits import limits
from thrifty.scaling.laws.scale import Scale
from thrifty.scaling.laws.surface import Surface

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["profiled"]

#: Values that are tried of each end, at most.
TRIALS = 60
#: How near an end's deviation is to what was asked, as a share.
NEAR = 1e-4


def profiled(
    scale: Scale,
    measure: Measure,
    runs: Runs,
    weights: Values,
    theta: Values,
    told: float,
    seen: float,
    degrees: float,
    name: str,
    level: float,
) -> tuple[float, float]:
    """Return the interval of a fit's coefficient, inside the limits that a fit has.

    Twice what the sum rises, over its noise, is compared with the square of Student's t (Venzon and Moolgavkar 1988).
    The noise is how much larger the coefficient's variance is than the inverse of second derivatives has it, so that
    residuals need not be independent within groups. Past the ends of a fit without bounds a linear coefficient may as
    well be 0, or of any size.

    Parameters
    ----------
    scale, measure, runs, weights, theta
        Of the fit.
    told, seen : float
        The coefficient's variance by second derivatives, and by what residuals scatter.
    degrees : float
        Of Student's t.
    name, level : str, float
        Which coefficient, and how sure.
    """
    from scipy.special import stdtrit

    form = scale.form
    at, linear = form.names.index(name), name in form.linear
    # Where the columns beside a coefficient are not centred it is one of those that are fitted.
    plain = Scale(form, scale.centre | dict.fromkeys(form.beside(name), 0.0))
    columns = plain.centred(runs)
    surface = Surface(form, columns)
    losses = runs.loss
    assert losses is not None
    targets = measure.targets(losses)
    low, high = limits(plain, columns, losses)
    best = plain.theta(scale.coefficients(theta))
    least, here, _ = descend(surface, measure, best[None], targets, weights, (low, high))
    noise = max(seen / max(told, 1e-300), 1e-300)
    worst = float(stdtrit(degrees, (1 + level) / 2))

    def held(value: float, begin: Values) -> tuple[float, Values]:
        """Return how many standard errors the fit with the coefficient held at a value is away, and that fit."""
        ends = low.copy(), high.copy()
        ends[0][at] = ends[1][at] = value
        found, there, _ = descend(surface, measure, begin[None], targets, weights, ends)
        return math.sqrt(max(2 * float(there.value[0] - here.value[0]), 0.0) / noise), found[0]

    step = worst * max(math.sqrt(seen), 1e-4)
    ends = []
    for side, limit in ((-1.0, float(low[at])), (1.0, float(high[at]))):
        end = _end(held, least[0], float(least[0, at]), side * step, limit, worst)
        past = side * (limit - end) <= 0
        if not linear:
            ends.append(end)
        elif past:
            ends.append(form.bounds.get(name, (0.0, math.inf))[int(side > 0)])
        else:
            ends.append(math.exp(end))
    return ends[0], ends[1]


def _end(
    held: Callable[[float, Values], tuple[float, Values]],
    theta: Values,
    best: float,
    step: float,
    limit: float,
    worst: float,
) -> float:
    """Return the value on one side at which the fit is ``worst`` standard errors away, or the limit before it."""
    inside, of_inside, near = best, 0.0, theta
    outside, of_outside = math.nan, math.nan
    value = best + step
    for _ in range(TRIALS):
        value = min(value, limit) if step > 0 else max(value, limit)
        root, found = held(value, near)
        if abs(root - worst) <= NEAR * worst or (value == limit and root < worst):
            break
        if root < worst:
            inside, of_inside, near = value, root, found
        else:
            outside, of_outside = value, root
        if math.isnan(outside):
            value = best + 2 * (inside - best)
        else:
            share = (worst - of_inside) / (of_outside - of_inside)
            value = inside + min(max(share, 0.05), 0.95) * (outside - inside)
    return value
