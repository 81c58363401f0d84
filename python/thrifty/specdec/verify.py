"""Which drafts are accepted, and what follows them, so that the law stays the target's."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from thrifty import _core
from thrifty._torch import like
from thrifty.specdec._arrays import each, floats, integers, rows, whole
from thrifty.specdec.params import SamplingParams

__all__ = ["RULES", "Rule", "SparseProbs", "Verified", "verify"]

Rule = Literal["token", "block", "greedy", "seed_exact"]
RULES: tuple[Rule, ...] = ("token", "block", "greedy", "seed_exact")


class SparseProbs(NamedTuple):
    """Laws as lists of ids and their chances, one for each place of a draft: request after request, ``g`` of each.

    Attributes
    ----------
    indptr : integer array of shape (n * g + 1,)
        List i is ``ids[indptr[i]:indptr[i + 1]]``. Lists of places without a draft are not read.
    ids : integer array of shape (any,)
        In any order; entries of one id add up.
    probs : float32 array of the same shape
        Each list's come to 1.
    """

    indptr: Any
    ids: Any
    probs: Any


class Verified(NamedTuple):
    """How many drafts of each request were accepted, int64 (n,); and what each emits, int64 (n, g + 1), then -1."""

    accepted: Any
    tokens: Any


def verify(
    p: Any,
    q: Any,
    draft: Any,
    *,
    rule: Rule = "block",
    seed: int = 0,
    uid: Any,
    position: Any,
    from_logits: bool = False,
    params: SamplingParams | None = None,
    q_lse: Any = None,
    q_token: Any = None,
    threads: int | None = None,
) -> Verified:
    """Accept drafts and draw what follows them: what is emitted has the target's law, whatever the drafts are.

    Request i emits its first ``accepted[i]`` drafts and one id more: in the place of the first draft that was not
    accepted, or behind the last.

    Parameters
    ----------
    p : array of shape (n, g + 1, vocab)
        What the target says at each position: row k is for draft k, the row behind the last draft for what follows all.
        float32, or bfloat16 (uint16 that holds it, or a tensor). Rows behind that are not read.
    q : array of shape (n, g, vocab), SparseProbs, or None
        The laws that drafts were drawn from. None: drafts were certain, as those of a lookup, or greedy ones. The rules
        "greedy" and "seed_exact" do not look at it.
    draft : integer array of shape (n, g)
        Drafts, g at most 255; -1 behind the last of a request, which may have none.
    rule : {"block", "token", "greedy", "seed_exact"}
        "block" judges drafts together and accepts the most of rules that keep the law; "token" judges one after the
        other; "greedy" accepts what the target finds best, of equal ids the first; "seed_exact" accepts what the
        target itself draws there with random numbers of (seed, uid, position), so that drafts change nothing in what
        is emitted.
    seed : int
        From 0 to 2^64 - 1.
    uid : integer array of shape (n,)
        A number for each request, not negative; requests of one seed and number draw alike.
    position : integer array of shape (n,)
        Where the first draft of each request stands in its sequence, below 2^40.
    from_logits : bool
        Whether p and dense q are scores, from which ``params`` makes laws. Else they are laws as they stand.
    params : SamplingParams, optional
        Only for scores. Those of q are made laws by the same.
    q_lse : float32 array of shape (n, g), optional
        ln of the sum of e^(score / temperature) of each row of q, with penalties: then no row of q is read before it is
        needed. Only for scores; of no effect for requests that limit ids (``top_k``, ``top_p``, ``min_p``).
    q_token : float32 array of shape (n, g), optional
        The chance with which each draft was drawn.
    threads : int, optional
        By default all cores. Results do not depend on it.

    Returns
    -------
    Verified
        ``accepted`` and ``tokens``; tensors where p is one.

    Raises
    ------
    ModelError
        When a row that is read holds NaN or infinity, or masks all ids; names the request and the position in its
        chain.
    ValueError
        When an argument has another shape, a draft is no id, chances do not come to 1 within 0.01, q gives a draft no
        chance, or a setting is out of range; names the argument.
    TypeError
        When an argument has another type.

    Notes
    -----
    Random numbers are Philox of the request, the purpose and the position of the round's first draft, so accepting says
    nothing about what is drawn later, in this round or the next. Drawing is a race of ids and depends on no order;
    the same laws, dense or sparse, give the same ids. Only rows that decide are read, so errors in others go unseen.

    Token rule: Leviathan et al. (arXiv 2211.17192), algorithm 1; Chen et al. (arXiv 2302.01318), algorithm 2. Block
    rule: Sun et al., "Block verification accelerates speculative decoding" (ICLR 2025), algorithm 2. Seed-exact:
    arXiv 2408.07978.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.specdec import verify
    >>> p = np.array([[[0.1, 0.9], [0.5, 0.5]]], np.float32)
    >>> q = np.array([[[0.1, 0.9]]], np.float32)
    >>> accepted, tokens = verify(p, q, [[1]], uid=[7], position=[0])
    >>> accepted.tolist(), tokens[:, 0].tolist()
    ([1], [1])
    """
    if rule not in RULES:
        raise ValueError(f"rule: {rule!r} is none of {', '.join(RULES)}")
    ids = integers(draft, "draft", np.int64, 2)
    n, g = ids.shape
    target = rows(p, "p")
    if target.ndim != 3 or target.shape[:2] != (n, g + 1):
        raise ValueError(f"p: shape {target.shape}; ({n}, {g + 1}, vocab) is needed for drafts of shape {ids.shape}")
    vocab = target.shape[2]
    if params is not None and not from_logits:
        raise ValueError("params: they make laws of scores, and these are laws; pass from_logits=True or no params")
    scores = None
    if from_logits:
        params = SamplingParams() if params is None else params
        scores = params.arrays(n)
    accepted, tokens = _core.specdec_verify(
        rule,
        whole(seed, "seed", 64),
        vocab,
        g,
        target.reshape(-1),
        source(q, (n, g, vocab)),
        ids.reshape(-1),
        each(uid, "uid", n, np.uint64),
        each(position, "position", n, np.int64),
        scores,
        None if q_lse is None else floats(q_lse, "q_lse", (n, g)),
        None if q_token is None else floats(q_token, "q_token", (n, g)),
        _core.threads() if threads is None else max(whole(threads, "threads", 16), 1),
    )
    return Verified(like(accepted, p), like(tokens.reshape(n, g + 1), p))


def source(q: Any, shape: tuple[int, int, int]) -> Any:
    """Return q as the core takes it."""
    if q is None:
        return None
    if isinstance(q, SparseProbs):
        probs = np.asarray(rows(q.probs, "q.probs"))
        if probs.dtype != np.float32:
            raise TypeError(f"q.probs: float32 is needed, got {probs.dtype}")
        return (
            integers(q.indptr, "q.indptr", np.int64, 1),
            integers(q.ids, "q.ids", np.uint32, 1),
            probs.reshape(-1),
        )
    drafted = rows(q, "q")
    if drafted.shape != shape:
        raise ValueError(f"q: shape {drafted.shape}; {shape} is needed")
    return drafted.reshape(-1)
