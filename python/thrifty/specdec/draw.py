"""Draws for drafters that are written in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty.specdec._arrays import integers, rows, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["draw"]


def draw(
    law: Any, *, uid: Any, position: Any, begin: Any = None, node: Any = None, shared: bool = False, seed: int = 0
) -> NDArray[np.int64]:
    """Draw an id from each law, with the random numbers that :func:`verify` leaves to drafters.

    Parameters
    ----------
    law : float32 array of shape (n, vocab)
        Chances; they need not come to 1.
    uid : integer array of shape (n,)
        The number of each request.
    position : integer array of shape (n,)
        Where in its sequence the id will stand.
    begin : integer array of shape (n,), optional
        Where the first draft of the round stands; by default ``position``. Rounds draw anew, since verification has
        seen what the last one drew.
    node : integer array of shape (n,), optional
        In a tree, the number of the node that the id follows, from 1 on; 0, the default, for the root. Siblings are
        drawn without replacement when the law gives those that there are no chance.
    shared : bool
        Draw as the rule "seed_exact" verifies: a draft is accepted where its law leads to the target's id.
    seed : int
        That of the verification.

    Returns
    -------
    int64 array of shape (n,)

    Raises
    ------
    ValueError
        When a law holds no chance, or what is no number.

    Notes
    -----
    Ids race: each has an exponential time of its own, divided by its chance, and the first wins (Gumbel's trick).

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.specdec import draw
    >>> draw(np.array([[0.0, 1.0]], np.float32), uid=[3], position=[10]).tolist()
    [1]
    """
    laws = rows(law, "law")
    if laws.ndim != 2 or laws.dtype != np.float32:
        raise ValueError(f"law: float32 of shape (n, vocab) is needed, got {laws.dtype} of shape {laws.shape}")
    places = integers(position, "position", np.uint64, 1)
    behind = np.zeros(len(places), np.uint64) if node is None else integers(node, "node", np.uint64, 1)
    if behind.size and behind.max() > 255:
        raise ValueError(f"node: {behind.max()} is not between 0 and 255")
    return _core.specdec_draw(
        laws.reshape(-1),
        laws.shape[1],
        whole(seed, "seed", 64),
        "shared" if shared else "draft",
        integers(uid, "uid", np.uint64, 1),
        places,
        places if begin is None else integers(begin, "begin", np.uint64, 1),
        behind,
    )
