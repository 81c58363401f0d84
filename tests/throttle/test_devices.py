"""Knobs of machines that are trees of files, functions, or formulas: what they offer, set, read, and refuse."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import said
from tests.throttle.trees import KINDS, plant, texts, times
from thrifty.errors import DeviceLost, FormatError, NotPermitted
from thrifty.throttle import Amd, Call, CpuFreq, Device, Jetson, Joined, Knob, PowerCap, Sim, find
from thrifty.throttle import restore as restoring
from thrifty.throttle.backends import sysfs
from thrifty.throttle.backends.files import Range
from thrifty.throttle.backends.jetson import boards
from thrifty.throttle.journal import Found, Journal, Owner

pytestmark = pytest.mark.usefixtures("state")


def told(device: Device) -> dict[str, tuple[Any, Any]]:
    return {knob.name: (knob.values, knob.default) for knob in device.knobs()}


def test_what_machines_offer(tmp_path: Path) -> None:
    orin = Jetson(plant(tmp_path / "orin", "orin"))
    assert told(orin) == {
        "gpu_mhz": ((306, 408, 510, 612, 714, 816, 918, 1020), 918),
        "emc_mhz": ((204, 665.6, 2133, 3199), 3199),
        "cpu_mhz": ((729.6, 1190.4, 1728, 2188.8), 2188.8),
    }
    assert orin.read()["temperature_c"] == 48.25
    tx2 = told(Jetson(plant(tmp_path / "tx2", "tx2")))
    assert list(tx2) == ["gpu_mhz", "emc_mhz", "cpu0_mhz", "cpu1_mhz"]
    assert tx2["gpu_mhz"] == ((140.25, 229.5, 420.75, 726.75, 1032.75, 1300.5), 1032.75)
    cpu = told(CpuFreq(plant(tmp_path / "cpufreq", "cpufreq")))
    assert cpu == {"cpu_mhz": (tuple(range(800, 3001, 100)), 3000)}
    cap = told(PowerCap(plant(tmp_path / "powercap", "powercap")))
    assert cap == {"package_power_w": ((68, 90, 112, 135, 158, 165, 180, 202, 225), 165)}


def test_all_places_of_a_knob_are_set(tmp_path: Path) -> None:
    root = plant(tmp_path / "sys", "powercap")
    PowerCap(root).apply({"package_power_w": 90})
    now = texts(root)
    for zone in ("intel-rapl:0", "intel-rapl:1"):
        assert now[f"class/powercap/{zone}/constraint_0_power_limit_uw"] == "90000000"
        assert now[f"class/powercap/{zone}/enabled"] == "1"
        assert now[f"class/powercap/{zone}/constraint_1_power_limit_uw"] == "198000000"
    root = plant(tmp_path / "orin", "orin")
    Jetson(root).apply({"emc_mhz": 665.6, "cpu_mhz": 1728})
    now = texts(root)
    emc = "kernel/debug/bpmp/debug/clk/emc"
    assert (now[f"{emc}/rate"], now[f"{emc}/mrq_rate_locked"]) == ("665600000", "1")
    for policy, which in itertools.product((0, 4), ("min", "max")):
        assert now[f"devices/system/cpu/cpufreq/policy{policy}/scaling_{which}_freq"] == "1728000"


def test_a_platform_is_no_package(tmp_path: Path) -> None:
    """Its limit is that of all that the machine takes; set to a package's share, the machine stands."""
    root = plant(tmp_path, "powercap")
    platform, odd = (root / f"class/powercap/intel-rapl:{number}" for number in (2, 3))
    for zone, name, limit in ((platform, "psys", "long_term"), (odd, "package-3", "peak_power")):
        zone.mkdir()
        (zone / "name").write_text(f"{name}\n")
        (zone / "constraint_0_name").write_text(f"{limit}\n")
        (zone / "constraint_0_power_limit_uw").write_text("400000000\n")
        (zone / "energy_uj").write_text("5\n")
    (root / "class/powercap/intel-rapl:1/constraint_0_name").unlink()
    device = PowerCap(root)
    files = {Path(file).parent.name for file, _ in device.writes("package_power_w", 100)}
    assert files == {"intel-rapl:0", "intel-rapl:1"}
    assert "energy2_j" not in device.read()
    (root / "class/powercap/intel-rapl:0/name").unlink()
    (root / "class/powercap/intel-rapl:1/name").write_text("dram\n")
    with pytest.raises(FileNotFoundError, match="No power limits of processors"):
        PowerCap(root)


def test_clocks_outside_of_the_hardware_are_not_offered(tmp_path: Path) -> None:
    root = plant(tmp_path / "sys", "orin")
    policy = root / "devices/system/cpu/cpufreq/policy0"
    (policy / "cpuinfo_max_freq").write_text("1800000")
    assert told(CpuFreq(root))["cpu0_mhz"][0] == (729.6, 1190.4, 1728)


class Strict:
    """Handles as a kernel has them that never lets a least clock be above the largest."""

    def __init__(self, least: int, largest: int) -> None:
        self.values = {"min": str(least), "max": str(largest)}

    def get(self, handle: str) -> str:
        return self.values[handle]

    def put(self, handle: str, value: str) -> None:
        wanted = {**self.values, handle: value}
        if int(wanted["min"]) > int(wanted["max"]):
            raise NotPermitted(f"{handle}: {value} crosses {self.values}")
        self.values = wanted


CLOCKS = st.lists(st.integers(1, 9), min_size=2, max_size=2).map(sorted)


@given(CLOCKS, CLOCKS, st.integers(1, 9), st.booleans())
def test_least_and_largest_never_cross(found: list[int], now: list[int], wanted: int, turned: bool) -> None:
    kernel = Strict(*now)
    clock = Range(Knob("clock", [*range(1, 10)]), 1.0, [(Path("min"), Path("max"))])
    with mock.patch.object(sysfs, "get", kernel.get):
        for handle, value in clock.writes(wanted):
            kernel.put(handle, value)
    assert kernel.values == {"min": str(wanted), "max": str(wanted)}
    values = [Found("min", str(found[0])), Found("max", str(found[1]))]
    journal = Journal("x", "files", Owner.me(), "", "", tuple(reversed(values) if turned else values))
    with mock.patch.object(restoring, "handles", return_value=kernel):
        assert restoring.put_back(journal) == []
    assert kernel.values == {"min": str(found[0]), "max": str(found[1])}


def test_the_value_in_force_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has steps of 500 MHz makes one setting of several."""
    write = sysfs.put
    device = CpuFreq(plant(tmp_path / "sys", "cpufreq"))
    with monkeypatch.context() as patch:
        patch.setattr(sysfs, "put", lambda handle, value: write(handle, str(int(value) // 500_000 * 500_000)))
        assert [device.apply({"cpu_mhz": clock}) for clock in (1400, 1000, 1900)] == [
            {"cpu_mhz": 1000},
            {"cpu_mhz": 1000},
            {"cpu_mhz": 1500},
        ]


def test_bad_settings_set_nothing(tmp_path: Path, state: Path) -> None:
    device = Jetson(plant(tmp_path / "sys", "orin"))
    before = times(tmp_path / "sys")
    for setting, message in (
        ({"gpu_mhz": 408, "fan": 3}, "knob fan: jetson:.* has none of that name; it has gpu_mhz, emc_mhz, cpu_mhz"),
        ({"gpu_mhz": 409}, r"knob gpu_mhz: 409 is none of \[306, "),
        ({"gpu_mhz": "408"}, "knob gpu_mhz: '408' is none of"),
        ({"gpu_mhz": float("nan")}, "knob gpu_mhz: nan is none of"),
    ):
        with pytest.raises(ValueError, match=message):
            device.apply(setting)
    with pytest.raises(ValueError, match="knob fan"):
        device.can_set("fan")
    assert times(tmp_path / "sys") == before
    assert not state.exists()


@pytest.mark.parametrize(
    ("kind", "file", "text", "message"),
    [
        ("cpufreq", "devices/system/cpu/cpufreq/policy0/scaling_max_freq", "<unknown>", "it holds '<unknown>', not a"),
        ("cpufreq", "devices/system/cpu/cpufreq/policy0/cpuinfo_min_freq", "-5", "it holds '-5'"),
        ("powercap", "class/powercap/intel-rapl:0/constraint_0_power_limit_uw", "", "it holds ''"),
        ("orin", "class/devfreq/17000000.gpu/available_frequencies", "fast slow", "the kernel offers no values"),
        ("orin", "kernel/debug/bpmp/debug/clk/emc/rate", "9" * 5000, "it holds '9999999"),
    ],
)
def test_trees_that_hold_something_else(
    kind: str, file: str, text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plant(tmp_path / "sys", kind)
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    (root / file).write_bytes(text.encode())
    with pytest.raises(FormatError, match=message):
        KINDS[kind][1](root)
    done = said("throttle", "devices")
    assert done.returncode == 0
    assert message in done.stderr


def test_a_meter_that_does_not_answer_is_left_out(tmp_path: Path) -> None:
    root = plant(tmp_path / "sys", "orin")
    device = Jetson(root)
    (root / "class/thermal/thermal_zone0/temp").write_text("none")
    (root / "class/devfreq/17000000.gpu/cur_freq").unlink()
    assert {"temperature_c", "gpu_now_mhz"} & set(device.read()) == set()


def test_a_tree_that_goes_away(tmp_path: Path) -> None:
    root = plant(tmp_path / "sys", "orin")
    device = Jetson(root)
    device.apply({"gpu_mhz": 306})
    (root / "class/devfreq/17000000.gpu").rename(root / "gone")
    with pytest.raises(FileNotFoundError):
        device.apply({"gpu_mhz": 408})
    (root / "gone").rename(root / "class/devfreq/17000000.gpu")
    device.restore()
    assert device.read()["gpu_mhz"] == 918


def test_other_boards_are_named(tmp_path: Path) -> None:
    root = plant(tmp_path / "sys", "orin")
    (root / "firmware/devicetree/base/compatible").write_text("raspberrypi,5-model-b\0brcm,bcm2712\0")
    with pytest.raises(
        FileNotFoundError, match=r"boards/\*.toml, which has orin, thor, tx2, xavier: raspberrypi,5-model-b"
    ):
        Jetson(root)
    assert find(root)[0][0].id == f"cpufreq:{root}/devices/system/cpu/cpufreq"
    mine = {"compatible": [], "knob": [board for board in boards()["orin"]["knob"] if board["name"] == "gpu_mhz"]}
    assert list(told(Jetson(root, mine))) == ["gpu_mhz", "cpu_mhz"]


def test_a_kernel_that_lists_no_clocks(tmp_path: Path) -> None:
    root = plant(tmp_path / "sys", "orin")
    (root / "kernel/debug/bpmp/debug/emc/possible_rates").unlink()
    board = Jetson(root)
    assert list(told(board)) == ["gpu_mhz", "cpu_mhz"]
    (why,) = board.absent
    assert re.match("emc_mhz: .*possible_rates: No such path; this kernel has emc_mhz elsewhere", why)
    assert f"jetson: {why}" in find(root)[1]


def test_boards_are_whole() -> None:
    for name, board in boards().items():
        assert board["compatible"], name
        for knob in board["knob"]:
            assert {"name", "folders", "scale", "values"} <= set(knob), name
            assert ("value" in knob) != ("min" in knob and "max" in knob), name
        for path in (path for knob in board["knob"] for path in knob["folders"]):
            assert not path.startswith("/")
            assert ".." not in path


def test_what_this_machine_has_not(tmp_path: Path) -> None:
    devices, absent = find(tmp_path)
    assert [one for one in devices if not one.id.startswith("GPU-")] == []
    assert {text.partition(":")[0] for text in absent} >= {"jetson", "cpufreq", "powercap"}
    for kind in (CpuFreq, PowerCap, Jetson):
        with pytest.raises(FileNotFoundError):
            kind(tmp_path)


def test_amd_cards_are_read(tmp_path: Path) -> None:
    hwmon = tmp_path / "class/drm/card1/device/hwmon/hwmon3"
    hwmon.mkdir(parents=True)
    files = {"power1_average": 95000000, "power1_cap": 200000000, "freq1_input": 1850000000, "temp1_input": 61000}
    for name, value in files.items():
        (hwmon / name).write_text(f"{value}\n")
    (tmp_path / "class/drm/card1/device/vendor").write_text("0x1002\n")
    (tmp_path / "class/drm/card0/device").mkdir(parents=True)
    (tmp_path / "class/drm/card0/device/vendor").write_text("0x8086\n")
    (card,) = [device for device in find(tmp_path)[0] if isinstance(device, Amd)]
    assert card.read() == {"power_w": 95, "power_limit_w": 200, "gpu_mhz": 1850, "temperature_c": 61}
    assert card.knobs() == []
    with pytest.raises(ValueError, match="it has no knobs"):
        card.apply({"gpu_mhz": 1000})


def test_functions_are_knobs() -> None:
    made: list[tuple[str, Any]] = []
    batch, threads = Knob("batch", [1, 2, 4], default=2), Knob("threads", [1, 2])
    device = Call({batch: lambda value: made.append(("batch", value)), threads: lambda value: min(float(value), 1)})
    assert device.read() == {"batch": 2, "threads": 2}
    assert device.apply({"batch": 4, "threads": 2}) == {"batch": 4, "threads": 2}
    assert device.apply({"batch": 4}) == {"batch": 4}
    assert made == [("batch", 4)]
    assert device.apply({"threads": 1}) == {"threads": 1}
    assert device.apply({"threads": 2}) == {"threads": 1}  # what the function says is in force
    with pytest.raises(ValueError, match="batch: 3 is none of"):
        device.apply({"batch": 3})
    with pytest.raises(ValueError, match="knob mode"):
        device.can_set("mode")
    device.restore()
    device.restore()
    assert made == [("batch", 4), ("batch", 2)]


def test_functions_are_put_back_at_the_end(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from thrifty.throttle import Call, Knob
device = Call({Knob("x", [1, 2, 3], default=3): lambda value: Path(sys.argv[1]).write_text(str(value)) and None})
device.apply({"x": 1})
assert Path(sys.argv[1]).read_text() == "1"
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "x"], check=True)
    assert (tmp_path / "x").read_text() == "3"


def test_the_simulated_board() -> None:
    device = Sim("sssp")
    most = {knob.name: knob.values[-1] for knob in device.knobs()}
    assert device.read() == most
    assert device.id.startswith("simulated:")
    fastest = device.measure()
    assert list(fastest) == ["time_s"]  # without watts there is no energy
    assert fastest["time_s"] == pytest.approx(0.30 + 1.11 + 0.18 + 0.46, rel=2e-3)
    device.apply({"cpu_mhz": 345.6})
    assert device.measure()["time_s"] == pytest.approx(0.30 + 1.11 * 1420 / 345.6 + 0.18 + 0.46, rel=2e-3)
    device.restore()
    assert device.measure() == fastest
    powered = Sim("mixbench", watts=(3, 1, 8, 2))
    measured = powered.measure()
    assert measured["energy_j"] == pytest.approx(measured["power_w"] * measured["time_s"])
    for workload, watts in (("none", None), ("sssp", (1, 2)), ("sssp", (1, 1, 1, -1))):
        with pytest.raises(ValueError, match="workload|watts"):
            Sim(workload, watts)
    with pytest.raises(ValueError, match="none of"):
        device.apply({"cpu_mhz": 1})
    with pytest.raises(ValueError, match="knob fan"):
        device.can_set("fan")
    assert device.can_set("cpu_mhz")


def test_devices_together(tmp_path: Path) -> None:
    cpu = CpuFreq(plant(tmp_path / "a", "cpufreq"))
    cap = PowerCap(plant(tmp_path / "b", "powercap"))
    both = Joined([cpu, cap])
    before = texts(tmp_path)
    assert [knob.name for knob in both.knobs()] == ["cpu_mhz", "package_power_w"]
    assert both.can_set("cpu_mhz")
    wanted = {"package_power_w": 90, "cpu_mhz": 1200}
    assert both.apply(wanted) == wanted
    assert {name: both.read()[name] for name in wanted} == wanted
    with pytest.raises(ValueError, match="knob fan"):
        both.apply({"cpu_mhz": 1300, "fan": 1})
    with pytest.raises(ValueError, match="knob fan"):
        both.can_set("fan")
    both.restore()
    assert {name: text for name, text in texts(tmp_path).items() if "state" not in name} == before
    with pytest.raises(ValueError, match="both have a knob cpu_mhz"):
        Joined([cpu, CpuFreq(tmp_path / "a")])


def test_all_of_them_are_put_back_when_one_fails(tmp_path: Path) -> None:
    a, b = Sim("sssp"), CpuFreq(plant(tmp_path / "b", "cpufreq"))
    failing = Call({Knob("x", [1, 2], default=1): lambda value: 1 / (float(value) - 1) if wrong else None})
    wrong = True
    both = Joined([failing, b])
    both.apply({"x": 2, "cpu_mhz": 900})
    with pytest.raises(ZeroDivisionError):
        both.restore()
    assert b.read()["cpu_mhz"] == 3000
    wrong = False
    both.restore()
    with pytest.raises(ValueError, match="both have a knob cpu_mhz"):
        Joined([a, b])


def test_a_device_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = CpuFreq(plant(tmp_path / "sys", "cpufreq"))
    gone = mock.Mock(open=mock.Mock(side_effect=OSError(19, "No such device")))
    monkeypatch.setattr(sysfs, "Path", lambda name: gone)
    with pytest.raises(DeviceLost, match="the device does not answer"):
        device.apply({"cpu_mhz": 900})


def user(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command as somebody who may not write what is not theirs to write, be it root who runs the tests."""
    command = [sys.executable, "-m", "thrifty", "throttle", *map(str, arguments)]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_permission(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(tmp_path / "sys", "orin")
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    best = tmp_path / "best.json"
    best.write_text('{"gpu_mhz": 510, "cpu_mhz": 1728}')
    refused = root / "class/devfreq/17000000.gpu/max_freq"
    refused.chmod(0o444)
    before = times(root)
    listed = json.loads(user("devices", "--json").stdout)["devices"][0]["knobs"]
    assert {knob["name"]: knob["can_set"] for knob in listed} == {"gpu_mhz": False, "emc_mhz": True, "cpu_mhz": True}
    assert listed[0]["refused_by"] == f"{refused}: Permission denied"
    assert re.search(rf"sudo chown \w+ {re.escape(str(refused))}$", listed[0]["fix"])
    for options in ([], ["--dry-run"]):
        done = user("apply", best, "--device", f"jetson:{root}", *options)
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if "error" in line]
        assert f"gpu_mhz: {refused}: Permission denied; run as root, or until the next boot: sudo chown" in line
    assert times(root) == before
    assert not state.exists() or not list(state.glob("*.journal"))


def test_what_a_user_can_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's folder for debugging is root's alone."""
    root = plant(tmp_path / "sys", "orin")
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    hidden = root / "kernel/debug"
    hidden.chmod(0)
    try:
        told = json.loads(user("devices", "--json").stdout)
    finally:
        hidden.chmod(0o755)
    assert [knob["name"] for knob in told["devices"][0]["knobs"]] == ["gpu_mhz", "cpu_mhz"]
    assert f"jetson: emc_mhz: {hidden}/bpmp/debug/clk/emc: Permission denied" in told["absent"]


def test_a_dry_run_writes_nothing(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(tmp_path / "sys", "tx2")
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    best = tmp_path / "best.json"
    best.write_text('{"best": {"gpu_mhz": 420.75}}')
    before = times(root)
    done = said("throttle", "apply", best, "--device", f"jetson:{root}", "--dry-run", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "would_set": [{"device": f"jetson:{root}", "knob": "gpu_mhz", "was": 1032.75, "would_set": 420.75}]
    }
    assert said("throttle", "devices").returncode == 0
    assert times(root) == before
    assert not state.exists()


@pytest.mark.parametrize(
    ("text", "options", "status", "message"),
    [
        ("{", [], 1, "it is no JSON"),
        ("[1]", [], 1, "it has no knobs"),
        ("{}", [], 1, "it has no knobs"),
        ('{"best": null}', [], 1, "best is None, neither a number nor a name"),
        ('{"gpu_mhz": true}', [], 1, "gpu_mhz is True, neither a number nor a name"),
        ('{"gpu_mhz": 409}', [], 1, "knob gpu_mhz: 409 is none of"),
        ('{"gpu_mhz": NaN}', [], 1, "knob gpu_mhz: nan is none of"),
        ('{"batch": 4}', [], 1, "no device here has a knob batch"),
        ('{"gpu_mhz": 408}', ["--device", "GPU-1"], 2, "--device GPU-1: there is no such device"),
        ('{"gpu_mhz": 408}', ["--ttl", "0"], 2, "--ttl"),
        ("[" * 100_000, [], 1, "it is no JSON"),
    ],
)
def test_errors_are_one_line(
    text: str, options: list[str], status: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plant(tmp_path / "sys", "orin")
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    before = texts(root)
    (tmp_path / "best.json").write_text(text)
    done = said("throttle", "apply", tmp_path / "best.json", "--device", f"jetson:{root}", *options)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert texts(root) == before


def test_a_device_that_does_not_answer_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(plant(tmp_path / "sys", "cpufreq"), "powercap")
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    monkeypatch.setenv("COLUMNS", "200")
    read = CpuFreq.read
    lost = mock.Mock(side_effect=DeviceLost("it fell off the bus"))
    monkeypatch.setattr(CpuFreq, "read", lost)
    done = said("throttle", "devices", "--json")
    shown = json.loads(done.stdout)
    assert [one["id"].partition(":")[0] for one in shown["devices"]] == ["powercap"]
    assert any(why.startswith("cpufreq:") and why.endswith("it fell off the bus") for why in shown["absent"])
    done = said("throttle", "devices")
    assert "package_power_w" in done.stdout
    assert "it fell off the bus" in done.stderr
    monkeypatch.setattr(CpuFreq, "read", lambda device: {k: v for k, v in read(device).items() if k != "cpu_mhz"})
    (knob,) = json.loads(said("throttle", "devices", "--json").stdout)["devices"][0]["knobs"]
    assert (knob["name"], knob["now"]) == ("cpu_mhz", None)
    assert "unknown MHz, of 800" in said("throttle", "devices").stdout


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e10"])
def test_what_nobody_can_wait_for_sets_nothing(
    seconds: str, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    best = tmp_path / "best.json"
    best.write_text('{"cpu_mhz": 1000}')
    before = times(root)
    for command in (["apply", best, "--ttl", seconds], ["watch", "--interval", seconds]):
        done = said("throttle", *command)
        assert (done.returncode, done.stdout) == (2, "")
        assert command[-2] in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert times(root) == before


def test_the_list_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(plant(tmp_path / "sys", "cpufreq")))
    monkeypatch.setenv("COLUMNS", "200")
    done = said("throttle", "devices")
    assert "3000 MHz, of 800, 900, ..., 3000 (23); can be set" in done.stdout
    assert "note: powercap:" in done.stderr
