"""What a pair table is a function of."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

__all__ = ["PairSpec"]


@dataclass(frozen=True, kw_only=True)
class PairSpec:
    """Sizes, keys and pooling of a pair table (arXiv 2106.08235, section 3; offsets and windows are ours).

    Position t looks up the pairs of its id with those of the positions before it: in each of ``heads`` tables the row
    that a hash gives the pair. The rows of a head become one, and the heads stand side by side.

    Parameters
    ----------
    vocab : int
        Ids are below.
    rows : int
        K, rows of a head.
    heads, head_dim : int
        Tables, and the numbers that each gives; a lookup has ``heads * head_dim``. Multiples of 16 waste nothing.
    window : int or None
        Pairs of a position, the nearest; None for all before it (the paper's).
    offsets : bool
        Whether the distance of two ids is a part of their key. Without it, order can not be seen (the paper's).
    include_self : bool
        Whether a position is also paired with itself.
    pool : str
        ``"sum"`` (the paper's), ``"mean"``, or ``"softmax"``: a mean that is weighed by the exponentials of a logit in
        each row, which is what attention computes.
    query_gram, key_gram : int
        The last so many ids of each side count as one.
    hash : str
        ``"mix64"``; ``"h32"`` of 32-bit words; or ``"direct"``: every pair has a row of its own, for small
        vocabularies. It needs ``rows = vocab**2``, with offsets times ``window``.
    seed : int
        Key of the hash; tables of one model have different ones.
    dtype : str
        ``"f32"``, ``"bf16"``, or ``"i8"``: whole numbers with a factor a row.
    """

    vocab: int
    rows: int = 65_536
    heads: int = 4
    head_dim: int = 32
    window: int | None = 4
    offsets: bool = True
    include_self: bool = False
    pool: Literal["sum", "mean", "softmax"] = "mean"
    query_gram: int = 1
    key_gram: int = 1
    hash: Literal["mix64", "h32", "direct"] = "mix64"
    seed: int = 0
    dtype: Literal["f32", "bf16", "i8"] = "f32"

    @property
    def width(self) -> int:
        """Numbers that a lookup gives a position."""
        return self.heads * self.head_dim

    def to_json(self) -> str:
        """Return the spec as files have it."""
        if self.window is not None and self.window < 1:
            raise ValueError(f"window: {self.window} is not at least 1; None pairs with all ids before a position")
        return json.dumps(dataclasses.asdict(self) | {"window": self.window or 0})

    @classmethod
    def from_json(cls, text: str) -> PairSpec:
        """Return the spec that files have."""
        fields = json.loads(text)
        return cls(**fields | {"window": fields["window"] or None})
