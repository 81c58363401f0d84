"""What is known of where a fit ended: that it is a least, and how well the runs tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.fitter import Found
    from thrifty.scaling.laws.scale import Scale
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["Certificate", "certify"]

#: Ends within this share of the lowest are the same.
SAME = 1e-6
#: A constant below it is none.
NONE = 1e-6
#: Standard errors from 0 below which an exponent is hardly told.
TOLD = 1.96


@dataclass(frozen=True)
class Certificate:
    """What holds at the end of a fit.

    Attributes
    ----------
    gradient : float
        Largest derivative of the objective by a fitted coefficient that is at no bound.
    condition : float
        Of the losses' derivatives, each of length 1: how much worse the runs tell one direction than another.
    curvature : float
        Lowest eigenvalue of the objective's second derivatives over the average of its diagonal, each coefficient in
        units of its own diagonal; above 0 at a least.
    basins, reached : int
        Descents from different cells of the grid, and how many of them ended here.
    spread : float
        How far above this the worst of them ended, as a share.
    steps : int
        Of all descents.
    at_bounds : tuple of str
        Coefficients that would go on if they might.
    notes : tuple of str
        What deserves a look.
    """

    gradient: float
    condition: float
    curvature: float
    basins: int
    reached: int
    spread: float
    steps: int
    at_bounds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether this is a least, reached by half of the descents or more."""
        return self.curvature > 0 and 2 * self.reached >= self.basins


def certify(
    surface: Surface, scale: Scale, found: Found, weights: Values, bounds: tuple[Values, Values], errors: Values
) -> tuple[Certificate, Values]:
    """Return the certificate of a fit, and the direction of coefficients that the runs tell worst (p,).

    ``errors`` are standard errors of the fitted coefficients.
    """
    names = scale.form.names
    slope, theta, best = found.here.slope[0], found.theta, found.here.value[0]
    held = (theta <= bounds[0]) | (theta >= bounds[1])
    free = np.flatnonzero(~held)
    of_runs = surface.at(theta[None]).slopes()[0][free]
    squares = (of_runs * weights) @ of_runs.T
    values, vectors = _scaled(squares)
    condition = float(np.sqrt(values[-1] / max(values[0], values[-1] * 1e-30))) if len(free) else 1.0
    weakest = np.zeros(len(names))
    weakest[free] = vectors[:, 0]
    bend = found.here.bend[0][np.ix_(free, free)]
    # By linear coefficients themselves, not their logs.
    linear = [i for i, at in enumerate(free) if at in surface.linear]
    bend[linear, linear] -= slope[free][linear]
    ends = np.array(found.ends)
    lowest = _scaled(bend)[0][0] if len(free) else 1.0
    out: dict[str, Any] = {
        "gradient": float(np.abs(slope[free]).max(initial=0.0)),
        "condition": condition,
        "curvature": float(lowest),
        "basins": found.basins,
        "reached": int((ends <= best * (1 + SAME) + 1e-28 * weights.sum()).sum()),
        "spread": float(ends.max() / best - 1) if best > 0 else 0.0,
        "steps": found.steps,
        "at_bounds": tuple(names[i] for i in np.flatnonzero(held)),
    }
    return Certificate(**out, notes=tuple(_notes(scale, found, out, errors))), weakest


def _scaled(matrix: Values) -> tuple[Values, Values]:
    size = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    return values, vectors


def _notes(scale: Scale, found: Found, out: dict[str, Any], errors: Values) -> list[str]:
    form = scale.form
    told = dict(zip(form.names, scale.coefficients(found.theta).tolist(), strict=True))
    notes = []
    constants = [term.coefficient for term in form.terms if not term.powers]
    for name in form.names:
        if name in constants and told[name] < NONE:
            notes.append(
                f"{name} is 0: the runs show no loss that larger ones could not get below; with one exponent for all,"
                " or runs of more token multiples, they may"
            )
        elif name in out["at_bounds"]:
            notes.append(f"{name} is {told[name]:.3g}, at its bound")
        elif name in form.exponents and abs(told[name]) < TOLD * errors[form.names.index(name)]:
            error = errors[form.names.index(name)]
            notes.append(f"{name} is {told[name]:.2g} with a standard error of {error:.2g}: the runs hardly tell it")
    if 2 * out["reached"] < out["basins"]:
        notes.append(
            f"{out['reached']} of {out['basins']} descents ended at the lowest sum, others up to"
            f" {out['spread']:.1%} above"
        )
    if not out["curvature"] > 0:
        notes.append("the sum is flat where the fit ended: it may not be its lowest")
    return notes
