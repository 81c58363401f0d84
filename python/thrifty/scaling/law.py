"""A law of loss, fitted to runs."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from thrifty.errors import NotIdentifiable
from thrifty.scaling.draws import Draws, drawn
from thrifty.scaling.fitting.certificate import certify
from thrifty.scaling.fitting.fitter import fitted
from thrifty.scaling.fitting.identify import SPARE, check_condition, check_runs
from thrifty.scaling.fitting.limits import limits
from thrifty.scaling.fitting.measure import Measure
from thrifty.scaling.fitting.refits import refit
from thrifty.scaling.fitting.spread import Bowl
from thrifty.scaling.groups import check_groups, labelled, numbered
from thrifty.scaling.intervals import point
from thrifty.scaling.laws.form import Form
from thrifty.scaling.laws.named import named
from thrifty.scaling.laws.scale import Scale, logs
from thrifty.scaling.laws.surface import Surface
from thrifty.scaling.predicting import Predicting
from thrifty.scaling.profiles import profiled
from thrifty.scaling.runs import Runs
from thrifty.scaling.scores import alike, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]

__all__ = ["ScalingLaw"]

#: Numbers, parts times runs, up to which fits without parts are fitted again; so few parts always are.
REFITTED, FEW = 1 << 23, 20
PARAMS = ("law", "loss", "delta", "tie", "bounds")
#: Huber's delta where none is given (Hoffmann et al. 2022).
USUAL = 1e-3


class ScalingLaw(Predicting):
    """A law of loss and how it is fitted; with scikit-learn's manners.

    Parameters
    ----------
    law : str or Form
        A name of :data:`~thrifty.scaling.NAMED`, ``"auto"``, or a form of own terms.
    loss : str
        ``"huber_log"``: Huber's loss of log residuals, summed; ``"lsq"``: squares of the losses' own.
    delta : float, optional
        Huber's: beyond it residuals count by their size, not its square. By default 0.001, as papers have it; of
        ``"auto"`` what suits the residuals.
    tie : sequence of str, optional
        Exponents that are one; not of ``"auto"``, which tries such laws, too.
    bounds : mapping, optional
        Lowest and highest values of coefficients by their names; not of ``"auto"``.

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
    certificate_ : Certificate
        What is known of where the fit ended.
    runs_, weights_, groups_ : Runs, float64[n], tuple or None
        What it was fitted to.
    draws_ : Draws, optional
        A bootstrap that files and reports of the fit are to show.

    Raises
    ------
    NotIdentifiable
        By :meth:`fit`, where the runs can't tell the coefficients; the message says which, and what would help.

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
        delta: float | None = None,
        tie: Sequence[str] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self.law, self.loss, self.delta, self.tie, self.bounds = law, loss, delta, tie, bounds

    def fit(
        self,
        runs: Runs | Mapping[str, Any],
        sample_weight: ArrayLike | None = None,
        groups: str | ArrayLike | None = None,
        *,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Self:
        """Fit to runs.

        Parameters
        ----------
        runs : Runs, mapping or data frame
        sample_weight : float64[n], optional
            At least 0; not of ``"auto"``.
        groups : str or array, optional
            Runs whose residuals hang together, as checkpoints of one training: a column, or a label a run.
        progress : callable, optional
            Called while a law is chosen, see :func:`~thrifty.scaling.choose`.

        Raises
        ------
        NotIdentifiable
            Where the runs can't tell the law's coefficients.
        ValueError
            Where a column is missing or a value is none.
        """
        if groups is not None:
            runs = Runs.of(runs)
            _check_groups(groups, runs, _weights(sample_weight, len(runs)))
        if self.law == "auto":
            return self._chosen(runs, sample_weight, groups, progress)
        self.fit_unchecked(runs, sample_weight, groups)
        check_condition(self.form_, self.certificate_.condition, self.weakest_)
        return self

    def fit_unchecked(
        self,
        runs: Runs | Mapping[str, Any],
        sample_weight: ArrayLike | None = None,
        groups: str | ArrayLike | None = None,
    ) -> Self:
        """Fit as :meth:`fit` does even where the runs can't tell coefficients apart: predictions may hold."""
        runs = Runs.of(runs)
        form = self._form()
        losses = _losses(runs)
        weights = _weights(sample_weight, len(runs))
        self.groups_ = labelled(groups, runs)
        measure = _measure(self.loss, USUAL if self.delta is None else self.delta)
        given = logs(form, runs)
        check_runs(form, {name: x[weights > 0] for name, x in given.items()})
        # Bounds of a coefficient are bounds of what is fitted only where its term's columns are not centred.
        fixed = {column for name in form.bounds for column in form.beside(name)}
        scale = Scale(form, {name: 0.0 if name in fixed else float(x.mean()) for name, x in given.items()})
        columns = scale.centred(runs)
        bounds = limits(scale, columns, losses)
        order = np.lexsort([losses, weights, *given.values()])
        found = fitted(
            Surface(form, {name: x[order] for name, x in columns.items()}),
            measure,
            losses[order],
            weights[order],
            bounds,
        )
        self._hold(scale, measure, runs, weights, bounds)
        self.theta_, self.objective_ = found.theta, float(found.here.value[0])
        self._cold = found.start
        errors = np.sqrt(np.maximum(np.diag(self.covariance()), 0.0))
        self.certificate_, self.weakest_ = certify(self._surface, scale, found, weights, bounds, errors)
        return self

    def _chosen(
        self,
        runs: Runs | Mapping[str, Any],
        sample_weight: ArrayLike | None,
        groups: str | ArrayLike | None,
        progress: Callable[[str, int, int], None] | None,
    ) -> Self:
        from thrifty.scaling.choosing import choose

        given: dict[str, Any] = {"tie": self.tie, "bounds": self.bounds, "sample_weight": sample_weight}
        if refused := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"{refused[0]}: 'auto' chooses among laws and takes none; name the law that it is for")
        found = choose(runs, groups, loss=self.loss, delta=self.delta, progress=progress).law
        self.__dict__.update(vars(found) | self.get_params())
        return self

    def _form(self) -> Form:
        form = self.law if isinstance(self.law, Form) else named(self.law)
        if self.tie:
            form = form.tied(*self.tie)
        if self.bounds:
            given = {name: (float(low), float(high)) for name, (low, high) in self.bounds.items()}
            form = Form(form.name, form.terms, form.shape, form.bounds | given)
        return form

    def restore(
        self,
        form: Form,
        runs: Runs,
        weights: Values,
        groups: tuple[Any, ...] | None,
        theta: Values,
        centre: dict[str, float],
        start: Values | None = None,
    ) -> Self:
        """Become what a fit to these runs ended as, without fitting again."""
        scale, measure = Scale(form, centre), _measure(self.loss, USUAL if self.delta is None else self.delta)
        self.groups_ = groups
        self._hold(scale, measure, runs, weights, limits(scale, scale.centred(runs), _losses(runs)))
        self.theta_, self._cold = theta, theta if start is None else start
        log = self._surface.at(theta[None]).log
        self.objective_ = float(measure.rows(log, measure.targets(_losses(runs)), weights)[0][0])
        return self

    def _hold(self, scale: Scale, measure: Measure, runs: Runs, weights: Values, bounds: tuple[Values, Values]) -> None:
        self.form_, self.name_ = scale.form, scale.form.name
        self.runs_, self.weights_ = runs, weights
        self._scale, self._measure, self._limits = scale, measure, bounds
        self._surface = Surface(scale.form, scale.centred(runs))
        self.unsaid()
        self.draws_: Draws | None = None

    @property
    def start_(self) -> Values:
        """``theta_`` of the start that led to the fit; refits begin there, too."""
        return self._cold

    @property
    def centre_(self) -> dict[str, float]:
        """Logs that the fit's columns are measured from."""
        return self._scale.centre

    @property
    def coef_(self) -> dict[str, float]:
        """Coefficients by their names, as papers give them."""
        return dict(zip(self.form_.names, self._scale.coefficients(self.theta_).tolist(), strict=True))

    def coefficients(self, theta: ArrayLike) -> Values:
        """Return coefficients, in the order of ``form_.names``, of what :meth:`refit` gave, (..., p)."""
        return self._scale.coefficients(theta)

    def refit(self, weights: ArrayLike, targets: ArrayLike | None = None, *, threads: int = 0) -> Values:
        """Fit again with other weights, from where this fit ended; many at once.

        Parameters
        ----------
        weights : float64[B, n]
            Of the fitted runs; what they weigh already is multiplied.
        targets : float64[B, n] or float64[n], optional
            Losses in place of the runs' own.
        threads : int
            0: one for each core; results are the same for any number.

        Returns
        -------
        float64[B, p]
            As ``theta_``.
        """
        given = np.atleast_2d(np.asarray(weights, np.float64))
        losses = _losses(self.runs_) if targets is None else np.asarray(targets, np.float64)
        n = len(self.runs_)
        if given.ndim != 2 or given.shape[1] != n or not (np.isfinite(given).all() and (given >= 0).all()):
            raise ValueError(f"weights: rows of {n} numbers of at least 0 are needed, got shape {given.shape}")
        if losses.shape not in ((n,), given.shape) or not (np.isfinite(losses).all() and (losses > 0).all()):
            raise ValueError(f"targets: {n} losses above 0, or such rows, are needed, got shape {losses.shape}")
        begin = self.theta_, self._cold
        given = given * self.weights_
        return refit(self._surface, self._measure, *begin, losses, given, self._limits, threads)

    def bootstrap(
        self,
        n: int = 4000,
        *,
        seed: int = 0,
        kind: Literal["case", "cluster", "residual"] = "case",
        threads: int = 0,
    ) -> Draws:
        """Return coefficients of fits to other draws of the runs; the same for any number of threads.

        Parameters
        ----------
        n : int
            How many.
        seed : int
            Key of the generator.
        kind : str
            ``"case"``: runs are drawn (Efron 1979); ``"cluster"``: groups with all their runs, as it takes where these
            hang together, such as checkpoints of one training; ``"residual"``: residuals, around this fit's losses.
        threads : int
            0: one for each core.

        Raises
        ------
        ValueError
            When ``kind`` is another, or ``"cluster"`` of a fit without groups.
        """
        return drawn(self, n, seed, kind, threads)

    def profile(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return the profile interval of a coefficient: where the other coefficients can't make up for it.

        Parameters
        ----------
        name : str
        level : float
            Share of such intervals that hold the true value.

        Raises
        ------
        ValueError
            When there is no such name, or the level is not between 0 and 1.
        NotIdentifiable
            When there are hardly more groups than coefficients: what they have in common takes up what they scatter.
        """
        if name not in self.form_.names:
            raise ValueError(f"name: {name!r} is none of {', '.join(self.form_.names)}")
        if not 0 < level < 1:
            raise ValueError(f"level: a share between 0 and 1 is needed, got {level}")
        direction = self._scale.matrix[self.form_.names.index(name)]
        inverse, covariance = self._bowl().inverse, self.covariance()
        seen, told = float(direction @ covariance @ direction), float(direction @ inverse @ direction)
        freedom = float(self.scatter_.variances(direction[None])[1][0])
        theta = self.without_groups_
        if theta is not None:
            few = int(self.free_.sum()) + SPARE
            if len(theta) < few:
                raise NotIdentifiable(
                    f"a profile of {name} needs {few} groups or more, got {len(theta)}: add trainings, or take interval"
                )
            ends = theta @ direction
            seen, freedom = max(seen, (len(ends) - 1) * float(ends.var())), min(freedom, len(ends) - 1.0)
        if not told > 0:
            seen, told = float(np.trace(covariance)), float(np.trace(inverse))
        parts = self._scale, self._measure, self.runs_, self.weights_, self.theta_
        return profiled(*parts, told, seen, freedom, name, level)

    def covariance(self) -> Values:
        """Return the covariance of ``theta_`` by derivatives, float64[p, p]; see :mod:`thrifty.scaling.scatter`."""
        return self.scatter_.covariance

    def without(self, part: NDArray[np.int64]) -> Values:
        """Return ``theta_`` without the runs of each part, float64[k, p].

        Where that is more than :data:`REFITTED` numbers, and there are more parts than :data:`FEW`, it is not fitted
        again but one Newton step.

        Parameters
        ----------
        part : int64[n]
            Numbers from 0; -1: a run that is always there.
        """
        count, n = int(part.max()) + 1, len(part)
        if not refits(count, n):
            return self._bowl().without(part)
        some = max(REFITTED // n, 1)
        blocks = [np.arange(first, min(first + some, count)) for first in range(0, count, some)]
        return np.concatenate([self.refit(part != block[:, None]) for block in blocks])

    def _bowl(self) -> Bowl:
        targets = self._measure.targets(_losses(self.runs_))
        return Bowl(self._surface, self._measure, self.theta_, targets, self.weights_, self._limits)

    def score(self, runs: Runs | Mapping[str, Any], within: Sequence[str] | None = None) -> dict[str, float]:
        """Return how well the law tells losses of runs, as :meth:`predict` does.

        Parameters
        ----------
        runs : Runs, mapping or data frame
        within : sequence of str, optional
            Columns whose values say which runs are of one kind, whose ranks ``spearman_within`` is of; without them
            those of one number of tokens and of like size.

        Returns
        -------
        dict
            ``mse``, ``r2``, ``spearman``, and ``spearman_within``, the mean over kinds of three runs or more.
        """
        runs = Runs.of(runs)
        if within and (missing := [name for name in within if name not in runs.columns]):
            raise ValueError(f"within: the runs have no column {missing[0]!r}")
        kinds = numbered(zip(*(runs.columns[name] for name in within), strict=True)) if within else alike(runs)
        return scores(np.exp(point(self, self.counted(runs))[0]), _losses(runs), kinds)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what the law was made with."""
        return {name: getattr(self, name) for name in PARAMS}

    def set_params(self, **params: Any) -> Self:
        """Change what the law was made with; a fit that there is stays."""
        for name, value in params.items():
            if name not in PARAMS:
                raise ValueError(f"{name!r} is none of {', '.join(PARAMS)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        plain = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        given = {name: value for name, value in self.get_params().items() if name == "law" or value != plain[name]}
        return f"ScalingLaw({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def refits(count: int, rows: int) -> bool:
    """Whether so many parts are left out of so many rows by fitting again."""
    return count <= FEW or count * rows <= REFITTED


def _check_groups(groups: str | ArrayLike, runs: Runs, weights: Values) -> None:
    labels = labelled(groups, runs)
    assert labels is not None
    check_groups(labels, weights, groups if isinstance(groups, str) else "groups")


def _measure(loss: str, delta: float) -> Measure:
    if loss in ("huber_log", "lsq"):
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
