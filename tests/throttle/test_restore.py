"""Devices are left as they were found: killed processes, damaged journals, full disks, two at once."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import ok, said, thrifty, wait_for
from tests.throttle.killing import REPOSITORY, kill, kill_with_watchdog, tuning, wait_until
from tests.throttle.trees import KINDS, plant, texts
from thrifty.errors import DeviceBusy, DeviceLost, FormatError, JournalCorrupt, NotPermitted, NotRestored
from thrifty.throttle import hold, recover
from thrifty.throttle import journal as journal_file
from thrifty.throttle.backends import sysfs
from thrifty.throttle.backends.files import FileDevice
from thrifty.throttle.journal import Found, Journal, Owner, boot_id, journals, lock, machine_id


def device_of(kind: str, root: Path) -> FileDevice:
    return KINDS[kind][1](plant(root, kind))


def lowest(device: FileDevice) -> dict:
    return {knob.name: knob.values[0] for knob in device.knobs()}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_found_is_put_back(kind: str, tmp_path: Path, state: Path) -> None:
    device = device_of(kind, tmp_path / "sys")
    before = texts(tmp_path / "sys")
    for values in (lowest(device), {knob.name: knob.values[1] for knob in device.knobs()}):
        assert device.apply(values) == values
        assert {name: device.read()[name] for name in values} == values
    (journal,) = journals(state)
    assert journal.stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    assert texts(tmp_path / "sys") != before
    device.restore()
    assert texts(tmp_path / "sys") == before
    assert journals(state) == []
    device.restore()


def test_what_is_set_already_is_not_written(tmp_path: Path, state: Path) -> None:
    device = device_of("cpufreq", tmp_path / "sys")
    device.apply({"cpu_mhz": 2000})
    (tmp_path / "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq").chmod(0o444)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "sys").rglob("*freq")}
    (journal,) = journals(state)
    kept = journal.stat().st_ino
    device.apply({"cpu_mhz": 2000})
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "sys").rglob("*freq")} == written
    assert journal.stat().st_ino == kept
    device.restore()


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_process_leaves_no_trace(kind: str, tmp_path: Path, state: Path) -> None:
    """At moments before, in and after its first settings."""
    plant(tmp_path / "sys", kind)
    before = texts(tmp_path / "sys")
    rng = random.Random(kind)
    for turn in range(3):
        process = tuning(kind, tmp_path / "sys", tmp_path / f"started{turn}", turn)
        if turn:
            wait_for(tmp_path / f"started{turn}")
            assert journals(state) != []
        time.sleep(rng.random() * (0.02 if turn else 0.4))
        kill(process)
        wait_until(lambda: texts(tmp_path / "sys") == before and journals(state) == [])


def test_a_killed_watchdog_leaves_it_to_the_next_command(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "orin")
    before = texts(root)
    process = tuning("orin", root, tmp_path / "started")
    wait_for(tmp_path / "started")
    kill_with_watchdog(process)
    assert texts(root) != before
    assert len(journals(state)) == 1
    done = said("throttle", "devices", "--json")
    assert done.returncode == 0
    assert "a process that is gone left it changed" in done.stderr
    assert texts(root) == before
    assert journals(state) == []
    assert ok("throttle", "restore") == "nothing to put back\n"


def test_a_watchdog_that_died_is_replaced(tmp_path: Path, state: Path) -> None:
    device = device_of("cpufreq", tmp_path / "sys")
    device.apply({"cpu_mhz": 1000})
    (first,) = hold._watchdogs.values()
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: not first.alive())
    device.apply({"cpu_mhz": 1100})
    (second,) = hold._watchdogs.values()
    assert second.pid != first.pid
    device.restore()
    assert not hold._watchdogs
    assert not second.alive()


def test_two_at_once(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "tx2")
    before = texts(root)
    second = KINDS["tx2"][1](root)
    process = tuning("tx2", root, tmp_path / "started")
    wait_for(tmp_path / "started")
    with pytest.raises(DeviceBusy, match=rf"process {process.pid} holds it"):
        second.apply(lowest(second))
    assert recover()[0].outcome == "in use"
    done = said("throttle", "restore", "--json")
    assert [one["outcome"] for one in json.loads(done.stdout)["journals"]] == ["in use"]
    done = said("throttle", "restore", "--all")
    assert done.returncode == 0
    assert process.wait(20) == -signal.SIGTERM
    assert texts(root) == before
    assert second.apply(lowest(second)) == lowest(second)
    third = KINDS["tx2"][1](root)
    with pytest.raises(DeviceBusy, match=rf"process {os.getpid()} holds it"):
        third.apply({"gpu_mhz": 420.75})
    second.restore()
    assert texts(root) == before


CODE = """
import atexit, os, signal, sys, time
from pathlib import Path
from tests.throttle.trees import KINDS
device = KINDS["cpufreq"][1](Path(sys.argv[1]))
"""


def python(code: str, root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CODE + code, str(root)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("device.apply({'cpu_mhz': 900})", 0),
        ("device.apply({'cpu_mhz': 900}); raise SystemExit(3)", 3),
        ("device.apply({'cpu_mhz': 900}); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
        ("device.apply({'cpu_mhz': 900}); os.kill(os.getpid(), signal.SIGHUP); time.sleep(60)", -signal.SIGHUP),
        ("device.apply({'cpu_mhz': 900}); os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", -signal.SIGINT),
        ("device.apply({'cpu_mhz': 900}); os.abort()", -signal.SIGABRT),
        ("device.apply({'cpu_mhz': 900}); os._exit(7)", 7),
    ],
)
def test_every_end_of_a_process(code: str, status: int, tmp_path: Path, state: Path, interruptible: None) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    process = python(code, root)
    process.communicate()
    assert process.returncode == status
    wait_until(lambda: texts(root) == before and journals(state) == [])


def test_a_handler_that_goes_on_finds_the_device_put_back(tmp_path: Path, state: Path) -> None:
    """And what the handler was is there again."""
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    code = """
seen = []
handler = lambda number, frame: seen.append(device.read()["cpu_mhz"])
signal.signal(signal.SIGINT, handler)
device.apply({"cpu_mhz": 900})
os.kill(os.getpid(), signal.SIGINT)
assert seen == [3000], seen
assert signal.getsignal(signal.SIGINT) is handler
device.apply({"cpu_mhz": 1000})
device.restore()
"""
    process = python(code, root)
    assert process.communicate()[1] == b""
    assert process.returncode == 0
    assert texts(root) == before


def test_a_forked_child_has_no_part_in_it(tmp_path: Path, state: Path) -> None:
    """Its end restores nothing, and while it lives it keeps no watchdog from seeing that its parent is gone."""
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    code = """
from thrifty.errors import DeviceBusy
from thrifty.throttle import Call, Knob
calls, parent = [], os.getpid()
atexit.register(lambda: os.getpid() != parent and os._exit(len(calls)))
function = Call({Knob("x", [1, 2]): calls.append})
function.apply({"x": 1})
device.apply({"cpu_mhz": 900})
if os.fork() == 0:
    try:
        device.apply({"cpu_mhz": 1000})
        os._exit(7)
    except DeviceBusy as error:
        if f"process {parent} holds it" not in str(error):
            os._exit(8)
        sys.exit()
assert os.waitstatus_to_exitcode(os.wait()[1]) == 1, "the child called no function of its parent's"
assert device.read()["cpu_mhz"] == 900
child = os.fork()
if child == 0:
    time.sleep(60)
print(child, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = python(code, root)
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    child = int(line)
    try:
        process.wait()
        wait_until(lambda: texts(root) == before and journals(state) == [])
    finally:
        os.kill(child, signal.SIGKILL)
        assert process.stderr.read() == b""
        process.stdout.close()
        process.stderr.close()


def test_a_child_that_nobody_told(tmp_path: Path, state: Path) -> None:
    """A library forks without Python: the child has pipe and lock, and neither keeps the device from going back."""
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    code = """
import ctypes
device.apply({"cpu_mhz": 900})
child = ctypes.PyDLL(None).fork()
if child == 0:
    time.sleep(60)
print(child, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = python(code, root)
    assert process.stdout is not None
    assert process.stderr is not None
    child = int(process.stdout.readline())
    try:
        process.wait()
        wait_until(lambda: texts(root) == before and journals(state) == [])
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()
        process.stderr.close()


def left(root: Path, state: Path, **changes: object) -> tuple[Path, Journal]:
    """A journal as a dead process leaves it, of a tree that was changed."""
    found = []
    for name, value in (("scaling_min_freq", "800000"), ("scaling_max_freq", "3000000")):
        for policy in ("policy0", "policy1"):
            path = root / "devices/system/cpu/cpufreq" / policy / name
            path.write_text("1000000")
            found.append(Found(str(path), value))
    device = KINDS["cpufreq"][1](root)
    fields = {
        "device": device.id,
        "backend": "files",
        "owner": Owner(2**22 + 1, 5),
        "boot": boot_id(),
        "machine": machine_id(),
        "found": tuple(found),
    }
    state.mkdir(exist_ok=True)
    journal = Journal(**{**fields, **changes})  # type: ignore[arg-type]
    path = Journal.place(state, device.id)
    journal.write(path)
    return path, journal


def test_what_a_dead_process_set_is_not_taken_for_what_was_found(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    path, _ = left(root, state)
    device = KINDS["cpufreq"][1](root)
    assert device.read()["cpu_mhz"] == 1000
    assert device.apply({"cpu_mhz": 1000}) == {"cpu_mhz": 1000}
    assert {one.value for one in (Journal.read(path)[0] or pytest.fail("no journal")).found} == {"800000", "3000000"}
    device.restore()
    assert texts(root) == before
    left(root, state)
    assert device.apply({"cpu_mhz": 3000}) == {"cpu_mhz": 3000}
    device.restore()
    assert texts(root) == before


def test_a_journal_that_comes_while_the_lock_is_taken(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process took the device and was killed, between the look for its journal and the lock."""
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    device = KINDS["cpufreq"][1](root)
    lock = hold.lock

    def late(path: Path) -> int | None:
        left(root, state)
        return lock(path)

    monkeypatch.setattr(hold, "lock", late)
    device.apply({"cpu_mhz": 900})
    device.restore()
    assert texts(root) == before


def test_a_journal_of_another_boot_is_dropped(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    path, _ = left(root, state, boot="another")
    changed = texts(root)
    assert [one.outcome for one in recover()] == ["rebooted"]
    assert not path.exists()
    assert texts(root) == changed


def test_a_journal_of_another_machine_is_left_alone(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    path, _ = left(root, state, machine="another", boot="another")
    assert recover() == []
    assert path.exists()


def test_a_process_id_that_was_given_again_is_no_owner(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    mine = Owner.me()
    assert mine.alive()
    left(root, state, owner=Owner(mine.pid, mine.start + 1))
    assert [one.outcome for one in recover()] == ["restored"]


def contained(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a container: process ids are counted anew there."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", *(["--map-root-user"] if os.geteuid() else [])]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, cwd=REPOSITORY)


# Where no namespace may be made, the next test has what this one shows, from an owner of another namespace's number.
@pytest.mark.skipif(sys.platform != "linux" or contained("true").returncode != 0, reason="no namespaces may be made")
def test_a_container_leaves_alone_what_the_host_holds(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    device = KINDS["cpufreq"][1](root)
    device.apply({"cpu_mhz": 900})
    changed = texts(root)
    thrifty_there = [sys.executable, "-m", "thrifty", "throttle"]
    done = contained(*thrifty_there, "restore", "--json")
    assert [one["outcome"] for one in json.loads(done.stdout)["journals"]] == ["in use"]
    done = contained(*thrifty_there, "restore", "--all")
    assert (done.returncode, f"process {os.getpid()} of another container" in done.stderr) == (1, True)
    assert texts(root) == changed
    assert len(journals(state)) == 1
    device.restore()
    assert texts(root) == before
    left(root, state, owner=Owner.me())
    done = contained(*thrifty_there, "restore", "--json")  # nobody has its lock
    assert [one["outcome"] for one in json.loads(done.stdout)["journals"]] == ["restored"]
    assert texts(root) == before


def test_of_another_namespace_the_lock_tells(tmp_path: Path, state: Path) -> None:
    """Its process ids say nothing here, those that run included."""
    root = plant(tmp_path / "sys", "cpufreq")
    mine = Owner.me()
    for pid, start in ((mine.pid, mine.start), (2**22 + 1, 5)):
        path, _ = left(root, state, owner=Owner(pid, start, mine.namespace + 1))
        changed = texts(root)
        held = lock(path)
        assert held is not None
        assert [one.outcome for one in recover()] == ["in use"]
        assert (path.exists(), texts(root)) == (True, changed)
        os.close(held)
        assert [one.outcome for one in recover()] == ["restored"]
        assert not path.exists()


def test_a_journal_without_a_namespace_is_read(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    line = journal_file._line
    monkeypatch.setattr(
        journal_file, "_line", lambda fields: line({k: v for k, v in fields.items() if k != "namespace"})
    )
    path, _ = left(root, state, owner=Owner(2**22 + 1, 5, 7))
    journal, faults = Journal.read(path)
    assert journal is not None
    assert (journal.owner, faults) == (Owner(2**22 + 1, 5), [])
    assert [one.outcome for one in recover()] == ["restored"]


def test_a_journal_that_is_gone_is_written_again(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    device = KINDS["cpufreq"][1](root)
    device.apply({"cpu_mhz": 900})
    (path,) = journals(state)
    kept = path.read_bytes()
    path.unlink()
    device.apply({"cpu_mhz": 1000})
    assert path.read_bytes() == kept
    device.restore()


def test_a_journal_cut_anywhere_is_told_and_what_is_left_of_it_used(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    path, journal = left(root, state)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 5
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        read, faults = Journal.read(path)
        assert faults
        lines = sum(end <= cut for end in ends)
        assert (read is None) == (lines == 0)
        if read is not None:
            assert read.found == journal.found[: lines - 1]
    path.write_bytes(whole[: ends[2] + 9])
    with pytest.raises(
        JournalCorrupt, match=r"2 of 4 values can't be read, the first in line 4; 2 values were put back"
    ):
        KINDS["cpufreq"][1](root).apply({"cpu_mhz": 900})
    assert path.read_bytes() == whole[: ends[2] + 9]
    now = texts(root)
    assert sum(now[name] != before[name] for name in now) == 2
    done = said("throttle", "restore")
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert said("throttle", "devices").returncode == 0
    path.write_bytes(whole)
    assert [one.outcome for one in recover()] == ["restored"]
    assert texts(root) == before


def test_a_flipped_byte_is_seen(tmp_path: Path, state: Path) -> None:
    path, _ = left(plant(tmp_path / "sys", "cpufreq"), state)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert Journal.read(path)[1], place


def test_what_is_no_journal_of_ours(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    path, journal = left(root, state)
    changed = texts(root)
    path.chmod(0o666)
    (one,) = recover()
    assert isinstance(one.error, JournalCorrupt)
    assert "others than this user can write it" in str(one.error)
    path.chmod(0o600)
    target = path.rename(tmp_path / "elsewhere")
    path.symlink_to(target)
    assert recover()[0].outcome == "failed"
    path.unlink()
    path.write_bytes(b"\0" * 100_000)
    path.chmod(0o600)
    assert isinstance(recover()[0].error, JournalCorrupt)
    assert texts(root) == changed != before
    Journal(**{**vars(journal), "backend": "os"}).write(path)
    (one,) = recover()
    assert isinstance(one.error, NotRestored)
    assert "the backend 'os' is none of" in str(one.error)


def test_a_newer_version_is_refused(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(tmp_path / "sys", "cpufreq")
    monkeypatch.setattr("thrifty.throttle.journal.VERSION", 2)
    left(root, state)
    monkeypatch.undo()
    monkeypatch.setenv("THRIFTY_STATE", str(state))
    (one,) = recover()
    assert isinstance(one.error, FormatError)
    assert "version 2" in str(one.error)
    assert "up to 1" in str(one.error)


def test_a_value_that_does_not_go_back_keeps_its_journal(tmp_path: Path, state: Path) -> None:
    root = plant(tmp_path / "sys", "powercap")
    before = texts(root)
    device = KINDS["powercap"][1](root)
    device.apply({"package_power_w": 90})
    gone = root / "class/powercap/intel-rapl:1/enabled"
    text = gone.read_text()
    gone.unlink()
    with pytest.raises(NotRestored, match=r"intel-rapl:1/enabled = '0' \(.*No such file.*the journal stays"):
        device.restore()
    assert {name for name, value in texts(root).items() if value != before[name]} == set()
    assert len(journals(state)) == 1
    gone.write_text(text)
    device.restore()
    assert texts(root) == before
    assert journals(state) == []


def test_without_a_journal_nothing_is_set(tmp_path: Path, state: Path) -> None:
    """The disk takes no byte: a limit on the size of files fails as a full disk does."""
    root = plant(tmp_path / "sys", "cpufreq")
    before = texts(root)
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    device.apply({"cpu_mhz": 900})
except OSError as error:
    print(error.errno, error.filename, error.strerror)
"""
    process = python(code, root)
    out, problems = process.communicate()
    number, path, why = out.decode().split(" ", 2)
    assert (int(number), Path(path).parent) == (errno.EFBIG, state), problems
    assert "so nothing is set" in why
    assert texts(root) == before
    assert [path.suffix for path in state.iterdir()] == [".lock"]


def test_without_a_watchdog_nothing_is_set(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = device_of("cpufreq", tmp_path / "sys")
    before = texts(tmp_path / "sys")
    for executable, message in (("/nonexistent/python", "No such file"), ("/bin/true", "the watchdog did not start")):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(NotPermitted, match=message):
            device.apply({"cpu_mhz": 900})
        assert texts(tmp_path / "sys") == before
        assert journals(state) == []
    monkeypatch.undo()
    monkeypatch.setenv("THRIFTY_STATE", str(state))
    device.apply({"cpu_mhz": 900})
    device.restore()


def test_what_a_killed_writer_leaves_is_cleared(tmp_path: Path, state: Path) -> None:
    device = device_of("cpufreq", tmp_path / "sys")
    state.mkdir()
    partial = Path(f"{Journal.place(state, device.id)}.4711.partial")
    partial.write_bytes(b"half")
    device.apply({"cpu_mhz": 900})
    assert not partial.exists()


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.EBUSY, DeviceBusy, "the kernel is busy with it"),
        (errno.EINVAL, NotPermitted, "the kernel does not take 900000"),
        (errno.ENODEV, DeviceLost, "the device does not answer"),
    ],
)
def test_a_write_that_fails(
    number: int, kind: type, message: str, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first write that fails leaves nothing; a later one leaves it to `restore`."""
    device = device_of("cpufreq", tmp_path / "sys")
    before = texts(tmp_path / "sys")
    write, failing = os.write, [True, True]

    def fails(file: int, data: bytes) -> int:
        target = os.readlink(f"/proc/self/fd/{file}")
        if data == b"900000" and target.endswith("freq") and failing.pop(0):
            raise OSError(number, os.strerror(number))
        return write(file, data)

    monkeypatch.setattr(sysfs.os, "write", fails)
    with pytest.raises(kind, match=message):
        device.apply({"cpu_mhz": 900})
    assert texts(tmp_path / "sys") == before
    assert journals(state) == [] or kind is DeviceLost
    failing[:] = [False, True]
    with pytest.raises(kind, match=message):
        device.apply({"cpu_mhz": 900})
    device.restore()
    assert texts(tmp_path / "sys") == before
    assert journals(state) == []


def test_the_watchdog_is_small(tmp_path: Path, state: Path) -> None:
    """It loads neither numpy nor anything else that is not of Python."""
    device = device_of("cpufreq", tmp_path / "sys")
    device.apply({"cpu_mhz": 900})
    (watchdog,) = hold._watchdogs.values()
    mapped = Path(f"/proc/{watchdog.pid}/maps").read_text()
    assert "numpy" not in mapped
    assert "_core" not in mapped
    assert os.getsid(watchdog.pid) == watchdog.pid
    device.restore()


def test_the_command_line_puts_back_at_its_end(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, interruptible: None
) -> None:
    root = plant(tmp_path / "sys", "tx2")
    before = texts(root)
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    best = tmp_path / "best.json"
    best.write_text(json.dumps({"seed": 1, "best": {"gpu_mhz": 420.75, "emc_mhz": 408, "batch": 4}}))
    board = ["--device", f"jetson:{root}"]
    done = thrifty("throttle", "apply", best, *board, "--ttl", 0.05, "--json")
    assert done.returncode == 0
    assert done.stderr == f"note: {best}: batch is no knob of a device here; it is left to the workload\n"
    rows = json.loads(done.stdout)["set"]
    assert [(row["knob"], row["was"], row["set"]) for row in rows] == [
        ("gpu_mhz", 1032.75, 420.75),
        ("emc_mhz", 1866, 408),
    ]
    assert texts(root) == before
    command = [sys.executable, "-m", "thrifty", "throttle", "apply", str(best), *board, "--json"]
    for number, status in ((signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["set"][0]["set"] == 420.75
            process.send_signal(number)
            assert process.wait(20) == status
        wait_until(lambda: texts(root) == before and journals(state) == [])
