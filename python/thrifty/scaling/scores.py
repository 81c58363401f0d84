"""How well a law tells losses: squares, ranks, and ranks among runs of one size and one number of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.law import ScalingLaw
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["alike", "hopeless", "scores", "spearman"]

#: Runs are of one size where the next larger has fewer than so many times as many parameters.
SIZES_APART = 1.05


def spearman(x: Values, y: Values) -> float:
    """Return the correlation of ranks, ties sharing theirs; nan where one is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling.scores import spearman
    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
    1.0
    """
    a, b = (_ranks(values) for values in (x, y))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size > 0 else float("nan")


def _ranks(values: Values) -> Values:
    _, of, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[of], np.float64)


def alike(runs: Runs) -> NDArray[np.int64]:
    """Return a number for each run, the same for those of one number of tokens and of one size."""
    order = np.lexsort([runs.n_params, runs.n_tokens])
    n, d = runs.n_params[order], runs.n_tokens[order]
    new = (np.diff(np.log(n), prepend=-np.inf) > np.log(SIZES_APART)) | (np.diff(d, prepend=-1.0) != 0)
    out = np.empty(len(runs), np.int64)
    out[order] = np.cumsum(new) - 1
    return out


def hopeless(law: ScalingLaw) -> tuple[str, ...]:
    """Say that a law is of no use, where the mean of the losses tells them better."""
    r2 = law.score(law.runs_)["r2"]
    if not r2 < 0:
        return ()
    return (f"the law tells the losses that it was fitted to worse than their mean does (R2 {r2:.3g})",)


def scores(told: Values, losses: Values, within: NDArray[np.int64]) -> dict[str, float]:
    """Return mse, r2, spearman, and spearman_within: the mean over groups of 3 runs or more, by their runs."""
    wrong = told - losses
    spread = float(((losses - losses.mean()) ** 2).sum())
    rhos, sizes = [], []
    for group in np.unique(within):
        at = within == group
        rho = spearman(told[at], losses[at]) if at.sum() > 2 else float("nan")
        if np.isfinite(rho):
            rhos.append(rho)
            sizes.append(int(at.sum()))
    return {
        "mse": float((wrong * wrong).mean()),
        "r2": 1.0 - float((wrong * wrong).sum()) / spread if spread > 0 else float("nan"),
        "spearman": spearman(told, losses),
        "spearman_within": float(np.average(rhos, weights=sizes)) if rhos else float("nan"),
    }
