"""Trees of drafts: several at a position, of which one may be accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from thrifty import _core
from thrifty._torch import like
from thrifty.specdec._arrays import each, integers, rows, whole
from thrifty.specdec.params import SamplingParams
from thrifty.specdec.verify import source

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TreeRule", "VerifiedTree", "ancestor_masks", "verify_tree"]

TreeRule = Literal["block", "token", "greedy", "seed_exact"]
TREE_RULES: tuple[TreeRule, ...] = ("block", "token", "greedy", "seed_exact")


class VerifiedTree(NamedTuple):
    """What came of each tree.

    Attributes
    ----------
    accepted : int64 of shape (n,)
        How many nodes were accepted.
    tokens : int64 of shape (n, m + 1)
        Their ids and one id more, then -1.
    nodes : int64 of shape (n, m)
        Which nodes they are, from the root on, then -1.
    """

    accepted: Any
    tokens: Any
    nodes: Any


def verify_tree(
    p: Any,
    q: Any,
    parents: Any,
    tokens: Any,
    *,
    rule: TreeRule = "token",
    seed: int = 0,
    uid: Any,
    position: Any,
    from_logits: bool = False,
    params: SamplingParams | None = None,
    threads: int | None = None,
) -> VerifiedTree:
    """Go from the root of each tree as far as drafts are accepted, and draw what follows: the law stays the target's.

    Parameters
    ----------
    p : array of shape (n, m + 1, vocab)
        What the target says: row 0 for what follows the root (the last id before the tree), row k + 1 for what follows
        node k. float32, or bfloat16 (uint16 that holds it, or a tensor). Rows of nodes that do not decide are not read.
    q : array of shape (n, m + 1, vocab), SparseProbs of n * (m + 1) lists, or None
        The laws that nodes were drawn from, by their parents as those of p: siblings without replacement, in their
        order. None: nodes were chosen without drawing, as the best ids of a drafter.
    parents : integer array of shape (n, m)
        The parent of each node: one before it, or -1 for the root.
    tokens : integer array of shape (n, m)
        Ids of nodes, m at most 255; siblings have different ones; -1 behind the last node of a tree.
    rule : {"block", "token", "greedy", "seed_exact"}
        As for :func:`verify`: "token" goes from the root to the leaves, "block" from the leaves to the root; "greedy"
        and "seed_exact" follow the target's own ids, which is the longest way that matches them.
    seed, uid, position, from_logits, params, threads
        As for :func:`verify`; ``position`` is that of the root's children. Ids on the way to a node are its prefix.

    Returns
    -------
    VerifiedTree
        Tensors where p is one.

    Raises
    ------
    ModelError, ValueError, TypeError
        As :func:`verify`.

    Notes
    -----
    After a rejection p becomes max(p - q, 0), scaled to 1, and q goes without the id that was tried, scaled to 1
    (arXiv 2401.06706; arXiv 2402.14160). By the block rule a node waits with a weight until all behind it is rejected
    (arXiv 2505.12398). A tree without branches emits what :func:`verify` does by the same rule.

    Where a node is drawn may depend on all that was drawn before it, in any part of the tree, but not on its own id: no
    node may be left out for what it turned out to be.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.specdec import verify_tree
    >>> p = np.array([[[0, 1, 0], [0, 0, 1], [1, 0, 0]]], np.float32)
    >>> found = verify_tree(p, None, [[-1, -1]], [[2, 1]], rule="greedy", uid=[0], position=[0])
    >>> found.tokens.tolist(), found.nodes.tolist()
    ([[1, 0, -1]], [[1, -1]])
    """
    if rule not in TREE_RULES:
        raise ValueError(f"rule: {rule!r} is none of {', '.join(TREE_RULES)}")
    ids, above = integers(tokens, "tokens", np.int64, 2), integers(parents, "parents", np.int64, 2)
    n, m = ids.shape
    if above.shape != (n, m):
        raise ValueError(f"parents: shape {above.shape}; that of tokens is needed, {ids.shape}")
    target = rows(p, "p")
    if target.ndim != 3 or target.shape[:2] != (n, m + 1):
        raise ValueError(f"p: shape {target.shape}; ({n}, {m + 1}, vocab) is needed for tokens of shape {ids.shape}")
    if params is not None and not from_logits:
        raise ValueError("params: they make laws of scores, and these are laws; pass from_logits=True or no params")
    scores = (SamplingParams() if params is None else params).arrays(n) if from_logits else None
    accepted, found = _core.specdec_verify_trees(
        rule,
        whole(seed, "seed", 64),
        target.shape[2],
        m,
        target.reshape(-1),
        source(q, (n, m + 1, target.shape[2])),
        ids.reshape(-1),
        above.reshape(-1),
        each(uid, "uid", n, np.uint64),
        each(position, "position", n, np.int64),
        scores,
        _core.threads() if threads is None else max(whole(threads, "threads", 16), 1),
    )
    found = found.reshape(n, 2 * m + 1)
    return VerifiedTree(like(accepted, p), like(found[:, : m + 1].copy(), p), like(found[:, m + 1 :].copy(), p))


def ancestor_masks(parents: Any) -> NDArray[np.uint64]:
    """Return which nodes each node of a tree may attend to: those on its way from the root, itself included, as bits.

    Parameters
    ----------
    parents : integer array of shape (n, m)
        As for :func:`verify_tree`.

    Returns
    -------
    uint64 array of shape (n, m, ceil(m / 64))
        Bit j of a node's words, the lowest first, is node j.

    Raises
    ------
    ValueError
        When a parent is neither -1 nor a node before its child.

    Examples
    --------
    >>> from thrifty.specdec import ancestor_masks
    >>> [bin(mask) for mask in ancestor_masks([[-1, 0, 0, 2]])[0, :, 0]]
    ['0b1', '0b11', '0b101', '0b1101']
    """
    above = integers(parents, "parents", np.int64, 2)
    n, m = above.shape
    return _core.specdec_ancestors(above.reshape(-1), m).reshape(n, m, -(-m // 64))
