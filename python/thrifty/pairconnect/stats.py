"""How the pairs of a text load the rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty._torch import to_numpy

if TYPE_CHECKING:
    from collections.abc import Callable

    from thrifty.pairconnect.spec import PairSpec

__all__ = ["pair_stats"]


def pair_stats(
    spec: PairSpec, ids: Any, *, threads: int = 0, progress: Callable[[str, int, int], object] | None = None
) -> dict[str, Any]:
    """Return how sequences of ids load the rows of a table, which need not be there: its spec says it all.

    Pairs that differ in an id, or where distances count in their distance, are distinct. The load of a row is the
    number of distinct pairs that have it.

    Parameters
    ----------
    spec : PairSpec
        Of the table.
    ids : integer array or tensor of shape (tokens,) or (sequences, tokens)
        Below ``vocab``.
    threads : int
        0 for all cores. The result does not depend on it.
    progress : callable, optional
        Called as ``progress(phase, done, total)``; an exception from it stops the work.

    Returns
    -------
    dict
        ``tokens``; ``pairs`` that they look up in each head; ``distinct_pairs``; ``bytes_per_token``, of rows that are
        read; ``load_mean``, of all rows of a head; ``collisions_in_all``, the share of distinct pairs whose rows are
        those of another one in every head. Lists of a number a head: ``rows_touched``, the share of rows that have a
        pair; ``load_max``; ``collisions``, the share of distinct pairs that share their row; ``chi_square`` of the
        loads against equal ones, and ``chi_square_p``, the chance that a perfect hash has a larger one (rough where
        both ``load_mean`` and ``rows`` are small).

    Raises
    ------
    ValueError
        For an id that is not below ``vocab``, or a shape that does not fit.

    Examples
    --------
    >>> from thrifty.pairconnect import PairSpec
    >>> from thrifty.pairconnect.stats import pair_stats
    >>> found = pair_stats(PairSpec(vocab=10, rows=100, heads=2, head_dim=32, window=2), [3, 1, 4, 1, 4])
    >>> found["pairs"], found["distinct_pairs"], found["bytes_per_token"]
    (7, 6, 358.4)
    """
    from scipy.special import chdtrc

    ids = np.asarray(to_numpy(ids, "ids"))
    if ids.ndim not in (1, 2):
        raise ValueError(f"ids: one or two dimensions are needed, got shape {ids.shape}")
    if ids.size == 0:
        ids = ids.astype(np.uint32)
    flat = np.ascontiguousarray(ids).reshape(-1)
    found: dict[str, Any] = _core.pair_stats(spec.to_json(), flat, ids.shape[-1], threads, progress)
    distinct = max(found["distinct_pairs"], 1)
    found["bytes_per_token"] = found.pop("bytes_read") / max(found["tokens"], 1)
    found["load_mean"] = found["distinct_pairs"] / spec.rows
    found["collisions_in_all"] /= distinct
    found["collisions"] = [n / distinct for n in found["collisions"]]
    found["rows_touched"] = [n / spec.rows for n in found["rows_touched"]]
    found["chi_square_p"] = [float(chdtrc(max(spec.rows - 1, 1), x)) for x in found["chi_square"]]
    return found
