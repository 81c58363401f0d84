"""Between what losses of runs to come, and coefficients, lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from thrifty.scaling.laws.scale import logs
from thrifty.scaling.rivals import combined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.predicting import Predicting
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["FAR", "Prediction", "coefficient_interval", "point", "predicted"]

#: Predictions farther beyond the data, in factors of ten, are flagged.
FAR = 2.0
#: Numbers, groups times runs, that are held at once.
NUMBERS = 1 << 22
#: Surprises of 1 that are added to those seen, of which there are few.
EXPECTED = 4.0


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


def predicted(law: Predicting, runs: Runs, level: float, of: Literal["run", "law"]) -> Prediction:
    """Return predictions of a fitted law; see :meth:`ScalingLaw.predict`."""
    from scipy.special import stdtrit

    if not 0 < level < 1:
        raise ValueError(f"interval: a share between 0 and 1 is needed, got {level}")
    if of not in ("run", "law"):
        raise ValueError(f"of: 'run' or 'law' is needed, got {of!r}")
    spread = law.scatter_
    variance, freedom = own(law, runs)
    for rival in law.rivals_:
        # A law of more coefficients than the runs can tell is no less sure than a smaller one that does as well.
        other, of_other = own(rival.law, runs)
        variance, freedom = np.minimum(variance, other), np.where(other < variance, of_other, freedom)
    middle, known, notes = point(law, runs)
    loss, of_runs = np.exp(middle), 0.0
    if of == "run":
        of_runs = sum(spread.noise)
    # Each part has degrees of freedom of its own (Satterthwaite); the spread of laws is no estimate from few squares.
    whole, unsure = variance + known + of_runs, variance**2 / freedom + of_runs**2 / spread.freedom.sum()
    if law.domain_ is not None:
        outside = law.domain_.off(runs)[1]
        whole, unsure = whole + outside, unsure + outside**2 / law.domain_.freedom
        notes += law.domain_.notes(runs)
    freedom = whole**2 / np.maximum(unsure, 1e-300)
    half = stdtrit(np.clip(freedom, 1.0, 1e6), (1 + level) / 2) * np.sqrt(whole)
    beyond = decades_beyond(law, runs)
    return Prediction(loss, loss * np.exp(-half), loss * np.exp(half), beyond, (*notes, *_notes(beyond)))


def point(law: Predicting, runs: Runs) -> tuple[Values, Values, list[str]]:
    """Return logs of predicted losses (n,), variances by what laws and shifts differ by, and notes."""
    middle, known = combined(law.rivals_, np.log(law.loss_at(runs)), runs)
    notes = []
    if law.shifts_ is not None:
        middle = middle + law.shifts_.of(runs)
        seen = law.shifts_.known(runs)
        known = known + np.where(seen, 0.0, law.shifts_.variance)
        if not seen.all():
            notes.append(
                f"{(~seen).sum()} of {len(runs)} runs have no known {law.shifts_.column}: their loss is the mean"
                " one's, their interval holds what it may shift"
            )
    if law.domain_ is not None:
        middle = middle + law.domain_.off(runs)[0]
    return middle, known, notes


def own(law: Predicting, runs: Runs) -> tuple[Values, Values]:
    """Return variances (n,) of the log of losses by what a law's coefficients are unsure by, and degrees of freedom."""
    variance, freedom = law.scatter_.variances(law.gradient(runs))
    return np.maximum(variance * lack(law, runs), left_out(law, runs)), freedom


def lack(law: Predicting, runs: Runs) -> Values:
    """Return the factor, of at least 1, by which variances told by the fit are too small for each run.

    It is the mean of the surprises (see :class:`~thrifty.scaling.trials.Trial`) at the cuts of those columns in which
    the run lies beyond the data, with :data:`EXPECTED` ones of 1, what a right law has.
    """
    out = np.ones(len(runs))
    if not law.surprise_:
        return out
    known = law.runs_.take(law.weights_ > 0)
    total, count = np.full(len(runs), EXPECTED), np.full(len(runs), EXPECTED)
    for column, surprises in law.surprise_.items():
        at, seen = getattr(runs, column), getattr(known, column)
        if at is None or seen is None:
            continue
        beyond = (at > seen.max()) | (at < seen.min())
        total += beyond * sum(surprises)
        count += beyond * float(len(surprises))
    return np.asarray(np.maximum(total / count, 1.0))


def left_out(law: Predicting, runs: Runs) -> Values:
    """Return variances (n,) of the log of losses by leaving groups out one after another; 0 without groups."""
    theta = law.without_groups_
    if theta is None:
        return np.zeros(len(runs))
    count, out = len(theta), np.empty(len(runs))
    some = max(NUMBERS // count, 1)
    for first in range(0, len(runs), some):
        at = np.arange(first, min(first + some, len(runs)))
        logs_ = law.logs_at(runs.take(at), theta)
        out[at] = (count - 1) / count * ((logs_ - logs_.mean(0)) ** 2).sum(0)
    return out


def coefficient_interval(law: Predicting, name: str, level: float) -> tuple[float, float]:
    """Return the interval of a coefficient; see :meth:`ScalingLaw.interval`."""
    from scipy.special import stdtrit

    if name not in law.form_.names:
        raise ValueError(f"name: {name!r} is none of {', '.join(law.form_.names)}")
    if not 0 < level < 1:
        raise ValueError(f"level: a share between 0 and 1 is needed, got {level}")
    direction, middle, logged = law.direction(name)
    if not direction[law.free_].any():
        value = float(np.exp(middle)) if logged else middle
        return value, value
    variance, freedom = law.scatter_.variances(direction[None])
    sizes = law.surprise_.get("n_params", ()) + law.surprise_.get("n_tokens", ())
    wider = max((EXPECTED + sum(sizes)) / (EXPECTED + len(sizes)), 1.0)
    theta = law.without_groups_
    apart = 0.0
    if theta is not None:
        ends = theta @ direction
        apart = float((len(ends) - 1) * ends.var())
    half = float(stdtrit(freedom[0], (1 + level) / 2) * np.sqrt(max(variance[0] * wider, apart)))
    low, high = middle - half, middle + half
    if not logged:
        return low, high
    with np.errstate(over="ignore"):
        return float(np.exp(low)), float(np.exp(high))


def decades_beyond(law: Predicting, runs: Runs) -> Values:
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
    return (
        f"{far} of {len(beyond)} runs lie more than a factor of 100 beyond the data: a guess, whatever its interval",
    )
