"""How large a model and how many tokens: the least loss for a budget, or the least cost of a loss, serving included."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from thrifty.errors import Infeasible
from thrifty.scaling.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Surface = Callable[[Values, Values], Values]

__all__ = ["SERVE", "TRAIN", "Lossy", "Optimum", "counted_by", "optimal", "tokens_for"]

#: Where an optimum is looked for.
PARAMS = (1e3, 1e16)
TOKENS = (1.0, 1e20)
#: Of logs of tokens: points on the way, and halvings between two of them, down to the last bits.
POINTS, HALVINGS = 48, 46
#: Operations of a parameter and token: training goes forth and back, serving forth (arXiv 2001.08361, section 2.1).
TRAIN, SERVE = 6.0, 2.0


class Lossy(Protocol):
    """What tells losses of runs: a fitted law."""

    def told_at(self, runs: Runs) -> Values:
        """Return the loss that is predicted of each run."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """A model and its training.

    Attributes
    ----------
    n_params, n_tokens : float
        As the law counts them.
    loss : float
        That the law tells for them.
    train_flops, serve_flops : float
        6 N D, and 2 N for each token served.
    """

    n_params: float
    n_tokens: float
    loss: float
    train_flops: float
    serve_flops: float

    @property
    def flops(self) -> float:
        """Operations of training and serving."""
        return self.train_flops + self.serve_flops

    @property
    def tokens_per_param(self) -> float:
        """D / N."""
        return self.n_tokens / self.n_params


def optimal(
    law: Lossy | Mapping[str, float],
    *,
    flops: float | None = None,
    loss: float | None = None,
    inference_tokens: float = 0.0,
    aspect: float | None = None,
) -> Optimum:
    """Return the model of least loss for a budget, or of least cost for a loss.

    Parameters
    ----------
    law : ScalingLaw or mapping
        A fitted law, or coefficients of L = E + A / N^alpha + B / D^beta by these names.
    flops : float, optional
        Budget of 6 N D + 2 N ``inference_tokens``.
    loss : float, optional
        To be reached, in nats a token, where no budget is given.
    inference_tokens : float
        To be served over the model's life.
    aspect : float, optional
        Width over depth, for a law that knows shapes; where it knows both of them apart, N = 12 d^2 l. By default the
        mean of the runs that it was fitted to.

    Returns
    -------
    Optimum

    Raises
    ------
    ValueError
        When a number is not possible, or not just one of budget and loss is given.
    Infeasible
        When no model reaches the loss, or the law has no least cost.

    Examples
    --------
    >>> from thrifty.scaling import optimal
    >>> epoch = {"E": 1.81686, "A": 482.00572, "B": 2085.4342, "alpha": 0.34781, "beta": 0.36585}
    >>> best = optimal(epoch, flops=5.76e23)
    >>> f"{best.n_params:.3e} parameters, {best.n_tokens:.4e} tokens, {best.loss:.5f}"
    '7.235e+10 parameters, 1.3268e+12 tokens, 1.97397'
    >>> served = optimal(epoch, loss=2.2, inference_tokens=1e12)
    >>> f"{served.n_params:.2e} parameters, {served.tokens_per_param:.0f} tokens each"
    '2.54e+09 parameters, 136 tokens each'

    Notes
    -----
    Hoffmann et al. (arXiv 2203.15556), section 3.3, and Sardana et al. (arXiv 2401.00448): cost with serving. For a
    budget without serving and a law without shape the optimum is N = G (C/6)^(beta/(alpha+beta)) with
    G = (alpha A / (beta B))^(1/(alpha+beta)); it is found, as all others, by going over log N ever more finely.
    """
    if (flops is None) == (loss is None):
        raise ValueError("flops, loss: just one of them is needed, a budget or what is to be reached")
    for name, value in (("flops", flops), ("loss", loss), ("aspect", aspect)):
        if value is not None and not (0 < value < math.inf):
            raise ValueError(f"{name}: {value!r} is not possible; a number above 0 is needed")
    if not 0 <= inference_tokens < math.inf:
        raise ValueError(f"inference_tokens: {inference_tokens!r} is not possible; at least 0")
    surface = surface_of(law, aspect)

    if flops is not None:
        budget = flops

        def cost(n: Values) -> Values:
            d = (budget / n - SERVE * inference_tokens) / TRAIN
            told = surface(n, np.maximum(d, TOKENS[0]))
            return np.where(d >= TOKENS[0], told, np.inf)

        n = _least(cost, f"flops: {flops:g} are too few to serve {inference_tokens:g} tokens with any model")
        d = (flops / n - SERVE * inference_tokens) / TRAIN
    else:
        wanted = float(loss or 0.0)

        def cost(n: Values) -> Values:
            d = tokens_for(surface, n, wanted)
            return n * (TRAIN * d + SERVE * inference_tokens)

        n = _least(cost, _unreached(surface, wanted))
        d = float(tokens_for(surface, np.array([n]), wanted)[0])
        if d > 0.999 * TOKENS[1]:
            raise Infeasible(f"loss: {wanted:g} at its least cost takes more than {TOKENS[1]:g} tokens")
    told = float(surface(np.array([n]), np.array([d]))[0])
    return Optimum(n, d, told, TRAIN * n * d, SERVE * n * inference_tokens)


def surface_of(law: Lossy | Mapping[str, float], aspect: float | None = None) -> Surface:
    """Return the loss as a function of N and D, of models of one ratio of width over depth."""
    if not hasattr(law, "told_at"):
        c = {name: float(law[name]) for name in ("E", "A", "B", "alpha", "beta")}
        return lambda n, d: c["E"] + c["A"] * n ** -c["alpha"] + c["B"] * d ** -c["beta"]

    counted, runs = counted_by(law), getattr(law, "runs_", None)
    if aspect is None and runs is not None and runs.d_model is not None and runs.n_layers is not None:
        aspect = float(np.exp(np.log(runs.d_model / runs.n_layers).mean()))

    def told(n: Values, d: Values) -> Values:
        depth = None if aspect is None else np.cbrt(n / (12 * aspect**2))
        width = None if depth is None or aspect is None else aspect * depth
        return law.told_at(Runs(n, d, d_model=width, n_layers=depth, counted=counted))

    return told


def counted_by(law: Any) -> Literal["total", "non_embedding"]:
    """Return which parameters a law counts."""
    counted: Literal["total", "non_embedding"] = getattr(getattr(law, "runs_", None), "counted", "total")
    return counted


def tokens_for(surface: Surface, n: Values, loss: float | Values) -> Values:
    """Return the least tokens after which models of ``n`` parameters have a loss; infinite where they never do.

    The first of points a factor of about e apart that has it is looked for, then bisected up to there: the upper end of
    an interval, too, will do, which rises again far beyond the data.
    """
    points, step = np.linspace(math.log(TOKENS[0]), math.log(TOKENS[1]), POINTS, retstep=True)
    high = np.full(len(n), np.inf)
    for point in points:
        high[np.isinf(high) & (surface(n, np.full(len(n), math.exp(point))) <= loss)] = point
        if np.isfinite(high).all():
            break
    never, at_once = np.isinf(high), high == points[0]
    high = np.where(never, points[-1], high)
    low = high - step
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = surface(n, np.exp(middle)) > loss
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.where(never, np.inf, np.where(at_once, TOKENS[0], np.exp(high)))


def _least(cost: Callable[[Values], Values], nowhere: str) -> float:
    """Return where a cost is least: over all sizes, then ever closer around the least of those before."""
    low, high = (math.log(v) for v in PARAMS)
    ends = low, high
    for points in (513, *[65] * 6):
        at = np.linspace(low, high, points)
        costs = cost(np.exp(at))
        if not np.isfinite(costs).any():
            raise Infeasible(nowhere)
        best = int(np.argmin(costs))
        if at[best] in ends:
            raise Infeasible(
                f"n_params: the law has no least cost between {PARAMS[0]:g} and {PARAMS[1]:g} parameters; it falls all "
                f"the way to {math.exp(at[best]):g}"
            )
        low, high = at[max(best - 1, 0)], at[min(best + 1, points - 1)]
    return math.exp(at[best])


def _unreached(surface: Surface, loss: float) -> str:
    floor = float(surface(np.array([PARAMS[1]]), np.array([TOKENS[1]]))[0])
    return f"loss: {loss:g} is below what the law tells for any model; it tends to {floor:.4g} as they grow"
