"""Between coefficients as papers give them and those that are fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.laws.form import Power, Quadratic

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from thrifty.scaling.laws.form import Form
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["REFERENCE", "Scale", "logs"]

#: The size at which the centre of a shape that drifts is told.
REFERENCE = 1e8


def logs(form: Form, runs: Runs) -> dict[str, Values]:
    """Return logs of the columns that a form needs; ``drift`` is ln(N / 1e8) again, for a shape that drifts.

    Raises
    ------
    ValueError
        When runs have not all of them, or one is not above 0.
    """
    out: dict[str, Values] = {}
    for name in form.columns:
        needed = ("d_model", "n_layers") if name == "ratio" else (name,)
        values = []
        for column in needed:
            given = getattr(runs, column)
            if given is None:
                raise ValueError(f"runs: the law {form.name} needs the column {column}")
            if not (np.isfinite(given).all() and (given > 0).all()):
                row = int(np.flatnonzero(~(np.isfinite(given) & (given > 0)))[0])
                raise ValueError(f"runs: {column} must be finite and above 0, got {given[row]} in row {row}")
            values.append(np.log(given))
        out[name] = values[0] - values[1] if name == "ratio" else values[0]
    if isinstance(form.shape, Quadratic) and form.shape.drift:
        out["drift"] = out["n_params"] - math.log(REFERENCE)
    return out


@dataclass(frozen=True)
class Scale:
    """The form, and the logs that its columns are measured from.

    Attributes
    ----------
    form : Form
    centre : dict of str to float
        By column; a missing one is 0.
    """

    form: Form
    centre: dict[str, float]

    def centred(self, runs: Runs) -> dict[str, Values]:
        """Return logs of runs' columns less the centre."""
        return {name: x - self.centre.get(name, 0.0) for name, x in logs(self.form, runs).items()}

    def _shifts(self) -> tuple[Values, Values]:
        """Matrix and vector that take fitted coefficients to logs of linear ones, exponents, and centres."""
        at = {name: i for i, name in enumerate(self.form.names)}
        matrix, vector = np.eye(len(at)), np.zeros(len(at))
        for term in self.form.terms:
            for column, exponent in term.powers:
                matrix[at[term.coefficient], at[exponent]] += self.centre.get(column, 0.0)
        shape = self.form.shape
        if isinstance(shape, Power):
            matrix[at[shape.coefficient], at[shape.exponent]] -= self.centre.get(shape.column, 0.0)
        elif isinstance(shape, Quadratic):
            vector[at[shape.centre]] = self.centre.get("ratio", 0.0)
            if shape.drift:
                matrix[at[shape.centre], at[shape.drift]] -= self.centre.get("drift", 0.0)
        return matrix, vector

    @property
    def matrix(self) -> Values:
        """Derivatives of logs of linear coefficients, and of the others themselves, by fitted ones (p, p)."""
        return self._shifts()[0]

    @property
    def _logged(self) -> Values:
        return np.array([name in self.form.linear for name in self.form.names])

    def coefficients(self, theta: ArrayLike) -> Values:
        """Return coefficients, in the order of the form's names, of fitted ones (..., p)."""
        matrix, vector = self._shifts()
        out = np.asarray(theta, np.float64) @ matrix.T + vector
        with np.errstate(over="ignore"):
            return np.where(self._logged, np.exp(np.where(self._logged, out, 0.0)), out)

    def direction(self, theta: Values, at: int) -> tuple[Values, float, bool]:
        """Return a coefficient, or its log, as a linear function of fitted ones: slope (p,), value, whether log."""
        matrix, vector = self._shifts()
        return matrix[at], float(matrix[at] @ theta + vector[at]), bool(self._logged[at])

    def theta(self, coefficients: ArrayLike) -> Values:
        """Return what is fitted of coefficients (..., p); a linear one of 0 becomes one of e^-300."""
        given = np.asarray(coefficients, np.float64)
        linear = np.log(np.maximum(np.where(self._logged, given, 1.0), math.exp(-300)))
        matrix, vector = self._shifts()
        return np.asarray((np.where(self._logged, linear, given) - vector) @ np.linalg.inv(matrix).T, np.float64)
