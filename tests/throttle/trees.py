"""Trees of files that look like /sys of several machines, and what they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thrifty.throttle import CpuFreq, Jetson, PowerCap
from thrifty.throttle.backends.files import FileDevice

Files = dict[str, str]


def _policy(number: int, clocks: list[int], *, listed: bool = True) -> Files:
    folder = f"devices/system/cpu/cpufreq/policy{number}"
    files = {
        "cpuinfo_min_freq": clocks[0],
        "cpuinfo_max_freq": clocks[-1],
        "scaling_min_freq": clocks[0],
        "scaling_max_freq": clocks[-1],
        "scaling_cur_freq": clocks[len(clocks) // 2],
    }
    text = {f"{folder}/{name}": f"{value}\n" for name, value in files.items()}
    if listed:
        text[f"{folder}/scaling_available_frequencies"] = " ".join(map(str, clocks)) + " \n"
    return text


def _gpu(name: str, clocks: list[int]) -> Files:
    folder = f"class/devfreq/{name}"
    return {
        f"{folder}/available_frequencies": " ".join(map(str, clocks)) + "\n",
        f"{folder}/min_freq": f"{clocks[0]}\n",
        f"{folder}/max_freq": f"{clocks[-2]}\n",  # what was found need not be the largest
        f"{folder}/cur_freq": f"{clocks[0]}\n",
    }


def _emc(rates: str, scale: int, listed: str) -> Files:
    folder = "kernel/debug/bpmp/debug/clk/emc"
    return {
        listed: f"{rates}\n",
        f"{folder}/rate": f"{int(rates.rsplit(maxsplit=1)[-1]) * scale}\n",
        f"{folder}/mrq_rate_locked": "0\n",
        f"{folder}/state": "1\n",
    }


def _zone(number: int) -> Files:
    folder = f"class/powercap/intel-rapl:{number}"
    return {
        f"{folder}/name": f"package-{number}\n",
        f"{folder}/enabled": "0\n",
        f"{folder}/energy_uj": "123456789\n",
        f"{folder}/max_energy_range_uj": "262143328850\n",
        f"{folder}/constraint_0_name": "long_term\n",
        f"{folder}/constraint_0_power_limit_uw": "165000000\n",
        f"{folder}/constraint_0_max_power_uw": "225000000\n",
        f"{folder}/constraint_1_power_limit_uw": "198000000\n",
    }


ORIN = (
    _gpu("17000000.gpu", [306000000, 408000000, 510000000, 612000000, 714000000, 816000000, 918000000, 1020000000])
    | _emc("204000 665600 2133000 3199000", 1000, "kernel/debug/bpmp/debug/emc/possible_rates")
    | _policy(0, [729600, 1190400, 1728000, 2188800])
    | _policy(4, [729600, 1190400, 1728000, 2188800])
    | {
        "firmware/devicetree/base/compatible": "nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0",
        "class/thermal/thermal_zone0/temp": "48250\n",
    }
)
TX2 = (
    _gpu("17000000.gp10b", [140250000, 229500000, 420750000, 726750000, 1032750000, 1300500000])
    | _emc("40800000 408000000 800000000 1331200000 1866000000", 1, "kernel/debug/bpmp/debug/clk/emc/possible_rates")
    | _policy(0, [345600, 960000, 1420800, 2035200])
    | _policy(1, [345600, 1036800, 1881600, 2035200])
    | {"firmware/devicetree/base/compatible": "nvidia,quill\0nvidia,tegra186\0"}
)
CPUFREQ = _policy(0, [800000, 3000000], listed=False) | _policy(1, [800000, 3000000], listed=False)
POWERCAP = _zone(0) | _zone(1)

#: Trees, and the device of each.
KINDS: dict[str, tuple[Files, Callable[[Path], FileDevice]]] = {
    "orin": (ORIN, Jetson),
    "tx2": (TX2, Jetson),
    "cpufreq": (CPUFREQ, CpuFreq),
    "powercap": (POWERCAP, PowerCap),
}


def plant(root: Path, kind: str) -> Path:
    """Write a tree, and return where it is."""
    for name, text in KINDS[kind][0].items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def texts(root: Path) -> Files:
    """What the files of a tree say."""
    return {str(path.relative_to(root)): path.read_text().strip() for path in root.rglob("*") if path.is_file()}


def times(root: Path) -> dict[str, int]:
    """When files and folders of a tree were written."""
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*")}
