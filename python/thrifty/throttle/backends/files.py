"""Knobs over files of the kernel: a range of two files, or a file behind switches; and devices of such knobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from thrifty.errors import FormatError
from thrifty.throttle.backends import sysfs
from thrifty.throttle.device import Permission, Settable, known
from thrifty.throttle.space import Knob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from thrifty.throttle.space import Value

__all__ = ["FileDevice", "FileKnob", "Range", "Switched", "knob_of", "plain"]


class FileKnob(Protocol):
    """A knob, and the files that make it."""

    @property
    def knob(self) -> Knob: ...  # noqa: D102

    def now(self) -> Value:
        """Return what is set."""

    def writes(self, value: Value) -> list[tuple[str, Any]]:
        """Return files and texts in the order of writing."""

    def files(self) -> list[Path]:
        """Return the files that are written."""


@dataclass(frozen=True)
class Range:
    """A clock that lies between a least and a largest one; set, both are equal.

    Parameters
    ----------
    knob : Knob
    scale : float
        The kernel's units in one of the knob's.
    ranges : sequence of (path, path)
        Files of the least and of the largest, of all places that are set alike.
    """

    knob: Knob
    scale: float
    ranges: Sequence[tuple[Path, Path]]

    def now(self) -> Value:
        """Return the largest clock of the first place."""
        return plain(_whole(self.ranges[0][1]) / self.scale)

    def writes(self, value: Value) -> list[tuple[str, Any]]:
        """Raise the largest before the least, lower the least before the largest, so that they never cross."""
        wanted = round(float(value) * self.scale)
        found: list[tuple[str, Any]] = []
        for least, largest in self.ranges:
            pair = [(str(least), str(wanted)), (str(largest), str(wanted))]
            found += reversed(pair) if wanted > _whole(largest) else pair
        return found

    def files(self) -> list[Path]:
        """Return all of them."""
        return [path for pair in self.ranges for path in pair]


@dataclass(frozen=True)
class Switched:
    """Values in files that count while switches are on; the switches are set first and put back last.

    Parameters
    ----------
    knob : Knob
    scale : float
        The kernel's units in one of the knob's.
    targets : sequence of path
        Files of the value.
    switches : sequence of (path, str)
        Files, and what they say when on.
    """

    knob: Knob
    scale: float
    targets: Sequence[Path]
    switches: Sequence[tuple[Path, str]] = field(default=())

    def now(self) -> Value:
        """Return the value of the first file."""
        return plain(_whole(self.targets[0]) / self.scale)

    def writes(self, value: Value) -> list[tuple[str, Any]]:
        """Switches, then values."""
        wanted = str(round(float(value) * self.scale))
        return [(str(path), on) for path, on in self.switches] + [(str(path), wanted) for path in self.targets]

    def files(self) -> list[Path]:
        """Return all of them."""
        return [path for path, _ in self.switches] + list(self.targets)


class FileDevice(Settable):
    """A device whose knobs are files.

    Parameters
    ----------
    id : str
        The same at every start.
    knobs : sequence of FileKnob
    meters : mapping of str to (path, float)
        What is read besides: a file, and its units in one of what the name says.
    """

    backend: ClassVar[str] = "files"

    def __init__(
        self,
        id: str,
        knobs: Sequence[FileKnob],
        meters: Mapping[str, tuple[Path, float]] | None = None,
    ) -> None:
        super().__init__(id)
        self._knobs = {one.knob.name: one for one in knobs}
        self._meters = dict(meters or {})

    def knobs(self) -> list[Knob]:
        """Return what can be set."""
        return [one.knob for one in self._knobs.values()]

    def read(self) -> dict[str, Value]:
        """Return what is set and measured now; a meter that does not answer is left out."""
        found: dict[str, Value] = {name: one.now() for name, one in self._knobs.items()}
        for name, (path, scale) in self._meters.items():
            try:
                value = sysfs.integer(path)
            except (OSError, FormatError):
                continue
            if value is not None:
                found[name] = plain(value / scale)
        return found

    def can_set(self, name: str) -> Permission:
        """Say whether all files of a knob can be written."""
        known(self.knobs(), name, self.id)
        for path in self._knobs[name].files():
            if (why := sysfs.refusal(str(path))) is not None:
                return Permission(False, *why)
        return Permission(True)

    def writes(self, name: str, value: Value) -> list[tuple[str, Any]]:
        """Return files and texts in the order of writing."""
        return self._knobs[name].writes(value)


def _whole(path: Path) -> int:
    value = sysfs.integer(path)
    if value is None:
        raise FileNotFoundError(2, "No such file; the device is gone, or its kernel has other paths", str(path))
    return value


def plain(value: float) -> Value:
    """Return a whole number as such, others with the kernel's digits."""
    return int(value) if float(value).is_integer() else round(value, 6)


def knob_of(name: str, values: Sequence[float], unit: str, now: float) -> Knob:
    """Make a knob of what the kernel offers, whose default is the nearest to what is set."""
    offered = sorted({plain(value) for value in values if value > 0}, key=float)
    if not offered:
        raise FormatError(f"knob {name}: the kernel offers no values")
    return Knob(name, offered, unit=unit, default=min(offered, key=lambda value: abs(float(value) - now)))
