"""Which settings are looked at: those of a group of knobs, not too many, and none that comes to what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from thrifty.throttle.evaluation import Evaluation
    from thrifty.throttle.space import Space, Value

    Numbers = NDArray[np.int64]

__all__ = ["aliases", "beside", "few"]

#: Of more settings than this only some are looked at.
MOST = 8_000
#: Two effective values are one when they differ by less.
SAME = 0.01


def beside(space: Space, numbers: Numbers, now: int, group: Sequence[int]) -> Numbers:
    """Return those settings that differ from one in the knobs of a group alone."""
    fixed = np.delete(np.arange(len(space.knobs)), group)
    if not len(fixed):
        return numbers
    same = (space.levels[np.ix_(numbers, fixed)] == space.levels[now, fixed]).all(axis=1)
    return np.asarray(numbers[same], np.int64)


def few(space: Space, numbers: Numbers, best: Sequence[Mapping[str, Value]], seed: tuple[int, ...]) -> Numbers:
    """Return all settings, or of too many those nearest to the best ones and others drawn at random."""
    if len(numbers) <= MOST:
        return numbers
    found = [np.random.default_rng(seed).choice(numbers, MOST // 2, replace=False)]
    for setting in best:
        away = np.abs(space.x[numbers] - space.place(setting)).sum(axis=1)
        found.append(numbers[np.argpartition(away, MOST // 6)[: MOST // 6]])
    return np.unique(np.concatenate(found))


def aliases(
    space: Space, number: int, effective: Mapping[str, Value], tried: Iterable[tuple[int, Evaluation]]
) -> Numbers:
    """Return settings that would come to the effective values of one, all other knobs being the same.

    They are those beyond what it came to, where that is not what was asked for, as of a clock with a cap; and those
    between two that came to one value.
    """
    before = [(at, evaluation) for at, evaluation in tried if not evaluation.failed]
    found = [np.empty(0, np.int64)]
    for k, knob in enumerate(space.knobs):
        real, asked = effective.get(knob.name), knob.values[space.levels[number, k]]
        if knob.kind == "category" or isinstance(asked, str) or not isinstance(real, (int, float)):
            continue
        line = beside(space, np.arange(len(space)), number, [k])
        values = np.asarray(knob.values, np.float64)[space.levels[line, k]]
        room = SAME * abs(real)
        if real < asked - room:
            found.append(line[values > real + room])
        elif real > asked + room:
            found.append(line[values < real - room])
        for at, evaluation in before:
            other, wanted = evaluation.effective.get(knob.name), evaluation.setting[knob.name]
            other = wanted if other is None else other
            if at in line and abs(other - real) <= room:  # type: ignore[operator]
                low, high = sorted((wanted, asked))
                found.append(line[(values >= low) & (values <= high)])
    return np.concatenate(found)
