"""Asking a model many things at once: how many, how fast, and again where that may help."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from thrifty.errors import EndpointError
from thrifty.exam.asking.pace import Bucket, Window
from thrifty.exam.asking.retry import Failed, delay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thrifty.exam.asking.endpoint import Reply

__all__ = ["Asker", "Asking", "Outcome"]

#: Seconds between the first requests, and for all of them at most: those sent together would come back, be read and be
#: sent together ever after, each waiting for all.
APART, RAMP = 0.003, 0.1
#: So many failures in a row that have nothing to do with the questions end a run; and, while nothing was ever answered,
#: so many that are the same, and so many attempts that nobody heard.
IN_A_ROW = 20
#: While nothing was ever answered: attempts of one question that nobody heard until the run ends, and after how many of
#: all a note is made (once more after those of ``IN_A_ROW``).
UNHEARD, NOTED = 4, 3


class Asking(Protocol):
    """What can be asked: a connection to an endpoint, or a function of yours."""

    def body(self, messages: list[dict[str, Any]]) -> bytes:
        """Return what every attempt sends."""

    async def ask(self, body: bytes) -> Reply:
        """Make one attempt; raises Failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item.

    Attributes
    ----------
    reply : Reply or None
        None where it failed for good.
    error, detail : str
        Why, and what the endpoint said of it.
    attempts : int
        Requests made.
    seconds : float
        That the last of them took.
    """

    reply: Reply | None
    error: str
    detail: str
    attempts: int
    seconds: float


@dataclass(slots=True)
class _Item:
    key: Any
    body: bytes
    tokens: float
    attempts: int = 0


class Asker:
    """Asks until every item has an answer or has failed for good.

    Parameters
    ----------
    model : Asking
    concurrency : int
        Requests at once, at most.
    retries : int
        Further attempts of an item.
    rpm, tpm : float, optional
        Requests and tokens a minute, at most.
    where : str
        Names the model in errors.
    answered : bool
        Whether it has answered before.
    note : callable, optional
        Hears a line where things go wrong from the beginning.
    """

    def __init__(
        self,
        model: Asking,
        *,
        concurrency: int,
        retries: int,
        rpm: float | None = None,
        tpm: float | None = None,
        where: str = "",
        answered: bool = False,
        note: Callable[[str], object] | None = None,
    ) -> None:
        self.model, self.concurrency, self.retries, self.where = model, concurrency, retries, where
        self.window = Window(concurrency)
        self.note = note
        self._requests = Bucket(rpm) if rpm else None
        self._tokens = Bucket(tpm) if tpm else None
        self._gate = asyncio.Lock()
        self._again: deque[_Item] = deque()
        self._later = 0  # items that wait before they are asked again
        self._running = 0
        self._in_a_row = 0  # failures that have nothing to do with their questions
        self._alike, self._reason = 0, ""  # failures for one reason, while nothing was ever answered
        self._unheard = self._vain = 0  # attempts that nobody heard, and all, while nothing was ever answered
        self._answered_now, self._answered_ever = False, answered
        self._changed = asyncio.Event()

    async def run(
        self, items: Iterator[tuple[Any, list[dict[str, Any]]]], done: Callable[[Any, Outcome], None]
    ) -> None:
        """Ask for all items, each a key and messages; ``done`` hears of each once, in the order they end.

        Raises
        ------
        EndpointError
            Where nothing is answered any more.
        """
        self._items, self._done = items, done
        self._left = True
        async with asyncio.TaskGroup() as group:
            for number in range(self.concurrency):
                group.create_task(self._work(number * min(APART, RAMP / self.concurrency)))
        if self._in_a_row and not self._answered_now:
            raise self._hopeless

    async def _work(self, pause: float) -> None:
        await asyncio.sleep(pause)
        while True:
            item = self._take()
            if item is None:
                if not (self._left or self._again or self._later or self._running):
                    self._changed.set()
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            self._running += 1
            try:
                await self._once(item)
            finally:
                self._running -= 1
                self._changed.set()

    def _take(self) -> _Item | None:
        """Return what is to be asked next; None where that has to wait, or where nothing is left."""
        if self._running >= self.window.size:
            return None
        if self._again:
            return self._again.popleft()
        # Items that wait are not many, so that a server which answers nothing is not asked everything.
        if not self._left or self._later >= 4 * self.concurrency:
            return None
        try:
            key, messages = next(self._items)
        except StopIteration:
            self._left = False
            return None
        return _Item(key, self.model.body(messages), _estimate(messages) if self._tokens else 0.0)

    async def _once(self, item: _Item) -> None:
        """Make an attempt."""
        await self._pace(item)
        item.attempts += 1
        begun = time.perf_counter()
        try:
            reply = await self.model.ask(item.body)
        except Failed as failed:
            self._failed(item, failed, time.perf_counter() - begun)
            return
        self._in_a_row, self._answered_now, self._answered_ever = 0, True, True
        self.window.good()
        if self._tokens:
            self._tokens.correct((reply.prompt_tokens or 0) + (reply.completion_tokens or 0) - item.tokens)
        self._done(item.key, Outcome(reply, "", "", item.attempts, time.perf_counter() - begun))

    async def _pace(self, item: _Item) -> None:
        """Wait until a request may go out: one waits at a time, requests last, so that they count when they leave."""
        if not (self._requests or self._tokens):
            return
        async with self._gate:
            for bucket, amount in ((self._tokens, item.tokens), (self._requests, 1.0)):
                while bucket and (wait := bucket.take(amount, time.monotonic())) > 0:
                    await asyncio.sleep(wait)

    def _failed(self, item: _Item, failed: Failed, seconds: float) -> None:
        if failed.slower:
            self.window.too_many()
        if not self._answered_ever:
            self._in_vain(item, failed)
        if failed.again and item.attempts <= self.retries:
            self._later += 1
            asyncio.get_running_loop().call_later(delay(item.attempts, failed.after), self._ready, item)
            return
        self._done(item.key, Outcome(None, failed.reason, failed.detail, item.attempts, seconds))
        self._in_a_row = self._in_a_row + 1 if failed.everywhere else 0
        if not self._answered_ever:
            self._alike = self._alike + 1 if failed.reason == self._reason else 1
            self._reason = failed.reason
        count = max(self._in_a_row, 0 if self._answered_ever else self._alike)
        if count:
            self._hopeless = self._ended(f"{failed.reason}, {count} questions in a row", failed.detail)
            if count >= IN_A_ROW:
                raise self._hopeless

    def _in_vain(self, item: _Item, failed: Failed) -> None:
        """Count an attempt before anything was answered."""
        self._vain += 1
        self._unheard += failed.silent
        if failed.silent and (self._unheard >= IN_A_ROW or item.attempts >= UNHEARD):
            raise self._ended(f"{failed.reason}, {self._unheard} attempts and no answer ever", failed.detail)
        if failed.again and self.note is not None and self._vain in (NOTED, IN_A_ROW):
            detail = f" ({failed.detail})" if failed.detail else ""
            self.note(f"{self.where}: {failed.reason}{detail}, {self._vain} attempts without an answer; it goes on")

    def _ended(self, what: str, detail: str) -> EndpointError:
        said = f": {detail}" if detail else ""
        return EndpointError(f"{self.where}: {what}{said}; what was answered is kept, the same command goes on")

    def _ready(self, item: _Item) -> None:
        self._later -= 1
        self._again.append(item)
        self._changed.set()


#: Letters that a token has, and tokens that a picture is, before an endpoint says how many they were.
LETTERS, PICTURE = 4, 1_000


def _estimate(messages: list[dict[str, Any]]) -> float:
    """Return about how many tokens messages are."""
    total = 0.0
    for message in messages:
        content = message["content"]
        parts = [{"text": content}] if isinstance(content, str) else content
        total += sum(len(part["text"]) / LETTERS if "text" in part else PICTURE for part in parts)
    return total
