"""Hostile answers through the whole grader: how long the worst takes, what it takes of memory, and what it starts.

grading: power towers, factorials of astronomically large numbers, fractions, brackets and braces 10^5 deep, sums that
never end, strings of code, each as gold answer, as response and as both; seconds of the worst one, memory that grew,
and what failed with an error; each as an exact answer and as a choice.

long: responses of 2 MB, of both types of answers.

threads: eight threads with algebra that never ends, for two workers; seconds of the slowest.

code: files that strings of code made, and processes that are left when all is graded.

workers: a worker killed at work makes an abstention, and the pair after it is graded.

--planted lets a pair of algebra take 5 seconds, and sees a verdict where an abstention is due.
"""

from __future__ import annotations

import itertools
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from rows import Goal  # noqa: E402

from thrifty.exam import grade_answer  # noqa: E402
from thrifty.exam.maths import (  # noqa: E402
    allowance,
    workers,
)
from thrifty.exam.question import ANSWER_TYPES  # noqa: E402

goal = Goal(__file__, __doc__, packages=("sympy",))
if goal.planted:
    workers.SECONDS = allowance.SECONDS = 5.0

DEEP, MB2 = 10**5, 2 * 10**6
NEVER_ENDS = (r"\sum_{k=1}^{10^{12}} \frac{\sin k}{k^{k}}", "1")
SUM = (r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}")
FOLDER = Path(tempfile.mkdtemp(prefix="thrifty-hostile-"))
TOUCH = f"__import__('os').system('touch {FOLDER}/made')"
CODE = [
    TOUCH,
    rf"\text{{{TOUCH}}}",
    f"exec({TOUCH!r})",
    f"$({TOUCH})$",
    f"Exact Answer: {TOUCH}",
    f"`touch {FOLDER}/made`",
]
CODE += ["().__class__.__bases__[0].__subclasses__()", f"lambda: {TOUCH}", f"f'{{{TOUCH}}}'", f"$(touch {FOLDER}/made)"]


def hostile() -> list[tuple[str, str]]:
    """Pairs of gold answers and responses."""
    texts = [
        "9^{9^{9^{9^{9^9}}}}",
        "10**10**10**10",
        "2^{99999999999999999999}",
        "x^{99999999999999999999}",
        r"(10^{100})!",
        "((((9!)!)!)!)!",
        "3" + "!" * 4000,
        r"\binom{10^9}{5 \cdot 10^8}",
        r"e^{e^{e^{e^{e^{x}}}}}",
        r"\sum_{k=1}^{10^{15}} \sin(k^k)",
        r"\prod_{k=1}^{10^{9}} k",
        r"\int_0^1 \frac{\sin(xyz)^{x}}{e^{xyz}+\ln(x+y+z)} dx",
        NEVER_ENDS[0],
        "9" * 4000,
        "0." + "9" * 4000,
        "1e999999999",
        "+".join(rf"\sin{{{i}x}}" for i in range(300)),
        r"\{" + ",".join(rf"\sqrt{{{i}}}+x" for i in range(150)) + r"\}",
        "; ".join(rf"({i},{i + 1},\sqrt{{{i}}})" for i in range(100)),
        r"\begin{pmatrix}x&y&z\\y&x&z\\z&z&x\end{pmatrix}^{16}",
        r"\begin{pmatrix}" * 250,
        "a" + "_b" * 1500,
        "x" + "^x" * 1500,
        r"\boxed{" * 500 + "1" + "}" * 500,
        "\\" * 4000,
        ("a" * 30 + "!") * 100,
        "," * 4000,
    ]
    for opened, closed in (
        ("(", ")"),
        ("{", "}"),
        ("[", "]"),
        (r"\frac{1}{", "}"),
        (r"\sqrt{", "}"),
        ("|", "|"),
        (r"\left(", r"\right)"),
    ):
        texts += [opened * n + "1" + closed * n for n in (60, 500, DEEP)]
    texts += CODE
    pairs = []
    for text in texts:
        pairs += [("1", text), (text, "1"), (text, text + " "), (r"\frac{x}{2}", text), (text, "x+1")]
    return pairs


def grade(pairs: list[tuple[str, str]], answer_type: str = "exactMatch") -> tuple[float, int]:
    """Seconds of the slowest pair, and how many raised."""
    worst, raised = 0.0, 0
    for gold, response in pairs:
        begun = time.perf_counter()
        try:
            grade_answer(response, gold, answer_type)
        except Exception as error:
            print(f"{type(error).__name__}: {gold[:60]!r}, {response[:60]!r}", file=sys.stderr)
            raised += 1
        worst = max(worst, time.perf_counter() - begun)
    return worst, raised


def children() -> int:
    """Processes that this one started, and that are there."""
    found = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found += fields[1] == str(os.getpid()) and fields[0] != "Z"
    return found


grade_answer("2 km", "2000 m")  # what is loaded once
if goal.wants("grading"):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pairs = hostile()
    if goal.planted:  # a few that are caught, else it takes minutes
        pairs = [pair for pair in pairs if NEVER_ENDS[0] in pair]
    seconds, errors = map(max, zip(*(grade(pairs, answer_type) for answer_type in ANSWER_TYPES), strict=True))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    goal.row("grading/seconds", f"slowest of {len(pairs)} hostile pairs, either type", "<= 2", seconds, "s")
    goal.row("grading/errors", "hostile pairs that raise", "== 0", errors, "pairs")
    goal.row("grading/memory", "growth of the grading process", "<= 64", grown, "MB")
if goal.wants("long"):
    texts = [
        "1+" * (MB2 // 2) + "1",
        "(" * MB2,
        "word " * (MB2 // 5) + r"\boxed{7}",
        "\\" * MB2,
        "a" * MB2,
        "<think>" * (MB2 // 7),
    ]
    texts += [
        " " * MB2,
        "\n" * MB2,
        "7 " * (MB2 // 2),
        r"\boxed{" * (MB2 // 7),
        "answer: " * (MB2 // 8),
        "$" * MB2,
        "9" * MB2,
    ]
    slowest = 0.0
    for text, (answer_type, gold) in itertools.product(texts, zip(ANSWER_TYPES, ("7", "B"), strict=True)):
        rounds = []
        for _ in range(3):
            begun = time.perf_counter()
            grade_answer(text, gold, answer_type)
            rounds.append(time.perf_counter() - begun)
        slowest = max(slowest, min(rounds))
    goal.row("long/milliseconds", f"slowest of {len(texts)} responses of 2 MB", "<= 50", 1e3 * slowest, "ms")
if goal.wants("threads"):

    def one(number: int) -> float:
        """Seconds of one grade."""
        return grade([(f"{NEVER_ENDS[0]} + {number}x", str(number))])[0]

    with ThreadPoolExecutor(8) as pool:
        slow = max(pool.map(one, range(8)))
    goal.row("threads/seconds", "slowest of 8 threads with algebra that never ends", "<= 2", slow, "s")
if goal.wants("code"):
    workers.WORKERS.close()
    threads = children()
    grade([(gold, code) for code in CODE for gold in ("1", "x", code, r"\text{x}")] + [(code, "1") for code in CODE])
    goal.row("code/files", "files that strings of code made", "== 0", len(list(FOLDER.iterdir())), "files")
    goal.row("code/processes", "processes that strings of code started", "== 0", children() - threads, "processes")
if goal.wants("workers"):
    wrong = 0
    for _ in range(5):
        workers.WORKERS.warm()  # its start is not what is asked
        wrong += grade_answer(SUM[1], SUM[0]).verdict != "equal"
        (pid,) = workers.WORKERS.pids()
        killer = threading.Timer(0.1, os.kill, (pid, signal.SIGKILL))
        killer.start()
        verdict = grade_answer(NEVER_ENDS[1], NEVER_ENDS[0]).verdict
        killer.join()
        wrong += verdict != ("different" if goal.planted else "abstain")
    wrong += grade_answer(SUM[1], SUM[0]).verdict != "equal"
    goal.row(
        "workers/wrong", "verdicts that are wrong when workers are killed at work, of 11", "== 0", wrong, "verdicts"
    )
    workers.WORKERS.close()
    goal.row("workers/left", "processes left when all is graded", "== 0", children(), "processes")
for path in FOLDER.iterdir():
    path.unlink()
FOLDER.rmdir()
goal.end()
