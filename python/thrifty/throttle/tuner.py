"""Constrained Bayesian optimisation over settings that can be counted.

The energy of a setting and each quantity that has a limit are Gaussian processes of few points, in logarithms. Asked is
the setting, of those not measured yet, whose expected improvement times a power of its chance to keep all limits is
the highest. Source: arXiv 2310.19991, section 4 (constrained Bayesian optimisation); the form of the score is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.throttle.acquisition import log_expected_improvement
from thrifty.throttle.space import Knob, Space, Value
from thrifty.throttle.surrogate import GaussianProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Constraint", "Evaluation", "Tuner"]

#: The power of the chance to keep the limits. 1 is the textbook's; 2 breaks limits less often at as many evaluations
#: (V100 tables of Zeus, means of medians: with 1, 8.2 evaluations of which 3.5 break it, with 2, 8.0 and 2.8).
CAUTION = 2.0
#: One further evaluation with a knob set to the middle, for so many settings there are; and where the middle is,
#: between the least value and the default.
SETTINGS_A_START, MIDDLE = 10, (0.4, 0.6)


@dataclass(frozen=True)
class Constraint:
    """A limit: what is measured as ``name`` is at most ``upper``, both above 0.

    Raises
    ------
    ValueError
        For a limit that is not above 0. Infinity is no limit.
    """

    name: str
    upper: float

    def __post_init__(self) -> None:
        if not self.upper > 0:
            raise ValueError(f"constraint {self.name}: upper is {self.upper}; it must be above 0")


@dataclass(frozen=True)
class Evaluation:
    """A setting that was measured: its values by knob, what was measured, and whether that keeps all limits."""

    setting: dict[str, Value]
    measured: dict[str, float]
    feasible: bool


class Tuner:
    """Asks for settings to measure and is told what was measured.

    Parameters
    ----------
    space : Space or sequence of Knob
        What can be set.
    objective : str
        The name of what is to be least, above 0, as "energy_j".
    constraints : sequence of Constraint
        Limits; may be none.
    seed : int
        The same seed and measurements give the same questions.

    Attributes
    ----------
    evaluations : list of Evaluation
        In the order they were told.

    Raises
    ------
    ValueError
        For two limits of one quantity, or knobs as for :class:`Space`.
    """

    def __init__(
        self, space: Space | Sequence[Knob], objective: str, constraints: Sequence[Constraint] = (), *, seed: int = 0
    ) -> None:
        self.space = space if isinstance(space, Space) else Space(space)
        self.objective, self.constraints = objective, tuple(constraints)
        names = [constraint.name for constraint in self.constraints]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"constraints: {twice} has two limits")
        self.evaluations: list[Evaluation] = []
        self._limits = [constraint for constraint in self.constraints if constraint.upper < math.inf]
        self._rng = np.random.default_rng(seed)
        self._starts = self._plan_starts()
        self._asked: int | None = None
        self._seen: list[int] = []
        self._energy: list[float] = []
        self._excess: list[list[float]] = []
        columns = self.space.x.shape[1]
        self._of_energy = GaussianProcess(columns)
        self._of_excess = [GaussianProcess(columns) for _ in self._limits]

    def __len__(self) -> int:
        """How many evaluations there are."""
        return len(self.evaluations)

    @property
    def best(self) -> Evaluation | None:
        """The evaluation of least objective that keeps all limits; None while none does."""
        kept = [evaluation for evaluation in self.evaluations if evaluation.feasible]
        return min(kept, key=lambda evaluation: evaluation.measured[self.objective], default=None)

    @property
    def violations(self) -> int:
        """How many evaluations broke a limit."""
        return sum(not evaluation.feasible for evaluation in self.evaluations)

    def ask(self) -> dict[str, Value] | None:
        """Return a setting to measure: one that was never told, the same until something is; None where all were."""
        if self._asked is None:
            self._asked = self._next()
        return None if self._asked is None else self.space.setting(self._asked)

    def _next(self) -> int | None:
        unseen = np.setdiff1d(np.arange(len(self.space)), self._seen)
        if not len(unseen):
            return None
        seen = set(self._seen)
        while self._starts and self._starts[0] in seen:
            self._starts.pop(0)
        return self._starts[0] if self._starts else self._promising(unseen)

    def tell(self, setting: Mapping[str, Value], measured: Mapping[str, float]) -> None:
        """Take in what was measured of a setting; it need not be the one that was asked for.

        Raises
        ------
        ValueError
            For a setting that is none of the space, and where the objective or a limited quantity is missing, not
            finite or not above 0; nothing is taken in then.
        """
        index = self.space.index(setting)
        values = {name: float(value) for name, value in measured.items()}
        for name in (self.objective, *(constraint.name for constraint in self.constraints)):
            if name not in values:
                raise ValueError(f"measured: {name} is missing; got {sorted(values)}")
            if not 0 < values[name] < math.inf:
                raise ValueError(f"measured: {name} is {values[name]}; it must be finite and above 0")
        feasible = all(values[constraint.name] <= constraint.upper for constraint in self.constraints)
        self.evaluations.append(Evaluation(self.space.setting(index), values, feasible))
        self._asked = None
        self._seen.append(index)
        self._energy.append(math.log(values[self.objective]))
        self._excess.append([math.log(values[limit.name] / limit.upper) for limit in self._limits])

    def _plan_starts(self) -> list[int]:
        """Choose the first settings: the default, and some that have one knob in the middle instead."""
        default = self.space.default()
        starts = [default]
        orders = [k for k, knob in enumerate(self.space.knobs) if knob.kind != "category" and len(knob.values) > 1]
        # Those of most values first, whatever order they are given in.
        orders.sort(key=lambda k: (-len(self.space.knobs[k].values), self.space.knobs[k].coordinates()[:, 0].tolist()))
        for k in orders[: max(1, len(self.space) // SETTINGS_A_START)]:
            others = np.delete(self.space.levels, k, axis=1)
            line = np.flatnonzero((others == others[default]).all(axis=1) & (np.arange(len(self.space)) != default))
            if len(line):
                places = self.space.knobs[k].coordinates()[:, 0][self.space.levels[:, k]]
                middle = (places[default] or 1.0) * self._rng.uniform(*MIDDLE)
                starts.append(int(line[np.argmin(np.abs(places[line] - middle))]))
        return starts

    def _promising(self, unseen: NDArray[np.int64]) -> int:
        """Return the setting whose score is the highest."""
        x, there = self.space.x[self._seen], self.space.x[unseen]
        chance = np.zeros(len(unseen))
        excess = np.asarray(self._excess)
        kept = np.ones(len(x), bool)
        for j, surrogate in enumerate(self._of_excess):
            surrogate.fit(x, excess[:, j])
            mean, sd = surrogate.predict(there)
            chance += _log_below_zero(mean, sd)
            kept &= excess[:, j] <= 0
        if not kept.any():
            return int(unseen[np.argmax(chance)])
        energy = np.asarray(self._energy)
        self._of_energy.fit(x, energy)
        mean, sd = self._of_energy.predict(there)
        score = log_expected_improvement(mean, sd, float(energy[kept].min())) + CAUTION * chance
        return int(unseen[np.argmax(score)])


def _log_below_zero(mean: Floats, sd: Floats) -> Floats:
    from scipy.special import log_ndtr

    return np.asarray(log_ndtr(-mean / sd))
