"""What a run costs beside the requests that it makes, against a local endpoint that answers at once.

sample: 1,140 MMLU questions, 10 at a time, by turns: `exam.run`, from the data set in memory to the finished folder,
and a bare httpx client that posts the same messages, reads the JSON and keeps nothing. Medians of 5.

inspect: inspect-ai's mock model, which makes no requests at all, on 20 and 300 of the questions; the difference is what
a sample costs there. --inspect names a Python that has it.

fixed: load, run and results of one question in a new process, after `import thrifty.exam`. import: that import.

wall: a run against an endpoint that takes 50 ms, 10 at a time: the time that the requests took there, as the endpoint
counts it, over what the run took times 10.

--planted has every answer wait 2 ms in the journal.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "benches" / "goals"), str(ROOT)]

import httpx  # noqa: E402
from rows import Goal  # noqa: E402
from tests.command import wait_for  # noqa: E402

from thrifty import exam  # noqa: E402
from thrifty.exam.asking.prompt import messages  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

goal = Goal(__file__, __doc__, ("httpx",), {"inspect": sys.executable})
ROUNDS, AT_ONCE = 5, 10


@contextmanager
def endpoint(*options: str) -> Iterator[str]:
    """Address of an endpoint in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder, "address")
        with subprocess.Popen([sys.executable, ROOT / "tests/exam/endpoint.py", address, *options]) as process:
            try:
                wait_for(address)
                yield address.read_text()
            finally:
                process.kill()


def ours(data: exam.Dataset, url: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        done = exam.run(data, exam.Endpoint(url, "small"), folder, concurrency=AT_ONCE)
        seconds = time.perf_counter() - begun
    assert done.summary["answered"] == done.summary["requests"] == len(data)
    return seconds


async def bare(data: exam.Dataset, url: str) -> None:
    left = iter([{"model": "small", "messages": messages(question, exam.prompt())} for question in data])
    async with httpx.AsyncClient(timeout=600) as client:

        async def work() -> None:
            for body in left:
                response = await client.post(f"{url}/chat/completions", json=body)
                assert response.status_code == 200
                assert response.json()["choices"][0]["message"]["content"]

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())


def served(url: str) -> float:
    """Seconds that an endpoint has taken for all its answers."""
    return float(httpx.get(f"{url.removesuffix('/v1')}/counts").json()["seconds"])


def timed(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def plant() -> None:
    module: Any = sys.modules["thrifty.exam.asking.run"]  # the package has a function of that name
    real = module.line_of

    def slow(values: Any) -> bytes:
        time.sleep(0.002)
        line: bytes = real(values)
        return line

    module.line_of = slow


def in_a_process(code: str, *arguments: str) -> float:
    """Median of what 5 new processes print."""
    command = [sys.executable, "-c", code, *arguments]
    return median(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(5))


IMPORT = "import time; t = time.perf_counter(); import thrifty.exam; print(time.perf_counter() - t)"
FIXED = """
import sys, tempfile, time
from thrifty import exam
begun = time.perf_counter()
with tempfile.TemporaryDirectory() as folder:
    data = exam.load(sys.argv[1], limit=1)
    exam.run(data, exam.Endpoint(sys.argv[2], "small"), folder + "/run")
    print(time.perf_counter() - begun)
"""


def inspected(path: Path, count: int) -> dict[str, Any]:
    script = ROOT / "benches" / "peers" / "inspect_mock.py"
    command = [goal.options["inspect"], script, path, str(count), str(AT_ONCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise goal.absent(f"--inspect {goal.options['inspect']}: {why[:200]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


path = goal.data("exam/mmlu_sample.jsonl")
data = exam.load(path)
if goal.planted:
    plant()
sample = None
if goal.wants("sample") or goal.wants("inspect"):
    with endpoint("--latency", "0") as url:
        ours(data, url)
        asyncio.run(bare(data, url))
        pairs = [(timed(lambda: asyncio.run(bare(data, url))), ours(data, url)) for _ in range(ROUNDS)]
    floor, sample = (median(column) / len(data) * 1e3 for column in zip(*pairs, strict=True))
    what = f"journal on, {sample:.2f} ms a sample against {floor:.2f} of a bare httpx round trip: times"
    goal.row("sample/ratio", what, "<= 1.2", sample / floor)
if goal.wants("fixed"):
    with endpoint("--latency", "0") as url:
        goal.row(
            "fixed/seconds", "load, run and results of one question", "<= 0.3", in_a_process(FIXED, str(path), url), "s"
        )
if goal.wants("import"):
    goal.row("import/seconds", "import thrifty.exam in a new process", "<= 0.3", in_a_process(IMPORT), "s")
if goal.wants("wall"):
    with endpoint("--latency", "0.05") as url:
        shares, nominal = [], len(data) * 0.05 / AT_ONCE
        for _ in range(3):
            before = served(url)
            seconds = ours(data, url)
            shares.append((served(url) - before) / AT_ONCE / seconds)
    what = f"{len(data):,} requests of 50 ms, {AT_ONCE} at a time ({nominal / seconds:.3f} by 50 ms sharp): share"
    goal.row("wall/share", what, ">= 0.95", median(shares))
if goal.wants("inspect") and sample is not None:
    few, many = inspected(path, 20), inspected(path, 300)
    each = (many["seconds"] - few["seconds"]) / 280 * 1e3
    fixed = few["seconds"] - 20 * each / 1e3
    what = f"inspect-ai {few['version']}, mock model: {each:.1f} ms a sample (beside {fixed:.1f} s) over ours"
    goal.row("inspect/ratio", what, ">= 8", each / sample)
goal.end()
