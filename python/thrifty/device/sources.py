"""Which counters of energy a machine has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from thrifty.device.counters import CardEnergy, Counter, Integrated, hwmon, packages
from thrifty.device.nvml import cards
from thrifty.errors import CounterFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from thrifty.device.nvml import Card

__all__ = ["Found", "Source", "find"]

Source = Literal["auto", "rapl", "nvml", "nvml-power", "hwmon", "cpu"]
SOURCES = ("auto", "rapl", "nvml", "nvml-power", "hwmon", "cpu")


@dataclass
class Found:
    """Counters, what takes the place of one that turns out broken, by its name, and what could not be read and why."""

    counters: list[Counter] = field(default_factory=list)
    twins: dict[str, Counter] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find(
    source: Source, *, card: int | str | None, root: Path, library: str | None, clock: Callable[[], float]
) -> Found:
    """Return the counters of a source, as :class:`~thrifty.device.Meter` describes them.

    Raises
    ------
    ValueError
        For an unknown source or card.
    CounterFault
        Where a source was asked for by name and is not there.
    """
    if source not in SOURCES:
        raise ValueError(f"source: {source!r} is none of {', '.join(SOURCES)}")
    found = Found()
    if source in ("auto", "rapl") and card is None:
        zones, out = packages(root, clock)
        found.counters += zones
        found.notes += out
    if source in ("auto", "nvml", "nvml-power"):
        there, out = cards(library)
        found.notes += out
        _add_cards(found, _chosen(there, card, out), source, clock)
    if source == "hwmon" or (source == "auto" and not found.counters and card is None):
        chips, out = hwmon(root, clock)
        found.counters += chips
        found.notes += out
    if not found.counters and source not in ("auto", "cpu"):
        raise CounterFault(f"source {source}: {'; '.join(found.notes) or f'this machine has none (looked in {root})'}")
    return found


def _chosen(there: list[Card], card: int | str | None, out: list[str]) -> list[Card]:
    if card is None:
        return there
    chosen = [one for one in there if card in (one.number, one.uuid)]
    if not chosen and out:
        raise CounterFault(f"card {card}: {'; '.join(out)}")
    if not chosen:
        raise ValueError(f"card: {card!r} is none of {[one.uuid for one in there]}")
    return chosen


def _add_cards(found: Found, there: list[Card], source: Source, clock: Callable[[], float]) -> None:
    for one in there:
        name = f"nvml:{one.uuid}"
        try:
            power = Integrated(name, one.watts, one.celsius, clock) if one.has("watts") else None
            total = CardEnergy(one, clock) if source != "nvml-power" and one.has("millijoules") else None
        except CounterFault as fault:
            found.notes.append(str(fault))
            continue
        if total is not None:
            found.counters.append(total)
            if power is not None:
                found.twins[name] = power
        elif power is not None:
            found.counters.append(power)
        else:
            found.notes.append(f"{name}: {one.name} tells neither energy nor power")
