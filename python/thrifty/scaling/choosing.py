"""The choice of a law by how it predicts runs larger than those that it was fitted to, never by how it fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import NotIdentifiable
from thrifty.scaling.holdouts import holdouts, size_classes
from thrifty.scaling.laws import NAMED
from thrifty.scaling.runs import Runs
from thrifty.scaling.shifts import shift_columns
from thrifty.scaling.trials import Setting, Trial, tried

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from thrifty.scaling.law import ScalingLaw
    from thrifty.scaling.laws.form import Form

__all__ = ["Candidate", "Choice", "choose"]

#: A change of the data must make errors left out smaller than this share of what they were.
BETTER = 0.9
#: Laws within this factor of the best are rivals: their predictions may be as right.
RIVALS = 1.25
#: Errors below are rounding.
TINY = 1e-12
#: Tokens a parameter (all parameters) below which a run is under-trained: compute-optimal has 20 (Hoffmann et al. 2022).
TRAINED = 20.0


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
    labels = _labels(runs, groups)
    shape = _shaped(runs)
    names = list(laws) if laws is not None else _allowed(shape)
    if not names:
        raise ValueError("laws: one or more are needed")
    setting = Setting(runs, labels, loss, delta)
    everything = np.ones(len(runs), bool)
    trials = _all(names, setting, shape, everything)
    setting, advice = _advised(_best(trials), setting, shape)
    if advice:
        trials = _all(names, setting, shape, np.ones(len(setting.runs), bool))
    if all(trial.law is None for trial in trials.values()):
        raise NotIdentifiable("; ".join(dict.fromkeys(trial.why for trial in trials.values())))
    scores = _scores(trials)
    order = sorted(scores, key=lambda key: scores[key])
    trial = trials[order[0]]
    law = trial.law
    assert law is not None
    near = [trials[key].law for key in order[1:] if scores[key] <= RIVALS * scores[order[0]]]
    law.surprise_, law.shifts_ = trial.surprise, trial.shifts
    law.rivals_ = tuple(rival for rival in near if rival is not None)
    for rival, key in zip(near, order[1:], strict=False):
        if rival is not None:
            rival.surprise_ = trials[key].surprise
    table = _table(trials, scores, order, setting, shape)
    choice = Choice(law, table, (*advice, *_warnings(setting.runs)))
    law.choice_, law.advice_ = choice.table, choice.advice
    return choice


def _labels(runs: Runs, groups: str | ArrayLike | None) -> tuple[Any, ...] | None:
    if groups is None:
        return runs.names if 1 < len(set(runs.names)) < len(runs.names) else None
    if isinstance(groups, str):
        if groups not in runs.columns:
            raise ValueError(f"groups: the runs have no column {groups!r}")
        return runs.columns[groups]
    return tuple(np.asarray(groups).tolist())


def _shaped(runs: Runs) -> bool:
    if runs.d_model is None or runs.n_layers is None:
        return False
    return len(np.unique(runs.d_model / runs.n_layers)) > 2


def _allowed(shape: bool) -> list[str | Form]:
    """Return laws for these columns, those of fewer coefficients first."""
    known = [form for form in NAMED.values() if shape or set(form.columns) <= {"n_params", "n_tokens"}]
    return [form.name for form in sorted(known, key=lambda form: len(form.names))]


def _all(
    names: Sequence[str | Form], setting: Setting, shape: bool, judged: NDArray[np.bool_]
) -> dict[str | int, Trial]:
    cuts = holdouts(setting.runs, shape)
    keys = [name if isinstance(name, str) else i for i, name in enumerate(names)]
    return {key: tried(name, setting, cuts, judged) for key, name in zip(keys, names, strict=True)}


def _scores(trials: Mapping[Any, Trial]) -> dict[Any, float]:
    """Geometric means of errors over cuts, those by size counting twice.

    Each error is taken relative to the median law's, so that a law that can't be fitted to the runs of some cut is judged
    by the others; one that no cut by size could show must be better by :data:`BETTER`.
    """
    fitted = {key: trial for key, trial in trials.items() if trial.law is not None}
    if not fitted:
        return {}
    by_size = {cut for trial in fitted.values() for cut in trial.by_size if cut in trial.errors}
    cuts = sorted({cut for trial in fitted.values() for cut in trial.errors})
    weight = {cut: 2.0 if cut in by_size else 1.0 for cut in cuts}
    logs = {key: {cut: np.log(max(trial.errors[cut], TINY)) for cut in trial.errors} for key, trial in fitted.items()}
    usual = {cut: float(np.median([of[cut] for of in logs.values() if cut in of])) for cut in cuts}
    level = np.average([usual[cut] for cut in cuts], weights=[weight[cut] for cut in cuts])
    scores = {}
    for key, of in logs.items():
        away = np.average([of[cut] - usual[cut] for cut in of], weights=[weight[cut] for cut in of])
        shown = not by_size or bool(by_size & set(of))
        scores[key] = float(np.exp(level + away)) / (1.0 if shown else BETTER)
    return scores


def _best(trials: Mapping[Any, Trial]) -> Any:
    scores = _scores(trials)
    return min(scores, key=lambda key: scores[key]) if scores else next(iter(trials))


def _advised(law: Any, setting: Setting, shape: bool) -> tuple[Setting, list[str]]:
    """Return a setting of the data with which the law predicts better, and what was changed."""
    advice: list[str] = []
    open_ = ["trained", *shift_columns(setting.runs)]
    while open_:
        changes = {name: _change(name, setting) for name in open_}
        gains = {
            name: _gain(law, setting, change, shape, kept) for name, (change, kept, _) in changes.items() if change
        }
        best = min(gains, key=lambda name: gains[name], default="")
        if not best or gains[best] >= BETTER:
            break
        setting, _, text = changes[best]
        advice.append(text)
        open_ = [name for name in open_ if name != best and (name == "trained" or best == "trained")]
    if {"total", "non_embedding"} <= set(setting.runs.sizes):
        with_, without = (replace(setting, runs=setting.runs.counting(kind)) for kind in ("total", "non_embedding"))
        worse = _gain(law, with_, without, shape)
        setting = with_ if worse > 1 / BETTER else without
        kind = "with" if worse > 1 / BETTER else "without"
        advice.append(f"parameters are counted {kind} embeddings (errors left out without / with them: {worse:.2f})")
    return setting, advice


def _change(name: str, setting: Setting) -> tuple[Setting | None, NDArray[np.bool_] | None, str]:
    """Return a setting with one change, the rows that it keeps, and what to say of it."""
    if name != "trained":
        return (
            replace(setting, shift=name),
            None,
            f"losses are shifted by {name}: each of its values has a factor of its own",
        )
    runs = setting.runs
    kept = runs.n_tokens >= TRAINED * runs.sizes.get("total", runs.n_params)
    out = int((~kept).sum())
    if not 0 < out < len(kept) / 2:
        return None, None, ""
    groups = setting.groups and tuple(g for g, stays in zip(setting.groups, kept, strict=True) if stays)
    text = (
        f"{out} runs of fewer than {TRAINED:.0f} tokens a parameter are left out: with them the law predicts others worse;"
        " it does not hold for such runs"
    )
    return replace(setting, runs=runs.take(kept), groups=groups), kept, text


def _gain(law: Any, before: Setting, after: Setting, shape: bool, rows: NDArray[np.bool_] | None = None) -> float:
    """Return errors left out after a change over those before it, on the runs that both have."""
    old, new = before.runs, after.runs
    judged = np.ones(len(old), bool) if rows is None else rows
    cuts = holdouts(new, shape)
    place = np.flatnonzero(judged)
    wider = []
    for cut in cuts:
        # A run that only the first setting has is fitted where its size is.
        fitted = np.zeros(len(old), bool)
        fitted[place] = cut.fitted
        if rows is not None:
            fitted[~rows] = getattr(old, cut.column)[~rows] < cut.beyond
        wider.append(replace(cut, fitted=fitted))
    one, two = tried(law, before, wider, judged), tried(law, after, cuts, np.ones(len(new), bool))
    both = sorted(set(one.errors) & set(two.errors))
    if not both:
        return 1.0 if two.law is not None else float("inf")
    return float(np.exp(np.mean([np.log(two.errors[cut] / one.errors[cut]) for cut in both])))


def _table(
    trials: Mapping[Any, Trial], scores: Mapping[Any, float], order: Sequence[Any], setting: Setting, shape: bool
) -> tuple[Candidate, ...]:
    cuts = holdouts(setting.runs, shape)
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


def _warnings(runs: Runs) -> list[str]:
    out = []
    sizes = int(size_classes(runs.n_params).max()) + 1
    if sizes < 3:
        out.append(
            f"{sizes} size class{'es' if sizes > 1 else ''}: three or more show how losses fall with size; train others"
        )
    ratio = np.log(runs.n_tokens / runs.n_params)
    if np.ptp(ratio) < np.log(1.5):
        out.append(
            "all runs have about the same tokens a parameter: what size and what tokens do can't be told apart; predictions"
            " hold along that line only"
        )
    return out
