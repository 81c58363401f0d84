"""Giving a data set to a model: every answer kept, and nothing asked twice."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.errors import DatasetError
from thrifty.exam.asking.awaited import awaited
from thrifty.exam.asking.endpoint import Connection, Endpoint, Reply
from thrifty.exam.asking.files import affordable
from thrifty.exam.asking.function import Function
from thrifty.exam.asking.journal import Journal, line_of
from thrifty.exam.asking.prompt import DEFAULT, Prompt, messages, prompt
from thrifty.exam.asking.results import (
    JOURNAL,
    KEPT,
    MANIFEST,
    QUESTIONS,
    SUMMARY,
    Run,
    open_run,
    question_lines,
    refuse_foreign,
    write_json,
    write_lines,
    write_results,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from thrifty.device import Meter
    from thrifty.exam.asking.ask import Outcome
    from thrifty.exam.asking.spent import Spending
    from thrifty.exam.question import Dataset

__all__ = ["Progress", "run"]

#: Answers that are written together at most, and seconds that the first of them waits at most.
GROUP, WAIT = 64, 0.05


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    done, failed, total : int
        Answers on disk, those of them that failed, and all that are wanted.
    before : int
        Of those done, how many earlier sessions did.
    completion_tokens : int
        Of this session.
    seconds : float
        Of this session.
    """

    done: int
    failed: int
    total: int
    before: int
    completion_tokens: int
    seconds: float


def run(
    dataset: Dataset,
    model: Endpoint | Callable[[list[dict[str, Any]]], Any],
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    instructions: str = DEFAULT,
    epochs: int = 1,
    concurrency: int = 16,
    rpm: float | None = None,
    tpm: float | None = None,
    timeout: float = 600.0,
    retries: int = 8,
    usd_per_million: tuple[float, float] | None = None,
    meter: Meter | None = None,
    progress: Callable[[Progress], object] | None = None,
    note: Callable[[str], object] | None = None,
) -> Run:
    """Ask a model every question, and keep what it says in a folder.

    The same call goes on with a run that was stopped, in whatever way; what failed is asked again. Results are the same
    bytes however often it was stopped, as far as the model says the same.

    Parameters
    ----------
    dataset : Dataset
    model : Endpoint or callable
        A function, or coroutine function, is given messages as endpoints take them and returns text or a ``Reply``;
        what it raises ends the run.
    out : path
        Of the folder; made where it is not there.
    name : str, optional
        Of a function, for the manifest; else the one it has.
    instructions : str
        Id of the prompt.
    epochs : int
        How often each question is asked.
    concurrency : int
        Requests at once at most; fewer while the endpoint says that it is too many.
    rpm, tpm : float, optional
        Requests and tokens a minute, at most.
    timeout : float
        Seconds that an answer may take.
    retries : int
        Further attempts of a question after statuses 408, 409, 425, 429 and 500 and above, broken connections,
        answers that are late, broken or beyond 8 MiB.
    usd_per_million : (float, float), optional
        Prices of tokens in and out; those of an earlier call count where none are given.
    meter : Meter, optional
        Another than what counts on this machine; what an endpoint on another one takes is not in it.
    progress : callable, optional
        Hears a ``Progress`` some times a second; what it raises ends the run.
    note : callable, optional
        Hears a line of what goes otherwise than the arguments say: nobody answers, fewer requests at once than asked
        for, another address than the run began with.

    Returns
    -------
    Run

    Raises
    ------
    DatasetError
        Where no question is there.
    ResumeMismatch
        Where the folder has a run of something else; the message names what differs.
    EndpointError
        Where the endpoint refuses or answers nothing, 20 questions in a row; where it answered nothing yet, also after
        20 failures that are alike or 20 attempts that nobody heard, 4 of one question.
    FormatError
        Where files of other making are in the folder.
    LockedError, JournalCorrupt, OSError
        Of the folder.

    Examples
    --------
    >>> import tempfile
    >>> from thrifty.exam import Dataset, Question
    >>> exam = Dataset((Question("q1", "How many legs has a spider?", "8", "exactMatch"),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = run(exam, lambda messages: "Answer: 8", folder, name="arachnologist")
    >>> done.answers[0].response
    'Answer: 8'
    """
    note = note or (lambda line: None)
    _check(dataset, epochs, concurrency, timeout, retries)
    for title, rate in (("rpm", rpm), ("tpm", tpm)):
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(f"{title}: {rate}; above 0")
    if usd_per_million is not None and not all(0 <= price < math.inf for price in usd_per_million):
        raise ValueError(f"usd_per_million: {usd_per_million}; two numbers of at least 0")
    chosen, folder = prompt(instructions), Path(out)
    manifest = _manifest(dataset, model, name, chosen, epochs)
    if isinstance(model, Endpoint):
        model.key()  # before anything is written
        concurrency = affordable(concurrency, note)
    from thrifty.exam.asking.spent import Spending, prices, total

    folder.mkdir(mode=0o700, exist_ok=True)
    refuse_foreign(folder)
    with Journal(folder / JOURNAL, manifest) as journal:
        write_json(folder, MANIFEST, journal.manifest)
        write_lines(folder / QUESTIONS, question_lines(dataset))
        address = str(manifest["endpoint"])
        if address != (began := journal.manifest.get("endpoint")):
            note(f"{folder}: the run in it began at {began}, it goes on at {address}")
        wanted = [(question.id, epoch) for question in dataset for epoch in range(epochs)]
        if any(key not in journal.answers or key in journal.failed for key in wanted):
            with Spending(meter, max(journal.spent, default=-1) + 1, address, usd_per_million) as spending:
                session = _Session(dataset, epochs, chosen, journal, spending, progress, note)
                awaited(session.ask(model, concurrency, timeout, retries, rpm, tpm))
        found = write_results(folder, dataset, epochs, journal)
        usd_per_million = usd_per_million or prices(journal.spent.values())
        if usd_per_million is not None:
            tokens = found["prompt_tokens"], found["completion_tokens"]
            found["usd"] = sum(count * price / 1e6 for count, price in zip(tokens, usd_per_million, strict=True))
        summary = {"canary": dataset.canary, **found, **total(journal.spent.values())}
        write_json(folder, SUMMARY, summary)
        return open_run(folder)


def _check(dataset: Dataset, epochs: int, concurrency: int, timeout: float, retries: int) -> None:
    if not len(dataset):
        rejected = dataset.rejected
        first = f"; the first record left out, in line {rejected[0].line}: {rejected[0].reason}" if rejected else ""
        raise DatasetError(f"{dataset.source or 'the data set'}: no question is in it{first}")
    for name, value in (("epochs", epochs), ("concurrency", concurrency)):
        if not 1 <= value <= 10_000:
            raise ValueError(f"{name}: {value}; 1 to 10,000")
    if not 0 < timeout <= 86_400:
        raise ValueError(f"timeout: {timeout}; above 0, at most a day")
    if not 0 <= retries <= 1_000:
        raise ValueError(f"retries: {retries}; 0 to 1,000")
    seen: set[str] = set()
    for number, question in enumerate(dataset):
        for name in KEPT:
            if not isinstance(getattr(question, name), str):
                raise TypeError(f"dataset: {name} of question {number} is {type(getattr(question, name)).__name__}")
        if question.id in seen:
            raise ValueError(f"dataset: two questions have the id {question.id[:60]!a}")
        seen.add(question.id)


def _manifest(dataset: Dataset, model: Any, name: str | None, chosen: Prompt, epochs: int) -> dict[str, Any]:
    from importlib.metadata import version

    if isinstance(model, Endpoint):
        asked: dict[str, Any] = {"model": model.model, "endpoint": model.address, "parameters": model.parameters}
    elif callable(model):
        called = name or getattr(model, "__qualname__", type(model).__qualname__)
        asked = {"model": called, "endpoint": "", "parameters": {}}
    else:
        raise TypeError(f"model: {type(model).__name__} is neither an Endpoint nor can it be called")
    digest = hashlib.sha256()
    for line in question_lines(dataset):
        digest.update(line)
    return {
        "dataset_sha256": dataset.sha256,
        "questions": len(dataset),
        "epochs": epochs,
        "prompt_id": chosen.id,
        "prompt_sha256": chosen.sha256,
        **asked,
        "canary": dataset.canary,
        "source": dataset.source,
        "rejected": len(dataset.rejected),
        "thrifty": version("thrifty"),
        "questions_sha256": digest.hexdigest(),
    }


def _connection(model: Any, concurrency: int, timeout: float) -> Connection | Function:
    return Connection(model, timeout) if isinstance(model, Endpoint) else Function(model, concurrency, timeout)


class _Session:
    """What runs between a start and an end of the process."""

    def __init__(
        self,
        dataset: Dataset,
        epochs: int,
        chosen: Prompt,
        journal: Journal,
        spending: Spending,
        progress: Callable[[Progress], object] | None,
        note: Callable[[str], object],
    ) -> None:
        self.dataset, self.epochs, self.prompt = dataset, epochs, chosen
        self.journal, self.spending, self.progress, self.note = journal, spending, progress, note
        self._waiting: list[tuple[dict[str, Any], bytes]] = []
        self._writing: list[tuple[dict[str, Any], bytes]] = []
        self._some, self._many = asyncio.Event(), asyncio.Event()
        self._disk = ThreadPoolExecutor(1)
        self._tokens = 0
        self._begun = self._said = time.monotonic()
        self._before = len(journal.answers) - len(journal.failed)

    async def ask(
        self, model: Any, concurrency: int, timeout: float, retries: int, rpm: float | None, tpm: float | None
    ) -> None:
        """Ask what is not answered yet, and write answers as they come."""
        from thrifty.exam.asking.ask import Asker

        where = model.address if isinstance(model, Endpoint) else "the model"
        try:
            async with _connection(model, concurrency, timeout) as connection:
                asker = Asker(
                    connection,
                    concurrency=concurrency,
                    retries=retries,
                    rpm=rpm,
                    tpm=tpm,
                    where=where,
                    answered=self._before > 0,
                    note=self.note,
                )
                async with asyncio.TaskGroup() as group:
                    keeper = group.create_task(self._keep())
                    await asker.run(self._items(), self._done)
                    keeper.cancel()
        finally:
            # What came meanwhile is written whatever ended it: nobody asks for it again.
            self._disk.shutdown()
            self._add(self.spending.record())
            self.journal.append([*self._writing, *self._waiting])
        self._tell()

    def _items(self) -> Iterator[tuple[tuple[str, int], list[dict[str, Any]]]]:
        answered = self.journal.answers.keys() - self.journal.failed
        for question in self.dataset:
            for epoch in range(self.epochs):
                if (question.id, epoch) not in answered:
                    yield (question.id, epoch), messages(question, self.prompt)

    def _done(self, key: tuple[str, int], outcome: Outcome) -> None:
        reply = outcome.reply or Reply("")
        stopped = reply.finish_reason if reply.finish_reason in ("length", "content_filter") else "answered"
        self._tokens += reply.completion_tokens or 0
        self._add(
            {
                "kind": "answer",
                "id": key[0],
                "epoch": key[1],
                "response": reply.text,
                "status": stopped if outcome.reply else "failed",
                "finish_reason": reply.finish_reason,
                "prompt_tokens": reply.prompt_tokens,
                "completion_tokens": reply.completion_tokens,
                "error": outcome.error,
                "detail": outcome.detail,
                "attempts": outcome.attempts,
                "seconds": round(outcome.seconds, 4),
            }
        )
        self._some.set()
        if len(self._waiting) >= GROUP:
            self._many.set()

    def _add(self, values: dict[str, Any]) -> None:
        """Have a record written with the next ones."""
        self._waiting.append((values, line_of(values)))

    async def _keep(self) -> None:
        """Write answers in groups."""
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()
            try:
                async with asyncio.timeout(WAIT):
                    await self._many.wait()
            except TimeoutError:
                pass
            if time.monotonic() - self._said > 1.0:
                self._said = time.monotonic()
                self._add(self.spending.record())
            self._writing, self._waiting = self._waiting, []
            self._some.clear()
            self._many.clear()
            await loop.run_in_executor(self._disk, self._write)
            self._tell()

    def _write(self) -> None:
        self.journal.append(self._writing)
        self._writing = []

    def _tell(self) -> None:
        if self.progress is not None:
            done, failed = len(self.journal.answers), len(self.journal.failed)
            seconds = time.monotonic() - self._begun
            total = len(self.dataset) * self.epochs
            self.progress(Progress(done, failed, total, self._before, self._tokens, seconds))
