"""The choice of a law by how it predicts runs larger than those that it was fitted to, never by how it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import NotIdentifiable
from thrifty.scaling.advice import BETTER, advised
from thrifty.scaling.domain import Domain
from thrifty.scaling.fitting.identify import check_condition
from thrifty.scaling.groups import labelled
from thrifty.scaling.holdouts import holdouts, size_classes
from thrifty.scaling.intervals import point
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import NAMED
from thrifty.scaling.rivals import Rival
from thrifty.scaling.runs import Runs
from thrifty.scaling.trials import Setting, Trial, tried

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from thrifty.scaling.laws.form import Form

__all__ = ["Candidate", "Choice", "choose"]

#: Laws within this factor of the best are rivals, whose predictions count too.
RIVALS = 2.0
#: Errors below are rounding.
TINY = 1e-12


@dataclass(frozen=True)
class Candidate:
    """A law that was looked at.

    Attributes
    ----------
    law : str
    coefficients : int
    error : float
        Geometric mean over cuts of the mean size of errors of runs left out, as a share of the loss; nan without.
    largest : dict of str to float
        Mean size of errors by cuts of size: "n_params > 1e8".
    why : str
        Why it was not taken.
    """

    law: str
    coefficients: int
    error: float
    largest: dict[str, float]
    why: str = ""


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen.

    Attributes
    ----------
    law : ScalingLaw
        Fitted to all rows that it should be fitted to.
    table : tuple of Candidate
        Best first; those that could not be fitted last.
    advice : tuple of str
        What was done with the rows, and what would make predictions surer.
    """

    law: ScalingLaw
    table: tuple[Candidate, ...]
    advice: tuple[str, ...]


def choose(
    runs: Runs | Mapping[str, ArrayLike] | Any,
    groups: str | ArrayLike | None = None,
    laws: Sequence[str | Form] | None = None,
    *,
    loss: str = "huber_log",
    delta: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Choice:
    """Choose a law, and the rows and the kind of size that it is fitted to.

    Every law is fitted again without the largest size class, the two largest and so on, and without the runs of most
    tokens, the widest and the deepest models, and groups of runs; each time it predicts what was left out. The law with
    the smallest errors (geometric mean over cuts) is taken. In the same way it is found out whether values of a column,
    as the set of training data, shift losses; whether runs with fewer than 20 tokens a parameter should stay out; and
    whether to count parameters with embeddings, where both are known: without, unless that predicts worse.

    Parameters
    ----------
    runs : Runs, mapping or data frame
    groups : str or array, optional
        Runs whose residuals hang together; otherwise runs of one name do.
    laws : sequence of str or Form, optional
        Which to choose from; all that the columns allow.
    loss : str
        As of :class:`ScalingLaw`.
    delta : float, optional
        Huber's; by default 1.345 standard deviations of the residuals, robustly told.
    progress : callable, optional
        Called with a phase, laws that were tried in it, and of how many.

    Raises
    ------
    NotIdentifiable
        When the runs can tell none of the laws.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling import choose
    >>> n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    >>> noise = 1 + 0.002 * np.sin(np.arange(25.0) ** 2)
    >>> choice = choose({"n_params": n, "n_tokens": d, "loss": (1.8 + 400 * n**-0.34 + 2000 * d**-0.37) * noise})
    >>> choice.table[0].law
    'chinchilla'
    """
    runs = Runs.of(runs)
    if runs.loss is None:
        raise ValueError("runs: a choice needs the column loss")
    if not len(runs):
        raise ValueError("runs: there are none")
    advice: list[str] = []
    labels = labelled(groups, runs)
    if labels is None and 1 < len(set(runs.names)) < len(runs.names):
        labels = runs.names
    if labels is not None and len(set(labels)) < 2:
        labels = None
        advice.append(
            "all runs are of one group: how groups differ can't be told, runs are taken as groups of their own; if they"
            " hang together, intervals are too narrow"
        )
    shape = _shaped(runs)
    names = list(laws) if laws is not None else _allowed(shape)
    if not names:
        raise ValueError("laws: one or more are needed")
    setting = Setting(runs, labels, loss, delta)
    trials = _all(names, setting, shape, progress, "laws tried")
    if all(trial.law is None for trial in trials.values()):
        raise NotIdentifiable("; ".join(dict.fromkeys(trial.why for trial in trials.values())))
    setting, changed = advised(_best(trials), setting, shape)
    advice += changed
    if changed:
        trials = _all(names, setting, shape, progress, "laws tried with other rows")
    scores = _scores(trials)
    order = sorted(scores, key=lambda key: scores[key])
    law = trials[order[0]].law
    if law is None:
        raise NotIdentifiable("; ".join(dict.fromkeys(trial.why for trial in trials.values())))
    law.surprise_, law.shifts_ = trials[order[0]].surprise, trials[order[0]].shifts
    law.rivals_ = tuple(_rivals(law, trials, scores, order))
    if setting.outside is not None:
        # A run's shift, where one was found, is no part of how the law misses it.
        told = point(law, law.counted(setting.outside))[0]
        law.domain_ = Domain.of(setting.outside, np.log(setting.outside.loss) - told)  # type: ignore[arg-type]
    table = _table(trials, scores, order, setting, shape)
    try:
        check_condition(law.form_, law.certificate_.condition, law.weakest_)
    except NotIdentifiable as error:
        advice.append(f"the law's coefficients are not to be read, only its predictions: {error}")
    choice = Choice(law, table, (*advice, *_warnings(setting, shape)))
    law.choice_, law.advice_ = choice.table, choice.advice
    return choice


def _rivals(
    law: ScalingLaw, trials: Mapping[Any, Trial], scores: Mapping[Any, float], order: Sequence[Any]
) -> list[Rival]:
    out = []
    cuts = len(trials[order[0]].errors)
    for key in order[1:]:
        ratio, other = scores[key] / scores[order[0]], trials[key].law
        if ratio > RIVALS or other is None:
            continue
        # Of the same runs as the law: shifts of losses that each has found for itself differ a little.
        rival = ScalingLaw(other.law, loss=other.loss, delta=other.delta_)
        rival.restore(other.form_, law.runs_, law.weights_, law.groups_, other.theta_, other.centre_, other.theta_)
        rival.surprise_ = trials[key].surprise
        out.append(Rival(rival, float(ratio**-cuts)))
    return out


def _shaped(runs: Runs) -> bool:
    if runs.d_model is None or runs.n_layers is None:
        return False
    return len(np.unique(runs.d_model / runs.n_layers)) > 2


def _allowed(shape: bool) -> list[str | Form]:
    """Return laws for these columns, those of fewer coefficients first."""
    known = [form for form in NAMED.values() if shape or set(form.columns) <= {"n_params", "n_tokens"}]
    return [form.name for form in sorted(known, key=lambda form: len(form.names))]


def _all(
    names: Sequence[str | Form],
    setting: Setting,
    shape: bool,
    progress: Callable[[str, int, int], None] | None,
    phase: str,
) -> dict[str | int, Trial]:
    cuts, judged = holdouts(setting.runs, shape, setting.groups), np.ones(len(setting.runs), bool)
    keys = [name if isinstance(name, str) else i for i, name in enumerate(names)]
    trials: dict[str | int, Trial] = {}
    for done, (key, name) in enumerate(zip(keys, names, strict=True), 1):
        trials[key] = tried(name, setting, cuts, judged)
        if progress is not None:
            progress(phase, done, len(names))
    return trials


def _scores(trials: Mapping[Any, Trial]) -> dict[Any, float]:
    """Geometric means of errors over cuts, those by size counting twice.

    A law whose coefficients the runs of a cut can't tell apart is there no worse than the worst of those that they can.
    Each error is taken relative to the median law's, so that one that can't be fitted to the runs of some cut is judged
    by the others. A law that no cut by size has shown must be better by :data:`BETTER`.
    """
    fitted = {key: trial for key, trial in trials.items() if trial.law is not None}
    by_size = {cut for trial in fitted.values() for cut in trial.by_size if cut in trial.errors}
    cuts = sorted({cut for trial in fitted.values() for cut in trial.errors})
    weight = {cut: 2.0 if cut in by_size else 1.0 for cut in cuts}
    sure = {cut: [t.errors[cut] for t in fitted.values() if cut in t.errors and cut not in t.unsure] for cut in cuts}
    logs = {}
    for key, trial in fitted.items():
        at_most = {cut: max(sure[cut], default=np.inf) if cut in trial.unsure else np.inf for cut in trial.errors}
        logs[key] = {cut: np.log(max(min(error, at_most[cut]), TINY)) for cut, error in trial.errors.items()}
    usual = {cut: float(np.median([of[cut] for of in logs.values() if cut in of])) for cut in cuts}
    level = np.average([usual[cut] for cut in cuts], weights=[weight[cut] for cut in cuts])
    scores = {}
    for key, of in logs.items():
        away = np.average([of[cut] - usual[cut] for cut in of], weights=[weight[cut] for cut in of])
        shown = bool(by_size & set(of) - set(fitted[key].unsure)) or not any(sure[cut] for cut in by_size)
        scores[key] = float(np.exp(level + away)) / (1.0 if shown else BETTER)
    return scores


def _best(trials: Mapping[Any, Trial]) -> Any:
    scores = _scores(trials)
    return min(scores, key=lambda key: scores[key]) if scores else next(iter(trials))


def _table(
    trials: Mapping[Any, Trial], scores: Mapping[Any, float], order: Sequence[Any], setting: Setting, shape: bool
) -> tuple[Candidate, ...]:
    cuts = holdouts(setting.runs, shape, setting.groups)
    rows = []
    for key in [*order, *(key for key in trials if key not in scores)]:
        trial = trials[key]
        if trial.law is None:
            size = len(NAMED[key].names) if key in NAMED else 0
            rows.append(Candidate(str(key), size, float("nan"), {}, trial.why))
            continue
        largest = {
            f"n_params >= {cuts[number].beyond:.3g}": error
            for number, error in trial.errors.items()
            if number >= 0 and cuts[number].column == "n_params"
        }
        rows.append(Candidate(trial.law.name_, len(trial.law.form_.names), scores[key], largest))
    return tuple(rows)


def _warnings(setting: Setting, shape: bool) -> list[str]:
    out, runs = [], setting.runs
    if not any(cut.column == "n_params" for cut in holdouts(runs, shape, setting.groups)):
        out.append(
            "too few runs, groups of them or sizes to leave the largest out: the law is chosen by other runs left out,"
            " which says little of larger ones"
        )
    sizes = int(size_classes(runs.n_params).max()) + 1
    if sizes < 3:
        out.append(
            f"{sizes} size class{'es' if sizes > 1 else ''}: three or more show how losses fall with size; train others"
        )
    ratio = np.log(runs.n_tokens / runs.n_params)
    if np.ptp(ratio) < np.log(1.5):
        out.append(
            "all runs have about the same tokens a parameter: what size and what tokens do can't be told apart;"
            " predictions hold along that line only"
        )
    return out
