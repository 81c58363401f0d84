"""The slow twin of training, in double precision, pair by pair and number by number; and what its tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.pairconnect import twin
from thrifty.pairconnect.optim import SGD, LazyAdam, RowAdagrad

if TYPE_CHECKING:
    from thrifty.pairconnect import PairSpec, PairTable


def batch(spec: PairSpec, ids: Any, seed: int, weighed: bool) -> tuple[Any, Any, Any]:
    """Ids, a gradient, and weights of distances where a spec can have some."""
    rng = np.random.default_rng(seed)
    ids = np.array(ids, np.int64).reshape(len(ids), len(ids[0]) if len(ids) else 0)
    grad = rng.normal(size=(*ids.shape, spec.width)).astype(np.float32)
    weights = None
    if weighed and spec.window is not None:
        weights = rng.normal(size=(spec.heads, spec.window)).astype(np.float32)
    return ids, grad, weights


def optimiser(rule: str, table: PairTable, lr: float) -> Any:
    """An optimiser with the settings that all tests have."""
    if rule == "adam":
        return LazyAdam(table, lr, (0.8, 0.95), 1e-6)
    return SGD(table, lr) if rule == "sgd" else RowAdagrad(table, lr, 1e-6)


def whole(table: PairTable) -> tuple[Any, Any]:
    """All rows of a table."""
    return table.get_rows(0, table.spec.heads * table.spec.rows)


def gradients(
    spec: PairSpec, values: Any, logits: Any, ids: list[list[int]], grad: Any, weights: Any = None
) -> tuple[dict[int, Any], dict[int, float], Any]:
    """Gradients of rows and of their logits, by row, and of the weights of distances."""
    of_values: dict[int, Any] = {}
    of_logits: dict[int, float] = {}
    of_weights = np.zeros((spec.heads, spec.window or 0))
    for s, sequence in enumerate(ids):
        for t in range(len(sequence)):
            for h, rows in enumerate(twin.rows(spec, sequence[: t + 1])):
                g = np.array(grad[s][t][h * spec.head_dim : (h + 1) * spec.head_dim], np.float64)
                n = len(rows)
                given = np.ones(n) if weights is None else np.array(weights[h][:n], np.float64)
                products = np.array([g @ values[r] for r in rows])
                if spec.pool == "softmax" and n:
                    exponents = np.array([logits[r] for r in rows], np.float64)
                    exponents += 0 if weights is None else given
                    shares = np.exp(exponents - exponents.max())
                    shares /= shares.sum()
                    slopes = shares * (products - shares @ products)
                    for r, slope in zip(rows, slopes, strict=True):
                        of_logits[r] = of_logits.get(r, 0.0) + slope
                else:
                    scale = 1 / n if spec.pool == "mean" and n else 1.0
                    shares, slopes = given * scale, products * scale
                if weights is not None:
                    of_weights[h, :n] += slopes
                for r, share in zip(rows, shares, strict=True):
                    of_values[r] = of_values.get(r, 0.0) + share * g
    return of_values, of_logits, of_weights


def adagrad(x: Any, total: float, g: Any, lr: float, eps: float) -> tuple[Any, float]:
    """A row and its sum after a step of row-wise Adagrad."""
    total = total + float(np.mean(np.square(g)))
    return x - lr * g / (np.sqrt(total) + eps), total
