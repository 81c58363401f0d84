"""Between what losses of runs to come, and coefficients, lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from thrifty.scaling.laws.scale import logs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.law import ScalingLaw
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["FAR", "Prediction", "coefficient_interval", "predicted"]

#: Predictions farther beyond the data, in factors of ten, are flagged.
FAR = 2.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """Losses of runs, and between what they lie.

    Attributes
    ----------
    loss, lo, hi : float64[n]
        Nats a token.
    decades_beyond : float64[n]
        How far a run lies outside the runs of the fit, in factors of ten of the column that is farthest; 0 within.
    notes : tuple of str
        What deserves a look.
    """

    loss: Values
    lo: Values
    hi: Values
    decades_beyond: Values
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)


def predicted(law: ScalingLaw, runs: Runs, level: float, of: Literal["run", "law"]) -> Prediction:
    """Return predictions of a fitted law; see :meth:`ScalingLaw.predict`."""
    from scipy.special import stdtrit

    if not 0 < level < 1:
        raise ValueError(f"interval: a share between 0 and 1 is needed, got {level}")
    if of not in ("run", "law"):
        raise ValueError(f"of: 'run' or 'law' is needed, got {of!r}")
    loss = law.loss_at(runs)
    spread = law.scatter_
    variance, freedom = spread.variances(law.gradient(runs))
    variance = variance * law.lack_
    if of == "run":
        noise = sum(spread.noise)
        # The noise is known better than the coefficients are: its share has the freedom of all runs.
        whole = variance + noise
        freedom = whole**2 / (variance**2 / freedom + noise**2 / spread.freedom.sum())
        variance = whole
    half = stdtrit(freedom, (1 + level) / 2) * np.sqrt(variance)
    beyond = decades_beyond(law, runs)
    return Prediction(loss, loss * np.exp(-half), loss * np.exp(half), beyond, _notes(beyond))


def coefficient_interval(law: ScalingLaw, name: str, level: float) -> tuple[float, float]:
    """Return the interval of a coefficient; see :meth:`ScalingLaw.interval`."""
    from scipy.special import stdtrit

    if name not in law.form_.names:
        raise ValueError(f"name: {name!r} is none of {', '.join(law.form_.names)}")
    if not 0 < level < 1:
        raise ValueError(f"level: a share between 0 and 1 is needed, got {level}")
    at = law.form_.names.index(name)
    direction, middle, logged = law.direction(at)
    if not direction[law.free_].any():
        value = float(law.coef_[name])
        return value, value
    variance, freedom = law.scatter_.variances(direction[None])
    half = float(stdtrit(freedom[0], (1 + level) / 2) * np.sqrt(variance[0] * law.lack_))
    low, high = middle - half, middle + half
    return (float(np.exp(low)), float(np.exp(high))) if logged else (low, high)


def decades_beyond(law: ScalingLaw, runs: Runs) -> Values:
    """Return how far runs lie outside those of the fit, in factors of ten, (n,)."""
    out = np.zeros(len(runs))
    fitted = logs(law.form_, law.runs_.take(law.weights_ > 0))
    for name, x in logs(law.form_, runs).items():
        known = fitted[name]
        out = np.maximum(out, np.maximum(x - known.max(), known.min() - x) / np.log(10))
    return out


def _notes(beyond: Values) -> tuple[str, ...]:
    far = int((beyond > FAR).sum())
    if not far:
        return ()
    return (f"{far} of {len(beyond)} runs lie more than a factor of 100 beyond the data: a guess, whatever its interval",)
