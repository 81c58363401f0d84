"""What a fitted law tells of runs to come, and of its own coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty.scaling.groups import weighed
from thrifty.scaling.intervals import coefficient_interval, point, predicted
from thrifty.scaling.laws.surface import Surface
from thrifty.scaling.runs import Runs
from thrifty.scaling.scatter import scatter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from thrifty.scaling.choosing import Candidate
    from thrifty.scaling.domain import Domain
    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.intervals import Prediction
    from thrifty.scaling.laws.form import Form
    from thrifty.scaling.laws.scale import Scale
    from thrifty.scaling.rivals import Rival
    from thrifty.scaling.scatter import Scatter
    from thrifty.scaling.shifts import Shifts

    Values = NDArray[np.float64]

__all__ = ["Predicting", "Unfitted"]


class Unfitted(ValueError, AttributeError):  # noqa: N818 - says what is wrong
    """A law was asked for what only a fit has."""


class Predicting:
    """Predictions of a fitted law: the part of :class:`ScalingLaw` that needs no fitter.

    Attributes
    ----------
    surprise_ : dict of str to tuple of float
        By column: how far the law was from runs left out that were larger in it, see
        :class:`~thrifty.scaling.trials.Trial`.
    shifts_ : Shifts or None
        What a column's values add to the log of the loss.
    rivals_ : tuple of Rival
        Laws that predicted about as well.
    domain_ : Domain or None
        Where the law does not hold, and how it missed runs there.
    choice_, advice_ : tuple
        The candidates of the choice, and what was said of the data.
    """

    form_: Form
    theta_: Values
    runs_: Runs
    weights_: Values
    groups_: tuple[Any, ...] | None
    loss: str
    surprise_: dict[str, tuple[float, ...]]
    shifts_: Shifts | None
    rivals_: tuple[Rival, ...]
    domain_: Domain | None
    choice_: tuple[Candidate, ...]
    advice_: tuple[str, ...]
    _scale: Scale
    _measure: Measure
    _limits: tuple[Values, Values]
    _scatter: Scatter | None
    _without: Values | None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("__") and "form_" not in self.__dict__ and name.strip("_") != name:
                raise Unfitted(f"{type(self).__name__} has no {name} yet: call fit first")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def loss_at(self, runs: Runs | Mapping[str, Any]) -> Values:
        """Return the losses that the law tells of runs, float64[n] in nats."""
        return np.asarray(np.exp(self.logs_at(Runs.of(runs))[0]), np.float64)

    def told_at(self, runs: Runs | Mapping[str, Any]) -> Values:
        """Return the losses that :meth:`predict` tells, without their intervals, float64[n] in nats.

        Those of a chosen law are the mean over it and its rivals, where :meth:`loss_at` tells the law's alone.
        """
        return np.asarray(np.exp(point(self, self.counted(Runs.of(runs)))[0]), np.float64)

    def logs_at(self, runs: Runs, theta: Values | None = None) -> Values:
        """Return logs of losses of runs, float64[B, n], by the law's or other coefficients (B, p)."""
        at = self.theta_[None] if theta is None else theta
        return Surface(self.form_, self._scale.centred(self.counted(runs))).at(at).log

    def gradient(self, runs: Runs | Mapping[str, Any]) -> Values:
        """Return derivatives of the log of those losses by ``theta_``, float64[n, p]."""
        point = Surface(self.form_, self._scale.centred(self.counted(Runs.of(runs)))).at(self.theta_[None])
        return np.ascontiguousarray(point.slopes()[0].T)

    def counted(self, runs: Runs) -> Runs:
        """Return runs with the kind of parameters that the law was fitted to, where they have it."""
        fitted = self.runs_
        if runs.counted != fitted.counted and fitted.counted in runs.sizes:
            return runs.counting(fitted.counted)
        return runs

    def refit(self, weights: ArrayLike, targets: ArrayLike | None = None) -> Values:
        """See :class:`ScalingLaw`."""
        raise NotImplementedError

    def without(self, part: NDArray[np.int64]) -> Values:
        """See :class:`ScalingLaw`."""
        raise NotImplementedError

    def unsaid(self) -> None:
        """Forget what was said of another fit."""
        self.surprise_, self.shifts_, self.rivals_, self.choice_, self.advice_ = {}, None, (), (), ()
        self.domain_ = None
        self._scatter = self._without = None

    @property
    def by_shape_(self) -> bool:
        """Whether it predicts by width and depth, or a rival of it does."""
        forms = (self.form_, *(rival.law.form_ for rival in self.rivals_))
        return any({"ratio", "d_model", "n_layers"} & set(form.columns) for form in forms)

    @property
    def delta_(self) -> float:
        """Huber's delta that it was fitted with."""
        return self._measure.delta

    @property
    def free_(self) -> NDArray[np.bool_]:
        """Which of ``theta_`` are at no bound."""
        low, high = self._limits
        return (self.theta_ > low) & (self.theta_ < high)

    @property
    def scatter_(self) -> Scatter:
        """How the residuals scatter, and what that says of the coefficients."""
        if self._scatter is None:
            self._scatter = scatter(self)
        return self._scatter

    @property
    def without_groups_(self) -> Values | None:
        """``theta_`` without each of the groups that weigh something, (groups, p); None where that are not two."""
        if self._without is None and self.groups_ is not None:
            group = weighed(self.groups_, self.weights_)
            if group.max() > 0:
                self._without = self.without(group)
        return self._without

    def predict(
        self, runs: Runs | Mapping[str, Any], interval: float = 0.95, *, of: Literal["run", "law"] = "run"
    ) -> Prediction:
        """Predict losses of runs, and between what they lie.

        A law that was chosen tells the mean over it and its rivals, weighted by how they predicted runs left out; other
        laws tell their own losses. Intervals hold, with Student's t: what the coefficients are unsure by, runs of one
        group hanging together; how much farther from runs left out a chosen law was than that says, and how far its
        rivals are apart; and what a run scatters by.

        Parameters
        ----------
        runs : Runs, mapping or data frame
        interval : float
            Level.
        of : str
            ``"run"``: of a run's own loss; ``"law"``: of the mean of such runs.

        Examples
        --------
        >>> import numpy as np
        >>> from thrifty.scaling import ScalingLaw
        >>> n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
        >>> loss = (1.8 + 400 * n**-0.34 + 2000 * d**-0.37) * np.resize([0.999, 1.001, 1.0], 16)
        >>> law = ScalingLaw("chinchilla").fit({"n_params": n, "n_tokens": d, "loss": loss})
        >>> told = law.predict({"n_params": [1e10], "n_tokens": [1e12]})
        >>> bool(told.lo[0] < 1.8 + 400 * 1e10**-0.34 + 2000 * 1e12**-0.37 < told.hi[0])
        True
        """
        return predicted(self, self.counted(Runs.of(runs)), interval, of)

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return between what a coefficient lies, as :meth:`predict` does of losses; of linear ones, by their logs.

        A coefficient at a bound has no width.
        """
        return coefficient_interval(self, name, level)

    def direction(self, name: str) -> tuple[Values, float, bool]:
        """Return a coefficient, or its log, as a linear function of ``theta_``: slope (p,), value, whether log."""
        return self._scale.direction(self.theta_, self.form_.names.index(name))
