"""Accuracy and calibration of one list of answers, in one pass over their confidences in order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.exam.scoring.calibration import binned, shared
from thrifty.exam.scoring.ordered import BIN, Ordered, bin_edges, checked, ordered
from thrifty.stats import clopper_pearson, wald, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["BINS", "Metrics", "metrics", "width_edges"]

#: Bins of the expected calibration error.
BINS = 15
_CLIP = 1e-6
_FACTORS = 32


@dataclass(frozen=True, slots=True)
class Metrics:
    """Measures of one list of answers; nan where one is undefined.

    Attributes
    ----------
    answers, right : int
        All, and those that are right.
    not_stated : int
        Answers without a stated confidence: what follows ``clopper_pearson`` leaves them out.
    accuracy : float
        Share of all answers that is right.
    wald, wilson, clopper_pearson : (float, float)
        95 % intervals of it.
    mean_confidence : float
        Of those stated.
    brier, log_loss : float
        Mean of (c - y)^2, and of minus the logarithm of the chance given to what came, clipped at 1e-6.
    reliability, resolution, uncertainty : float
        Murphy's parts: Brier = reliability - resolution + uncertainty, over distinct confidences (Murphy 1973).
    ece : float
        Over 15 bins of equal width, (i/15, (i+1)/15], 0 in the first (Guo et al. 2017).
    ece_adaptive : float
        Over 15 bins of about as many answers; equal confidences are in one bin.
    rmsce, rmsce_hle : float
        :func:`calibration_error` in modes ``"all"`` and ``"hle"``, the latter nan below 200 answers.
    rmsce_debiased : float
        As ``rmsce``, each bin less what chance alone adds, at least 0 (Kumar et al. 2019).
    auroc : float
        Chance that a right answer has more confidence than a wrong one, ties half; nan without one of them.
    aurc, aurc_excess : float
        Mean share of wrong answers among the k most confident, over all k, ties as one step (Geifman et al. 2019); and
        how far that is above the best order's.
    certain : Metrics or None
        The same with answers without a stated confidence at 100 %, as the published scorer takes them; None where all
        are stated.
    """

    answers: int
    right: int
    not_stated: int
    accuracy: float
    wald: tuple[float, float]
    wilson: tuple[float, float]
    clopper_pearson: tuple[float, float]
    mean_confidence: float = math.nan
    brier: float = math.nan
    log_loss: float = math.nan
    reliability: float = math.nan
    resolution: float = math.nan
    uncertainty: float = math.nan
    ece: float = math.nan
    ece_adaptive: float = math.nan
    rmsce: float = math.nan
    rmsce_hle: float = math.nan
    rmsce_debiased: float = math.nan
    auroc: float = math.nan
    aurc: float = math.nan
    aurc_excess: float = math.nan
    certain: Metrics | None = None


def metrics(confidence: ArrayLike, correct: ArrayLike) -> Metrics:
    """Measure accuracy and calibration.

    Apart from ``rmsce_hle``, nothing depends on the order of the rows.

    Parameters
    ----------
    confidence : array_like
        float64[n] in [0, 1]; nan where not stated.
    correct : array_like
        bool[n], at least one answer.

    Raises
    ------
    ValueError
        When there is no answer, lengths differ, or a confidence is above 1 (percent, probably) or below 0.

    Examples
    --------
    >>> from thrifty.exam import metrics
    >>> found = metrics([0.9, 0.8, 0.7, 0.6], [True, True, False, True])
    >>> round(found.brier, 4), round(found.auroc, 4), found.accuracy
    (0.175, 0.6667, 0.75)
    """
    c, y = checked(confidence, correct)
    if not len(c):
        raise ValueError("confidence, correct: at least one answer is needed")
    stated = ~np.isnan(c)
    kept = int(stated.sum())
    count, right = len(c), int(y.sum())
    shares = {
        "answers": count,
        "right": right,
        "not_stated": count - kept,
        "accuracy": right / count,
        "wald": wald(right, count),
        "wilson": wilson(right, count),
        "clopper_pearson": clopper_pearson(right, count),
    }
    certain = None if kept == count else metrics(np.where(stated, c, 1.0), y)
    found = _calibration(ordered(c, y) if kept == count else ordered(c[stated], y[stated])) if kept else {}
    return Metrics(**shares, **found, certain=certain)  # type: ignore[arg-type]


def _calibration(answers: Ordered) -> dict[str, float]:
    n, value, total, right = len(answers), answers.value, answers.total, answers.right
    wrong = total - right
    base = int(right.sum()) / n
    share = right / total
    return {
        "mean_confidence": float((value * total).sum()) / n,
        "brier": float((right * (1 - value) ** 2 + wrong * value**2).sum()) / n,
        "log_loss": _log_loss(answers),
        "reliability": float((total * (value - share) ** 2).sum()) / n,
        "resolution": float((total * (share - base) ** 2).sum()) / n,
        "uncertainty": base * (1 - base),
        "ece": _over(answers, width_edges(value, BINS)),
        "ece_adaptive": _over(answers, _mass_edges(answers, BINS)),
        "rmsce": binned(answers, "all", 2),
        "rmsce_hle": binned(answers, "hle", 2) if n >= 2 * BIN else math.nan,
        "rmsce_debiased": _debiased(answers),
        "auroc": _auroc(right, wrong),
        **_risk(right, wrong, n),
    }


def _log_loss(answers: Ordered) -> float:
    """Take logarithms of products: a vectorised log differs between instruction sets, a product does not."""
    rights = np.repeat(answers.value, answers.right)
    wrongs = 1 - np.repeat(answers.value, answers.total - answers.right)
    given = np.clip(np.concatenate([rights, wrongs]), _CLIP, 1 - _CLIP)
    padded = np.ones((_FACTORS, -(-len(given) // _FACTORS)))
    padded.ravel()[: len(given)] = given
    while len(padded) > 1:
        padded = padded[::2] * padded[1::2]
    return -math.fsum(map(math.log, padded[0].tolist())) / len(given)


def width_edges(value: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Where bins of equal width begin and end among distinct values in order; a value on an edge is below it."""
    inner = np.searchsorted(value, np.arange(1, bins) / bins, side="right")
    return np.concatenate([[0], inner, [len(value)]])


def _mass_edges(answers: Ordered, bins: int) -> NDArray[np.int64]:
    """Where bins of about as many answers begin and end among runs: each run is where its middle is."""
    middle = answers.after - answers.total / 2
    inner = np.searchsorted(middle, np.arange(1, bins) * len(answers) / bins, side="left")
    return np.concatenate([[0], inner, [len(middle)]])


def _over(answers: Ordered, edges: NDArray[np.int64]) -> float:
    """Return the expected calibration error over bins of runs."""
    away = np.append(answers.value * answers.total - answers.right, 0.0)
    sums = np.add.reduceat(away, edges[:-1])[edges[1:] > edges[:-1]]
    return float(np.abs(sums).sum()) / len(answers)


def _debiased(answers: Ordered) -> float:
    edges = bin_edges(len(answers))
    sizes = np.diff(edges)
    right = shared(answers, edges) / sizes
    errors = (np.add.reduceat(answers.confidence, edges[:-1]) / sizes - right) ** 2
    chance = right * (1 - right) / np.maximum(sizes - 1, 1)
    return math.sqrt(max(float((sizes / len(answers) * (errors - chance)).sum()), 0.0))


def _auroc(right: NDArray[np.int64], wrong: NDArray[np.int64]) -> float:
    rights, wrongs = int(right.sum()), int(wrong.sum())
    if not rights or not wrongs:
        return math.nan
    twice = int((right * (2 * np.cumsum(wrong) - wrong)).sum())
    return twice / (2 * rights * wrongs)


def _risk(right: NDArray[np.int64], wrong: NDArray[np.int64], n: int) -> dict[str, float]:
    errors, steps = np.cumsum(wrong[::-1]), (right + wrong)[::-1]
    area = float((steps * errors / np.cumsum(steps)).sum()) / n
    rights = int(right.sum())
    last = np.arange(rights + 1, n + 1)
    best = float(((last - rights) / last).sum()) / n
    return {"aurc": area, "aurc_excess": area - best}
