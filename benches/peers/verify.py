"""Verification as people write it: all rows at once in numpy or torch, and both row by row, stopping early.

All take the uniform numbers that decide as arguments, so that they accept what we accept; what replaces a draft they
draw by the inverse of the cumulated law, with a uniform number of their own. bfloat16 is made float32 first: torch
does that itself, numpy shifts the uint16 that holds it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def wide(x: Any) -> Any:
    """Scores in float32."""
    if isinstance(x, torch.Tensor):
        return x.float()
    return (x.astype(np.uint32) << 16).view(np.float32) if x.dtype == np.uint16 else x


def softmax(x: Any) -> Any:
    """Chances of rows of scores."""
    x = wide(x)
    e = x - x.max(-1, keepdims=True)
    np.exp(e, out=e)
    e /= e.sum(-1, keepdims=True)
    return e


def drawn(law: Any, uniform: Any) -> Any:
    """An id of each row, by the inverse of the cumulated law."""
    edges = np.cumsum(law, -1)
    return (edges < uniform[..., None] * edges[..., -1:]).sum(-1)


def emitted(draft: Any, accepted: Any) -> Any:
    """Drafts that were accepted, and room for what follows."""
    rest = np.arange(draft.shape[1] + 1) < accepted[:, None]
    return np.where(rest, np.pad(draft, ((0, 0), (0, 1))), -1)


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
    tokens = emitted(draft, accepted)
    tokens[rows, accepted] = drawn(law, last)
    return accepted, tokens


class EarlyNumpy:
    """The same in numpy, row after row, buffers reused: what stands behind the first rejection is not looked at.

    With ``lse`` and ``told``, sums of q's rows and chances of drafts, of q no row is read but that of the rejection.
    """

    def __init__(self, vocab: int) -> None:
        self.rows = [np.empty(vocab, np.float32) for _ in range(2)]

    def law(self, x: Any, which: int, lse: Any = None) -> Any:
        """Chances of a row."""
        x, out = wide(x), self.rows[which]
        np.exp(np.subtract(x, x.max() if lse is None else lse, out=out), out=out)
        if lse is None:
            out /= out.sum()
        return out

    def __call__(self, p: Any, q: Any, draft: Any, uniform: Any, last: Any, lse: Any = None, told: Any = None) -> Any:
        n, g = draft.shape
        accepted, ids = np.full(n, g), np.empty(n, np.int64)
        for i in range(n):
            law = None
            for k in range(g):
                a, x = self.law(p[i, k], 0), draft[i, k]
                b = self.law(q[i, k], 1) if told is None else None
                if uniform[i, k] * (told[i, k] if b is None else b[x]) > a[x]:
                    b = self.law(q[i, k], 1, lse[i, k]) if b is None else b
                    accepted[i], law = k, np.maximum(np.subtract(a, b, out=a), 0, out=a)
                    break
            law = self.law(p[i, g], 0) if law is None else law
            edges = np.cumsum(law, out=law)
            ids[i] = np.searchsorted(edges, last[i] * edges[-1])
        tokens = emitted(draft, accepted)
        tokens[np.arange(n), accepted] = ids
        return accepted, tokens


def with_torch(p: Any, q: Any, draft: Any, uniform: Any, last: Any) -> tuple[Any, Any]:
    """:func:`with_numpy` in torch; tensors in, arrays out."""
    n, g = draft.shape
    laws_p, laws_q = (torch.softmax(x, -1, dtype=torch.float32) for x in (p, q))
    chance_p, chance_q = (law.gather(2, draft[..., None])[..., 0] for law in (laws_p[:, :g], laws_q))
    passed = uniform * chance_q <= chance_p
    accepted = passed.long().cumprod(1).sum(1)
    rows = torch.arange(n)
    law = laws_p[rows, accepted]
    some = accepted < g
    law[some] = (law[some] - laws_q[rows[some], accepted[some]]).clamp_(min=0)
    edges = law.cumsum(-1)
    ids = torch.searchsorted(edges, (last[:, None] * edges[:, -1:]).contiguous())[:, 0]
    tokens = emitted(draft.numpy(), accepted.numpy())
    tokens[rows.numpy(), accepted.numpy()] = ids.numpy()
    return accepted.numpy(), tokens


class EarlyTorch:
    """:class:`EarlyNumpy` in torch."""

    def __init__(self, vocab: int) -> None:
        self.rows = [torch.empty(vocab) for _ in range(3)]

    def law(self, x: Any, which: int, lse: Any = None) -> Any:
        """Chances of a row."""
        out = self.rows[which]
        if x.dtype != torch.float32:
            x = self.rows[2].copy_(x)
        if lse is None:
            return torch.softmax(x, -1, out=out)
        return torch.sub(x, lse, out=out).exp_()

    def __call__(self, p: Any, q: Any, draft: Any, uniform: Any, last: Any, lse: Any = None, told: Any = None) -> Any:
        n, g = draft.shape
        accepted, ids = np.full(n, g), np.empty(n, np.int64)
        # Single numbers are read faster from numpy than from torch.
        drafts, limits = draft.numpy(), uniform.numpy()
        chances: Any = None if told is None else told.numpy()
        for i in range(n):
            law = None
            for k in range(g):
                a, x = self.law(p[i, k], 0), drafts[i, k]
                b: Any = self.law(q[i, k], 1) if chances is None else None
                if limits[i, k] * (chances[i, k] if b is None else b[x].item()) > a[x].item():
                    b = self.law(q[i, k], 1, lse[i, k]) if b is None else b
                    accepted[i], law = k, a.sub_(b).clamp_(min=0)
                    break
            law = self.law(p[i, g], 0) if law is None else law
            edges = torch.cumsum(law, -1, out=law)
            ids[i] = torch.searchsorted(edges, last[i : i + 1].float() * edges[-1])
        tokens = emitted(drafts, accepted)
        tokens[np.arange(n), accepted] = ids
        return accepted, tokens


def block(p: Any, q: Any, draft: Any, uniform: Any, last: Any) -> tuple[Any, Any]:
    """The block rule in numpy: softmax of all rows, then residuals from the last position on, as far as needed."""
    n, g = draft.shape
    laws_p, laws_q = softmax(p), softmax(q)
    chance_p, chance_q = (np.take_along_axis(law, draft[..., None], 2)[..., 0] for law in (laws_p[:, :g], laws_q))
    r = np.ones((n, g + 1))
    for k in range(g):
        r[:, k + 1] = np.minimum(r[:, k] * (chance_p[:, k].astype(np.float64) / chance_q[:, k]), 1)
    accepted, ids = np.zeros(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        for k in range(g, -1, -1):
            if k and uniform[i, k - 1] > r[i, k]:
                continue
            law = laws_p[i, k]
            if k < g:
                law = np.maximum(r[i, k].astype(np.float32) * law - laws_q[i, k], 0)
                s = law.sum(dtype=np.float64)
                if k and uniform[i, k - 1] * (s + 1 - r[i, k]) > s:
                    continue
            accepted[i], ids[i] = k, drawn(law[None], last[i : i + 1])[0]
            break
    tokens = emitted(draft, accepted)
    tokens[np.arange(n), accepted] = ids
    return accepted, tokens
