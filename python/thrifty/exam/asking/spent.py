"""What a run takes: time, CPU-seconds, and joules where something counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty.device import Meter
from thrifty.device.meter import CPU_SECONDS
from thrifty.errors import CounterFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thrifty.device.meter import Reading

__all__ = ["Spending", "total"]


class Spending:
    """A meter that a run reads on its way; enter it.

    Parameters
    ----------
    meter : Meter or None
        None for what counts here.
    session : int
        How often the run was gone on with.
    """

    def __init__(self, meter: Meter | None, session: int) -> None:
        self.meter, self.session = Meter() if meter is None else meter, session
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
        }


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
