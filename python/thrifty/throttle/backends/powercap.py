"""Power limits of processors: the powercap class of Linux, as Intel's and AMD's RAPL have it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from thrifty.throttle.backends import sysfs
from thrifty.throttle.backends.files import FileDevice, Switched, knob_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PowerCap"]

MICRO = 1e6
#: Shares of the largest limit that the knob has.
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class PowerCap(FileDevice):
    """The long-term power limit of all processor packages, which are set alike; a platform that holds them is none.

    Its values are shares of what the hardware names as the largest limit, or else of the one that is set, and the one
    that is set. A limit that was switched off is switched on by setting it, and off again by putting it back.

    Parameters
    ----------
    root : path, optional
        In the place of /sys.

    Raises
    ------
    FileNotFoundError
        Where the kernel has no such limits, as in most virtual machines.
    """

    def __init__(self, root: Path | None = None) -> None:
        root = root or sysfs.root()
        folder = root / "class" / "powercap"
        zones = [path for path in sorted(folder.glob("*:*")) if re.fullmatch(r"[a-z-]+-rapl:\d+", path.name)]
        zones = [zone for zone in zones if _limited(zone)]
        if not zones:
            raise FileNotFoundError(2, "No power limits of processors here", str(folder))
        targets = [zone / "constraint_0_power_limit_uw" for zone in zones]
        switches = [(zone / "enabled", "1") for zone in zones if (zone / "enabled").exists()]
        now = (sysfs.integer(targets[0]) or 0) / MICRO
        largest = (sysfs.integer(zones[0] / "constraint_0_max_power_uw") or 0) / MICRO or now
        values = {float(round(largest * share)) for share in SHARES} | {now}
        knob = knob_of("package_power_w", sorted(values), "W", now)
        meters = {f"energy{zone.name.rpartition(':')[2]}_j": (zone / "energy_uj", MICRO) for zone in zones}
        super().__init__(f"powercap:{folder}", [Switched(knob, MICRO, targets, switches)], meters)


def _limited(zone: Path) -> bool:
    """Whether it is a package whose first limit is the long-term one."""
    if not (zone / "constraint_0_power_limit_uw").exists():
        return False
    name, limit = zone / "name", zone / "constraint_0_name"
    if not name.exists() or not sysfs.get(str(name)).startswith("package"):
        return False
    return not limit.exists() or sysfs.get(str(limit)) == "long_term"
