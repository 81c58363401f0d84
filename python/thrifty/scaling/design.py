"""Which runs to train next: those after which the law is known best, for a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty.errors import Infeasible
from thrifty.scaling.optimal import TRAIN
from thrifty.scaling.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from thrifty.scaling.law import ScalingLaw

    Values = NDArray[np.float64]

__all__ = ["Design", "design"]

#: What is known of each direction at least, as a share of what is known of the best: keeps matrices invertible.
RIDGE = 1e-10
ROUNDS = 50
#: Of more runs none is exchanged: what one tells beside so many others is little.
EXCHANGED = 40


@dataclass(frozen=True, slots=True)
class Design:
    """Runs to train next.

    Attributes
    ----------
    chosen : tuple of int
        Rows of the candidates, in the order of what each tells.
    flops : float
        That they take, 6 N D each.
    before, after : float
        Standard error of the log of the loss at the target, before and after them; of several targets the root of the
        mean square. Under criterion ``"D"`` without a target: the mean of a coefficient, up to a common factor.
    cut : float
        1 - after / before.
    """

    chosen: tuple[int, ...]
    flops: float
    before: float
    after: float

    @property
    def cut(self) -> float:
        """Share of the standard error that goes away."""
        return 1 - self.after / self.before


def design(
    law: ScalingLaw,
    candidates: Runs | Mapping[str, Any],
    budget_flops: float,
    *,
    target: Runs | Mapping[str, Any] | None = None,
    criterion: Literal["prediction", "D"] = "prediction",
    count: int | None = None,
) -> Design:
    """Choose runs that make a prediction, or the coefficients, as sure as a budget can.

    Parameters
    ----------
    law : ScalingLaw
        Fitted to the runs that there are.
    candidates : Runs or mapping
        Runs that could be trained; each is taken once at most.
    budget_flops : float
        Of all that are chosen, 6 N D each.
    target : Runs or mapping, optional
        What shall be predicted; needed for criterion ``"prediction"``.
    criterion : str
        ``"prediction"``: least variance at the target. ``"D"``: least volume of the coefficients' region.
    count : int, optional
        At most so many runs.

    Returns
    -------
    Design

    Raises
    ------
    ValueError
        When an argument is not possible.
    Infeasible
        When the budget pays for none of the candidates.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling import Runs, ScalingLaw, design
    >>> n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    >>> law = ScalingLaw("chinchilla").fit(Runs(n, d, 1.8 + 400 * n**-0.34 + 2000 * d**-0.37))
    >>> found = design(law, Runs(n, 4 * d), 1e21, target=Runs(np.array([1e10]), np.array([2e11])), count=2)
    >>> len(found.chosen), found.cut > 0.1
    (2, True)

    Notes
    -----
    A run's row of the information matrix is the gradient of its log loss (errors are relative and alike). Runs are
    taken one by one, by what they tell or by what they tell for an operation, whichever ends better, then up to 40
    of them exchanged as long as that helps (Fedorov 1972).
    """
    candidates = Runs.of(candidates)
    if not 0 < budget_flops < math.inf:
        raise ValueError(f"budget_flops: {budget_flops!r} is not possible; a number above 0 is needed")
    if count is not None and count < 1:
        raise ValueError(f"count: {count!r} is not possible; at least 1 is needed")
    if criterion not in ("prediction", "D"):
        raise ValueError(f"criterion: {criterion!r} is none of prediction, D")
    if criterion == "prediction" and target is None:
        raise ValueError("target: criterion prediction needs what shall be predicted")
    cost = TRAIN * candidates.n_params * candidates.n_tokens
    if not len(cost) or cost.min() > budget_flops:
        least = f"; the cheapest takes {cost.min():.4g}" if len(cost) else "; there are none"
        raise Infeasible(f"budget_flops: {budget_flops:.4g} pays for none of the candidates{least}")
    known, each = law.gradient(law.runs_), law.gradient(candidates)
    scale = np.sqrt((known**2).sum(0))
    scale = np.where(scale > 0, scale, 1.0)
    known, each = known / scale, each / scale
    information = known.T @ (known * law.weights_[:, None])
    information += RIDGE * np.trace(information) * np.eye(len(scale))
    aims = np.eye(len(scale)) if target is None else law.gradient(Runs.of(target)) / scale
    search = _Search(information, each, cost, budget_flops, count or len(cost), aims, criterion)
    chosen = min((search.exchanged(search.greedy(by_cost=by)) for by in (False, True)), key=search.value)
    ordered = search.ordered(chosen)
    noise = math.sqrt(_variance(law, len(scale)))
    after = information + each[ordered].T @ each[ordered]
    before_se, after_se = (noise * math.sqrt(_spread(m, aims)) for m in (information, after))
    return Design(tuple(ordered), float(cost[ordered].sum()), before_se, after_se)


def _variance(law: ScalingLaw, parameters: int) -> float:
    """Variance of log residuals, by their median so that single runs far off do not count much."""
    losses = law.runs_.loss
    if losses is None:
        return 1.0
    residuals = np.log(losses / law.loss_at(law.runs_))[law.weights_ > 0]
    spread = 1.4826 * float(np.median(np.abs(residuals)))
    return max(spread**2 * len(residuals) / max(len(residuals) - parameters, 1), 1e-24)


def _spread(information: Values, aims: Values) -> float:
    """Mean variance at the aims, for errors of variance 1."""
    solved = np.linalg.solve(information, aims.T)
    return float((aims.T * solved).sum() / len(aims))


class _Search:
    """Sets of candidates within a budget, and how good they are: the less the better."""

    def __init__(
        self,
        information: Values,
        each: Values,
        cost: Values,
        budget: float,
        count: int,
        aims: Values,
        criterion: str,
    ) -> None:
        self.information, self.each, self.cost, self.budget, self.count = information, each, cost, budget, count
        self.aims, self.criterion = aims, criterion

    def matrix(self, chosen: list[int]) -> Values:
        some = self.each[chosen]
        whole: Values = self.information + some.T @ some
        return whole

    def value(self, chosen: list[int]) -> float:
        matrix = self.matrix(chosen)
        return -float(np.linalg.slogdet(matrix)[1]) if self.criterion == "D" else _spread(matrix, self.aims)

    def gains(self, chosen: list[int]) -> Values:
        """How much better each candidate makes a set (Sherman and Morrison)."""
        inverse = np.linalg.inv(self.matrix(chosen))
        towards = self.each @ inverse
        own = 1 + (towards * self.each).sum(1)
        by_aims = ((towards @ self.aims.T) ** 2).sum(1) / len(self.aims) / own
        told: Values = np.log(own) if self.criterion == "D" else by_aims
        return told

    def affordable(self, chosen: list[int]) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.cost <= self.budget * (1 + 1e-12) - self.cost[chosen].sum()
        mask[chosen] = False
        return mask

    def greedy(self, *, by_cost: bool, chosen: list[int] | None = None) -> list[int]:
        """Take the best that can be paid for until nothing can, or there are enough."""
        chosen = list(chosen or [])
        while len(chosen) < self.count and (can := self.affordable(chosen)).any():
            gains = self.gains(chosen) / (self.cost if by_cost else 1.0)
            chosen.append(int(np.where(can, gains, -np.inf).argmax()))
        return chosen

    def exchanged(self, chosen: list[int]) -> list[int]:
        """Put another candidate in the place of one, and fill up, as long as that is better."""
        value = self.value(chosen)
        for _ in range(ROUNDS if len(chosen) <= EXCHANGED else 0):
            best, at = value, chosen
            for i in range(len(chosen)):
                rest = chosen[:i] + chosen[i + 1 :]
                gains = np.where(self.affordable(rest), self.gains(rest), -np.inf)
                other = self.greedy(by_cost=False, chosen=[*rest, int(gains.argmax())])
                if (now := self.value(other)) < best:
                    best, at = now, other
            if at is chosen or best > value - 1e-9 * abs(value):
                return at
            value, chosen = best, at
        return chosen

    def ordered(self, chosen: list[int]) -> list[int]:
        """Return the same, by what each tells beside those before it."""
        order: list[int] = []
        left = np.zeros(len(self.cost), bool)
        left[chosen] = True
        while len(order) < len(chosen):
            best = int(np.where(left, self.gains(order), -np.inf).argmax())
            order.append(best)
            left[best] = False
        return order
