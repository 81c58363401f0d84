"""Clocks of a processor: cpufreq of Linux."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from thrifty.throttle.backends import sysfs
from thrifty.throttle.backends.files import FileDevice, Range, knob_of

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.throttle.backends.files import FileKnob

__all__ = ["CpuFreq", "cpu_knobs"]

KHZ = 1000.0
#: Where the driver lists no clocks, a knob has those a hundred MHz apart, the step of bus multipliers.
STEP_KHZ = 100_000


class CpuFreq(FileDevice):
    """The processor: a knob for each kind of core, which sets least and largest clock of all cores of that kind.

    Values are within what the hardware has (cpuinfo_min_freq to cpuinfo_max_freq).

    Parameters
    ----------
    root : path, optional
        In the place of /sys.

    Raises
    ------
    FileNotFoundError
        Where the kernel has no cpufreq, as in most virtual machines.
    """

    def __init__(self, root: Path | None = None) -> None:
        root = root or sysfs.root()
        knobs, meters = cpu_knobs(root)
        if not knobs:
            raise FileNotFoundError(2, "No clocks of processors here", str(_folder(root)))
        super().__init__(f"cpufreq:{_folder(root)}", knobs, meters)


def _folder(root: Path) -> Path:
    return root / "devices" / "system" / "cpu" / "cpufreq"


def cpu_knobs(root: Path) -> tuple[list[FileKnob], dict[str, tuple[Path, float]]]:
    """Return a knob for each kind of core, and the files of their clocks now."""
    kinds: defaultdict[tuple[int, ...], list[Path]] = defaultdict(list)
    policies = [path for path in _folder(root).glob("policy*") if re.fullmatch(r"policy\d+", path.name)]
    for policy in sorted(policies, key=lambda path: int(path.name[6:])):
        if clocks := _clocks(policy):
            kinds[clocks].append(policy)
    knobs: list[FileKnob] = []
    meters = {}
    for clocks, alike in kinds.items():
        name = "cpu_mhz" if len(kinds) == 1 else f"cpu{alike[0].name[6:]}_mhz"
        ranges = [(policy / "scaling_min_freq", policy / "scaling_max_freq") for policy in alike]
        now = sysfs.integer(ranges[0][1]) or clocks[-1]
        knobs.append(Range(knob_of(name, [clock / KHZ for clock in clocks], "MHz", now / KHZ), KHZ, ranges))
        meters[name.replace("_mhz", "_now_mhz")] = (alike[0] / "scaling_cur_freq", KHZ)
    return knobs, meters


def _clocks(policy: Path) -> tuple[int, ...]:
    least, largest = (sysfs.integer(policy / f"cpuinfo_{which}_freq") for which in ("min", "max"))
    if not least or not largest or least > largest:
        return ()
    listed = policy / "scaling_available_frequencies"
    clocks = set(sysfs.integers(listed)) if listed.exists() else set()
    if not clocks:
        clocks = {least, largest, *range(-(-least // STEP_KHZ) * STEP_KHZ, largest, STEP_KHZ)}
    return tuple(sorted(clock for clock in clocks if least <= clock <= largest))
