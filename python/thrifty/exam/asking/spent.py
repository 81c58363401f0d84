"""What a run takes: time, CPU-seconds, and joules where something counts them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from thrifty.device import Meter
from thrifty.device.meter import CPU_SECONDS
from thrifty.errors import CounterFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thrifty.device.meter import Reading

__all__ = ["Spending", "prices", "total"]


class Spending:
    """A meter that a run reads on its way; enter it.

    Parameters
    ----------
    meter : Meter or None
        None for what counts here.
    session : int
        How often the run was gone on with.
    endpoint : str
        Who is asked.
    usd_per_million : (float, float), optional
        Prices of tokens in and out.
    """

    def __init__(
        self,
        meter: Meter | None,
        session: int,
        endpoint: str = "",
        usd_per_million: tuple[float, float] | None = None,
    ) -> None:
        self.meter, self.session = Meter() if meter is None else meter, session
        self.endpoint, self.prices = endpoint, usd_per_million
        self._source = self.meter.source

    def __enter__(self) -> Spending:
        self.meter.__enter__()
        self._first = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self.meter.__exit__()

    def _read(self) -> Reading:
        try:
            return self.meter.read()
        except CounterFault as fault:
            # A run does not end because a counter does; its joules are unknown from here on.
            self._source = f"no joules: {fault}"
            self.meter.__exit__()
            self.meter = Meter("cpu")
            self.meter.__enter__()
            return self.meter.read()

    def record(self) -> dict[str, Any]:
        """Return what was spent since it was entered, as the journal keeps it."""
        now = self._read()
        before, after = self._first.joules, now.joules
        return {
            "kind": "spent",
            "session": self.session,
            "seconds": round(now.seconds - self._first.seconds, 3),
            "cpu_seconds": round(now.cpu_seconds - self._first.cpu_seconds, 3),
            "joules": None if before is None or after is None else after - before,
            "source": self._source,
            "endpoint": self.endpoint,
            "usd_per_million": list(self.prices) if self.prices else None,
        }


def prices(sessions: Iterable[dict[str, Any]]) -> tuple[float, float] | None:
    """Return the prices that were given last, in and out a million tokens; None where none were."""
    found = None
    for one in sessions:
        given = one.get("usd_per_million")
        if isinstance(given, list) and len(given) == 2 and all(_price(price) for price in given):
            found = float(given[0]), float(given[1])
    return found


def _price(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf  # type: ignore[operator]


def total(sessions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Sum up what sessions of a run spent; joules only where all were counted by the same."""
    sessions = list(sessions)
    sources = sorted({str(one.get("source")) for one in sessions})
    counted = [one["joules"] for one in sessions if isinstance(one.get("joules"), (int, float))]
    whole = len(counted) == len(sessions) > 0 and len(sources) == 1
    return {
        "seconds": round(sum(one["seconds"] for one in sessions), 3),
        "cpu_seconds": round(sum(one["cpu_seconds"] for one in sessions), 3),
        "joules": sum(counted) if whole else None,
        "joules_source": "; ".join(source for source in sources if source != CPU_SECONDS),
    }
