"""Constrained Bayesian optimisation over settings that can be counted.

Asked is the setting, of those not measured yet, whose expected improvement times a power of its chance to keep all
limits is the highest. Source: arXiv 2310.19991, section 4 (constrained Bayesian optimisation); the form of the score is
ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from thrifty.throttle.acquisition import log_expected_improvement
from thrifty.throttle.belief import Belief, Prior
from thrifty.throttle.space import Knob, Space, Value
from thrifty.throttle.starts import starts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Constraint", "Evaluation", "Tuner"]

#: The power of the chance to keep the limits. 1 is the textbook's; 2 breaks limits less often at as many evaluations
#: (V100 tables of Zeus, means of medians: with 1, 8.3 evaluations of which 3.5 break it, with 2, 7.6 and 2.6).
CAUTION = 2.0
#: A search has found what there is when so many questions in a row promise less than this share of the objective.
PATIENCE, PROMISE = 3, 0.01
#: Of more settings than this only some are looked at: near the best ones, and others drawn at random.
LOOKED_AT = 12_000
#: Two effective values are one when they differ by less.
SAME = 0.01


@dataclass(frozen=True)
class Constraint:
    """A limit: what is measured as ``name`` is at most ``upper``, both above 0.

    Parameters
    ----------
    name : str
        The quantity.
    upper : float
        The most that it may be; infinity is no limit.
    prob : float
        The chance of keeping it that a recommended setting has at least.

    Raises
    ------
    ValueError
        For a limit that is not above 0, or a chance that is not between 0 and 1.
    """

    name: str
    upper: float
    prob: float = 0.9

    def __post_init__(self) -> None:
        if not self.upper > 0:
            raise ValueError(f"constraint {self.name}: upper is {self.upper}; it must be above 0")
        if not 0 < self.prob < 1:
            raise ValueError(f"constraint {self.name}: prob is {self.prob}; it must be between 0 and 1")


@dataclass(frozen=True)
class Evaluation:
    """A setting that was tried: its values by knob, what was measured, and whether that keeps all limits.

    ``effective`` are values that the device really took, where they were told; ``failed`` says why nothing could be
    measured, and is empty where something was.
    """

    setting: dict[str, Value]
    measured: dict[str, float]
    feasible: bool
    effective: dict[str, Value] = field(default_factory=dict)
    failed: str = ""


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
    prior : iterable of (setting, measured), optional
        What was measured on another device, as :meth:`Replay.rows` gives it; settings need not be of this space, and
        values of knobs that are ``relative`` count as shares of the largest. What measurements contradict is not
        believed any more.
    groups : sequence of sequences of str, optional
        Knobs that are tuned one group after the other, the others staying as they are best so far (the paper's two
        phases are [["cpu_mhz"], ["gpu_mhz", "memory_mhz", "batch"]]). By default all are tuned together.

    Attributes
    ----------
    evaluations : list of Evaluation
        In the order they were told.
    promise : float
        By what share the objective is expected to fall with the setting asked for last; infinite for the first ones.

    Raises
    ------
    ValueError
        For two limits of one quantity, groups that are not all knobs once, a prior without the quantities that matter,
        or knobs as for :class:`Space`.
    """

    def __init__(
        self,
        space: Space | Sequence[Knob],
        objective: str,
        constraints: Sequence[Constraint] = (),
        *,
        seed: int = 0,
        prior: Iterable[tuple[Mapping[str, Value], Mapping[str, float]]] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.space = space if isinstance(space, Space) else Space(space)
        self.objective, self.constraints, self.seed = objective, tuple(constraints), seed
        names = [constraint.name for constraint in self.constraints]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"constraints: {twice} has two limits")
        self.evaluations: list[Evaluation] = []
        self.promise = math.inf
        self._little = 0
        self._rng = np.random.default_rng(seed)
        self._groups = self._columns_of(groups)
        self._asked: int | None = None
        self._seen: list[int] = []
        self._unseen = np.ones(len(self.space), bool)
        self._names = list(dict.fromkeys([objective, *names]))
        limits = [(limit.name, math.log(limit.upper)) for limit in self.constraints if limit.upper < math.inf]
        before = None if prior is None else self._read(prior)
        self._belief = Belief(objective, limits, self.space.x.shape[1], before)
        self._starts = starts(self.space, self._rng)

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
        """How many evaluations broke a limit or failed."""
        return sum(not evaluation.feasible for evaluation in self.evaluations)

    @property
    def finished(self) -> bool:
        """Whether little is promised for some time, or nothing is left to ask."""
        return (len(self._groups) == 1 and self._little >= PATIENCE) or not self._unseen.any()

    @property
    def warm(self) -> bool:
        """Whether there is a prior and measurements do not contradict it."""
        if self._belief.prior is None or not self._learn():
            return self._belief.prior is not None
        return self._belief.warm

    def recommend(self) -> Evaluation | None:
        """Return the evaluation to keep where measurements are noisy; None while none was good.

        Of the settings that were measured, those keep a limit whose chance to, by all measurements, is at least the
        limit's ``prob``; of these the one of least expected objective. Where no chance is that high it is the
        evaluation of the highest.
        """
        if not any(evaluation.feasible for evaluation in self.evaluations) or not self._learn():
            return None
        kept = [i for i, evaluation in enumerate(self.evaluations) if not evaluation.failed]
        x = self._points(kept)
        sure, chance = np.ones(len(kept), bool), self._belief.log_chance(x, noise=False)
        for limit in self.constraints:
            if limit.upper < math.inf:
                mean, sd = self._belief.of(limit.name, x, noise=False)
                sure &= _log_below((math.log(limit.upper) - mean) / sd) >= math.log(limit.prob)
        expected = self._belief.of(self.objective, x, noise=False)[0]
        order = np.where(sure, expected, np.inf) if sure.any() else -chance
        return self.evaluations[kept[int(np.argmin(order))]]

    def pareto(self, other: str) -> list[Evaluation]:
        """Return the evaluations that no other one beats in both the objective and ``other``, by that quantity."""
        found: list[Evaluation] = []
        tried = [evaluation for evaluation in self.evaluations if not evaluation.failed]
        for evaluation in tried:
            if other not in evaluation.measured:
                raise ValueError(f"other: {other} was not measured; there are {', '.join(evaluation.measured)}")
        for evaluation in sorted(tried, key=lambda e: (e.measured[other], e.measured[self.objective])):
            if not found or evaluation.measured[self.objective] < found[-1].measured[self.objective]:
                found.append(evaluation)
        return found

    def ask(self) -> dict[str, Value] | None:
        """Return a setting to measure: one that was never told, the same until something is; None where all were."""
        if self._asked is None:
            self._asked = self._next()
        return None if self._asked is None else self.space.setting(self._asked)

    def tell(
        self,
        setting: Mapping[str, Value],
        measured: Mapping[str, float],
        *,
        effective: Mapping[str, Value] | None = None,
    ) -> Evaluation:
        """Take in what was measured of a setting; it need not be the one that was asked for, and may be told again.

        Parameters
        ----------
        setting : mapping
            A value for each knob.
        measured : mapping
            At least the objective and the quantities that have limits.
        effective : mapping, optional
            What knobs really were at, as the device read it back. Settings between two that have the same effective
            value are not asked for any more.

        Raises
        ------
        ValueError
            For a setting that is none of the space, and where the objective or a limited quantity is missing, not
            finite or not above 0; nothing is taken in then.
        """
        index = self.space.index(setting)
        values = {name: float(value) for name, value in measured.items()}
        for name in self._names:
            if name not in values:
                raise ValueError(f"measured: {name} is missing; got {sorted(values)}")
            if not 0 < values[name] < math.inf:
                raise ValueError(f"measured: {name} is {values[name]}; it must be finite and above 0")
        feasible = all(values[constraint.name] <= constraint.upper for constraint in self.constraints)
        real = {name: value for name, value in (effective or {}).items() if value != setting.get(name)}
        for knob in self.space.knobs:
            if knob.name in real:
                knob.place(real[knob.name])
        self._take(index, Evaluation(self.space.setting(index), values, feasible, real))
        if effective:
            self._skip_aliases(index, effective)
        return self.evaluations[-1]

    def fail(self, setting: Mapping[str, Value], reason: str) -> Evaluation:
        """Take in that a setting can't be measured, as it ran out of memory or time; it is not asked for again."""
        index = self.space.index(setting)
        self._take(index, Evaluation(self.space.setting(index), {}, False, failed=reason or "failed"))
        return self.evaluations[-1]

    def _take(self, index: int, evaluation: Evaluation) -> None:
        self._little = self._little + 1 if self._asked == index and self.promise < PROMISE else 0
        self.evaluations.append(evaluation)
        self._asked = None
        self._seen.append(index)
        self._unseen[index] = False

    def _skip_aliases(self, index: int, effective: Mapping[str, Value]) -> None:
        """Let settings that would come to the same effective value count as seen, all other knobs being the same.

        They are those between what was asked for and what it came to, as where a clock has a cap, and those between
        two that came to one value.
        """
        for k, knob in enumerate(self.space.knobs):
            real, asked = effective.get(knob.name), knob.values[self.space.levels[index, k]]
            if knob.kind == "category" or isinstance(real, str) or isinstance(asked, str) or real is None:
                continue
            others = np.delete(self.space.levels, k, axis=1)
            line = np.flatnonzero((others == others[index]).all(axis=1))
            values = np.asarray(knob.values, np.float64)[self.space.levels[line, k]]
            spans = [(real, asked)]
            for seen, evaluation in zip(self._seen, self.evaluations, strict=True):
                before, wanted = evaluation.effective.get(knob.name, evaluation.setting[knob.name]), evaluation.setting
                if seen in line and not evaluation.failed and abs(before - real) <= SAME * abs(real):  # type: ignore[operator]
                    spans.append((wanted[knob.name], asked))  # type: ignore[arg-type]
            for low, high in map(sorted, spans):
                room = SAME * abs(low)
                self._unseen[line[(values > low + room) & (values <= high)]] = False

    def _columns_of(self, groups: Sequence[Sequence[str]] | None) -> list[list[int]]:
        names = [knob.name for knob in self.space.knobs]
        given = [names] if groups is None else groups
        if sorted(name for group in given for name in group) != sorted(names):
            raise ValueError(f"groups: {[list(g) for g in given]} are not the knobs {', '.join(names)}, each once")
        return [[names.index(name) for name in group] for group in given]

    def _read(self, prior: Iterable[tuple[Mapping[str, Value], Mapping[str, float]]]) -> Prior | None:
        rows = list(prior)
        for number, (_, measured) in enumerate(rows, 1):
            for name in self._names:
                if not 0 < measured.get(name, math.nan) < math.inf:
                    raise ValueError(
                        f"prior: {name} of row {number} is {measured.get(name)}; it must be finite and above 0"
                    )
        if not rows:
            return None
        x = self.space.places([setting for setting, _ in rows])
        return Prior(x, {name: np.log([measured[name] for _, measured in rows]) for name in self._names})

    def _points(self, evaluations: Sequence[int]) -> Floats:
        """Where evaluations lie, by what they really were at."""
        x = self.space.x[[self._seen[i] for i in evaluations]]
        for row, i in enumerate(evaluations):
            if self.evaluations[i].effective:
                real = self.evaluations[i].setting | self.evaluations[i].effective
                x[row] = self.space.place(real)
        return x

    def _learn(self) -> bool:
        """Learn from all evaluations; False where nothing was measured yet."""
        kept = [i for i, evaluation in enumerate(self.evaluations) if not evaluation.failed]
        if not kept:
            return False
        lost = [i for i, evaluation in enumerate(self.evaluations) if evaluation.failed]
        measured = {
            name: np.log([self.evaluations[i].measured[name] for i in kept])
            for name in (self.objective, *(name for name, _ in self._belief.limits))
        }
        self._belief.learn(self._points(kept), measured, self._points(lost))
        return True

    def _next(self) -> int | None:
        while self._starts and not self._unseen[self._starts[0]]:
            self._starts.pop(0)
        if self._starts and (not self.evaluations or not self.warm):
            return self._starts[0]
        unseen = np.flatnonzero(self._unseen)
        if len(unseen) and self.evaluations:
            unseen = self._looked_at(self._in_turn(unseen))
        if not len(unseen):
            return None
        if not self._learn():
            return int(self._rng.choice(unseen))
        return self._promising(unseen)

    def _in_turn(self, unseen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those that change only knobs of the group whose turn it is."""
        while True:
            fixed = np.delete(np.arange(len(self.space.knobs)), self._groups[0])
            now = self.space.levels[self._seen[self.evaluations.index(self.best)] if self.best else self._seen[0]]
            here: NDArray[np.int64] = unseen[(self.space.levels[np.ix_(unseen, fixed)] == now[fixed]).all(axis=1)]
            if len(self._groups) == 1 or (len(here) and self._little < PATIENCE):
                return here
            self._groups.pop(0)
            self._little = 0

    def _looked_at(self, unseen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of too many settings, return those near the best ones and others drawn at random."""
        if len(unseen) <= LOOKED_AT:
            return unseen
        # By a seed of its own, so that a question is the same whatever was asked before.
        found = [np.random.default_rng((self.seed, len(self))).choice(unseen, LOOKED_AT // 2, replace=False)]
        kept = sorted((e for e in self.evaluations if e.feasible), key=lambda e: e.measured[self.objective])
        for evaluation in kept[:3]:
            away = np.abs(self.space.x[unseen] - self.space.place(evaluation.setting)).sum(axis=1)
            found.append(unseen[np.argpartition(away, LOOKED_AT // 6)[: LOOKED_AT // 6]])
        return np.unique(np.concatenate(found))

    def _promising(self, candidates: NDArray[np.int64]) -> int:
        """Return the setting whose score is the highest."""
        there = self.space.x[candidates]
        chance = self._belief.log_chance(there)
        mean, sd = self._belief.of(self.objective, there)
        kept = [math.log(e.measured[self.objective]) for e in self.evaluations if e.feasible]
        if not kept and not self._belief.warm:
            self.promise = math.inf
            return int(candidates[np.argmax(chance)])
        # Where nothing keeps the limits yet, what the most likely one to is expected to come to.
        improvement = log_expected_improvement(mean, sd, min(kept) if kept else float(mean[np.argmax(chance)]))
        found = int(np.argmax(improvement + CAUTION * chance))
        self.promise = float(np.exp(improvement[found] + chance[found])) if kept else math.inf
        return int(candidates[found])


def _log_below(z: Floats) -> Floats:
    from scipy.special import log_ndtr

    return np.asarray(log_ndtr(z), np.float64)
