"""What a device is to a tuner: knobs, what is set now, what may be set, setting, and putting back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from thrifty.throttle.hold import Hold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thrifty.throttle.space import Knob, Value

__all__ = ["Device", "Joined", "Permission", "Settable", "check", "known"]


@dataclass(frozen=True)
class Permission:
    """Whether a knob can be set; true or false by itself.

    Parameters
    ----------
    allowed : bool
        As far as can be told without setting anything.
    refused_by : str
        The file or call that refuses, and what it says.
    fix : str
        What to do about it.
    """

    allowed: bool
    refused_by: str = ""
    fix: str = ""

    def __bool__(self) -> bool:
        return self.allowed

    def __str__(self) -> str:
        return "yes" if self.allowed else f"{self.refused_by}; {self.fix}"


class Device(Protocol):
    """Something that can be set, measured and put back.

    Attributes
    ----------
    id : str
        The same at every start: a UUID or a path.
    """

    @property
    def id(self) -> str: ...  # noqa: D102

    def knobs(self) -> list[Knob]:
        """Return what can be set; a knob's default is the nearest of its values to what is set now."""

    def read(self) -> dict[str, Value]:
        """Return what is set now, by the names of knobs, and what is measured: clocks, watts, degrees.

        Under load this tells the clocks that there really are, which may be lower than those that were asked for.
        """

    def can_set(self, name: str) -> Permission:
        """Say whether a knob can be set, without setting anything."""

    def apply(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """Set knobs, and return the values that are in force; two settings that return equal ones are one.

        Setting what is set already does nothing. What was found is in a journal before the first write, and is put back
        by :meth:`restore`, at the end of the process, by a watchdog when it is killed, or by the next command.
        """

    def restore(self) -> None:
        """Put back what was found before the first :meth:`apply`."""


def known(knobs: Sequence[Knob], name: str, device: str) -> Knob:
    """Return the knob of a name, or raise a ValueError that names those that there are."""
    for knob in knobs:
        if knob.name == name:
            return knob
    there = ", ".join(knob.name for knob in knobs) or "no knobs"
    raise ValueError(f"knob {name}: {device} has none of that name; it has {there}")


def check(knobs: Sequence[Knob], setting: Mapping[str, Value], device: str) -> None:
    """Raise a ValueError that names a knob which is not there, or a value that it has not."""
    for name, value in setting.items():
        knob = known(knobs, name, device)
        if value not in knob.values:
            raise ValueError(f"knob {name}: {value!r} is none of {list(knob.values)} of {device}")


class Settable(ABC):
    """A device whose settings are values behind handles; kinds of devices say which.

    Parameters
    ----------
    id : str
        The same at every start.
    """

    #: Who reads and writes the handles.
    backend: ClassVar[str]

    def __init__(self, id: str) -> None:
        self.id = id
        self._hold = Hold(id, self.backend)

    @abstractmethod
    def knobs(self) -> list[Knob]:
        """Return what can be set."""

    @abstractmethod
    def read(self) -> dict[str, Value]:
        """Return what is set and measured now."""

    @abstractmethod
    def can_set(self, name: str) -> Permission:
        """Say whether a knob can be set, without setting anything."""

    @abstractmethod
    def writes(self, name: str, value: Value) -> list[tuple[str, Any]]:
        """Return handles and values that set a knob, in the order in which they are to be written."""

    def apply(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """Set knobs; returns the values in force.

        Raises
        ------
        ValueError
            For a knob or a value that there is not.
        DeviceBusy, NotPermitted, DeviceLost, OSError
            Where it can't be set; the message names the file or call, and the fix.
        """
        check(self.knobs(), setting, self.id)
        self._hold.write(lambda: [one for name, value in setting.items() for one in self.writes(name, value)])
        now = self.read()
        return {name: now[name] for name in setting}

    def restore(self) -> None:
        """Put back what was found.

        Raises
        ------
        NotRestored
            Where something could not be; all else is, and the journal stays.
        """
        self._hold.release()


class Joined:
    """Several devices as one, for settings that go together.

    Parameters
    ----------
    devices : sequence of Device
        Of which no two have a knob of one name.

    Raises
    ------
    ValueError
        Where two have.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = tuple(devices)
        self.id = " + ".join(device.id for device in self.devices)
        self._of: dict[str, Device] = {}
        for device in self.devices:
            for knob in device.knobs():
                if knob.name in self._of:
                    raise ValueError(
                        f"devices: {device.id} and {self._of[knob.name].id} both have a knob {knob.name}; take one"
                    )
                self._of[knob.name] = device

    def knobs(self) -> list[Knob]:
        """Return the knobs of all."""
        return [knob for device in self.devices for knob in device.knobs()]

    def read(self) -> dict[str, Value]:
        """Return what all read; where two measure something of one name, the first one's."""
        found: dict[str, Value] = {}
        for device in reversed(self.devices):
            found |= device.read()
        return found

    def can_set(self, name: str) -> Permission:
        """Say whether a knob can be set."""
        known(self.knobs(), name, self.id)
        return self._of[name].can_set(name)

    def apply(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """Set knobs, device by device; returns the values in force."""
        check(self.knobs(), setting, self.id)
        found: dict[str, Value] = {}
        for device in self.devices:
            part = {name: value for name, value in setting.items() if self._of[name] is device}
            if part:
                found |= device.apply(part)
        return {name: found[name] for name in setting}

    def restore(self) -> None:
        """Put all back, and raise the first error when all were tried."""
        first: Exception | None = None
        for device in self.devices:
            try:
                device.restore()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first
