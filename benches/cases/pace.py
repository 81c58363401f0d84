"""How long a ladder takes: from what a step of a layer takes, mended by what rows took; when to stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thrifty.scaling import Rung

RESERVE = 15.0
"""Seconds that are left when training stops, for what follows."""


class Pace:
    """The clock of a command.

    ``layer_ms`` and ``step_ms`` are of a layer and of the rest of a step, before anything was measured.
    """

    def __init__(
        self, seconds: float, begun: float, *, layer_ms: float, step_ms: float, reserve: float = RESERVE
    ) -> None:
        self.seconds, self.begun, self.reserve = seconds, begun, reserve
        self.layer_ms, self.step_ms = layer_ms, step_ms
        self.todo: dict[tuple[str, int], float] = {}
        self.told = self.used = 0.0

    def over(self) -> bool:
        """Whether it is time to stop."""
        return time.monotonic() - self.begun > self.seconds - self.reserve

    def plan(self, rungs: Sequence[Rung], targets: Sequence[Rung], rows: Sequence[Mapping[str, str]]) -> None:
        """Say what there is to do, and what of it is done."""
        for rung in (*rungs, *targets):
            at = 0
            for length in rung.lengths:
                begin = round(0.8 * length)
                self.todo[rung.name, length] = self._seconds(rung, length - at)
                at = begin
        for row in rows:
            self.todo.pop((row["run"], round(float(row["n_tokens"]))), None)

    def _seconds(self, rung: Rung, ids: int) -> float:
        steps = ids / (rung.batch * rung.context)
        return steps * (rung.shape.layers * self.layer_ms + self.step_ms) / 1000

    def took(self, rung: Rung, row: Mapping[str, float]) -> None:
        """Note what a row took."""
        self.told += self.todo.pop((rung.name, round(row["n_tokens"])), 0.0)
        self.used += row["seconds"]

    def left(self) -> str:
        """Say what is left to do, and the time for it."""
        factor = self.used / self.told if self.told else 1.0
        clock = self.seconds - (time.monotonic() - self.begun)
        return (
            f"about {factor * sum(self.todo.values()):,.0f} s left to do, {clock:,.0f} s on the clock (x {factor:.2f})"
        )
