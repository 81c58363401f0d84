"""A law of loss, fitted to runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from thrifty.scaling.fitting.fitter import fitted
from thrifty.scaling.fitting.limits import limits
from thrifty.scaling.fitting.measure import Measure
from thrifty.scaling.fitting.refits import refit
from thrifty.scaling.laws.form import Form
from thrifty.scaling.laws.named import named
from thrifty.scaling.laws.scale import Scale, logs
from thrifty.scaling.laws.surface import Surface
from thrifty.scaling.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]

__all__ = ["ScalingLaw"]


class ScalingLaw:
    """A law of loss and how it is fitted; with scikit-learn's manners.

    Parameters
    ----------
    law : str or Form
        A name of :data:`~thrifty.scaling.NAMED`, ``"auto"``, or a form of own terms.
    loss : str
        ``"huber_log"``: Huber's loss of log residuals, summed; ``"lsq"``: squares of the losses' own.
    delta : float
        Huber's: beyond it residuals count by their size, not its square.
    tie : sequence of str, optional
        Exponents that are one.
    bounds : mapping, optional
        Lowest and highest values of coefficients by their names.

    Attributes
    ----------
    name_ : str
    form_ : Form
    coef_ : dict of str to float
        As papers give them: n_params and n_tokens counted in ones, loss in nats.
    objective_ : float
        Sum of Huber's losses, or of half the squares.
    theta_ : float64[p]
        What is fitted, see :mod:`thrifty.scaling.laws.scale`.
    runs_, weights_, groups_ : Runs, float64[n], tuple or None
        What it was fitted to.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling import Runs, ScalingLaw
    >>> n, d = np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4))
    >>> loss = 1.8 + 400 * n.ravel() ** -0.34 + 2000 * d.ravel() ** -0.37
    >>> law = ScalingLaw("chinchilla").fit({"n_params": n.ravel(), "n_tokens": d.ravel(), "loss": loss})
    >>> round(law.coef_["E"], 4)
    1.8
    """

    def __init__(
        self,
        law: str | Form = "chinchilla",
        *,
        loss: str = "huber_log",
        delta: float = 1e-3,
        tie: Sequence[str] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self.law, self.loss, self.delta, self.tie, self.bounds = law, loss, delta, tie, bounds

    def fit(
        self,
        runs: Runs | Mapping[str, Any],
        sample_weight: ArrayLike | None = None,
        groups: str | ArrayLike | None = None,
    ) -> Self:
        """Fit to runs.

        Parameters
        ----------
        runs : Runs, mapping or data frame
        sample_weight : float64[n], optional
            At least 0.
        groups : str or array, optional
            Runs whose residuals hang together, as checkpoints of one training: a column, or a label a run.
        """
        runs = Runs.of(runs)
        form = self._form()
        losses = _losses(runs)
        weights = _weights(sample_weight, len(runs))
        self.groups_ = _groups(groups, runs)
        self._measure = _measure(self.loss, self.delta)
        given = logs(form, runs)
        fixed = {column for t in form.terms if t.coefficient in form.bounds for column, _ in t.powers}
        scale = Scale(form, {name: 0.0 if name in fixed else float(x.mean()) for name, x in given.items()})
        order = np.lexsort([losses, weights, *given.values()])
        columns = scale.centred(runs)
        self._limits = limits(scale, columns, losses)
        sorted_ = Surface(form, {name: x[order] for name, x in columns.items()})
        found = fitted(sorted_, self._measure, losses[order], weights[order], self._limits)
        self.runs_, self.weights_ = runs, weights
        self._scale, self._surface = scale, Surface(form, columns)
        self._hold(form, found.theta, float(found.here.value[0]))
        return self

    def _form(self) -> Form:
        form = self.law if isinstance(self.law, Form) else named(self.law)
        if self.tie:
            form = form.tied(*self.tie)
        if self.bounds:
            given = {name: (float(low), float(high)) for name, (low, high) in self.bounds.items()}
            form = Form(form.name, form.terms, form.shape, form.bounds | given)
        return form

    def _hold(self, form: Form, theta: Values, objective: float) -> None:
        self.form_, self.name_ = form, form.name
        self.theta_, self.objective_ = theta, objective
        self.coef_ = dict(zip(form.names, self._scale.coefficients(theta).tolist(), strict=True))

    def loss_at(self, runs: Runs | Mapping[str, Any]) -> Values:
        """Return the losses that the law tells of runs, float64[n] in nats."""
        point = Surface(self.form_, self._scale.centred(Runs.of(runs))).at(self.theta_[None])
        return np.exp(point.log[0])

    def gradient(self, runs: Runs | Mapping[str, Any]) -> Values:
        """Return derivatives of the log of those losses by ``theta_``, float64[n, p]."""
        point = Surface(self.form_, self._scale.centred(Runs.of(runs))).at(self.theta_[None])
        return np.ascontiguousarray(point.slope[0].T)

    def coefficients(self, theta: ArrayLike) -> Values:
        """Return coefficients, in the order of ``form_.names``, of what :meth:`refit` gave, (..., p)."""
        return self._scale.coefficients(theta)

    def refit(self, weights: ArrayLike, targets: ArrayLike | None = None) -> Values:
        """Fit again with other weights, from where this fit ended; many at once.

        Parameters
        ----------
        weights : float64[B, n]
            Of the fitted runs; what they weigh already is multiplied.
        targets : float64[B, n] or float64[n], optional
            Losses in place of the runs' own.

        Returns
        -------
        float64[B, p]
            As ``theta_``.
        """
        given = np.atleast_2d(np.asarray(weights, np.float64)) * self.weights_
        losses = _losses(self.runs_) if targets is None else np.asarray(targets, np.float64)
        return refit(self._surface, self._measure, self.theta_, losses, given, self._limits)


def _measure(loss: str, delta: float) -> Measure:
    if loss == "huber_log" or loss == "lsq":
        if not (delta > 0 and math.isfinite(delta)):
            raise ValueError(f"delta: a number above 0 is needed, got {delta}")
        return Measure(loss, float(delta))  # type: ignore[arg-type]
    raise ValueError(f"loss: 'huber_log' or 'lsq' is needed, got {loss!r}")


def _losses(runs: Runs) -> Values:
    if runs.loss is None:
        raise ValueError("runs: a fit needs the column loss")
    wrong = ~(np.isfinite(runs.loss) & (runs.loss > 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"runs: loss must be finite and above 0, got {runs.loss[row]} in row {row}")
    return runs.loss


def _weights(given: ArrayLike | None, n: int) -> Values:
    if given is None:
        return np.ones(n)
    weights = np.asarray(given, np.float64)
    if weights.shape != (n,) or not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(f"sample_weight: {n} numbers of at least 0 are needed, not all 0")
    return weights


def _groups(given: str | ArrayLike | None, runs: Runs) -> tuple[Any, ...] | None:
    if given is None:
        return None
    if isinstance(given, str):
        if given not in runs.columns:
            raise ValueError(f"groups: the runs have no column {given!r}")
        return runs.columns[given]
    labels = np.asarray(given)
    if labels.shape != (len(runs),):
        raise ValueError(f"groups: {len(runs)} labels are needed, got an array of shape {labels.shape}")
    return tuple(labels.tolist())
