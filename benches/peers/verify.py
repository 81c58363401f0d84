"""Verification by the token rule as people write it: all rows at once in numpy or torch, and numpy that stops early.

All take the uniform numbers that decide as arguments, so that they accept what we accept; what replaces a draft they
draw by the inverse of the cumulated law, with a uniform number of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def softmax(x: Any) -> Any:
    """Chances of rows of scores."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def drawn(law: Any, uniform: Any) -> Any:
    """An id of each row, by the inverse of the cumulated law."""
    edges = np.cumsum(law, -1)
    return (edges < uniform[..., None] * edges[..., -1:]).sum(-1)


def with_numpy(p: Any, q: Any, draft: Any, uniform: Any, last: Any) -> tuple[Any, Any]:
    """Softmax of all rows, then the ratio test and one residual a request: (accepted, tokens)."""
    n, g = draft.shape
    laws_p, laws_q = softmax(p), softmax(q)
    ratio = [np.take_along_axis(law, draft[..., None], 2)[..., 0] for law in (laws_p[:, :g], laws_q)]
    passed = uniform * ratio[1] <= ratio[0]
    accepted = np.where(passed.all(1), g, passed.argmin(1))
    rows = np.arange(n)
    law = laws_p[rows, accepted]
    some = accepted < g
    law[some] = np.maximum(law[some] - laws_q[rows[some], accepted[some]], 0)
    tokens = np.where(np.arange(g + 1) < accepted[:, None], np.pad(draft, ((0, 0), (0, 1))), -1)
    tokens[rows, accepted] = drawn(law, last)
    return accepted, tokens


def early(p: Any, q: Any, draft: Any, uniform: Any, last: Any) -> tuple[Any, Any]:
    """The same in numpy, row after row: what stands behind the first rejection is not looked at."""
    n, g = draft.shape
    accepted, tokens = np.full(n, g), np.full((n, g + 1), -1)
    for i in range(n):
        law = None
        for k in range(g):
            a, b, x = softmax(p[i, k]), softmax(q[i, k]), draft[i, k]
            if uniform[i, k] * b[x] > a[x]:
                accepted[i], law = k, np.maximum(a - b, 0)
                break
        law = softmax(p[i, g]) if law is None else law
        k = accepted[i]
        tokens[i, :k], tokens[i, k] = draft[i, :k], drawn(law, last[i])
    return accepted, tokens


def early_told(p: Any, q: Any, draft: Any, uniform: Any, last: Any, lse: Any, told: Any) -> tuple[Any, Any]:
    """:func:`early` with what we are told as well: sums of q's rows and the chances of drafts."""
    n, g = draft.shape
    accepted, tokens = np.full(n, g), np.full((n, g + 1), -1)
    for i in range(n):
        law = None
        for k in range(g):
            a = softmax(p[i, k])
            if uniform[i, k] * told[i, k] > a[draft[i, k]]:
                accepted[i], law = k, np.maximum(a - np.exp(q[i, k] - lse[i, k]), 0)
                break
        law = softmax(p[i, g]) if law is None else law
        k = accepted[i]
        tokens[i, :k], tokens[i, k] = draft[i, :k], drawn(law, last[i])
    return accepted, tokens


def with_torch(p: Any, q: Any, draft: Any, uniform: Any, last: Any) -> tuple[Any, Any]:
    """:func:`with_numpy` in torch; tensors in, arrays out."""
    n, g = draft.shape
    laws_p, laws_q = torch.softmax(p, -1), torch.softmax(q, -1)
    chance_p, chance_q = (law.gather(2, draft[..., None])[..., 0] for law in (laws_p[:, :g], laws_q))
    passed = uniform * chance_q <= chance_p
    accepted = passed.long().cumprod(1).sum(1)
    rows = torch.arange(n)
    law = laws_p[rows, accepted]
    some = accepted < g
    law[some] = (law[some] - laws_q[rows[some], accepted[some]]).clamp_(min=0)
    edges = law.cumsum(-1)
    ids = torch.searchsorted(edges, (last[:, None] * edges[:, -1:]).contiguous())[:, 0]
    tokens = torch.where(torch.arange(g + 1) < accepted[:, None], torch.nn.functional.pad(draft, (0, 1)), -1)
    tokens[rows, accepted] = ids
    return accepted.numpy(), tokens.numpy()
