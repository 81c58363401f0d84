"""A function of yours in the place of an endpoint."""

from __future__ import annotations

import asyncio
import inspect
import json
import queue
import threading
from typing import TYPE_CHECKING, Any

from thrifty.exam.asking.endpoint import MOST_BODY, MOST_REASON, MOST_TOKENS, Reply, sound
from thrifty.exam.asking.retry import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Function"]


class Function:
    """Asks a function, which is given messages and returns text or a Reply.

    Coroutine functions are awaited; others run in threads, which end with the process: none can be stopped.

    Parameters
    ----------
    function : callable
    concurrency : int
        Calls at once.
    timeout : float
        Seconds until an answer must be there.
    """

    def __init__(self, function: Callable[[list[dict[str, Any]]], Any], concurrency: int, timeout: float) -> None:
        self.function, self.timeout = function, timeout
        self._async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
        self._calls: queue.SimpleQueue[tuple[list[dict[str, Any]], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._threads = 0 if self._async else concurrency
        for _ in range(self._threads):
            threading.Thread(target=self._serve, daemon=True).start()

    async def __aenter__(self) -> Function:
        return self

    async def __aexit__(self, *_: object) -> None:
        for _thread in range(self._threads):
            self._calls.put(None)

    def body(self, messages: list[dict[str, Any]]) -> bytes:
        """Return messages as they are handed on, so that a call can't change those of the next."""
        return json.dumps(messages).encode()

    async def ask(self, body: bytes) -> Reply:
        """Call the function once; what it raises ends the run.

        Raises
        ------
        Failed
            Where it takes too long.
        TypeError, ValueError
            Where it returns something else than text or a Reply, or a Reply that can't be; the message names the field.
        """
        messages = json.loads(body)
        try:
            async with asyncio.timeout(self.timeout):
                if self._async:
                    said = await self.function(messages)
                else:
                    future = asyncio.get_running_loop().create_future()
                    self._calls.put((messages, future))
                    said = await future
        except TimeoutError:
            raise Failed(
                "no whole answer in time", f"{self.timeout:g} s", again=True, everywhere=True, silent=True
            ) from None
        if not isinstance(said, (str, Reply)):
            raise TypeError(f"model: it returned {type(said).__name__}, not text or a Reply")
        return _checked(said if isinstance(said, Reply) else Reply(said))

    def _serve(self) -> None:
        while call := self._calls.get():
            messages, future = call
            value, error = None, None
            try:
                value = self.function(messages)
            except BaseException as raised:  # whatever it is belongs to who waits
                error = RuntimeError("model: it raised StopIteration") if isinstance(raised, StopIteration) else raised
            try:
                future.get_loop().call_soon_threadsafe(_settle, future, value, error)
            except RuntimeError:  # nobody waits any more
                return


def _checked(said: Reply) -> Reply:
    """Return a reply that can be kept and read again."""
    for name in ("text", "finish_reason"):
        value = getattr(said, name)
        if not isinstance(value, str):
            raise TypeError(f"model: {name} of its Reply is {type(value).__name__}, not text")
    for name in ("prompt_tokens", "completion_tokens"):
        value = getattr(said, name)
        if value is not None and type(value) is not int:
            raise TypeError(f"model: {name} of its Reply is {type(value).__name__}, not int or None")
        if value is not None and not 0 <= value < MOST_TOKENS:
            raise ValueError(f"model: {name} of its Reply is out of range; 0 to 2**53")
    text = sound(str(said.text))
    if len(text) > MOST_BODY or len(text.encode()) > MOST_BODY:
        raise ValueError(f"model: text of its Reply has more than {MOST_BODY >> 20} MiB")
    return Reply(text, sound(str(said.finish_reason[:MOST_REASON])), said.prompt_tokens, said.completion_tokens)


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
