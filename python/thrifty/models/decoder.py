"""A decoder like Llama's: RMS norms, gated units, tied embeddings, and for each layer one of three mixers.

``attention`` (rotary positions), ``pair`` (a pair table, arXiv 2106.08235: it sees ids, not hidden values), ``none``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from thrifty._torch import require_torch
from thrifty.pairconnect.nn import PairLookup

if TYPE_CHECKING:
    from thrifty.pairconnect.spec import PairSpec

torch: Any = require_torch()
nn: Any = torch.nn
functional: Any = torch.nn.functional

__all__ = ["Decoder", "DecoderConfig"]

EPSILON = 1e-5


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes of a decoder.

    Parameters
    ----------
    vocab, dim : int
        Ids, and numbers of a hidden vector.
    mixers : tuple of str
        One a layer: ``"attention"``, ``"pair"`` or ``"none"``.
    hidden : int
        Gated units of a layer.
    heads : int
        Of attention.
    pair : PairSpec
        Of pair layers; each has a seed of its own.
    dropout : float
        Of what each half of a layer adds, in training.
    """

    vocab: int
    dim: int = 128
    mixers: tuple[str, ...] = ("pair", "pair")
    hidden: int = 256
    heads: int = 4
    pair: PairSpec | None = None
    dropout: float = 0.0


class Seen(Protocol):
    """What stands before the ids of a pass, and where these go: :mod:`thrifty.models.cached` has it."""

    at: Any
    """Positions of the ids, int64 of shape (sequences, tokens)."""
    mask: Any
    """Which positions each id sees, bool of shape (sequences, 1, tokens, positions)."""

    def keep(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Keep those of a layer, and return all that may be seen: shape (sequences, heads, positions, dim)."""

    def ids(self) -> Any:
        """Return all ids of the sequences up to the last of the pass: int64 of shape (sequences, positions)."""


class Attention(nn.Module):  # type: ignore[misc]
    """Causal attention with rotary positions."""

    def __init__(self, config: DecoderConfig, number: int) -> None:
        super().__init__()
        self.heads, self.number = config.heads, number
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)

    def forward(self, x: Any, ids: Any, seen: Seen | None, turns: tuple[Any, Any]) -> Any:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        (q, k), v = rotated(qkv[:2], turns), qkv[2]
        if seen is None:
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            k, v = seen.keep(self.number, k, v)
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen.mask)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, dim))


def rotated(x: Any, turns: tuple[Any, Any]) -> Any:
    """Turn the two halves of each vector by angles that grow with its position."""
    half = x.shape[-1] // 2
    cos, sin = (turn.to(x.dtype) for turn in turns)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def turns_of(width: int, at: Any) -> tuple[Any, Any]:
    """Cosines and sines of the angles of heads of a width, at positions."""
    half = width // 2
    rates = 10_000.0 ** (-torch.arange(half, device=at.device) / half)
    angles = at[..., None] * rates
    return angles.cos(), angles.sin()


class Pair(nn.Module):  # type: ignore[misc]
    """What ids look up."""

    def __init__(self, config: DecoderConfig, spec: PairSpec) -> None:
        super().__init__()
        self.lookup = PairLookup(spec)
        self.out = nn.Linear(spec.width, config.dim, bias=False)

    def forward(self, x: Any, ids: Any, seen: Seen | None, turns: tuple[Any, Any]) -> Any:
        # Pairs reach back, so all ids are looked up anew.
        found = self.lookup(ids if seen is None else seen.ids())
        if seen is not None:
            found = found.take_along_dim(seen.at[..., None], 1)
        return self.out(found.to(x.dtype))


class Layer(nn.Module):  # type: ignore[misc]
    """A mixer of positions, then gated units for each."""

    def __init__(self, config: DecoderConfig, number: int) -> None:
        super().__init__()
        mixer = config.mixers[number]
        if mixer not in ("attention", "pair", "none"):
            raise ValueError(f"mixers: '{mixer}' is not attention, pair or none")
        if mixer == "pair":
            if config.pair is None:
                raise ValueError("pair: a PairSpec is needed for pair layers")
            spec = replace(config.pair, seed=config.pair.seed + number, vocab=config.vocab)
            self.mixer = Pair(config, spec)
        self.kind = mixer
        if mixer == "attention":
            self.mixer = Attention(config, number)
            self.mixer_norm = nn.RMSNorm(config.dim, EPSILON)
        self.norm = nn.RMSNorm(config.dim, EPSILON)
        self.gate_up = nn.Linear(config.dim, 2 * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Any, ids: Any, seen: Seen | None, turns: tuple[Any, Any]) -> Any:
        if self.kind != "none":
            given = self.mixer_norm(x) if self.kind == "attention" else x
            x = x + self.dropout(self.mixer(given, ids, seen, turns))
        gate, up = self.gate_up(self.norm(x)).chunk(2, -1)
        return x + self.dropout(self.down(functional.silu(gate) * up))


class Decoder(nn.Module):  # type: ignore[misc]
    """A language model.

    Examples
    --------
    >>> import torch
    >>> from thrifty.models import Decoder, DecoderConfig
    >>> from thrifty.pairconnect import PairSpec
    >>> config = DecoderConfig(vocab=50, dim=32, mixers=("pair", "attention"), pair=PairSpec(vocab=50, rows=64))
    >>> Decoder(config)(torch.tensor([[3, 1, 4]])).shape
    torch.Size([1, 3, 50])
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab, config.dim)
        self.layers = nn.ModuleList([Layer(config, i) for i in range(len(config.mixers))])
        self.norm = nn.RMSNorm(config.dim, EPSILON)
        nn.init.normal_(self.embed.weight, std=config.dim**-0.5)
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                nn.init.normal_(weight, std=(2 * len(config.mixers) * weight.shape[1]) ** -0.5)

    def forward(self, ids: Any, seen: Seen | None = None, keep: int = 0) -> Any:
        """Return scores of shape (sequences, tokens, vocab) for ids of shape (sequences, tokens).

        With ``keep`` of the last so many ids alone; with ``seen`` ids follow those of earlier passes.
        """
        x = self.embed(ids)
        at = torch.arange(ids.shape[1], device=ids.device) if seen is None else seen.at[:, None]
        turns = turns_of(self.config.dim // self.config.heads, at)
        for layer in self.layers:
            x = layer(x, ids, seen, turns)
        return functional.linear(self.norm(x[:, -keep:]), self.embed.weight)

    def parameters_of(self) -> tuple[list[Any], list[Any]]:
        """Return dense parameters, and those of tables."""
        tables = [p for m in self.modules() if isinstance(m, PairLookup) for p in m.parameters()]
        known = {id(p) for p in tables}
        return [p for p in self.parameters() if id(p) not in known], tables
