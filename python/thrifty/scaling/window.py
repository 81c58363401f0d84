"""Which shapes are worth a look: those around the optimum without limits, of aspects like those of the runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from thrifty.scaling.optimal import counted_by, optimal
from thrifty.scaling.shapes import shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thrifty.scaling.law import ScalingLaw
    from thrifty.scaling.shapes import Shapes
    from thrifty.scaling.wish import Wish

__all__ = ["window"]

#: Of width over depth where the runs tell nothing: a range of 40, over which losses were nearly alike in 2001.08361.
ASPECT = (12.5, 500.0)
#: So far beyond the aspects of the runs shapes are looked at.
BEYOND = 1.5
#: Sizes beside that of the optimum: what serves under a limit is smaller; larger ones cost more in every way.
SIZES = (1 / 50, 2.0)


def window(law: ScalingLaw, wish: Wish, sizes: Mapping[str, Any], dtype_bytes: float) -> Shapes:
    """Return the shapes to choose from; what ``sizes`` says, as :func:`thrifty.scaling.shapes` takes it, is kept."""
    runs = law.runs_
    aspect = ASPECT
    if runs.d_model is not None and runs.n_layers is not None:
        ratio = runs.d_model / runs.n_layers
        aspect = float(ratio.min()) / BEYOND, float(ratio.max()) * BEYOND
    given = {"aspect": aspect, "counted": counted_by(law), "dtype_bytes": dtype_bytes, **sizes}
    if "n_params" not in given:
        low, high = given["aspect"]
        middle = math.sqrt(max(low, aspect[0]) * min(high, aspect[1]))
        if wish.pays:
            best = optimal(law, flops=wish.train_flops, aspect=middle)
        else:
            best = optimal(law, loss=wish.max_loss, inference_tokens=wish.lifetime_tokens, aspect=middle)
        given["n_params"] = (max(best.n_params * SIZES[0], 1.0), best.n_params * SIZES[1])
    return shapes(**given)
