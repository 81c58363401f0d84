"""Workers of algebra: killed, overrun, forked, interrupted; the next pair is answered, and none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from thrifty.exam import Dataset, Question, grade, run
from thrifty.exam.maths import budget, compare
from thrifty.exam.maths.parser import parse
from thrifty.exam.maths.worker import packed, unpacked
from thrifty.exam.maths.workers import WORKERS, Worker

NEEDS_SYMPY = (r"\sum_{k=1}^{n} k", "n(n+1)/2")
NEVER_ENDS = (r"\sum_{k=1}^{10^{12}} \frac{\sin k}{k^{k}}", "1")
MANY = 1100
ROOT = Path(__file__).resolve().parents[2]


def gone(pid: int) -> bool:
    """Whether a process ended; it may wait for its parent to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return True


def patiently(gold: str, answer: str) -> str | None:
    """The verdict, also where others keep the processors so busy that a worker starts late."""
    return next((found for _ in range(20) if (found := compare(gold, answer)) is not None), None)


def until_gone(pid: int) -> None:
    for _ in range(500):
        if gone(pid):
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    WORKERS.close()
    assert WORKERS.warm()
    yield
    WORKERS.close()


def test_a_tree_comes_back_as_it_went() -> None:
    for text in (*NEEDS_SYMPY, r"\frac{1}{3}x^{2/3}", r"\int_0^1 \sqrt{x} dx"):
        assert unpacked(packed(parse(text))) == parse(text)


def test_sums_integrals_and_limits_are_computed() -> None:
    assert patiently(*NEEDS_SYMPY) == "equal"
    assert patiently(r"\int_0^1 x^2 dx", r"\frac{1}{3}") == "equal"
    assert patiently(r"\int_0^1 x^2 dx", r"\frac{1}{2}") == "different"
    assert patiently(r"\lim_{x \to 0} \frac{\sin x}{x}", "1") == "equal"
    assert patiently(r"\sum_{k=1}^{\infty} \frac{1}{k^2}", r"\frac{\pi^2}{6}") == "equal"
    assert len(WORKERS.pids()) == 1


def test_one_that_is_warm_is_used() -> None:
    (ready,) = WORKERS.pids()
    assert WORKERS.warm()
    assert patiently(*NEEDS_SYMPY) == "equal"
    assert WORKERS.pids() == [ready]


def test_one_that_never_ends_is_given_up_and_the_next_is_answered() -> None:
    assert patiently(*NEEDS_SYMPY) == "equal"
    (before,) = WORKERS.pids()
    assert compare(*NEVER_ENDS) is None
    until_gone(before)
    assert patiently(*NEEDS_SYMPY) == "equal"
    assert WORKERS.pids() != [before]


def test_a_run_waits_for_a_worker_that_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer would else be unscored where others keep the processors busy."""
    WORKERS.close()
    line, early = Worker.line, []

    def late(self: Worker, until: float) -> str | None:
        if not early:
            early.append(until)
            time.sleep(
                max(0.0, until - time.monotonic())
            )  # what the answer may take is over before the worker is ready
            return None
        return line(self, until)

    monkeypatch.setattr(Worker, "line", late)
    gold, answer = NEEDS_SYMPY
    exam = Dataset((Question("sum", "Sum it up.", f"${gold}$", "exactMatch"),))
    graded = grade(run(exam, lambda messages: f"Answer: ${answer}$", tmp_path / "run"))
    assert early
    assert graded.answers[0].correct


def test_many_open_files_do_not_matter() -> None:
    """Descriptors beyond 1,023, as a server has them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < MANY + 100:
        pytest.skip("few files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY + 100), hard))
    WORKERS.close()
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY)]
    try:
        assert WORKERS.warm()
        assert patiently(*NEEDS_SYMPY) == "equal"
        assert len(WORKERS.pids()) == 1
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_waiting_for_a_worker_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all workers are taken for as long as a grade may last, nothing is known of the pair."""
    from thrifty.exam.maths import allowance, workers

    monkeypatch.setattr(allowance, "SECONDS", 0.05)
    monkeypatch.setattr(workers, "MOST_WORKERS", 1)
    taken = WORKERS._take(1.0)
    assert taken is not None
    try:
        assert compare(*NEEDS_SYMPY) is None
    finally:
        WORKERS._give(taken, True)
    monkeypatch.undo()
    assert patiently(*NEEDS_SYMPY) == "equal"


def test_one_budget_for_all_of_a_grade(monkeypatch: pytest.MonkeyPatch) -> None:
    from thrifty.exam.maths import allowance

    monkeypatch.setattr(allowance, "SECONDS", 0.0)
    with budget():
        monkeypatch.setattr(allowance, "SECONDS", 60.0)
        assert compare(*NEEDS_SYMPY) is None
    assert patiently(*NEEDS_SYMPY) == "equal"


def test_expressions_of_many_parts_are_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WORKERS, "_take", lambda seconds: pytest.fail("a worker was asked"))
    assert compare("$x$ " * 975 + "!x", "x+1") is None


def test_a_killed_worker_is_replaced() -> None:
    assert patiently(*NEEDS_SYMPY) == "equal"
    (before,) = WORKERS.pids()
    os.kill(before, signal.SIGKILL)
    until_gone(before)
    assert patiently(*NEEDS_SYMPY) == "equal"


def test_one_that_is_killed_at_work_gives_nothing() -> None:
    assert patiently(*NEEDS_SYMPY) == "equal"
    (before,) = WORKERS.pids()
    killer = threading.Timer(0.2, os.kill, (before, signal.SIGKILL))
    killer.start()
    assert compare(*NEVER_ENDS) is None
    killer.join()
    assert patiently(*NEEDS_SYMPY) == "equal"


def test_eight_threads_get_the_same_verdicts() -> None:
    pairs = [NEEDS_SYMPY, (r"\int_0^1 x dx", "1/2"), (r"\int_0^1 x dx", "1/3"), (r"\sum_{k=0}^{n}\binom{n}{k}", "2^n")]
    alone = [patiently(*pair) for pair in pairs]
    assert alone == ["equal", "equal", "different", "equal"]
    found: list[list[str | None]] = []
    threads = [threading.Thread(target=lambda: found.append([patiently(*pair) for pair in pairs])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 8
    assert len(WORKERS.pids()) <= 2


def child_compares(queue: multiprocessing.Queue[object]) -> None:
    queue.put((patiently(*NEEDS_SYMPY), WORKERS.pids()))
    WORKERS.close()


def test_a_forked_child_starts_its_own() -> None:
    assert patiently(*NEEDS_SYMPY) == "equal"
    ours = WORKERS.pids()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child_compares, args=(queue,))
    process.start()
    verdict, theirs = queue.get(timeout=20)
    process.join(20)
    assert verdict == "equal"
    assert len(theirs) == 1
    assert set(theirs).isdisjoint(ours)
    assert patiently(*NEEDS_SYMPY) == "equal"
    assert WORKERS.pids() == ours


SCRIPT = """
from thrifty.exam.maths import compare
from thrifty.exam.maths.workers import WORKERS
assert WORKERS.warm()
print(compare({0!r}, {1!r}), *WORKERS.pids(), flush=True)
"""


def start(then: str) -> tuple[subprocess.Popen[str], int]:
    code = SCRIPT.format(*NEEDS_SYMPY) + then
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    verdict, pid = process.stdout.readline().split()
    assert verdict == "equal"
    return process, int(pid)


def test_an_interpreter_that_ends_leaves_none() -> None:
    process, worker = start("")
    assert process.communicate(timeout=20)[1] == ""
    until_gone(worker)


def test_one_that_is_killed_leaves_none() -> None:
    process, worker = start("import time; time.sleep(60)")
    process.kill()
    process.communicate()
    until_gone(worker)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_at_work_leaves_none() -> None:
    process, worker = start(f"print(flush=True)\nwhile True: compare({NEVER_ENDS[0]!r}, {NEVER_ENDS[1]!r})")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]
    until_gone(worker)
    assert process.returncode != 0


def test_memory_and_files_are_limited(tmp_path: Path) -> None:
    worker = Worker()
    try:
        until = time.monotonic() + 60
        assert worker.line(until) == "ready"
        limits = Path(f"/proc/{worker.process.pid}/limits").read_text().splitlines()
        bound = {line[:25].strip(): line[26:].split()[0] for line in limits[1:]}
        assert bound["Max address space"] == str(1 << 30)
        assert bound["Max file size"] == "0"
    finally:
        worker.end()


def test_what_is_no_request_is_answered_as_unknown() -> None:
    worker = Worker()
    try:
        assert worker.answer(b"not json\n") == "unknown"
        assert worker.answer(b'[["call", [], "system", null], ["number", [], "", ["1", "1"]], []]\n') == "unknown"
    finally:
        worker.end()
