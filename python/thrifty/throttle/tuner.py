"""Constrained Bayesian optimisation over settings that can be counted.

Asked is the setting, of those not measured yet, whose expected improvement times a power of its chance to keep all
limits is the highest. Source: arXiv 2310.19991, section 4 (constrained Bayesian optimisation); the form of the score is
ours.
"""

from __future__ import annotations

import math
import time
import zlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from thrifty.errors import Infeasible, ResumeMismatch
from thrifty.throttle.acquisition import log_expected_improvement
from thrifty.throttle.belief import Belief, Prior
from thrifty.throttle.candidates import aliases, beside, few
from thrifty.throttle.evaluation import Constraint, Evaluation
from thrifty.throttle.placed import Placed
from thrifty.throttle.space import Knob, Space, Value
from thrifty.throttle.starts import starts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from thrifty.throttle.device import Device

    Floats = NDArray[np.float64]

__all__ = ["Tuner"]

#: The power of the chance to keep the limits. 1 is the textbook's; 2 breaks limits less often at as many evaluations
#: (V100 tables of Zeus, means of medians: with 1, 8.3 evaluations of which 3.5 break it, with 2, 7.6 and 2.6).
CAUTION = 2.0
#: A search has found what there is when so many questions in a row promise less than this share of the objective.
PATIENCE, PROMISE = 3, 0.01
#: A setting with less than this chance to keep the limits promises nothing; and a workload that fails so often from the
#: first on is broken.
HOPELESS, BROKEN = 0.01, 3


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
        self._little = self._learned = 0
        self._rng = np.random.default_rng(seed)
        self._groups = self._columns_of(groups)
        self.groups = None if groups is None else [list(group) for group in groups]
        self._asked: int | None = None
        self._seen: list[int] = []
        self._unseen = np.ones(len(self.space), bool)
        self._names = list(dict.fromkeys([objective, *names]))
        limits = [(limit.name, math.log(limit.upper)) for limit in self.constraints if limit.upper < math.inf]
        rows = [] if prior is None else [(dict(setting), dict(measured)) for setting, measured in prior]
        #: Names the prior in records; None without one.
        self.prior_key = f"{zlib.crc32(repr(rows).encode()):08x}" if rows else None
        before = self._read(rows)
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
                sure &= self._belief.log_kept(limit.name, math.log(limit.upper), x, noise=False) >= math.log(limit.prob)
        expected = self._belief.of(self.objective, x, noise=False)[0]
        order = np.where(sure, expected, np.inf) if sure.any() else -chance
        return self.evaluations[kept[int(np.argmin(order))]]

    def posterior(self, setting: Mapping[str, Value]) -> dict[str, tuple[float, float, float]]:
        """Return what is believed of a setting: of each quantity the median and the ends of its 95 % interval.

        Empty before anything was measured.
        """
        if not self._learn():
            return {}
        x = self.space.place(setting)[None]
        found = {}
        for name in (self.objective, *(name for name, _ in self._belief.limits)):
            mean, sd = (float(value[0]) for value in self._belief.of(name, x, noise=False))
            found[name] = (math.exp(mean), math.exp(mean - 1.96 * sd), math.exp(mean + 1.96 * sd))
        return found

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
            self._unseen[aliases(self.space, index, effective, zip(self._seen, self.evaluations, strict=True))] = False
        return self.evaluations[-1]

    def fail(self, setting: Mapping[str, Value], reason: str) -> Evaluation:
        """Take in that a setting can't be measured, as it ran out of memory or time; it is not asked for again."""
        index = self.space.index(setting)
        self._take(index, Evaluation(self.space.setting(index), {}, False, failed=reason or "failed"))
        return self.evaluations[-1]

    def run(
        self,
        workload: Callable[[dict[str, Value]], Mapping[str, float]],
        device: Device | None = None,
        *,
        evaluations: int = 40,
        seconds: float = math.inf,
        energy_j: float = math.inf,
        record: str | PathLike[str] | None = None,
        about: Mapping[str, Any] | None = None,
        progress: Callable[[Evaluation], object] | None = None,
    ) -> str:
        """Measure setting after setting, and return why it ended.

        Ends when so many evaluations were made, seconds or joules (sums of ``energy_j`` that was measured) spent, when
        little is promised any more, when no setting is likely to keep the limits, or when none is left.

        Parameters
        ----------
        workload : callable
            Given a setting, measures and returns at least the objective and what has limits. What it raises, and
            values that are no numbers above 0, count as a failure of that setting; where the first three fail, the
            first error is raised.
        device : Device, optional
            Its knobs are set before each measurement, but for those at what was found, read meanwhile, and put back at
            the end; its errors are let through. Other knobs are the workload's.
        record : path, optional
            A file that evaluations are written to as they come. What it holds of the same search is told first.
        about : mapping, optional
            What else must be the same for a record to be of the same search, as JSON has it: the workload, the counter.
        progress : callable
            Called with each evaluation.

        Raises
        ------
        Infeasible
            Where nothing that was measured keeps the limits; the message names the setting that is nearest to it.
        LockedError, ResumeMismatch, JournalCorrupt, OSError
            For a record that can't be used; see :class:`~thrifty.throttle.record.Record`.
        """
        from contextlib import ExitStack

        from thrifty.throttle.record import Record, read

        begun, why = time.monotonic(), ""
        with ExitStack() as stack:
            file = None if record is None else stack.enter_context(Record(record, self, about or {}))
            if file is not None:
                there = read(file.path)[1]
                both = min(len(there), len(self))
                if there[:both] != self.evaluations[:both]:
                    raise ResumeMismatch(f"{file.path}: its evaluations are not this tuner's; take a new file or tuner")
                for evaluation in self.evaluations[both:]:
                    file.add(evaluation)
                for evaluation in there[both:]:
                    self.retell(evaluation)
            placed = stack.enter_context(Placed(device, self.space.knobs))
            while not (why := self._over(evaluations, time.monotonic() - begun, seconds, energy_j)):
                if (setting := self.ask()) is None:
                    break
                placed.set(setting)
                evaluation = self._measure(workload, setting, placed)
                if file is not None:
                    file.add(evaluation)
                if progress is not None:
                    progress(evaluation)
        if self.best is None:
            raise Infeasible(self._nearest())
        return why or "all settings are measured"

    @classmethod
    def resume(
        cls,
        record: str | PathLike[str],
        *,
        prior: Iterable[tuple[Mapping[str, Value], Mapping[str, float]]] | None = None,
    ) -> Self:
        """Return the tuner of a record, as it was when its last line was written.

        Raises
        ------
        JournalCorrupt
            Where it is damaged before its end.
        ResumeMismatch
            Where its search had a prior and this is another one.
        """
        from thrifty.throttle.record import read

        arguments, evaluations = read(record)
        key = arguments.pop("prior_key")
        arguments.pop("about")
        tuner = cls(**arguments, prior=prior)
        if tuner.prior_key != key:
            raise ResumeMismatch(f"{record}: prior of the search in it is {key}, here it is {tuner.prior_key}")
        for evaluation in evaluations:
            tuner.retell(evaluation)
        return tuner

    def retell(self, evaluation: Evaluation) -> None:
        """Take in what was told to another tuner of the same search."""
        # Asked again, so that what depends on questions is as it was.
        self.ask()
        if evaluation.failed:
            self.fail(evaluation.setting, evaluation.failed)
        else:
            self.tell(evaluation.setting, evaluation.measured, effective=evaluation.effective)

    def _measure(
        self,
        workload: Callable[[dict[str, Value]], Mapping[str, float]],
        setting: dict[str, Value],
        placed: Placed,
    ) -> Evaluation:
        try:
            with placed.at_work() as effective:
                measured = dict(workload(dict(setting)))
            return self.tell(setting, measured, effective=effective)
        except Exception as error:
            kept = self.fail(setting, f"{type(error).__name__}: {error}")
            if len(self) >= BROKEN and all(evaluation.failed for evaluation in self.evaluations):
                raise
            return kept

    def _over(self, evaluations: int, spent: float, seconds: float, energy_j: float) -> str:
        """Say why a search is over, or nothing."""
        joules = sum(evaluation.measured.get("energy_j", 0.0) for evaluation in self.evaluations)
        if len(self) >= evaluations:
            return f"{evaluations} evaluations are made"
        if spent >= seconds:
            return f"{seconds:g} seconds are spent"
        if joules >= energy_j:
            return f"{energy_j:g} joules are spent"
        if len(self._groups) > 1 or self._little < PATIENCE:
            return ""
        return "little is promised by any other setting" if self.best else "no setting is likely to keep the limits"

    def _nearest(self) -> str:
        tried = [evaluation for evaluation in self.evaluations if not evaluation.failed]
        if not self.evaluations:
            return "no setting was measured"
        if not tried:
            return f"all of {len(self)} settings failed; the first one: {self.evaluations[0].failed}"

        def excess(evaluation: Evaluation) -> float:
            return max(evaluation.measured[limit.name] / limit.upper for limit in self.constraints)

        least = min(tried, key=excess)
        values = ", ".join(f"{limit.name} {least.measured[limit.name]:.4g}" for limit in self.constraints)
        limits = ", ".join(f"{limit.name} <= {limit.upper:g}" for limit in self.constraints)
        return f"no setting of {len(self)} keeps {limits}; the nearest is {least.setting} with {values}"

    def _take(self, index: int, evaluation: Evaluation) -> None:
        self._little = self._little + 1 if self._asked == index and self.promise < PROMISE else 0
        self.evaluations.append(evaluation)
        self._asked = None
        self._seen.append(index)
        self._unseen[index] = False

    def _columns_of(self, groups: Sequence[Sequence[str]] | None) -> list[list[int]]:
        names = [knob.name for knob in self.space.knobs]
        given = [names] if groups is None else groups
        if sorted(name for group in given for name in group) != sorted(names):
            raise ValueError(f"groups: {[list(g) for g in given]} are not the knobs {', '.join(names)}, each once")
        return [[names.index(name) for name in group] for group in given]

    def _read(self, rows: list[tuple[dict[str, Value], dict[str, float]]]) -> Prior | None:
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
        if self._learned == len(self):
            return self._learned > 0
        kept = [i for i, evaluation in enumerate(self.evaluations) if not evaluation.failed]
        if not kept:
            return False
        lost = [i for i, evaluation in enumerate(self.evaluations) if evaluation.failed]
        measured = {
            name: np.log([self.evaluations[i].measured[name] for i in kept])
            for name in (self.objective, *(name for name, _ in self._belief.limits))
        }
        self._belief.learn(self._points(kept), measured, self._points(lost))
        self._learned = len(self)
        return True

    def _next(self) -> int | None:
        while self._starts and not self._unseen[self._starts[0]]:
            self._starts.pop(0)
        if self._starts and (not self.evaluations or not self.warm):
            return self._starts[0]
        unseen = self._candidates()
        if not len(unseen):
            return None
        if not self._learn():
            return int(self._rng.choice(unseen))
        return self._promising(unseen)

    def _candidates(self) -> NDArray[np.int64]:
        """Return the settings that may be asked for: of the group of knobs whose turn it is, and not too many."""
        unseen = np.flatnonzero(self._unseen)
        if not self.evaluations:
            return unseen
        now = self._seen[self.evaluations.index(self.best)] if self.best else self._seen[0]
        here = beside(self.space, unseen, now, self._groups[0])
        while len(self._groups) > 1 and (not len(here) or self._little >= PATIENCE):
            self._groups.pop(0)
            self._little = 0
            here = beside(self.space, unseen, now, self._groups[0])
        kept = sorted((e for e in self.evaluations if e.feasible), key=lambda e: e.measured[self.objective])
        return few(self.space, here, [e.setting for e in kept[:3]], (self.seed, len(self)))

    def _promising(self, candidates: NDArray[np.int64]) -> int:
        """Return the setting whose score is the highest."""
        there = self.space.x[candidates]
        chance = self._belief.log_chance(there)
        mean, sd = self._belief.of(self.objective, there)
        kept = [math.log(e.measured[self.objective]) for e in self.evaluations if e.feasible]
        if not kept:
            self.promise = math.inf if float(chance.max()) >= math.log(HOPELESS) else 0.0
        if not kept and not self._belief.warm:
            return int(candidates[np.argmax(chance)])
        # Where nothing keeps the limits yet, what the most likely one to is expected to come to.
        improvement = log_expected_improvement(mean, sd, min(kept) if kept else float(mean[np.argmax(chance)]))
        found = int(np.argmax(improvement + CAUTION * chance))
        if kept:
            self.promise = float(np.exp(improvement[found] + chance[found]))
        return int(candidates[found])
