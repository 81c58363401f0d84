"""`thrifty throttle measure`."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import said, thrifty, wait_for
from tests.device.machine import rapl
from tests.throttle.killing import wait_until

SHORT, LONG = ([sys.executable, "-S", "-c", f"for i in range({count}): i * i"] for count in (200_000, 3_000_000))


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without counters."""
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(tmp_path))
    monkeypatch.setenv("THRIFTY_NVML", "/nowhere")
    return tmp_path


def measured(*arguments: object) -> dict:
    done = said("throttle", "measure", "--json", "--warm-up", 0, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_a_counter_there_are_cpu_seconds_and_they_are_called_so() -> None:
    told = measured("--repeat", 4, "--", *LONG)
    assert told["command"] == LONG
    assert (told["runs"], told["energy_j"], told["watts"], told["unit"]) == (4, None, None, "CPU-s")
    assert told["source"] == "CPU-seconds of the process and its children"
    assert 0 < told["cost"]["low"] <= told["cost"]["mean"] <= told["cost"]["high"]
    shown = said("throttle", "measure", "--repeat", 2, "--warm-up", 0, "--", *SHORT)
    assert "CPU-s a run" in shown.stdout
    assert "CPU-seconds of" in shown.stdout
    assert "J a run" not in shown.stdout


@pytest.fixture
def counting(bare: Path) -> Iterator[None]:
    """Packages that count while the test runs."""
    first, stop = rapl(bare), threading.Event()
    files = [first, Path(str(first).replace("intel-rapl:0", "intel-rapl:1"))]

    def count() -> None:
        total = 1_000_000
        while not stop.wait(0.001):
            total += 50_000
            for energy in files:
                beside = energy.with_suffix(".new")
                beside.write_text(f"{total}\n")
                beside.replace(energy)

    thread = threading.Thread(target=count)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("counting")
def test_joules_come_with_the_name_of_what_counted() -> None:
    told = measured("--repeat", 3, "--source", "rapl", "--", *SHORT)
    assert told["source"] == "rapl:package-0 + rapl:package-1"
    assert told["unit"] == "J"
    assert told["energy_j"] == pytest.approx(told["watts"] * told["seconds"]["mean"], rel=0.1)
    assert told["temperature_c"] == 51.0
    shown = said("throttle", "measure", "--repeat", 2, "--warm-up", 0, "--", *SHORT)
    assert "rapl:package-0" in shown.stdout
    assert "J a run" in shown.stdout


def test_one_run_has_no_interval() -> None:
    told = measured("--repeat", 1, "--", *SHORT)
    assert told["cost"]["mean"] > 0
    assert (told["cost"]["low"], told["seconds"]["high"]) == (None, None)


def test_a_saving_by_turns() -> None:
    told = measured("--repeat", 6, "--against", shlex.join(LONG), "--", *SHORT)
    assert told["against"]["command"] == LONG
    assert (told["runs"], told["against"]["runs"]) == (6, 6)
    assert 0 < told["saving"]["low"] < told["saving"]["share"] < told["saving"]["high"] < 1
    shown = said("throttle", "measure", "--repeat", 6, "--warm-up", 0, "--against", shlex.join(SHORT), "--", *LONG)
    assert "the first command takes more" in shown.stdout


def ended(pids: Path, count: int) -> bool:
    """Whether so many processes wrote their ids and none of them runs, or is more than a body."""
    found = pids.read_text().split() if pids.exists() else []
    states = [Path(f"/proc/{pid}/stat") for pid in found]
    return len(found) >= count and not any(
        path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z" for path in states
    )


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_what_a_run_leaves_in_the_background_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    measured("--repeat", 2, "--", "sh", "-c", f"sleep 600 & echo $! >> {pids}")
    wait_until(lambda: ended(pids, 2))


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_ends_with_the_measurement(number: int, tmp_path: Path, interruptible: None) -> None:
    pids = tmp_path / "pids"
    code = f"sleep 600 & echo $! $$ >> {pids}.new; mv {pids}.new {pids}; wait"
    command = [sys.executable, "-m", "thrifty", "throttle", "measure", "--warm-up", "0", "--", "sh", "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(pids)
    process.send_signal(number)
    assert process.wait(20) != 0
    wait_until(lambda: ended(pids, 2))


def test_options_of_the_command_are_its_own() -> None:
    assert measured("--repeat", 1, "--", sys.executable, "-S", "-c", "0", "--repeat", "9")["runs"] == 1
    told = measured(
        "--repeat", 1, sys.executable, "-S", "-c", "import sys; sys.exit('--json' not in sys.argv)", "--json"
    )
    assert told["command"][-1] == "--json"


def test_output_of_the_command_stays_out_of_ours() -> None:
    done = thrifty("throttle", "measure", "--json", "--repeat", 1, "--warm-up", 0, "--", "echo", "loud")
    assert json.loads(done.stdout)["command"] == ["echo", "loud"]
    assert done.stderr == ""


def test_commands_that_can_not_be_measured(tmp_path: Path) -> None:
    def fails(*arguments: object, status: int = 1) -> str:
        done = said("throttle", "measure", "--warm-up", 0, *arguments)
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.count("\n") == 1
        return done.stderr

    assert "nowhere-to-be-found: No such file" in fails("--", "nowhere-to-be-found")
    assert "Permission denied" in fails("--", tmp_path)
    assert "run 1 ended with status 3" in fails("--", "sh", "-c", "exit 3")
    assert "run 1 was killed by signal 9" in fails("--", "sh", "-c", "kill -9 $$")
    third = f"echo x >> {tmp_path}/runs; test $(wc -l < {tmp_path}/runs) -lt 3"
    assert "run 3 ended with status 1" in fails("--repeat", 5, "--", "sh", "-c", third)
    assert "--against" in fails("--against", "'open", "--", *SHORT, status=2)
    assert "--against is empty" in fails("--against", "", "--", *SHORT, status=2)
    assert "COMMAND" in fails(status=2)
    assert "source rapl: this machine has none" in fails("--source", "rapl", "--", *SHORT)
    assert "--repeat" in fails("--repeat", 0, "--", *SHORT, status=2)
