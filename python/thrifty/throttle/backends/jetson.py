"""Clocks of Jetson boards, whose paths are data: boards/*.toml has them, a file a board."""

from __future__ import annotations

import contextlib
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from thrifty.throttle.backends import sysfs
from thrifty.throttle.backends.cpufreq import cpu_knobs
from thrifty.throttle.backends.files import FileDevice, Range, Switched, knob_of

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.throttle.backends.files import FileKnob

__all__ = ["Jetson", "boards"]


def boards() -> dict[str, dict[str, Any]]:
    """Return what is known of boards, by the names of their files."""
    folder = files("thrifty.throttle") / "boards"
    return {
        entry.name.removesuffix(".toml"): tomllib.loads(entry.read_text(encoding="utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


class Jetson(FileDevice):
    """A Jetson board: clocks of graphics, of memory and of processors.

    Parameters
    ----------
    root : path, optional
        In the place of /sys.
    board : mapping, optional
        Paths, as in boards/*.toml; by default those of the board that the kernel names.

    Raises
    ------
    FileNotFoundError
        Where this is no such board.
    FormatError
        Where a file of the board does not hold what it should.

    Attributes
    ----------
    absent : list of str
        Which knobs of the board are not there, and why.
    """

    def __init__(self, root: Path | None = None, board: dict[str, Any] | None = None) -> None:
        root = root or sysfs.root()
        board = board or _board(root)
        self.absent: list[str] = []
        knobs: list[FileKnob] = []
        meters: dict[str, tuple[Path, float]] = {}
        for one in board["knob"]:
            try:
                folder = _there(one, [root / name for name in one["folders"]])
                knobs.append(_knob(one, root, folder))
            except (FileNotFoundError, PermissionError) as error:
                self.absent.append(f"{one['name']}: {error.filename}: {error.strerror}")
                continue
            if "now" in one:
                meters[one["name"].replace("_mhz", "_now_mhz")] = (folder / one["now"], one["scale"])
        cores, clocks = cpu_knobs(root)
        for meter in board.get("meter", []):
            path = next((path for name in meter["files"] for path in sorted(root.glob(name))), None)
            if path is not None:
                meters[meter["name"]] = (path, meter["scale"])
        super().__init__(f"jetson:{root}", [*knobs, *cores], {**clocks, **meters})


def _board(root: Path) -> dict[str, Any]:
    path = root / "firmware" / "devicetree" / "base" / "compatible"
    names = sysfs.get(str(path)).split("\0")
    known = boards()
    for board in known.values():
        if set(board["compatible"]) & set(names):
            return board
    raise FileNotFoundError(
        2, f"No board of this kind in boards/*.toml, which has {', '.join(known)}: {' '.join(names)}", str(path)
    )


def _there(one: dict[str, Any], paths: list[Path]) -> Path:
    """Return the first path that there is; a PermissionError where this user can't know."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
            return path
    raise FileNotFoundError(2, f"No such path; this kernel has {one['name']} elsewhere, or nowhere", str(paths[0]))


def _knob(one: dict[str, Any], root: Path, folder: Path) -> FileKnob:
    scale: float = one["scale"]
    lists = {
        root / listed["path"] if "path" in listed else folder / listed["file"]: listed.get("scale", scale)
        for listed in one["values"]
    }
    listed = _there(one, list(lists))
    target = folder / one.get("max", one.get("value", ""))
    now = sysfs.integer(_there(one, [target])) or 0
    knob = knob_of(one["name"], [clock / lists[listed] for clock in sysfs.integers(listed)], "MHz", now / scale)
    if "min" in one:
        return Range(knob, scale, [(folder / one["min"], target)])
    switches = [(folder / name, on) for name, on in one.get("switches", {}).items() if (folder / name).exists()]
    return Switched(knob, scale, [target], switches)
