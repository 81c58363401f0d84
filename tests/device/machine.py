"""A machine that is not there: a clock that work moves on, counters, a sysfs tree, a card's library."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from thrifty.device.counters import Raw


class Clock:
    """Seconds that pass where somebody works or sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        self.now += 1e-5  # looking takes time too
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Counting:
    """A counter of a machine of some watts, which moves in steps."""

    period = None
    step: float | None = None

    def __init__(self, clock: Clock, watts: Callable[[], float], seconds: float = 0.1) -> None:
        self.name, self._clock, self._watts, self._seconds = "counting", clock, watts, seconds
        self._at, self._sum = clock.now, 5.0
        self.joules = Raw(self.name, self.raw, None, clock).joules

    def again(self) -> Counting:
        return Counting(self._clock, self._watts, self._seconds)

    def raw(self) -> float:
        while self._at + self._seconds <= self._clock.now:
            self._sum += self._watts() * self._seconds
            self._at += self._seconds
        return self._sum

    def watts(self) -> float | None:
        return None

    def celsius(self) -> float | None:
        return 40.0


def put(root: Path, name: str, value: object) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")
    return path


def rapl(root: Path, *, energy: int = 1_000_000, wraps: int = 262_143_328_850) -> Path:
    """Two packages, parts of one, and a platform that holds both; returns the file of the first one's energy."""
    for zone, name in (("0", "package-0"), ("1", "package-1"), ("2", "psys"), ("0:0", "core"), ("0:1", "dram")):
        folder = f"class/powercap/intel-rapl:{zone}"
        put(root, f"{folder}/name", name)
        put(root, f"{folder}/energy_uj", energy)
        put(root, f"{folder}/max_energy_range_uj", wraps)
    put(root, "class/thermal/thermal_zone0/type", "acpitz")
    put(root, "class/thermal/thermal_zone0/temp", 20_000)
    put(root, "class/thermal/thermal_zone1/type", "x86_pkg_temp")
    put(root, "class/thermal/thermal_zone1/temp", 51_000)
    return root / "class/powercap/intel-rapl:0/energy_uj"


def nvml(folder: Path) -> Path:
    """Compile the library."""
    library = folder / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("fake_nvml.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library
