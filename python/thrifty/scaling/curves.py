"""What a law tells of runs that were not made: curves of equal compute, best sizes, shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from thrifty.scaling.law import ScalingLaw

    Values = NDArray[np.float64]

__all__ = ["Best", "best_sizes", "budgets", "isoflops", "shapes"]

#: Points of a curve; sizes that are looked at for the best; curves.
POINTS, SIZES, CURVES = 49, 400, 5
#: How far beyond the runs' compute the curves go, by factors.
BEYOND = 10.0


@dataclass(frozen=True)
class Best:
    """The best size of each budget, float64[n] each: FLOP, parameters, losses with intervals."""

    flops: Values
    n_params: Values
    loss: Values
    lo: Values
    hi: Values

    def rows(self) -> Iterator[tuple[float, float, float, float, float]]:
        """Yield every fourth budget, as rows of a table."""
        for i in range(0, len(self.flops), 4):
            yield (
                float(self.flops[i]), float(self.n_params[i]), float(self.loss[i]), float(self.lo[i]), float(self.hi[i])
            )  # fmt: skip


def asked(law: ScalingLaw, n_params: Values, n_tokens: Values, ratio: float | Values | None = None) -> Runs:
    """Return runs of some sizes and tokens; of the shape that the fitted runs have in the middle, or of a given one."""
    runs = law.runs_
    if runs.d_model is None or runs.n_layers is None:
        return Runs(n_params, n_tokens, counted=runs.counted)
    # Parameters are about so many times width^2 * depth.
    share = float(np.median(runs.n_params / (runs.d_model**2 * runs.n_layers)))
    shape = np.median(runs.d_model / runs.n_layers) if ratio is None else ratio
    d_model = (n_params * shape / share) ** (1 / 3)
    return Runs(n_params, n_tokens, d_model=d_model, n_layers=d_model / shape, counted=runs.counted)


def budgets(law: ScalingLaw) -> list[float]:
    """Return budgets of training compute, FLOP: from the runs' least to their most, and one beyond."""
    spent = 6 * law.runs_.n_params * law.runs_.n_tokens
    inside = np.geomspace(spent.min(), max(spent.max(), 10 * spent.min()), CURVES - 1)
    return [*inside.tolist(), BEYOND * float(inside[-1])]


def isoflops(law: ScalingLaw, flops: list[float]) -> tuple[Values, list[list[float]]]:
    """Return sizes, and for each budget the loss of each: nan where its tokens are far outside the runs'."""
    ratios = law.runs_.n_tokens / law.runs_.n_params
    low, high = float(ratios.min()) / 3, float(ratios.max()) * 3
    ends = [np.sqrt(flops[0] / 6 / high), np.sqrt(flops[-1] / 6 / low)]
    sizes = np.geomspace(ends[0], ends[1], POINTS)
    curves = []
    for budget in flops:
        tokens = budget / 6 / sizes
        inside = (tokens / sizes >= low) & (tokens / sizes <= high)
        loss = law.loss_at(asked(law, sizes, tokens))
        curves.append(np.where(inside, loss, np.nan).tolist())
    return sizes, curves


def best_sizes(law: ScalingLaw) -> Best:
    """Return the size of least loss for budgets from the runs' least to beyond their most, tokens within the runs'."""
    every = budgets(law)
    flops = np.geomspace(every[0], every[-1], POINTS)
    ratios = law.runs_.n_tokens / law.runs_.n_params
    share = np.geomspace(float(ratios.min()) / 3, float(ratios.max()) * 3, SIZES)
    sizes = np.sqrt(flops[:, None] / 6 / share)
    loss = law.loss_at(asked(law, sizes.ravel(), (sizes * share).ravel())).reshape(sizes.shape)
    at = loss.argmin(1)
    n = sizes[np.arange(len(flops)), at]
    found = law.predict(asked(law, n, n * share[at]))
    return Best(flops, n, found.loss, found.lo, found.hi)


def shapes(law: ScalingLaw) -> tuple[Values, dict[float, Values]] | None:
    """Return shapes, and for three sizes of the runs the loss of each; None where the law knows no shape."""
    runs = law.runs_
    if runs.d_model is None or runs.n_layers is None or not {"ratio", "d_model", "n_layers"} & set(law.form_.columns):
        return None
    ratio = runs.d_model / runs.n_layers
    ratios = np.geomspace(float(ratio.min()) / 1.5, float(ratio.max()) * 1.5, POINTS)
    tokens = float(np.median(runs.n_tokens / runs.n_params))
    sizes = np.unique(np.quantile(runs.n_params, [0, 0.5, 1]))
    return ratios, {
        float(n): law.loss_at(asked(law, np.full(POINTS, n), np.full(POINTS, n * tokens), ratios)) for n in sizes
    }
