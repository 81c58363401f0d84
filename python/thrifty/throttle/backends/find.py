"""Finding the devices of a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thrifty.errors import ThriftyError
from thrifty.throttle.backends import sysfs
from thrifty.throttle.backends.amd import amd_cards
from thrifty.throttle.backends.cpufreq import CpuFreq
from thrifty.throttle.backends.jetson import Jetson
from thrifty.throttle.backends.nvml import nvml_cards
from thrifty.throttle.backends.powercap import PowerCap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from thrifty.throttle.device import Device

__all__ = ["find"]


def find(root: Path | None = None) -> tuple[list[Device], list[str]]:
    """Return the devices of this machine, and why kinds of devices are not among them, a text each.

    Parameters
    ----------
    root : path, optional
        In the place of /sys; by default what THRIFTY_SYSFS_ROOT names, or /sys.
    """
    root = root or sysfs.root()
    found: list[Device] = []
    absent: list[str] = []
    kinds: list[tuple[str, Callable[[], tuple[Sequence[Device], list[str]]]]] = [
        ("jetson", lambda: _board(root)),
        ("cpufreq", lambda: ([CpuFreq(root)], [])),
        ("powercap", lambda: ([PowerCap(root)], [])),
        ("amd", lambda: (amd_cards(root), [])),
        ("nvml", nvml_cards),
    ]
    for kind, make in kinds:
        if kind == "cpufreq" and found:
            continue  # a board's processors are among its knobs
        try:
            made, out = make()
            found += made
            absent += [f"{kind}: {why}" for why in out]
        except FileNotFoundError as error:
            absent.append(f"{kind}: {error.filename}: {error.strerror}")
        except (ThriftyError, OSError) as error:
            absent.append(f"{kind}: {error}")
    return found, absent


def _board(root: Path) -> tuple[list[Device], list[str]]:
    board = Jetson(root)
    return [board], list(board.absent)
