"""Which runs to leave out, so that a law shows how it predicts what is larger than all that it saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.stats import philox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]
    Mask = NDArray[np.bool_]

__all__ = ["Holdout", "folds", "holdouts", "size_classes"]

#: Sizes are of one class where the next larger is less than so many times as large.
APART = 1.2
#: Shares of the runs that are fitted to where there are more sizes than steps; shares of values below a cut elsewhere.
SHARES, CUTS = (0.85, 0.7, 0.55, 0.4), (0.8, 0.6)
#: A fit needs so many runs, so many groups of runs that hang together, and so many size classes.
RUNS, GROUPS, CLASSES = 8, 5, 2


@dataclass(frozen=True, eq=False)
class Holdout:
    """A cut through the runs.

    Attributes
    ----------
    column : str
        What the runs left out are larger in: n_params, n_tokens, d_model or n_layers.
    beyond : float
        The least of it that is left out.
    fitted : bool[n]
        The others.
    """

    column: str
    beyond: float
    fitted: Mask


def size_classes(n_params: Values) -> NDArray[np.int64]:
    """Return the size class of each run, from 0, smallest first.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling.holdouts import size_classes
    >>> size_classes(np.array([1.01e8, 1e8, 3e8])).tolist()
    [0, 0, 1]
    """
    sizes = np.unique(n_params)
    classes = np.concatenate([[0], np.cumsum(np.diff(np.log(sizes)) > np.log(APART))])
    return np.asarray(classes[np.searchsorted(sizes, n_params)], np.int64)


def holdouts(runs: Runs, shape: bool, groups: Sequence[object] | None = None) -> list[Holdout]:
    """Return cuts of runs: the largest size classes one after another, then the most tokens, the widest, the deepest.

    Parameters
    ----------
    runs : Runs
    shape : bool
        Whether to cut by width and depth too.
    groups : sequence, optional
        Labels of runs that hang together.
    """
    out = _by_size(runs.n_params)
    columns = ["n_tokens", *(["d_model", "n_layers"] if shape else [])]
    for column in columns:
        x = getattr(runs, column)
        if len(np.unique(x)) < 3:
            continue
        cuts = [x <= np.quantile(np.unique(x), share) for share in CUTS]
        out += [Holdout(column, float(x[~fitted].min()), fitted) for fitted in cuts if not fitted.all()]
    seen: set[bytes] = set()
    kept = []
    for holdout in out:
        key = holdout.fitted.tobytes()
        some = (
            range(GROUPS)
            if groups is None
            else {label for label, fitted in zip(groups, holdout.fitted, strict=True) if fitted}
        )
        if key not in seen and holdout.fitted.sum() >= RUNS and len(some) >= GROUPS:
            seen.add(key)
            kept.append(holdout)
    return kept


def _by_size(n: Values) -> list[Holdout]:
    classes = size_classes(n)
    if classes.max() < CLASSES:
        # Sizes so near each other, or so few, that classes are no steps: each size is one.
        classes = np.unique(n, return_inverse=True)[1]
    firsts = np.arange(CLASSES, classes.max() + 1)
    if len(firsts) > len(SHARES):
        fitted = np.array([(classes < k).mean() for k in firsts])
        firsts = np.unique([firsts[np.argmin(np.abs(fitted - share))] for share in SHARES])
    return [Holdout("n_params", float(n[classes >= k].min()), classes < k) for k in reversed(firsts)]


def folds(labels: Sequence[object], count: int = 5) -> list[Mask]:
    """Return masks of runs to fit to: runs of one label are left out together, each once, in a seeded order.

    Runs of one label all give none: nothing would be left to fit.
    """
    known = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    group = np.array([known[label] for label in labels])
    if len(known) < 2:
        return []
    fold = np.empty(len(known), np.int64)
    fold[philox(0, 0, 0).permutation(len(known))] = np.arange(len(known)) % count
    return [fold[group] != k for k in range(min(count, len(known)))]
