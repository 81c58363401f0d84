"""The engine lasts, and what fails costs no more than itself.

random/: 100,000 random sequences of submissions, plans, commits, aborts, cancellations and shortages, against a model
that is decoded plainly (rust/specdec/tests/operations.rs). endless/: 1,000,000 steps over a pool that is too small,
with cancellations, failures and aborts: memory at the end over memory after a tenth, requests lost. faults/: 256
requests whose drafter, target or verification fails in one of ten calls (an exception, a wrong shape, NaN, ids out of
range), or of which half are cancelled in flight: requests whose ids are not those of plain decoding, or that did not
end as they should. pool/: two blocks and a prompt that is too long; and requests that would need ten times the blocks
there are, ids a token of the target beside a pool of ten times the size. killed/: a process that works is killed with
signal 9: files, shared memory and processes that it leaves.

--planted keeps what became of requests in endless/, and lets one request's target say something else in faults/.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

from thrifty.errors import OutOfBlocks
from thrifty.specdec import Drafts, Engine, Step

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__)
VOCAB, REQUESTS, NEW = 64, 256, 40
rng = np.random.default_rng(goal.seed)
LAW = np.log(rng.dirichlet(np.full(VOCAB, 0.3), VOCAB)).astype(np.float32)
PROMPTS = [rng.integers(0, VOCAB, int(n)) for n in rng.integers(1, 30, REQUESTS)]
SIZES: dict[str, Any] = {"vocab": VOCAB, "max_running": 64, "max_length": 128, "block_size": 4, "rule": "seed_exact"}


def target(step: Step) -> Any:
    """What follows depends on the last id."""
    return LAW[step.tokens[step.outputs]]


def drafter(step: Step, rows: Any) -> Drafts:
    """The likeliest id, again and again."""
    last = step.tokens[step.first[rows + 1] - step.gamma[rows] - 1].astype(np.int64)
    ids = np.empty((len(rows), int(step.gamma[: step.giving].max())), np.int64)
    for k in range(ids.shape[1]):
        ids[:, k] = last = LAW[last].argmax(1)
    return Drafts(ids)


class BrokenError(Exception):
    """What a model raises."""


class Now:
    """Says yes once in ten calls, and not twice running: what fails is tried again."""

    def __init__(self) -> None:
        self.random, self.last, self.count = np.random.default_rng(7), False, 0

    def __call__(self) -> bool:
        self.last = not self.last and bool(self.random.random() < 0.1)
        self.count += self.last
        return self.last


def ran(
    target: Callable[[Step], Any], drafter: Callable[[Step, Any], Drafts] | None, **sizes: Any
) -> tuple[Engine, list[Any]]:
    """Every prompt to its end."""
    engine = Engine(target, [drafter] if drafter else [], **(SIZES | {"gamma": 3} | sizes))
    handles = [engine.submit(prompt, max_new=NEW, uid=i) for i, prompt in enumerate(PROMPTS)]
    engine.run()
    found = [engine.take(handle) for handle in handles]
    return engine, found


def random() -> None:
    """100,000 sequences."""
    command = ["cargo", "test", "--release", "--quiet", "-p", "thrifty-specdec", "--test", "operations"]
    done = subprocess.run(
        [*command, "--", "--include-ignored", "a_hundred_thousand"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    passed = "1 passed; 0 failed" in done.stdout
    if not passed:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    goal.row("random/sequences", "random sequences of operations that hold", "== 100000", 100_000 if passed else 0)


def endless() -> None:
    """A million steps."""
    command = [
        "cargo",
        "run",
        "--release",
        "--quiet",
        "-p",
        "thrifty-specdec",
        "--example",
        "endurance",
        "--",
        "1000000",
    ]
    done = subprocess.run(
        [*command, *(["leak"] if goal.planted else [])], cwd=ROOT, capture_output=True, text=True, check=True
    )
    row = json.loads(done.stdout)
    what = (
        f"memory after {row['steps']:,} steps over that after a tenth ({row['last'] >> 10:,} KB; {row['ended']:,} "
        f"requests, {row['emitted']:,} ids, {row['preempted']:,} preempted, {row['aborted']:,} aborted)"
    )
    goal.row("endless/memory", what, "<= 1.02", row["last"] / row["first"], "times")
    goal.row("endless/lost", "requests that neither ended nor run nor wait", "== 0", row["lost"], "requests")


def faults() -> None:
    """Models that fail."""
    _, wanted = ran(target, None)

    def other(step: Step) -> Any:
        scores = target(step)
        if goal.planted:
            row = np.repeat(np.arange(step.giving), step.gamma[: step.giving].astype(int) + 1)
            scores[step.uids[row] == 5] *= 0.5
        return scores

    def row(name: str, what: str, engine: Engine, found: list[Any], count: int) -> None:
        wrong = sum(
            got.end != "length" or got.tokens.tolist() != one.tokens.tolist()
            for got, one in zip(found, wanted, strict=True)
        )
        held = SIZES.get("blocks", 4096) - engine.stats()["free_blocks"]
        goal.row(f"faults/{name}", f"{what}, {count} times: requests unlike plain decoding", "== 0", wrong, "requests")
        goal.row(f"faults/{name} blocks", f"{what}: blocks held at the end", "== 0", held, "blocks")

    def failing(which: str, how: Callable[[Any], Any]) -> None:
        now = Now()
        at_target: Callable[[Step], Any] = (
            (lambda s: how(other(s)) if now() else other(s)) if which == "target" else other
        )
        at_draft: Callable[[Step, Any], Drafts] = (
            (lambda s, rows: how(drafter(s, rows)) if now() else drafter(s, rows)) if which == "draft" else drafter
        )
        engine, found = ran(at_target, at_draft)
        row(f"{which} {how.__name__}", f"the {which}: {(how.__doc__ or '').strip('.')}", engine, found, now.count)

    def raises(_: Any) -> Any:
        """raises an exception."""
        raise BrokenError("no memory")

    def shape(scores: Any) -> Any:
        """a row too few."""
        return scores[:-1]

    def nan(scores: Any) -> Any:
        """NaN in all scores, which verification refuses."""
        return np.full_like(scores, np.nan)

    def rows(drafts: Drafts) -> Drafts:
        """a row too many."""
        return Drafts(np.concatenate([drafts.ids, drafts.ids[:1]]))

    def ids(drafts: Drafts) -> Drafts:
        """ids out of range."""
        return Drafts(np.asarray(drafts.ids) + VOCAB)

    for how in (raises, shape, nan):
        failing("target", how)
    for how in (raises, rows, ids):
        failing("draft", how)

    # Half of all are cancelled while the target looks at them.
    engine: Engine
    gone: set[int] = set()

    def cancels(step: Step) -> Any:
        for handle, uid in zip(step.handles.tolist(), step.uids.tolist(), strict=True):
            if uid % 2 and handle not in gone:
                gone.add(handle)
                engine.cancel(handle)
        return other(step)

    engine = Engine(cancels, [drafter], gamma=3, **SIZES)
    handles = [engine.submit(prompt, max_new=NEW, uid=i) for i, prompt in enumerate(PROMPTS)]
    engine.run()
    found = [engine.take(handle) for handle in handles]
    wrong = sum(
        got.end != ("cancelled" if i % 2 else "length")
        or got.tokens.tolist() != one.tokens.tolist()[: len(got.tokens)]
        or (i % 2 == 0 and len(got.tokens) != NEW)
        for i, (got, one) in enumerate(zip(found, wanted, strict=True))
    )
    goal.row(
        "faults/cancelled", "half are cancelled in flight: requests that ended otherwise", "== 0", wrong, "requests"
    )
    held = 4096 - engine.stats()["free_blocks"]
    goal.row("faults/cancelled blocks", "half are cancelled in flight: blocks held at the end", "== 0", held, "blocks")


def pool() -> None:
    """Pools that are too small."""
    engine = Engine(target, [drafter], **(SIZES | {"blocks": 2}))
    refused = 0
    try:
        engine.submit([1] * 9, max_new=2)
    except OutOfBlocks:
        refused = 1
    handle = engine.submit([1] * 5, max_new=4)
    engine.run()
    good = refused and len(engine.take(handle).tokens) == 4 and engine.stats()["free_blocks"] == 2
    goal.row("pool/two", "a pool of 2 blocks refuses a prompt that never fits, and does what fits", "== 1", good)
    each = max((len(prompt) + NEW + 2) // 4 for prompt in PROMPTS)
    rate = {}
    for name, blocks in (("short", REQUESTS * each // 10), ("ample", REQUESTS * each)):
        computed = 0

        def counts(step: Step) -> Any:
            nonlocal computed
            computed += step.size
            return target(step)

        engine, found = ran(counts, None, max_running=REQUESTS, blocks=blocks)
        assert all(len(one.tokens) == NEW for one in found)
        rate[name] = REQUESTS * NEW / computed
        print(f"{name}: {engine.stats()['preempted']} preempted", file=sys.stderr)
    what = "ids a token of the target, a pool of a tenth of what all requests need over one of all"
    goal.row("pool/oversubscribed", what, ">= 0.7", rate["short"] / rate["ample"], "times")


WORK = """
import numpy as np
from thrifty.specdec import Engine
def target(step):
    print("works", flush=True)
    return np.zeros((len(step.outputs), 50), np.float32)
engine = Engine(target, vocab=50, max_length=4000, threads=2)
for i in range(50):
    engine.submit([i], max_new=3000)
engine.run()
"""


def killed() -> None:
    """Signal 9 in the middle."""

    def there(folder: Path) -> int:
        shared = len(list(Path("/dev/shm").iterdir())) if Path("/dev/shm").exists() else 0
        return len(list(folder.rglob("*"))) + shared

    left = processes = 0
    for _ in range(5):
        with tempfile.TemporaryDirectory() as name:
            before = there(Path(name))
            child = subprocess.Popen(
                [sys.executable, "-c", WORK], cwd=name, env=os.environ | {"TMPDIR": name, "HOME": name},
                stdout=subprocess.PIPE, text=True, start_new_session=True,
            )  # fmt: skip
            assert child.stdout is not None
            for _ in range(20):
                assert "works" in child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            child.wait()
            time.sleep(0.2)
            left += there(Path(name)) - before
            try:
                os.killpg(child.pid, 0)
                processes += 1
            except ProcessLookupError:
                pass
    goal.row("killed/files", "files and shared memory that five killed processes leave", "== 0", left, "files")
    goal.row("killed/processes", "processes that five killed processes leave", "== 0", processes, "processes")


for part in (random, endless, faults, pool, killed):
    if goal.wants(part.__name__) and not (goal.planted and part is random):
        part()
goal.end()
