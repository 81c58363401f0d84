"""What calls of decoders do, in numbers that their time is a sum of: an array for each, a value a call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thrifty.device.shape import ModelShape
    from thrifty.device.timing import Point

__all__ = ["Calls", "amounts", "columns", "known"]

MIB = 2.0**20
SIZES = ("layers", "dim", "heads", "hidden", "vocab")
MORE = ("kv_heads", "head_dim", "tied")
MOST = 1e9
"""Of a size in a mapping."""
LEVELED = ("layers", "cold", "rows", "cache", "bytes")
"""Columns that a name may follow by @ and MiB, where what one of them takes may change its slope."""
NAMES = (
    "overhead", "host", "layers", "launches", "masked", "heads", "rows", "activations", "cache", "scores", "bytes",
    "copies", "operations", "last", "before",
)  # fmt: skip
FEW = "operations@"
"""Of calls of several rows: operations of up to so many rows, which take longer each."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Calls:
    """Calls of decoders; all are float64 arrays of one length.

    Attributes
    ----------
    layers, dim, heads, keys, width, hidden, vocab : array
        Sizes of the decoder, as :class:`~thrifty.device.ModelShape` has them.
    tied, dtype_bytes : array
        1 where the output layer is the embedding; bytes of a number.
    batch, tokens, context : array
        Sequences, tokens of each in the call, tokens of each in the cache.
    """

    layers: Any
    dim: Any
    heads: Any
    keys: Any
    width: Any
    hidden: Any
    vocab: Any
    tied: Any
    dtype_bytes: Any
    batch: Any
    tokens: Any
    context: Any

    @classmethod
    def of(cls, points: Sequence[Point]) -> Calls:
        """Return calls as arrays."""
        rows = [(*_sizes(p.shape), p.batch, p.tokens, p.context) for p in points]
        each = np.array(rows, np.float64).reshape(len(rows), len(fields(cls))).T
        return cls(**{field.name: values for field, values in zip(fields(cls), each, strict=True)})

    @classmethod
    def of_shapes(
        cls, shapes: Sequence[ModelShape] | Mapping[str, Any], *, dtype_bytes: float, batch: int = 1
    ) -> Calls:
        """Return calls of one token with an empty cache.

        Parameters
        ----------
        shapes : sequence of ModelShape, or mapping of str to array
            In a mapping ``layers``, ``dim``, ``heads``, ``hidden`` and ``vocab`` are needed; ``kv_heads`` and
            ``head_dim`` follow from them where they are not there, and ``tied`` is 0.
        dtype_bytes : float
            Of the shapes in a mapping.
        batch : int
        """
        names = [field.name for field in fields(cls)][:-3]
        if isinstance(shapes, Mapping):
            values = _of_mapping(shapes, dtype_bytes)
        else:
            each = np.array([_sizes(shape) for shape in shapes], np.float64).reshape(len(shapes), len(names)).T
            values = dict(zip(names, each, strict=True))
        ones = np.ones(len(values["layers"]))
        return cls(**values, batch=batch * ones, tokens=ones, context=0 * ones)

    def with_(self, **change: Any) -> Calls:
        """Return calls with some numbers changed, each one for all or an array."""
        return replace(self, **{name: np.broadcast_to(np.float64(v), len(self)) for name, v in change.items()})

    def take(self, index: Any) -> Calls:
        """Return those of some numbers, or of a mask."""
        return Calls(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def rows(self) -> Any:
        """Hidden vectors of each call."""
        return self.batch * self.tokens

    @property
    def layer_matrix(self) -> Any:
        """Weights of a layer's matrices."""
        return self.dim * self.width * (2 * self.heads + 2 * self.keys) + 3 * self.dim * self.hidden

    @property
    def parameters(self) -> Any:
        """All parameters but biases and norms of heads."""
        embeddings = self.vocab * self.dim * (2 - self.tied)
        return self.layers * (self.layer_matrix + 2 * self.dim) + embeddings + self.dim


def _sizes(shape: ModelShape) -> tuple[float, ...]:
    s = shape
    return (s.layers, s.dim, s.heads, s.keys, s.width, s.hidden, s.vocab, s.tied, s.dtype_bytes)


def _of_mapping(shapes: Mapping[str, Any], dtype_bytes: float) -> dict[str, Any]:
    for name in SIZES:
        if name not in shapes:
            raise ValueError(f"shapes: no '{name}'; {', '.join(SIZES)} are needed")
    for name in shapes:
        if name not in (*SIZES, *MORE):
            raise ValueError(f"shapes: '{name}' is no size; known are {', '.join((*SIZES, *MORE))}")
    length = len(np.atleast_1d(shapes["layers"]))

    def sizes(name: str, value: Any) -> Any:
        found = np.atleast_1d(np.asarray(value, np.float64))
        if found.ndim != 1 or len(found) not in (1, length):
            raise ValueError(f"shapes: {name} has shape {found.shape}, and layers {length} values")
        wrong = found[~((found >= 1) & (found <= MOST))]
        if len(wrong):
            raise ValueError(
                f"shapes: {name}: {wrong[0]:g} is not possible; at least 1 and at most {MOST:g} are needed"
            )
        return np.broadcast_to(found, length)

    given = {name: sizes(name, shapes[name]) for name in SIZES}
    tied = np.broadcast_to(np.atleast_1d(np.asarray(shapes.get("tied", 0), np.float64)), length)
    return given | {
        "keys": sizes("kv_heads", shapes.get("kv_heads", given["heads"])),
        "width": sizes("head_dim", shapes.get("head_dim", given["dim"] / given["heads"])),
        "tied": tied,
        "dtype_bytes": np.full(length, dtype_bytes),
    }


def columns(calls: Calls, names: Sequence[str], *, head: bool = True) -> Any:
    """Return what calls do, (calls, names).

    Names are those of :func:`amounts`. ``layers``, ``cold``, ``rows``, ``cache`` and ``bytes`` may be followed by @ and
    MiB, as ``bytes@16``: what one of them takes then rises from each of the knots of its name to the next, linear in
    the logarithm of the bytes that the call touches (of a layer for ``layers``). ``operations@8`` are those of the
    first 8 rows.

    Parameters
    ----------
    calls : Calls
    names : sequence of str
    head : bool
        Whether the output layer counts.
    """
    have = amounts(calls, head=head)
    found: dict[str, Any] = {}
    for stem in LEVELED:
        knots = sorted(float(name.partition("@")[2]) for name in names if name.startswith(stem + "@"))
        if knots:
            shares = levels(have["layer_bytes" if stem == "layers" else "touched"], knots)
            found |= {f"{stem}@{k:g}": have[stem] * share for k, share in zip(knots, shares.T, strict=True)}
    for name in names:
        if name.startswith(FEW):
            found[name] = 2 * have["numbers"] * np.minimum(calls.rows, float(name.removeprefix(FEW)))
    return np.stack([found[name] if name in found else have[name] for name in names], 1)


def known(name: str) -> bool:
    """Whether a name is one that :func:`columns` knows."""
    stem, at, knot = name.partition("@")
    if at:
        number = re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", knot)
        return stem in (*LEVELED, "operations") and number is not None and float(knot) > 0
    return stem in NAMES


def amounts(calls: Calls, *, head: bool = True) -> dict[str, Any]:
    """Return what calls do, by name: overheads, layers, heads, numbers, bytes, operations."""
    c, n, size = calls, calls.rows, calls.dtype_bytes
    out = head * c.vocab * c.dim
    numbers = c.layers * c.layer_matrix + out
    cache = c.batch * (c.context + c.tokens) * 2 * c.layers * c.keys * c.width * size
    queries, keys = c.heads * c.width, 2 * c.keys * c.width
    scores = c.layers * c.heads * n * (c.context + c.tokens)
    ones = np.ones(len(c))
    return {
        "overhead": ones,
        "host": ones,
        "layers": c.layers,
        "launches": c.layers,
        # What a layer starts with is out of the caches where all others together are large too.
        "cold": c.layers,
        # Attention of several tokens has a mask, and kernels of its own.
        "masked": c.layers * (c.tokens > 1),
        "heads": c.layers * c.keys * c.batch,
        "rows": c.layers * (queries + keys + 2 * c.dim + 2 * c.hidden) + head * c.vocab,
        "activations": n * (c.layers * (queries + keys + 2 * c.dim + 3 * c.hidden) + head * c.vocab),
        "cache": cache,
        "scores": scores,
        "bytes": numbers * size,
        # Few rows are multiplied as one is; for more, libraries copy weights into panels first.
        "copies": numbers * size * np.clip(np.log2(n / 2) / 2, 0.0, 1.0),
        "operations": 2 * numbers * n + 4 * scores * c.width,
        # What a card still reads when its host has launched all, and what it has read until then.
        "last": (c.layer_matrix + out) * size,
        "before": (c.layers - 1) * c.layer_matrix * size,
        "numbers": numbers,
        "layer_bytes": c.layer_matrix * size,
        "touched": (c.layers * c.layer_matrix + c.vocab * c.dim) * size + cache,
    }


def levels(touched: Any, knots: Sequence[float]) -> Any:
    """Shares of the steps at the knots; coefficients of at least 0 then make what never falls."""
    at = np.interp(np.log2(touched / MIB), np.log2(knots), np.arange(len(knots), dtype=np.float64))
    return np.clip(at[:, None] - np.arange(len(knots)) + 1, 0.0, 1.0)
