"""Sizes of a decoder like Llama's, and what follows from them exactly: parameters, operations, bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["ModelShape", "whole"]


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a decoder: RMS norms, rotary attention (grouped where ``kv_heads`` is less), gated units, a head.

    Parameters
    ----------
    layers, dim : int
        Layers, and numbers of a hidden vector.
    heads : int
        Of queries.
    hidden : int
        Gated units of a layer.
    vocab : int
        Ids.
    kv_heads : int, optional
        Heads of keys and values; a divisor of ``heads``, which is the default.
    head_dim : int, optional
        Numbers of a head; ``dim / heads`` by default.
    tied : bool
        Whether the output layer is the embedding.
    qkv_bias, out_bias : bool
        Whether queries, keys and values, and what leaves attention, have a bias.
    qk_norm : bool
        Whether each head's query and key pass a norm (Qwen3).
    dtype_bytes : float
        Bytes of a weight and of a cached number; 0.5 for 4 bits.

    Raises
    ------
    ValueError
        When a size is not possible; the message names it.

    Examples
    --------
    >>> from thrifty.device import ModelShape
    >>> llama = ModelShape(layers=32, dim=4096, heads=32, hidden=11008, vocab=32000)
    >>> llama.parameters
    6738415616
    >>> llama.kv_bytes
    524288.0

    Notes
    -----
    Bytes are those of weights and cache alone: activations of a decoding step stay in the cache of the processor.
    Operations are those of matrix products, a multiplication and an addition counted as two; norms, rotations, softmax
    and the gates' products are not among them.
    """

    layers: int
    dim: int
    heads: int
    hidden: int
    vocab: int
    kv_heads: int | None = None
    head_dim: int | None = None
    tied: bool = False
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False
    dtype_bytes: float = 2.0

    def __post_init__(self) -> None:
        for name in ("layers", "dim", "heads", "hidden", "vocab", "kv_heads", "head_dim"):
            value = getattr(self, name)
            if value is None and name in ("kv_heads", "head_dim"):
                continue
            object.__setattr__(self, name, whole(name, value, 1))
        if self.heads % self.keys:
            raise ValueError(
                f"kv_heads: {self.keys} does not divide heads {self.heads}; each must serve as many queries"
            )
        if self.head_dim is None and self.dim % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide dim {self.dim}; give head_dim where it is meant so")
        if self.width % 2:
            raise ValueError(f"head_dim: {self.width} is odd; rotary positions turn pairs of numbers")
        size = self.dtype_bytes
        if isinstance(size, bool) or not isinstance(size, (int, float)) or not 0 < size <= 8:
            raise ValueError(f"dtype_bytes: {size!r} is not possible; above 0 and at most 8, as 4, 2, 1 or 0.5")

    @classmethod
    def from_config(cls, path: str | PathLike[str], *, dtype_bytes: float | None = None) -> ModelShape:
        """Read the ``config.json`` of a Hugging Face model, or of a decoder that thrifty saved.

        Parameters
        ----------
        path : path
            The file, or its folder.
        dtype_bytes : float, optional
            Of weights as they will be used; by default what the file says.

        Raises
        ------
        OSError
            When there is no such file.
        FormatError
            When the file is no such config, or that of a model that is no decoder like Llama's.
        """
        from thrifty.device.config import read_config

        found = read_config(path)
        return found if dtype_bytes is None else replace(found, dtype_bytes=dtype_bytes)

    @property
    def keys(self) -> int:
        """Heads of keys and values."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def width(self) -> int:
        """Numbers of a head."""
        return self.dim // self.heads if self.head_dim is None else self.head_dim

    @property
    def layer_matrix(self) -> int:
        """Weights of a layer's matrices: what a token is multiplied by."""
        attention = self.dim * self.width * (2 * self.heads + 2 * self.keys)
        return attention + 3 * self.dim * self.hidden

    @property
    def layer_parameters(self) -> int:
        """Parameters of a layer: matrices, two norms, biases."""
        small = 2 * self.dim
        small += self.qkv_bias * self.width * (self.heads + 2 * self.keys)
        small += self.out_bias * self.dim
        small += self.qk_norm * 2 * self.width
        return self.layer_matrix + small

    @property
    def head_parameters(self) -> int:
        """Weights of the output layer, which every token is multiplied by whether they are tied or not."""
        return self.vocab * self.dim

    @property
    def parameters(self) -> int:
        """All parameters; tied ones count once."""
        embeddings = self.head_parameters * (1 if self.tied else 2)
        return self.layers * self.layer_parameters + embeddings + self.dim

    @property
    def weight_bytes(self) -> float:
        """Bytes of all parameters."""
        return self.parameters * self.dtype_bytes

    @property
    def kv_bytes(self) -> float:
        """Bytes that a token leaves in the cache of keys and values."""
        return 2.0 * self.layers * self.keys * self.width * self.dtype_bytes

    def flops(self, *, context: int = 0) -> int:
        """Return operations of a token's way forward, the output layer included.

        Parameters
        ----------
        context : int
            Tokens in the cache before it; it attends to them and to itself.

        Examples
        --------
        >>> from thrifty.device import ModelShape
        >>> ModelShape(layers=1, dim=2, heads=1, hidden=3, vocab=5).flops(context=1)
        104
        """
        whole("context", context, 0)
        matrices = self.layers * self.layer_matrix + self.head_parameters
        return 2 * matrices + 4 * self.layers * (context + 1) * self.heads * self.width

    def bytes_read(self, *, batch: int = 1, tokens: int = 1, context: int = 0) -> float:
        """Return bytes that a call must read at least: weights once, rows of the embedding, and the cache.

        Parameters
        ----------
        batch, tokens : int
            Sequences, and tokens of each in the call.
        context : int
            Tokens of each in the cache.
        """
        whole("batch", batch, 1)
        whole("tokens", tokens, 1)
        whole("context", context, 0)
        rows = min(batch * tokens, self.vocab) * self.dim * (not self.tied)
        weights = self.layers * self.layer_parameters + self.head_parameters + self.dim + rows
        return weights * self.dtype_bytes + batch * context * self.kv_bytes

    def with_(self, **change: Any) -> ModelShape:
        """Return the shape with some sizes changed.

        Examples
        --------
        >>> from thrifty.device import ModelShape
        >>> shape = ModelShape(layers=2, dim=64, heads=4, hidden=128, vocab=100)
        >>> shape.with_(layers=4).layers
        4
        """
        return replace(self, **change)

    def __str__(self) -> str:
        heads = f"{self.heads}" if self.keys == self.heads else f"{self.heads}/{self.keys}"
        return f"{self.layers} x {self.dim}, {heads} heads of {self.width}, {self.hidden} units"


def whole(name: str, value: Any, least: int) -> int:
    """Return a whole number, or refuse what is none or below ``least``; ``name`` is the argument's."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ValueError(f"{name}: {value!r} is not possible; a whole number of at least {least} is needed")
    return int(value)
