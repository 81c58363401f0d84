"""Watching a setting that was chosen: whether the device still gives what was measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from thrifty.throttle.drift import PageHinkley

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thrifty.throttle.evaluation import Constraint

__all__ = ["State", "Watcher"]

State = Literal["ok", "over", "drift", "retune"]
#: Readings after an alarm that must say the same, and by how many of their standard errors.
CONFIRM, ERRORS = 5, 3.0


class Watcher:
    """Reads a device again and again and says when its setting is no longer the right one.

    ``ok``, until a reading raises the alarm of :class:`~thrifty.throttle.drift.PageHinkley`: then ``drift``, while five
    further readings are taken. Where their mean is away too, ``retune``, until :meth:`retuned`; else ``ok`` again.
    ``over`` in the place of ``ok`` where the last reading is over a limit.

    Parameters
    ----------
    expected : mapping of str to float or None, or an evaluation
        What is watched, and what is expected of it, as ``tuner.best`` has it; None to learn it from the readings.
    device : callable, or object with ``measure()``
        Returns a mapping of values by name; others than those that are watched may be there.
    sd : float or mapping of str to float
        Noise of the readings: standard deviation of their logarithms.
    constraints : sequence of Constraint
        Limits, of what is watched or of other values; each reading is held to them, and the reason names those that are
        broken.
    run : float
        Readings of one value between false alarms, on average.

    Attributes
    ----------
    values : dict of str to float
        The last reading.
    readings, alarms, missing : int
        So far; missing are values that were not there, not finite or not above 0.

    Raises
    ------
    ValueError
        Where nothing is watched, or for a value that is not above 0.

    Examples
    --------
    >>> readings = iter([0.050, 0.051, 0.066, 0.065, 0.064, 0.066, 0.065, 0.066])
    >>> watcher = Watcher({"latency_s": 0.05}, lambda: {"latency_s": next(readings)})
    >>> [watcher.step() for _ in range(8)]
    ['ok', 'ok', 'drift', 'drift', 'drift', 'drift', 'drift', 'retune']
    >>> watcher.reason
    'latency_s is 0.0652, 30 % over the 0.05 expected'
    """

    def __init__(
        self,
        expected: Mapping[str, float | None] | Any,
        device: Callable[[], Mapping[str, float]] | Any,
        *,
        sd: float | Mapping[str, float] = 0.02,
        constraints: Sequence[Constraint] = (),
        run: float = 1e6,
    ) -> None:
        self._read: Callable[[], Mapping[str, float]] = device if callable(device) else device.measure
        self._sd, self._run = sd, run
        self._limits = {limit.name: limit.upper for limit in constraints}
        self.readings = self.alarms = self.missing = 0
        self.values: dict[str, float] = {}
        self._over: list[str] = []
        self.retuned(expected)

    def retuned(self, expected: Mapping[str, float | None] | Any) -> None:
        """Watch another setting."""
        wanted: Mapping[str, float | None] = getattr(expected, "measured", expected)
        if not wanted:
            raise ValueError("expected: nothing is watched; name at least one value")
        self._tests = {
            name: PageHinkley(self._noise(name), expected=value, run=self._run) for name, value in wanted.items()
        }
        self._state: State = "ok"
        self._why, self._suspect = "", ""
        self._after: list[float] = []
        self._was = math.nan

    def _noise(self, name: str) -> float:
        if isinstance(self._sd, (int, float)):
            return self._sd
        if name not in self._sd:
            raise ValueError(f"sd: there is none of {name}")
        return self._sd[name]

    @property
    def state(self) -> State:
        """What holds now."""
        return "over" if self._over and self._state == "ok" else self._state

    @property
    def reason(self) -> str:
        """Why it is not ``ok``."""
        return "; ".join([self._why, *self._over] if self._why else self._over)

    @property
    def expected(self) -> dict[str, float | None]:
        """What is expected by now."""
        return {name: test.expected for name, test in self._tests.items()}

    @property
    def levels(self) -> dict[str, float]:
        """How near each value is to an alarm, which is at 1."""
        return {name: test.level for name, test in self._tests.items()}

    def step(self) -> State:
        """Read once."""
        self.values = dict(self._read())
        self.readings += 1
        self._over = []
        for name, upper in self._limits.items():
            value = self.values.get(name, math.nan)
            if value > upper:
                self._over.append(f"{name} is {value:.3g}, over the limit of {upper:g}")
            elif math.isnan(value) and name not in self._tests:
                self.missing += 1
        for name, test in self._tests.items():
            value = self.values.get(name, math.nan)
            if not 0 < value < math.inf:
                self.missing += 1
            elif self._state == "ok":
                self._watch(name, test, value)
            elif self._state == "drift" and name == self._suspect:
                self._confirm(name, test, value)
        return self.state

    def _watch(self, name: str, test: PageHinkley, value: float) -> None:
        was = test.expected
        if test.add(value) and was is not None:
            self.alarms += 1
            self._state, self._suspect, self._was, self._after = "drift", name, was, []
            self._why = f"{name} read {value:.4g} where {was:.4g} is expected; reading it again"

    def _confirm(self, name: str, test: PageHinkley, value: float) -> None:
        self._after.append(math.log(value))
        if len(self._after) < CONFIRM:
            return
        mean = sum(self._after) / CONFIRM
        away = mean - math.log(self._was)
        for other in self._tests.values():
            other.restart()
        if abs(away) <= ERRORS * test.sd / math.sqrt(CONFIRM):
            self._state, self._why = "ok", ""
            return
        level, share = math.exp(mean), 100 * math.expm1(away)
        self._state = "retune"
        self._why = (
            f"{name} is {level:.3g}, {abs(share):.0f} % {'over' if share > 0 else 'under'} the {self._was:.3g} expected"
        )
