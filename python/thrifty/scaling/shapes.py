"""Many decoder shapes as arrays: every one whose exact count of parameters lies in a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from thrifty.device import ModelShape
from thrifty.device.shape import whole
from thrifty.scaling.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    Counts = NDArray[np.int64]

__all__ = ["Shapes", "shapes"]

#: What a shape has as a number of its own, and what all have alike.
OWN = ("layers", "dim", "heads", "hidden", "kv_heads", "head_dim")
FOUND = {"kv_heads": "keys", "head_dim": "width"}
SHARED = ("vocab", "tied", "qkv_bias", "out_bias", "qk_norm", "dtype_bytes")
COUNTS = (
    *("keys", "width", "layer_matrix", "layer_parameters", "head_parameters", "parameters"),
    *("weight_bytes", "kv_bytes"),
)
MOST = 5_000_000


@dataclass(frozen=True, eq=False)
class Shapes(Sequence[ModelShape]):
    """Shapes as columns: a sequence of :class:`thrifty.device.ModelShape` that takes no object for each.

    Its counts are those of a shape, as arrays: ``parameters``, ``layer_matrix``, ``layer_parameters``,
    ``head_parameters``, ``weight_bytes``, ``kv_bytes``, ``keys``, ``width``, and ``flops(context=0)``.

    Attributes
    ----------
    layers, dim, heads, hidden, kv_heads, head_dim : int64[n]
    vocab, tied, qkv_bias, out_bias, qk_norm, dtype_bytes
        As of a shape; all have the same.
    """

    layers: Counts
    dim: Counts
    heads: Counts
    hidden: Counts
    kv_heads: Counts
    head_dim: Counts
    vocab: int
    tied: bool = False
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False
    dtype_bytes: float = 2.0

    # The formulas of one shape hold for arrays of its numbers.
    keys, width, layer_matrix, layer_parameters, head_parameters, parameters, weight_bytes, kv_bytes = (
        cached_property[Any](vars(ModelShape)[name].fget) for name in COUNTS
    )
    flops = ModelShape.flops

    @classmethod
    def of(cls, some: Sequence[ModelShape]) -> Shapes:
        """Return shapes as columns.

        Parameters
        ----------
        some : sequence of ModelShape
            Alike in vocabulary, biases, norms and dtype.

        Raises
        ------
        ValueError
            When there are none, or they are not alike.
        """
        if isinstance(some, Shapes):
            return some
        if not some:
            raise ValueError("shapes: none are given")
        for name in SHARED:
            if len(values := {getattr(shape, name) for shape in some}) > 1:
                raise ValueError(f"shapes: {name} is {sorted(values)} among them; all must have the same")
        own: dict[str, Any] = {
            name: np.array([getattr(shape, FOUND.get(name, name)) for shape in some], np.int64) for name in OWN
        }
        return cls(**own, **{name: getattr(some[0], name) for name in SHARED})

    @property
    def non_embedding(self) -> Counts:
        """Parameters without the table of embeddings; the output layer counts where it is not that table."""
        count: Counts = self.parameters - self.head_parameters
        return count

    @property
    def aspect(self) -> NDArray[np.float64]:
        """R, width over depth."""
        ratio: NDArray[np.float64] = self.dim / self.layers
        return ratio

    def counted(self, kind: Literal["total", "non_embedding"]) -> Counts:
        """Return parameters as a law counts them."""
        count: Counts = self.parameters if kind == "total" else self.non_embedding
        return count

    def runs(self, n_tokens: ArrayLike, counted: Literal["total", "non_embedding"] = "total") -> Runs:
        """Return runs of these shapes with so many tokens, for a law to tell their losses."""
        return Runs(
            self.counted(counted).astype(np.float64),
            np.broadcast_to(np.asarray(n_tokens, np.float64), len(self)),
            d_model=self.dim.astype(np.float64),
            n_layers=self.layers.astype(np.float64),
            counted=counted,
        )

    def columns(self) -> dict[str, Any]:
        """Return sizes by their names, as a profile of a device takes them."""
        return {name: getattr(self, name) for name in (*OWN, "vocab", "tied")}

    def take(self, which: ArrayLike) -> Shapes:
        """Return some of them, by a mask or by their numbers."""
        at = np.asarray(which)
        at = at if at.dtype == bool else at.astype(np.int64)
        return replace(self, **{name: getattr(self, name)[at] for name in OWN})

    def with_(self, **change: Any) -> Shapes:
        """Return them with what all have alike changed, as ``dtype_bytes``."""
        return replace(self, **change)

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, at: int) -> ModelShape: ...
    @overload
    def __getitem__(self, at: slice) -> Shapes: ...
    def __getitem__(self, at: int | slice) -> ModelShape | Shapes:
        if isinstance(at, slice):
            return self.take(np.arange(len(self))[at])
        own: dict[str, Any] = {name: int(getattr(self, name)[at]) for name in OWN}
        return ModelShape(**own, **{name: getattr(self, name) for name in SHARED})

    def __iter__(self) -> Iterator[ModelShape]:
        return (self[i] for i in range(len(self)))


def shapes(
    n_params: tuple[float, float],
    *,
    widths: tuple[int, int] = (64, 32_768),
    step: int | None = None,
    layers: tuple[int, int] = (1, 512),
    aspect: tuple[float, float] = (0.0, np.inf),
    head_dim: int = 64,
    queries_per_key: int = 1,
    hidden_ratio: float = 8 / 3,
    hidden_multiple: int = 256,
    vocab: int = 50_432,
    tied: bool = False,
    qkv_bias: bool = False,
    out_bias: bool = False,
    qk_norm: bool = False,
    counted: Literal["total", "non_embedding"] = "total",
    dtype_bytes: float = 2.0,
) -> Shapes:
    """Return every shape whose parameters lie in a window, in the order of widths and then of layers.

    Parameters
    ----------
    n_params : (float, float)
        Least and most, counted exactly.
    widths, layers : (int, int)
        Least and most of them.
    step : int, optional
        Widths are multiples of it; of ``head_dim`` by default. Those that heads do not divide are left out.
    aspect : (float, float)
        Least and most of width over depth.
    head_dim : int
        Numbers of a head.
    queries_per_key : int
        Heads of queries that share one of keys and values; where it does not divide them, a shape is left out.
    hidden_ratio, hidden_multiple : float, int
        Gated units: ``hidden_ratio`` times the width, rounded down, then up to a multiple.
    vocab, tied, qkv_bias, out_bias, qk_norm, dtype_bytes
        As of :class:`thrifty.device.ModelShape`.
    counted : str
        Which parameters ``n_params`` means: ``"total"``, or ``"non_embedding"``, without the table of embeddings.

    Returns
    -------
    Shapes

    Raises
    ------
    ValueError
        When a number is not possible, no shape lies in the window, or more than 5,000,000 do.

    Examples
    --------
    >>> from thrifty.scaling import shapes
    >>> some = shapes((1.1e9, 1.7e9))
    >>> deep = some.take((some.dim == 1024) & (some.layers == 80))
    >>> deep[0].parameters
    1131054080

    Notes
    -----
    Defaults are those of open_lm, whose models arXiv 2501.18107 trained: units 256 ceil(floor(8 d / 3) / 256), a
    vocabulary of 50,432, the output layer not tied.
    """
    low, high = _window("n_params", n_params, 1)
    least, most = (int(v) for v in _window("widths", widths, 1))
    few, many = (int(v) for v in _window("layers", layers, 1))
    thin, wide = _window("aspect", aspect, 0)
    heads = {"head_dim": head_dim, "queries_per_key": queries_per_key, "hidden_multiple": hidden_multiple}
    for name, value in heads.items():
        whole(name, value, 1)
    step = head_dim if step is None else step
    if step < 1 or not 0 < hidden_ratio < 100:
        raise ValueError(f"step, hidden_ratio: {step!r}, {hidden_ratio!r} are not possible; above 0")
    if most // step > MOST:
        raise ValueError(f"widths: {most // step:,} multiples of {step} up to {most:,}; at most {MOST:,}")
    dim = np.arange(-(-least // step) * step, most + 1, step, dtype=np.int64)
    dim = dim[(dim % head_dim == 0) & (dim // head_dim % queries_per_key == 0)]
    ratio = Fraction(hidden_ratio).limit_denominator(1000)
    units = dim * ratio.numerator // ratio.denominator
    one = Shapes(
        layers=np.ones_like(dim),
        dim=dim,
        heads=dim // head_dim,
        hidden=np.maximum(-(-units // hidden_multiple), 1) * hidden_multiple,
        kv_heads=dim // head_dim // queries_per_key,
        head_dim=np.full_like(dim, head_dim),
        vocab=vocab,
        tied=tied,
        qkv_bias=qkv_bias,
        out_bias=out_bias,
        qk_norm=qk_norm,
        dtype_bytes=dtype_bytes,
    )
    layer = one.layer_parameters
    rest = one.counted(counted) - layer
    first = np.maximum(np.ceil((low - rest) / layer), np.maximum(few, np.ceil(dim / wide)))
    last = np.minimum(np.floor((high - rest) / layer), np.minimum(many, np.floor(dim / thin) if thin else np.inf))
    each = np.maximum(last - first + 1, 0).astype(np.int64)
    if not each.sum():
        raise ValueError(
            f"n_params: no shape of {low:,.0f} to {high:,.0f} parameters with widths of {least:,} to {most:,} by "
            f"{step}, {few} to {many} layers and heads of {head_dim}"
        )
    if each.sum() > MOST:
        raise ValueError(
            f"n_params: {each.sum():,} shapes lie there; at most {MOST:,}: give a narrower window or steps"
        )
    ends = np.cumsum(each)
    depth = np.arange(ends[-1]) - np.repeat(ends - each, each) + np.repeat(first.astype(np.int64), each)
    return replace(one.take(np.repeat(np.arange(len(dim)), each)), layers=depth)


def _window(name: str, given: tuple[float, float], least: float) -> tuple[float, float]:
    low, high = given
    if not least <= low <= high:
        raise ValueError(f"{name}: {low!r} to {high!r} is not possible; from at least {least} upwards")
    return low, high
