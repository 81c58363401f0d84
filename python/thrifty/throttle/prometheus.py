"""What a watcher knows, as Prometheus reads it (text format 0.0.4)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thrifty.throttle.watch import Watcher

__all__ = ["prometheus"]

STATES = ("ok", "over", "drift", "retune")


def prometheus(watcher: Watcher) -> str:
    """Return the text of a watcher's state.

    Examples
    --------
    >>> from thrifty.throttle import Watcher
    >>> watcher = Watcher({"power_w": 50.0}, lambda: {"power_w": 50.5})
    >>> watcher.step()
    'ok'
    >>> print(prometheus(watcher).splitlines()[2])
    thrifty_throttle_state{state="ok"} 1
    """
    known = {name: value for name, value in watcher.expected.items() if value is not None}
    return "".join(
        [
            _metric("state", "gauge", "1 for the state that holds.", _states(watcher)),
            _metric("value", "gauge", "The last reading.", _by_name(watcher.values)),
            _metric("expected", "gauge", "What is expected of it.", _by_name(known)),
            _metric("drift", "gauge", "How near it is to an alarm, which is at 1.", _by_name(watcher.levels)),
            _metric("readings_total", "counter", "Readings so far.", [("", watcher.readings)]),
            _metric("alarms_total", "counter", "Alarms so far.", [("", watcher.alarms)]),
            _metric("missing_total", "counter", "Values that were not there so far.", [("", watcher.missing)]),
        ]
    )


def _states(watcher: Watcher) -> list[tuple[str, float]]:
    return [(f'{{state="{state}"}}', int(state == watcher.state)) for state in STATES]


def _by_name(values: dict[str, float]) -> list[tuple[str, float]]:
    return [(f'{{name="{_escaped(name)}"}}', value) for name, value in values.items()]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _metric(name: str, kind: str, words: str, rows: Iterable[tuple[str, float]]) -> str:
    full = f"thrifty_throttle_{name}"
    lines = [f"# HELP {full} {words}", f"# TYPE {full} {kind}"]
    lines += [f"{full}{labels} {_number(value)}" for labels, value in rows]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return repr(value) if math.isfinite(value) else "+Inf" if value > 0 else "-Inf"
