"""Devices are as they were found, whenever the process that sets them is killed.

orin, tx2, cpufreq, powercap: trees of files like those of two Jetson boards, of a processor's clocks, and of power
limits. nvml: two cards that are a library of their own, whose settings are in a file and whose setters are logged. Each
has 50 processes that set it at random and are killed with kill -9, half of them at a moment of their first 0.6 s, half
within 0.1 s of their first settings: how often all was back within 2 s, the longest time, and how often something was
changed at that moment. Then 50 more, killed together with their watchdogs, after each of which `thrifty throttle
devices` runs. Of the cards, locks that processes set, less those that were reset.

dry: what `thrifty throttle apply --dry-run` wrote or set.

permission: answers without permission that are not exit status 1 with the file and the fix.

--planted lets processes set without a watchdog.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[3])]

from rows import Goal  # noqa: E402
from tests.throttle import fake_nvml  # noqa: E402
from tests.throttle.killing import kill, kill_with_watchdog, tuning, wait_until  # noqa: E402
from tests.throttle.trees import KINDS, plant, texts, times  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__, ("nvidia-ml-py",))
MOMENTS = 5 if goal.planted else 50
LIMIT = 2.0
rng = random.Random(goal.seed)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `thrifty throttle`."""
    words = [sys.executable, "-m", "thrifty", "throttle", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def killed(kind: str, root: Path, now: Callable[[], Any], end: Callable[..., None]) -> tuple[int, bool]:
    """Start a process, kill it at a random moment, and return its id and whether something was changed then."""
    first = now()
    started = root.with_name("started")
    started.unlink(missing_ok=True)
    process = tuning(kind, root, started, rng.randrange(1 << 30), alone=goal.planted)
    if rng.random() < 0.5 and end is kill:
        time.sleep(rng.random() * 0.6)
    else:
        wait_until(started.exists)
        time.sleep(rng.random() * 0.1)
    end(process)
    return process.pid, now() != first


def rows(kind: str, where: str, root: Path, now: Callable[[], Any]) -> list[int]:
    """Kill processes, alone and with their watchdogs; returns the ids of those that were killed."""
    first, pids, back, changed, longest = now(), [], 0, 0, 0.0
    for _ in range(MOMENTS):
        pid, was_changed = killed(kind, root, now, kill)
        begun = time.monotonic()
        try:
            wait_until(lambda: now() == first, LIMIT)
        except AssertionError:
            command("restore")
        else:
            back += 1
        longest = max(longest, time.monotonic() - begun)
        changed += was_changed
        pids.append(pid)
        wait_until(lambda: not list(Path(os.environ["THRIFTY_STATE"]).glob("*.journal")))
    what = f"{where}: processes killed with kill -9 at {MOMENTS} random moments"
    goal.row(f"{kind}/back", f"{what}, times that all was back within {LIMIT:g} s", f"== {MOMENTS}", back)
    goal.row(f"{kind}/longest", f"{what}, longest time until all was back", f"<= {LIMIT:g}", longest, "s")
    goal.row(f"{kind}/changed", f"{what}, times that something was changed", f">= {MOMENTS // 4}", changed)
    back = changed = 0
    for _ in range(MOMENTS):
        pid, was_changed = killed(kind, root, now, kill_with_watchdog)
        changed += was_changed
        command("devices")
        back += now() == first
        pids.append(pid)
    what = f"{where}: killed with their watchdogs at {MOMENTS} random moments"
    goal.row(f"{kind}/both", f"{what}, times that the next command put all back", f"== {MOMENTS}", back)
    goal.row(f"{kind}/both-changed", f"{what}, times that something was changed", f"== {MOMENTS}", changed)
    return pids


def trees(here: Path) -> None:
    """The four trees."""
    for kind in KINDS:
        if goal.wants(kind):
            root = plant(here / kind / "sys", kind)
            os.environ["THRIFTY_SYSFS_ROOT"] = str(root)
            rows(kind, f"a tree like {kind}", root, lambda root=root: texts(root))


def cards(here: Path) -> None:
    """The fake cards."""
    before = dict(os.environ)
    os.environ["LD_LIBRARY_PATH"] = str(fake_nvml.build(here))
    os.environ["THRIFTY_SYSFS_ROOT"] = str(here / "none")
    path = here / "cards"
    os.environ |= fake_nvml.plant(path)
    pids = rows("nvml", "fake NVIDIA cards", path, lambda: fake_nvml.cards(path))
    calls = fake_nvml.calls(path)
    # A process that was killed before its first call leaves a reset without a set, which does no harm.
    locked, left, owner = set[tuple[int, str]](), 0, 0
    for pid, name, card, _ in calls:
        part = name.removeprefix("Set").removeprefix("Reset")
        if not part.endswith("LockedClocks"):
            continue
        if name.startswith("Set"):
            left += len(locked) if pid != owner and pid in pids else 0
            owner = pid
            locked.add((card, part))
        else:
            locked.discard((card, part))
    count = sum(name.startswith("Set") and name.endswith("LockedClocks") for _, name, *_ in calls)
    text = f"fake NVIDIA cards: locks that processes left ({count} were set) when the next one began, and at the end"
    goal.row("nvml/setters", text, "== 0", left + len(locked))
    os.environ.clear()
    os.environ |= before


def dry(here: Path) -> None:
    """Nothing is written."""
    root = plant(here / "dry" / "sys", "tx2")
    os.environ["THRIFTY_SYSFS_ROOT"] = str(root)
    best = here / "best.json"
    best.write_text('{"best": {"gpu_mhz": 420.75, "cpu0_mhz": 960}}')
    before = times(root)
    done = command("apply", best, "--device", f"jetson:{root}", "--dry-run")
    after = times(root)
    changed = sum(before.get(name) != after.get(name) for name in before | after)
    goal.row("dry/status", "apply --dry-run: exit status", "== 0", done.returncode)
    goal.row("dry/writes", "apply --dry-run: files and folders of the tree that were written", "== 0", changed)


def permission(here: Path) -> None:
    """Who may not write is told which file refuses, and the fix."""
    root = plant(here / "permission" / "sys", "tx2")
    os.environ["THRIFTY_SYSFS_ROOT"] = str(root)
    best = here / "best.json"
    best.write_text('{"gpu_mhz": 420.75}')
    wrong = 0
    for name in ("min_freq", "max_freq"):
        file = root / "class/devfreq/17000000.gp10b" / name
        file.chmod(0o444)
        words = [sys.executable, "-m", "thrifty", "throttle", "apply", str(best), "--device", f"jetson:{root}"]
        if os.geteuid() == 0:
            words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        wrong += not (done.returncode == 1 and f"{file}: Permission denied" in done.stderr and "chown" in done.stderr)
        file.chmod(0o644)
    goal.row("permission/wrong", "without permission: answers that are not status 1, file and fix", "== 0", wrong)


with tempfile.TemporaryDirectory() as temporary:
    place = Path(temporary)
    os.environ["THRIFTY_STATE"] = str(place / "state")
    trees(place)
    if goal.wants("nvml"):
        cards(place)
    if goal.wants("dry"):
        dry(place)
    if goal.wants("permission"):
        permission(place)
goal.end()
