"""Operations of a decoder for one token, counted from its shapes: a product and a sum are two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrifty.models import DecoderConfig


def of_token(config: DecoderConfig, context: int) -> dict[str, float]:
    """Operations of the forward pass for a token, the mean over a window of ``context`` ids.

    ``products``: of weights with the token; ``mixing``: of queries with keys, and of the shares with values, for the
    keys that there are; ``lookups``: sums of rows. Norms, rotations and activations, some tens of operations a number,
    are left out.
    """
    dim, hidden = config.dim, config.hidden
    products, mixing, lookups = 2.0 * dim * config.vocab, 0.0, 0.0
    keys = (context + 1) / 2
    for mixer in config.mixers:
        products += 2 * dim * 2 * hidden + 2 * hidden * dim
        if mixer == "attention":
            products += 2 * dim * 3 * dim + 2 * dim * dim
            mixing += 2 * 2 * dim * keys
        elif mixer == "pair":
            assert config.pair is not None
            window = config.pair.window or context
            pairs = sum(min(window, at) for at in range(context)) / context
            products += 2 * config.pair.width * dim
            lookups += pairs * config.pair.width
    return {
        "products": products,
        "mixing": mixing,
        "lookups": lookups,
        "all": products + mixing + lookups,
    }
