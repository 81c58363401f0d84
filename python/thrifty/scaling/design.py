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
#: Runs that are chosen where no count is given.
MOST = 5000
#: Runs that are added to what is known before it is worked out anew, as rounding adds up.
FRESH = 64


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
        mean square. Under criterion ``"D"`` the geometric mean of the coefficients', up to a common factor: det^(1/2p)
        of their covariance.
    cut : float
        1 - after / before.
    notes : tuple of str
        What deserves a look.
    """

    chosen: tuple[int, ...]
    flops: float
    before: float
    after: float
    notes: tuple[str, ...] = ()

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
        At most so many runs; by default 5,000.

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
    search = _Search(information, each, cost, budget_flops, count or MOST, aims, criterion)
    chosen = min((search.exchanged(search.greedy(by_cost=by)) for by in (False, True)), key=search.value)
    ordered = search.ordered(chosen)
    noise = math.sqrt(_variance(law, len(scale)))
    measure = _volume if criterion == "D" else _spread
    before, after = (noise * math.sqrt(measure(search.matrix(some), aims)) for some in ([], ordered))
    notes = [f"the fit: {text}" for text in law.advice_]
    payable = int((np.cumsum(np.sort(cost)) <= budget_flops).sum())
    if count is None and payable > MOST:
        notes.append(f"the budget pays for up to {payable:,} runs; without a count {MOST:,} are chosen at most")
    return Design(tuple(ordered), float(cost[ordered].sum()), before, after, tuple(notes))


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


def _volume(information: Values, _: Values) -> float:
    """Geometric mean of the variances along the axes of the coefficients' region, for errors of variance 1."""
    return math.exp(-float(np.linalg.slogdet(information)[1]) / len(information))


class _Known:
    """What each candidate adds to a set of runs, kept as runs are added (Sherman and Morrison)."""

    def __init__(self, information: Values, each: Values, aims: Values) -> None:
        self.each, self.aims = each, aims
        self.inverse = np.linalg.inv(information)
        towards = each @ self.inverse
        self.own, self.by_aims = (towards * each).sum(1), towards @ aims.T

    def add(self, i: int) -> None:
        """Take a candidate into the set."""
        towards = self.inverse @ self.each[i]
        shares = towards / (1 + self.own[i])
        along = self.each @ towards
        self.own -= along * along / (1 + self.own[i])
        self.by_aims -= along[:, None] * (self.aims @ shares)
        self.inverse -= np.outer(towards, shares)

    def gains(self, criterion: str) -> Values:
        """How much better each candidate makes the set."""
        told: Values = np.log1p(self.own)
        if criterion != "D":
            told = (self.by_aims**2).sum(1) / len(self.aims) / (1 + self.own)
        return told


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

    def known(self, chosen: list[int]) -> _Known:
        return _Known(self.matrix(chosen), self.each, self.aims)

    def affordable(self, chosen: list[int]) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.cost <= self.left(chosen)
        mask[chosen] = False
        return mask

    def left(self, chosen: list[int]) -> float:
        """Return what of the budget is left, up to last bits."""
        return float(self.budget * (1 + 1e-12) - self.cost[chosen].sum())

    def greedy(self, *, by_cost: bool, chosen: list[int] | None = None) -> list[int]:
        """Take the best that can be paid for until nothing can, or there are enough."""
        chosen = list(chosen or [])
        known, left = None, self.left(chosen)
        can = self.affordable(chosen)
        while len(chosen) < self.count and can.any():
            if known is None or len(chosen) % FRESH == 0:
                known, left = self.known(chosen), self.left(chosen)
            gains = known.gains(self.criterion)
            best = int(np.where(can, gains / self.cost if by_cost else gains, -np.inf).argmax())
            known.add(best)
            chosen.append(best)
            left -= self.cost[best]
            can &= self.cost <= left
            can[best] = False
        return chosen

    def exchanged(self, chosen: list[int]) -> list[int]:
        """Put another candidate in the place of one, and fill up, as long as that is better."""
        value = self.value(chosen)
        for _ in range(ROUNDS if len(chosen) <= EXCHANGED else 0):
            best, at = value, chosen
            for i in range(len(chosen)):
                rest = chosen[:i] + chosen[i + 1 :]
                gains = np.where(self.affordable(rest), self.known(rest).gains(self.criterion), -np.inf)
                other = self.greedy(by_cost=False, chosen=[*rest, int(gains.argmax())])
                if (now := self.value(other)) < best:
                    best, at = now, other
            if at is chosen or best > value - 1e-9 * abs(value):
                return at
            value, chosen = best, at
        return chosen

    def ordered(self, chosen: list[int]) -> list[int]:
        """Return the same, by what each tells beside those before it."""
        rows = sorted(chosen)
        free = np.zeros(len(rows))
        only = _Search(self.information, self.each[rows], free, 1.0, len(rows), self.aims, self.criterion)
        return [rows[i] for i in only.greedy(by_cost=False)]
