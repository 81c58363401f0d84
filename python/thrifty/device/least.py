"""Least squares with coefficients that are not negative: times, and bytes a second, never are."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["nonnegative"]


def nonnegative(matrix: Any, target: Any, start: Any = None) -> Any:
    """Return the x >= 0 that makes ``|matrix @ x - target|`` least (Lawson and Hanson's active sets).

    Parameters
    ----------
    matrix : float64 array of shape (rows, columns)
    target : float64 array of shape (rows,)
    start : float64 array of shape (columns,), optional
        An x >= 0 to begin at, as where nearly the same was solved before; what is found does not depend on it.

    Returns
    -------
    float64 array of shape (columns,)

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.device.least import nonnegative
    >>> nonnegative(np.eye(2), np.array([3.0, -1.0])).tolist()
    [3.0, 0.0]
    """
    # Columns of one length make the choice of the next one, and what counts as zero, independent of units.
    lengths = np.sqrt((matrix**2).sum(0))
    used = lengths > 0
    a = matrix[:, used] / lengths[used]
    columns = a.shape[1]
    x = np.zeros(columns) if start is None else start[used] * lengths[used]
    free = x > 0
    small = 1e-12 * max(1.0, float(np.abs(a.T @ target).max(initial=0.0)))
    for turn in range(10 * columns + 10):
        if turn or not free.any():
            slope = np.where(free, -np.inf, a.T @ (target - a @ x))
            if columns == 0 or slope.max() <= small:
                break
            free[slope.argmax()] = True
        while True:
            best = np.zeros(columns)
            best[free] = np.linalg.lstsq(a[:, free], target, rcond=None)[0]
            below = free & (best <= 0)
            if not below.any():
                x = best
                break
            share = (x[below] / np.maximum(x[below] - best[below], 1e-300)).min()
            x = x + share * (best - x)
            free &= x > 1e-15
            x[~free] = 0.0
    found = np.zeros(len(lengths))
    found[used] = x / lengths[used]
    return found
