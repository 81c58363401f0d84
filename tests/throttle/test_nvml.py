"""NVIDIA cards, by a library that is no driver: what is set, read and put back. No real card is ever asked for."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import wait_for
from tests.throttle import fake_nvml
from tests.throttle.killing import REPOSITORY, kill, kill_with_watchdog, tuning, wait_until
from thrifty.throttle.journal import journals


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def cards(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    monkeypatch.setenv("THRIFTY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(tmp_path / "sys"))
    for name, value in fake_nvml.plant(tmp_path / "cards").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "cards"


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code on the first fake card."""
    before = "import os, signal\nfrom thrifty.throttle import Nvml, recover\ndevice = Nvml('GPU-fake-0')\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", before + code],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_a_card_has(cards: Path) -> None:
    code = """
import json
both = device, Nvml("GPU-fake-1")
print(json.dumps([{knob.name: [knob.values, knob.default] for knob in one.knobs()} for one in both]))
print(json.dumps(both[0].read()))
print(json.dumps(both[1].read()))
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    knobs, first, second = map(json.loads, done.stdout.splitlines())
    assert list(knobs[0]) == ["gpu_mhz", "memory_mhz", "power_limit_w"]
    assert list(knobs[1]) == ["gpu_mhz", "power_limit_w"]  # Volta's memory clocks can't be locked
    assert knobs[0]["gpu_mhz"] == [[210, 600, 990, 1335, 1740, 1905, 2100], 2100]
    assert knobs[0]["power_limit_w"] == [[100, 125, 150, 175, 200, 225, 250, 275, 280, 300], 280]
    assert first["energy_j"] == 987654.321
    assert (first["power_w"], first["temperature_c"], first["power_limit_w"]) == (61.25, 41, 280)
    assert (first["gpu_mhz"], first["gpu_now_mhz"], first["clock_limits"]) == (2100, 210, "idle")
    assert "energy_j" not in second  # no counter, no joules
    assert fake_nvml.calls(cards) == []


def test_set_read_and_put_back(cards: Path) -> None:
    code = """
wanted = {"gpu_mhz": 990, "memory_mhz": 5001, "power_limit_w": 200}
assert device.apply(wanted) == wanted
assert device.apply(wanted) == wanted
device.restore()
print(device.read()["gpu_mhz"])
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2100\n"
    assert fake_nvml.cards(cards) == fake_nvml.FIRST
    names = [(name, value) for _, name, _, value in fake_nvml.calls(cards)]
    locks = [("SetGpuLockedClocks", 990), ("SetMemoryLockedClocks", 5001)]
    assert names == [
        *locks,
        ("SetPowerManagementLimit", 200_000),
        *locks,
        ("SetPowerManagementLimit", 280_000),
        ("ResetMemoryLockedClocks", 0),
        ("ResetGpuLockedClocks", 0),
    ]


def test_clocks_that_a_busy_card_does_not_reach(cards: Path) -> None:
    """Requests of 2100 and 1905 MHz are one setting where power keeps both at 1740."""
    fake_nvml.plant(cards, busy=True)
    code = """
print([device.apply({"gpu_mhz": clock}) for clock in (2100, 1905, 1335)], device.apply({"gpu_mhz": 2100}))
print(device.read()["clock_limits"])
"""
    done = run(code)
    assert done.stdout == "[{'gpu_mhz': 1740}, {'gpu_mhz': 1740}, {'gpu_mhz': 1335}] {'gpu_mhz': 1740}\npower cap\n"


@pytest.mark.parametrize("both", [False, True], ids=["tuner", "tuner and watchdog"])
def test_a_killed_process_leaves_no_trace(both: bool, cards: Path, tmp_path: Path) -> None:
    rng = random.Random(3)
    state = tmp_path / "state"
    for turn in range(2):
        process = tuning("nvml", cards, tmp_path / f"started{turn}", turn)
        wait_for(tmp_path / f"started{turn}")
        time.sleep(rng.random() * 0.02)
        if both:
            kill_with_watchdog(process)
            assert fake_nvml.cards(cards) != fake_nvml.FIRST
            assert run("print([one.outcome for one in recover()])").stdout == "['restored']\n"
        else:
            kill(process)
        wait_until(lambda: journals(state) == [])
        assert fake_nvml.cards(cards) == fake_nvml.FIRST
        made = [(pid == process.pid, name) for pid, name, _, _ in fake_nvml.calls(cards)]
        for part in ("GpuLockedClocks", "MemoryLockedClocks"):
            assert (True, f"Set{part}") in made
            assert made.count((False, f"Reset{part}")) == turn + 1
            assert (True, f"Reset{part}") not in made


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_card_that_is_lost(at: int, cards: Path, tmp_path: Path) -> None:
    """Whenever it is: an error that says so, the journal stays, and the card is put back when it is there again."""
    code = """
from thrifty.errors import DeviceLost, NotRestored
try:
    device.apply({"gpu_mhz": 990, "memory_mhz": 5001, "power_limit_w": 200})
    device.restore()
except (DeviceLost, NotRestored) as error:
    print(error)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run(code, FAKE_NVML_LOST_AT=str(at))
    assert "the card does not answer" in done.stdout
    assert "nvmlDevice" in done.stdout
    assert run("print([one.outcome for one in recover()])").stdout in {"['restored']\n", "[]\n"}
    assert journals(tmp_path / "state") == []
    assert fake_nvml.cards(cards) == fake_nvml.FIRST


def test_without_permission(cards: Path, tmp_path: Path) -> None:
    done = run("device.apply({'gpu_mhz': 990})", FAKE_NVML_USER="1")
    assert "NotPermitted: nvmlDeviceSetGpuLockedClocks: Insufficient Permissions; run as root" in done.stderr
    assert fake_nvml.calls(cards) == []
    assert journals(tmp_path / "state") == []
    code = """
from thrifty.throttle.backends import nvml_handles
from unittest import mock
with mock.patch("builtins.open", mock.mock_open(read_data="Name: x\\nCapEff:\\t00000000a80425fb\\n")):
    print(device.can_set("power_limit_w"), bool(device.can_set("gpu_mhz")))
with mock.patch("builtins.open", mock.mock_open(read_data="CapEff:\\t000001ffffffffff\\n")):
    print(device.can_set("power_limit_w"), bool(device.can_set("gpu_mhz")))
"""
    said = run(code).stdout
    assert said.splitlines()[0].startswith("nvmlDeviceSetPowerManagementLimit: Insufficient Permissions; run as root")
    assert said.splitlines()[0].endswith("False")
    assert said.splitlines()[1] == "yes True"


def test_the_command_line_lists_and_tries(cards: Path, tmp_path: Path) -> None:
    best = tmp_path / "best.json"
    best.write_text('{"gpu_mhz": 990}')
    command = [sys.executable, "-m", "thrifty", "throttle"]
    listed = subprocess.run([*command, "devices", "--json"], capture_output=True, text=True, check=True).stdout
    assert [device["id"] for device in json.loads(listed)["devices"]] == ["GPU-fake-0", "GPU-fake-1"]
    done = subprocess.run([*command, "apply", str(best), "--dry-run"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "thrifty: error: --device: GPU-fake-0 and GPU-fake-1 have a knob gpu_mhz; name one\n"
    one = [*command, "apply", str(best), "--device", "GPU-fake-1", "--dry-run"]
    assert "2100 -> 990" in subprocess.run(one, capture_output=True, text=True, check=False).stdout
    assert fake_nvml.calls(cards) == []
    assert not (tmp_path / "state").exists()


def test_a_lost_card_hides_no_other(cards: Path) -> None:
    code = """
from thrifty.errors import DeviceLost
from thrifty.throttle import find
from thrifty.throttle.backends import nvml
call = nvml.call
def lost(name, *arguments):
    if (name, *arguments) == ("nvmlDeviceGetHandleByIndex", 0):
        raise DeviceLost("it fell off the bus")
    return call(name, *arguments)
nvml.call = lost
found, absent = find()
print([one.id for one in found], absent[-1])
"""
    assert run(code).stdout == "['GPU-fake-1'] nvml: card 0: it fell off the bus\n"


def test_values_that_no_handle_takes(cards: Path) -> None:
    code = """
from thrifty.errors import NotPermitted
from thrifty.throttle.backends.nvml_handles import put
for handle, value in [("GPU-fake-0:fan", 1), ("GPU-fake-0:power_limit_mw", None), ("GPU-fake-0:locked_gpu_mhz", "x"),
                      ("GPU-none:locked_gpu_mhz", 1), ("GPU-fake-0:power_limit_mw", 10), ("", 1)]:
    try:
        put(handle, value)
    except Exception as error:
        print(type(error).__name__)
"""
    assert run(code).stdout.split() == ["NotPermitted"] * 3 + ["DeviceLost"] + ["NotPermitted"] * 2
    assert fake_nvml.cards(cards) == fake_nvml.FIRST


def test_a_library_that_the_loader_does_not_know(library: Path, cards: Path, tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    code = f"""
from thrifty.throttle import Nvml
from thrifty.throttle.backends import nvml_handles
nvml_handles.IN_CONTAINERS = {str(library / "libnvidia-ml.so.1")!r}
print(Nvml("GPU-fake-0").name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "fake\n", done.stderr


def test_without_the_package_or_the_driver(tmp_path: Path) -> None:
    code = "import sys; sys.modules['pynvml'] = None\nfrom thrifty.throttle import Nvml\nNvml('GPU-fake-0')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtra: NVIDIA cards need nvidia-ml-py: pip install 'thrifty[nvidia]'" in done.stderr
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    code = (
        "from thrifty.throttle import Nvml\nfrom thrifty.throttle.backends import nvml_handles\n"
        "nvml_handles.IN_CONTAINERS = '/nowhere'\nNvml('GPU-fake-0')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DeviceLost: nvmlInit" in done.stderr
