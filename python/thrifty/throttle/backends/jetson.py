"""Clocks of Jetson boards, whose paths are data: boards/*.toml has them, a file a board."""

from __future__ import annotations

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
    """

    def __init__(self, root: Path | None = None, board: dict[str, Any] | None = None) -> None:
        root = root or sysfs.root()
        board = board or _board(root)
        knobs: list[FileKnob] = []
        meters: dict[str, tuple[Path, float]] = {}
        for one in board["knob"]:
            folder = next((path for name in one["folders"] if (path := root / name).is_dir()), None)
            if folder is None:
                continue  # an older or newer kernel without it, or debugfs that is not mounted
            offered = _offered(one, root, folder)
            if offered is None:
                continue
            knobs.append(_knob(one, folder, offered))
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


def _knob(one: dict[str, Any], folder: Path, offered: list[float]) -> FileKnob:
    scale: float = one["scale"]
    target = folder / one.get("max", one.get("value", ""))
    now = (sysfs.integer(target) or 0) / scale
    knob = knob_of(one["name"], offered, "MHz", now)
    if "min" in one:
        return Range(knob, scale, [(folder / one["min"], target)])
    switches = [(folder / name, on) for name, on in one.get("switches", {}).items() if (folder / name).exists()]
    return Switched(knob, scale, [target], switches)


def _offered(one: dict[str, Any], root: Path, folder: Path) -> list[float] | None:
    """Return the clocks that the kernel lists, in MHz, in the first list that there is; None where there is none."""
    for listed in one["values"]:
        path = root / listed["file"] if listed["file"].startswith(("kernel/", "class/")) else folder / listed["file"]
        if path.exists():
            units = listed.get("scale", one["scale"])
            return [clock / units for clock in sysfs.integers(path)]
    return None
