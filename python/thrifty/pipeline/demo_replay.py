"""A search over what was measured of a real card before: how many measurements it takes, beside random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.pipeline.data import cards
from thrifty.report import Figure, Series, Table
from thrifty.throttle import Constraint, Replay, Tuner

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, int, int], object]

__all__ = ["Searches", "Trial", "replayed"]

CARD, OTHER = "a40", "rtx6000"
CARD_NAME, OTHER_NAME = "A40", "Quadro RTX 6000"
ENERGY, SECONDS = "energy_per_epoch_j", "time_per_epoch_s"
#: Seconds of an epoch at most, in those of the fastest setting; and what counts as found, in the least energy.
SLOWEST, ENOUGH = 1.15, 1.01
#: Searches of each kind; random ones cost next to nothing.
SEEDS, DRAWS = 10, 200
#: Measurements that curves show.
SHOWN = 30


@dataclass(frozen=True)
class Searches:
    """Searches of one kind, each ended with a setting near enough to the optimum."""

    name: str
    tuners: list[Tuner]

    def median(self, of: Callable[[Tuner], float]) -> float:
        """Return the median over searches."""
        return float(np.median([of(tuner) for tuner in self.tuners]))

    @property
    def evaluations(self) -> float:
        """Measurements that a search took, median."""
        return self.median(len)

    @property
    def joules(self) -> float:
        """What all measurements of a search took, an epoch each, median."""
        return self.median(lambda tuner: sum(one.measured[ENERGY] for one in tuner.evaluations))

    def curve(self, share: float) -> list[float]:
        """Least energy so far that keeps the limit, after each measurement: a quantile over searches."""
        curves = []
        for tuner in self.tuners:
            energies = [one.measured[ENERGY] if one.feasible else np.inf for one in tuner.evaluations]
            least = np.minimum.accumulate(energies)[:SHOWN]
            curves.append(np.pad(least, (0, SHOWN - len(least)), mode="edge"))
        found: list[float] = np.quantile(curves, share, axis=0).tolist()
        return found


class Trial:
    """A card's table, a limit, and searches until a setting is within 1 % of the optimum, which is known."""

    def __init__(self) -> None:
        self.replay, self.other = table(CARD), table(OTHER)
        fastest = min(measured[SECONDS] for _, measured in self.replay.rows())
        self.limit = Constraint(SECONDS, SLOWEST * fastest)
        self.optimum = self.replay.best(ENERGY, [self.limit])
        self.least = self.replay.measure(self.optimum)[ENERGY]

    def tuner(self, seed: int, prior: Replay | None = None) -> Tuner:
        """Return a tuner that was told nothing."""
        rows = None if prior is None else prior.rows()
        return Tuner(self.replay.space, ENERGY, [self.limit], seed=seed, prior=rows)

    def found(self, tuner: Tuner) -> bool:
        """Whether the best setting so far is near enough."""
        return tuner.best is not None and tuner.best.measured[ENERGY] <= ENOUGH * self.least

    def search(self, seed: int, prior: Replay | None = None) -> Tuner:
        """Ask, and tell what the table says."""
        tuner = self.tuner(seed, prior)
        while not self.found(tuner) and (setting := tuner.ask()) is not None:
            tuner.tell(setting, self.replay.measure(setting))
        return tuner

    def draw(self, seed: int) -> Tuner:
        """Tell settings in random order, none twice, after the default as the others do."""
        tuner, space = self.tuner(seed), self.replay.space
        others = np.random.default_rng(seed).permutation(np.delete(np.arange(len(space)), space.default()))
        for index in [space.default(), *others.tolist()]:
            setting = space.setting(index)
            tuner.tell(setting, self.replay.measure(setting))
            if self.found(tuner):
                break
        return tuner


def table(card: str) -> Replay:
    """Return what was measured of a card."""
    return Replay(cards(), ["batch", "power_limit_w"], [ENERGY, SECONDS], where={"gpu": card})


def replayed(seed: int, progress: Progress | None) -> tuple[str, list[Any]]:
    """Search, and return what came of it: a text, and records."""
    trial = Trial()
    cold, warm = [], []
    for number in range(SEEDS):
        cold.append(trial.search(seed + number))
        warm.append(trial.search(seed + number, trial.other))
        if progress is not None:
            progress("searching a replayed card", number + 1, SEEDS)
    ways = [
        Searches("tuned", cold),
        Searches(f"tuned, with what a {OTHER_NAME} took known", warm),
        Searches("at random", [trial.draw(seed + number) for number in range(DRAWS)]),
    ]
    return told(trial, cold[0]), records(trial, ways)


def told(trial: Trial, tuner: Tuner) -> str:
    """Say what was searched, and what one search did."""
    default = tuner.evaluations[0]
    best = tuner.best
    assert best is not None
    return (
        f"Replayed: batch size and power limit of an NVIDIA {CARD_NAME} that trains BERT on SQuAD. Zeus's authors "
        f"measured all {len(trial.replay.space)} settings (SOURCE.md beside the data); what is asked here is answered "
        "from their table. Wanted is the least energy an epoch, of those settings whose epoch takes at most "
        f"{SLOWEST:g} times as long as the fastest. A search begins at the default, {named(default.setting)}, and ends "
        f"within {ENOUGH - 1:.0%} of the optimum, which it does not know. This one measured {len(tuner)} settings, "
        f"{tuner.violations} of them over the limit, and found {named(best.setting)}: "
        f"{1 - best.measured[ENERGY] / default.measured[ENERGY]:.1%} less than the default."
    )


def named(setting: dict[str, Any]) -> str:
    """Say a setting."""
    return f"{setting['batch']} questions a step at {setting['power_limit_w']} W"


def records(trial: Trial, ways: list[Searches]) -> list[Any]:
    """Return figures, curves and tables."""
    cold, warm, random = ways
    shown = cold.tuners[0]
    default, best = shown.evaluations[0].measured[ENERGY], shown.best
    assert best is not None
    energy = best.measured[ENERGY]
    until = f"until within {ENOUGH - 1:.0%} of the optimum of {len(trial.replay.space)} settings"
    return [
        Figure(
            "throttle.replayed_kj",
            "Replayed card: an epoch, as tuned",
            energy / 1e3,
            "kJ",
            baseline=default / 1e3,
            ratio=default / energy,
            source=f"replayed: mean power times seconds, as Zeus measured them; beside it the default; the least that "
            f"keeps the limit is {trial.least / 1e3:.4g} kJ",
        ),
        Figure(
            "throttle.replayed_evaluations",
            "Replayed card: measurements of a search",
            cold.evaluations,
            baseline=random.evaluations,
            ratio=random.evaluations / cold.evaluations,
            source=f"replayed: median of {SEEDS} seeds, {until}; beside it settings at random, median of {DRAWS}",
        ),
        Figure(
            "throttle.replayed_warm",
            "Replayed card: with another's table",
            warm.evaluations,
            baseline=cold.evaluations,
            ratio=cold.evaluations / warm.evaluations,
            source=f"replayed: begun with the table of a {OTHER_NAME}, median of {SEEDS} seeds; beside it without",
        ),
        Figure(
            "throttle.replayed_search_kj",
            "Replayed card: energy of a search",
            cold.joules / 1e3,
            "kJ",
            baseline=random.joules / 1e3,
            ratio=random.joules / cold.joules,
            source="replayed: all that it measured, an epoch each, median; beside it settings at random",
        ),
        Series(
            "throttle.replayed_curves",
            f"Replayed: least energy within the limit so far, median and quarters of {SEEDS} and {DRAWS} searches",
            list(range(1, SHOWN + 1)),
            {way.name: [joules / 1e3 for joules in way.curve(0.5)] for way in ways},
            lo={way.name: [joules / 1e3 for joules in way.curve(0.25)] for way in ways},
            hi={way.name: [joules / 1e3 for joules in way.curve(0.75)] for way in ways},
            x_label="settings measured",
            y_label="kJ an epoch",
        ),
        Table(
            "throttle.replayed_ways",
            f"Replayed: searches {until}, medians",
            ["settings", "searches", "measurements", "over the limit", "kJ of a search"],
            [
                (way.name, len(way.tuners), way.evaluations, way.median(lambda t: t.violations), way.joules / 1e3)
                for way in ways
            ],
        ),
        Table(
            "throttle.replayed_asked",
            "Replayed: one search, from the default on",
            ["questions a step", "W", "kJ an epoch", "s an epoch", f"limit of {trial.limit.upper:.0f} s kept"],
            [
                (
                    one.setting["batch"],
                    one.setting["power_limit_w"],
                    one.measured[ENERGY] / 1e3,
                    one.measured[SECONDS],
                    "yes" if one.feasible else "no",
                )
                for one in shown.evaluations
            ],
        ),
    ]
