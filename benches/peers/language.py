"""Language models without pair tables, and the paper's own layer, for the trainer of ``thrifty.models``.

``attention`` and ``none`` are thrifty's decoder. AFT (arXiv 2105.14103, full, with a learned bias for each distance)
takes the place of attention in it. gMLP (arXiv 2105.08050, causal) has blocks of its own. ``PaperLayer`` is the layer
of arXiv 2106.08235 made causal: keys without distances, sums over the whole context, and three small networks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from thrifty.models import Decoder, DecoderConfig
from thrifty.pairconnect import PairSpec
from thrifty.pairconnect.nn import PairLookup

EPSILON = 1e-5


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of all models."""

    vocab: int
    dim: int = 128
    hidden: int = 512
    layers: int = 2
    context: int = 64
    rows: int = 1000


class AFT(nn.Module):
    """Sums of values, weighed by exponentials of their keys and of a bias for the distance."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.qkv = nn.Linear(sizes.dim, 3 * sizes.dim, bias=False)
        self.out = nn.Linear(sizes.dim, sizes.dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(sizes.context))

    def forward(self, x: Any, ids: Any) -> Any:
        tokens = x.shape[1]
        q, k, v = self.qkv(x).chunk(3, -1)
        time = torch.arange(tokens, device=x.device)
        distance = time[:, None] - time
        weights = torch.where(distance >= 0, self.bias[distance.clamp_min(0)].exp(), 0.0)
        # Keys relative to the largest of their channel: the quotient stays the same.
        shares = (k - k.amax(1, keepdim=True).detach()).exp()
        mixed = (weights @ (shares * v)) / (weights @ shares + 1e-9)
        return self.out(torch.sigmoid(q) * mixed)


class GatedBlock(nn.Module):
    """Half of the units times the other half mixed over positions."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        half = sizes.hidden
        self.norm, self.gate_norm = nn.RMSNorm(sizes.dim, EPSILON), nn.RMSNorm(half, EPSILON)
        self.up = nn.Linear(sizes.dim, 2 * half)
        self.down = nn.Linear(half, sizes.dim)
        self.places = nn.Parameter(torch.randn(sizes.context, sizes.context) * 1e-3)
        self.bias = nn.Parameter(torch.ones(sizes.context))

    def forward(self, x: Any, ids: Any) -> Any:
        tokens = x.shape[1]
        own, other = functional.gelu(self.up(self.norm(x))).chunk(2, -1)
        places = self.places[:tokens, :tokens].tril()
        mixed = places @ self.gate_norm(other) + self.bias[:tokens, None]
        return x + self.down(own * mixed)


class Dense(torch.autograd.Function):
    """The same numbers, with a dense gradient: not every version of torch multiplies a sparse one by a matrix."""

    @staticmethod
    def forward(_: Any, x: Any) -> Any:
        return x.view_as(x)

    @staticmethod
    def backward(_: Any, *grads: Any) -> Any:
        return grads[0].to_dense() if grads[0].is_sparse else grads[0]


class ByRows(torch.autograd.Function):
    """The same numbers, with a gradient of the rows that have one."""

    @staticmethod
    def forward(_: Any, x: Any) -> Any:
        return x.view_as(x)

    @staticmethod
    def backward(_: Any, *grads: Any) -> Any:
        # to_sparse finds the same rows, at 50 times the cost of the rest of the step.
        rows = grads[0].any(1).nonzero().squeeze(1)
        return torch.sparse_coo_tensor(
            rows[None], grads[0][rows], grads[0].shape, check_invariants=False, is_coalesced=True
        )


class PaperLayer(nn.Module):
    """x + MLP(MLP(sum over pairs of f(row), heads side by side) + MLP(x)), where f is an MLP.

    The paper has neither x + in front nor norms; they are there for the layer's good, as the others have them. f acts
    on rows alone, so it is applied to the table once a step instead of once a pair.
    """

    def __init__(self, sizes: Sizes, seed: int) -> None:
        super().__init__()
        spec = PairSpec(
            vocab=sizes.vocab,
            rows=sizes.rows,
            window=None,
            offsets=False,
            pool="sum",
            head_dim=sizes.dim // 4,
            seed=seed,
        )
        self.lookup = PairLookup(spec, std=0.02)
        self.norm, self.looked_norm = nn.RMSNorm(sizes.dim, EPSILON), nn.RMSNorm(sizes.dim, EPSILON)
        self.f = mlp(spec.head_dim, sizes.dim, spec.head_dim)
        self.pairs, self.own, self.both = (mlp(sizes.dim, sizes.dim, sizes.dim) for _ in range(3))

    def forward(self, x: Any, ids: Any) -> Any:
        weight = Dense.apply(self.f(ByRows.apply(self.lookup.weight)))
        looked = torch.func.functional_call(self.lookup, {"weight": weight}, (ids,))
        return x + self.both(self.pairs(self.looked_norm(looked)) + self.own(self.norm(x)))


def mlp(inputs: int, hidden: int, outputs: int) -> Any:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


class Stack(nn.Module):
    """An embedding, layers, and the embedding again."""

    def __init__(self, sizes: Sizes, name: str, layers: list[Any]) -> None:
        super().__init__()
        self.config = replace(sizes), name
        self.embed = nn.Embedding(sizes.vocab, sizes.dim)
        nn.init.normal_(self.embed.weight, std=sizes.dim**-0.5)
        self.layers = nn.ModuleList(layers)
        self.norm = nn.RMSNorm(sizes.dim, EPSILON)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, ids)
        return functional.linear(self.norm(x), self.embed.weight)

    def parameters_of(self) -> tuple[list[Any], list[Any]]:
        """Dense parameters, and those of tables."""
        tables = [p for m in self.modules() if isinstance(m, PairLookup) for p in m.parameters()]
        known = {id(p) for p in tables}
        return [p for p in self.parameters() if id(p) not in known], tables


def model_of(name: str, sizes: Sizes, seed: int) -> Any:
    """Make ``attention``, ``none``, ``aft``, ``gmlp`` or ``paper``."""
    torch.manual_seed(seed)
    if name == "gmlp":
        return Stack(sizes, name, [GatedBlock(sizes) for _ in range(sizes.layers)])
    if name == "paper":
        return Stack(sizes, name, [PaperLayer(sizes, seed + i) for i in range(sizes.layers)])
    kind = "none" if name == "none" else "attention"
    config = DecoderConfig(vocab=sizes.vocab, dim=sizes.dim, hidden=sizes.hidden, mixers=(kind,) * sizes.layers)
    model = Decoder(config)
    if name == "aft":
        for layer in model.layers:
            layer.mixer = AFT(sizes)
    return model
