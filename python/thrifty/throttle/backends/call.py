"""Knobs that are functions of Python: threads, batch sizes, anything of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thrifty.throttle import exits
from thrifty.throttle.device import Permission, check, known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from thrifty.throttle.space import Knob, Value

__all__ = ["Call"]


class Call:
    """A device whose knobs are functions.

    What they set belongs to this process: it is put back by :meth:`restore` and at its regular end, and is gone with it
    otherwise. What outlives a process needs a backend with a journal.

    Parameters
    ----------
    knobs : mapping of Knob to callable
        Each is called with the value to set; what it returns, if not None, is the value in force.
    read : callable, optional
        Returns what is set and measured now, by name; what it does not name is what was set last, or else the knob's
        default.
    id : str, optional

    Examples
    --------
    >>> from thrifty.throttle import Knob
    >>> batch = [8]
    >>> device = Call({Knob("batch", [4, 8, 16], default=8): lambda value: batch.__setitem__(0, value)})
    >>> device.apply({"batch": 16})
    {'batch': 16}
    >>> device.restore()
    >>> batch
    [8]
    """

    def __init__(
        self,
        knobs: Mapping[Knob, Callable[[Value], Value | None]],
        *,
        read: Callable[[], Mapping[str, Value]] | None = None,
        id: str = "call",
    ) -> None:
        self.id = id
        self._set = {knob.name: (knob, function) for knob, function in knobs.items()}
        self._read = read or dict
        self._now: dict[str, Value] = {knob.name: knob.default for knob in knobs if knob.default is not None}
        self._found: dict[str, Value] = {}

    def knobs(self) -> list[Knob]:
        """Return what can be set."""
        return [knob for knob, _ in self._set.values()]

    def read(self) -> dict[str, Value]:
        """Return what is set and measured now."""
        return self._now | dict(self._read())

    def can_set(self, name: str) -> Permission:
        """Say yes: the functions are the caller's."""
        known(self.knobs(), name, self.id)
        return Permission(True)

    def apply(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """Call the functions of knobs that are set otherwise now; returns the values in force.

        Raises
        ------
        ValueError
            For a knob or a value that there is not. What functions raise is let through.
        """
        check(self.knobs(), setting, self.id)
        with exits.section():
            before = self.read()
            for name, value in setting.items():
                if before[name] == value:
                    continue
                if not self._found:
                    exits.add(self, self.restore)
                self._found.setdefault(name, before[name])
                self._call(name, value)
        now = self.read()
        return {name: now[name] for name in setting}

    def _call(self, name: str, value: Value) -> None:
        got = self._set[name][1](value)
        self._now[name] = value if got is None else got

    def restore(self) -> None:
        """Call the functions with what was found, last set first."""
        with exits.section():
            for name, value in reversed(self._found.items()):
                self._call(name, value)
            self._found.clear()
            exits.remove(self)
