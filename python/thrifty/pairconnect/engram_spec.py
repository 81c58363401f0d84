"""What a table of n-grams is a function of."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EngramSpec"]


@dataclass(frozen=True, kw_only=True)
class EngramSpec:
    """Sizes and keys of a table of n-grams (deepseek-ai/Engram, ``engram_demo_v1.py``, whose rows it has).

    Position t looks up the n-grams that end there: for each order n, in each of ``heads`` tables, the row that the key
    of the n-gram has modulo a prime of the table's own. The rows stand side by side, order by order.

    Parameters
    ----------
    vocab : int
        Canonical ids are below. It is a part of the hash: where ids are remapped, this is how many canonical ones there
        are.
    orders : sequence of int
        Lengths of n-grams, rising; ``range(2, longest + 1)`` is Engram's.
    heads, head_dim : int
        Tables of an order, and the numbers that each gives; a lookup has ``len(orders) * heads * head_dim``.
    sizes : int, sequence of int or None
        Rows of a head at least, for each order; a head has as many as the next prime that no other has. None is five
        times ``vocab``.
    layers : sequence of int or None
        The layers of a model that have such tables, in the order in which primes are dealt; None for ``layer`` alone.
    layer : int
        The layer that has this one.
    seed : int
        What the multipliers of the keys are drawn from, together with the layer.
    pad : int
        The id that stands before the first of a sequence, as lookups have it: where ids are remapped, it is too.
    dtype : str
        ``"f32"``, ``"bf16"``, or ``"i8"``: whole numbers with a factor a row.
    """

    vocab: int
    orders: Sequence[int] = (2, 3)
    heads: int = 8
    head_dim: int = 64
    sizes: int | Sequence[int] | None = None
    layers: Sequence[int] | None = None
    layer: int = 0
    seed: int = 0
    pad: int = 0
    dtype: Literal["f32", "bf16", "i8"] = "f32"

    def __post_init__(self) -> None:
        sizes = 5 * self.vocab if self.sizes is None else self.sizes
        orders = tuple(int(order) for order in self.orders)
        each = (sizes,) * len(orders) if isinstance(sizes, (int, np.integer)) else sizes
        object.__setattr__(self, "orders", orders)
        object.__setattr__(self, "sizes", tuple(int(size) for size in each))
        object.__setattr__(self, "layers", tuple(self.layers) if self.layers is not None else (self.layer,))

    @property
    def width(self) -> int:
        """Numbers that a lookup gives a position."""
        return len(self.orders) * self.heads * self.head_dim

    @property
    def multipliers(self) -> list[int]:
        """Odd numbers that ids are multiplied by, the last id's first; numpy's generator defines them."""
        if not 1 <= self.vocab <= 2**31 or not self.orders or not 1 <= max(self.orders) <= 16:
            raise ValueError(
                f"vocab is between 1 and 2^31 and orders up to 16, got vocab={self.vocab}, orders={self.orders}"
            )
        if min(self.seed, self.layer) < 0:
            raise ValueError(f"seed and layer are not negative, got seed={self.seed}, layer={self.layer}")
        most = max(1, (2**63 - 1) // self.vocab // 2)
        draws = np.random.default_rng(self.seed + 10007 * self.layer).integers(0, most, max(self.orders), np.int64)
        return [2 * int(draw) + 1 for draw in draws]

    def to_json(self) -> str:
        """Return the spec as files have it."""
        return json.dumps(dataclasses.asdict(self) | {"multipliers": self.multipliers})

    @classmethod
    def from_json(cls, text: str) -> EngramSpec:
        """Return the spec that files have."""
        fields = json.loads(text)
        del fields["multipliers"]
        return cls(**fields)
