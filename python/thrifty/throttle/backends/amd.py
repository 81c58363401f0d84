"""AMD cards, for reading only: power, clocks and temperature as the kernel's hwmon tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thrifty.throttle.backends import sysfs
from thrifty.throttle.backends.files import FileDevice

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Amd", "amd_cards"]

VENDOR = "0x1002"
#: Names, files of hwmon (the first that there is), and the kernel's units in one of ours.
METERS = {
    "power_w": (("power1_average", "power1_input"), 1e6),
    "power_limit_w": (("power1_cap",), 1e6),
    "gpu_mhz": (("freq1_input",), 1e6),
    "memory_mhz": (("freq2_input",), 1e6),
    "temperature_c": (("temp1_input",), 1e3),
}


class Amd(FileDevice):
    """One card; it has no knobs.

    Parameters
    ----------
    folder : path
        Of the card's device, as /sys/class/drm/card0/device.
    """

    def __init__(self, folder: Path) -> None:
        meters = {"busy_percent": (folder / "gpu_busy_percent", 1.0)}
        for hwmon in sorted((folder / "hwmon").glob("hwmon*"))[:1]:
            for name, (files, scale) in METERS.items():
                path = next((hwmon / file for file in files if (hwmon / file).exists()), None)
                if path is not None:
                    meters[name] = (path, scale)
        super().__init__(f"amd:{folder}", [], meters)


def amd_cards(root: Path) -> list[Amd]:
    """Return the cards of this machine."""
    found = []
    for folder in sorted(root.glob("class/drm/card[0-9]*/device")):
        vendor = folder / "vendor"
        if folder.parent.name[4:].isdigit() and vendor.exists() and sysfs.get(str(vendor)) == VENDOR:
            found.append(Amd(folder))
    return found
