"""Ladders of small models: which shapes are trained, to which lengths, how."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from thrifty.device import ModelShape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Rung", "ladder", "rungs_of", "shape_of"]

#: Widths and units are multiples of it.
GRAIN = 8
#: Heads are about so wide.
HEAD = 32
#: Fewer layers are another kind of model: one layer can't look up what it has looked up.
SHALLOWEST = 2
#: Learning rate of a width of 64, and how it falls with width.
RATE, RATE_FALLS = 5e-3, 0.5
#: Ids a step of 50,000 parameters, and how they grow with parameters.
IDS, IDS_GROW = 1536, 0.5
#: Of ids for each parameter, what the learning rate rises over.
WARMUP = 2


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A shape to be trained to several lengths with one seed.

    Attributes
    ----------
    shape : ModelShape
    lengths : tuple of int
        Tokens, ascending; they share a trunk.
    context, batch : int
        Ids of a window, windows of a step.
    lr : float
        The highest learning rate.
    warmup : int
        Tokens that it rises over.
    seed : int
    """

    shape: ModelShape
    lengths: tuple[int, ...]
    context: int
    batch: int
    lr: float
    warmup: int
    seed: int = 0

    @property
    def n_params(self) -> int:
        """Parameters without those of the embedding, exactly."""
        return self.shape.parameters - self.shape.head_parameters

    @property
    def name(self) -> str:
        """What its rows are called: all of a trunk alike."""
        return f"{self.shape.layers}x{self.shape.dim}-{self.n_params}-s{self.seed}"

    @property
    def trained(self) -> int:
        """Tokens that its trunk and branches take together, where branches are their last fifth."""
        return round(0.8 * self.lengths[-1] + 0.2 * sum(self.lengths))


def shape_of(n_params: float, layers: int, *, vocab: int = 256) -> ModelShape:
    """Return a shape of so many layers whose parameters, without its tied embedding, are as near as can be.

    Parameters
    ----------
    n_params : float
        Wished for.
    layers : int
    vocab : int

    Raises
    ------
    ValueError
        When so many layers are too many for so few parameters.

    Examples
    --------
    >>> from thrifty.scaling import shape_of
    >>> shape = shape_of(1e6, 10)
    >>> shape.dim, shape.parameters - shape.head_parameters
    (88, 1008568)
    """
    dim = max(GRAIN, GRAIN * round(math.sqrt(n_params / layers / 12) / GRAIN))
    # 4 d^2 of attention, 3 d h of units, 2 d of norms: h takes what is left, in steps of GRAIN.
    hidden = GRAIN * round((n_params - dim - layers * (4 * dim * dim + 2 * dim)) / (3 * dim * layers) / GRAIN)
    if hidden < dim:
        raise ValueError(f"layers: {layers} are too many for {n_params:.3g} parameters")
    return ModelShape(layers=layers, dim=dim, heads=_heads(dim), hidden=hidden, vocab=vocab, tied=True)


def _heads(dim: int) -> int:
    """Heads of about :data:`HEAD`, of multiples of 8 where there are such: what kernels of attention are made for."""
    possible = [h for h in range(1, dim // GRAIN + 1) if dim % (2 * h) == 0]
    return min(possible, key=lambda h: abs(math.log(dim / h / HEAD)) + (0.3 if dim // h % GRAIN else 0))


def rungs_of(
    n_params: float,
    *,
    shapes: int = 4,
    multiples: Sequence[float] = (20, 40, 80),
    ratios: tuple[float, float] = (4.0, 48.0),
    context: int = 256,
    vocab: int = 256,
    lr: float = RATE,
    seed: int = 0,
) -> tuple[Rung, ...]:
    """Return rungs of one size, from wide to deep.

    Parameters
    ----------
    n_params : float
        Parameters without embeddings.
    shapes : int
        How many; fewer where depths between the two ratios are fewer.
    multiples : sequence of float
        Tokens for each parameter.
    ratios : (float, float)
        Width over depth of the deepest and of the widest.
    context, vocab : int
    lr : float
        Learning rate of a width of 64; it falls as the root of the width.
    seed : int

    Examples
    --------
    >>> from thrifty.scaling import rungs_of
    >>> [(rung.shape.layers, rung.shape.dim) for rung in rungs_of(1e6)]
    [(3, 168), (5, 128), (10, 88), (17, 72)]
    """
    if not 0 < ratios[0] < ratios[1]:
        raise ValueError(f"ratios: {ratios} are no two ascending numbers above 0")
    deep, wide = (max(SHALLOWEST, round((n_params / 12 / ratio**2) ** (1 / 3))) for ratio in ratios)
    steps = [wide * (deep / wide) ** (i / max(1, shapes - 1)) for i in range(shapes)]
    depths = sorted({round(step) for step in steps})
    out = []
    for depth in depths:
        shape = shape_of(n_params, depth, vocab=vocab)
        exact = shape.parameters - shape.head_parameters
        batch = max(1, round(IDS * (n_params / 50_000) ** IDS_GROW / context))
        step = batch * context
        out.append(
            Rung(
                shape=shape,
                lengths=tuple(sorted({math.ceil(m * exact / step) * step for m in multiples})),
                context=context,
                batch=batch,
                lr=lr * (64 / shape.dim) ** RATE_FALLS,
                warmup=WARMUP * exact,
                seed=seed,
            )
        )
    return tuple(out)


def ladder(sizes: Sequence[float], *, seed: int = 0, repeats: int = 0, again: int = 3, **how: Any) -> tuple[Rung, ...]:
    """Return the rungs of all sizes, the smallest size first, and some of each of the first sizes with other seeds too.

    Parameters
    ----------
    sizes : sequence of float
        Parameters without embeddings.
    seed : int
    repeats : int
        How many rungs are trained again: of different sizes, the smallest first, a shape from the middle of each.
    again : int
        Seeds of each of these in all.
    **how
        As for :func:`rungs_of`.
    """
    out: list[Rung] = []
    for i, size in enumerate(sorted(sizes)):
        rungs = rungs_of(size, seed=seed, **how)
        out += rungs
        if i < repeats:
            middle = rungs[len(rungs) // 2]
            out += [replace(middle, seed=other) for other in range(seed + 1, seed + again)]
    return tuple(out)
