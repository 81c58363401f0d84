"""A coroutine run to its end by code that is not one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["awaited"]


def awaited(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine, also where a loop runs already, as in notebooks; what ended it is raised as itself."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        _run(work)
        return
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []
    stopped: list[bool] = []

    async def told() -> None:
        task = asyncio.ensure_future(work)
        begun.append((asyncio.get_running_loop(), task))
        if stopped:
            task.cancel()
        await task

    # Ctrl-C comes to the thread that waits.
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(_run, told()).result()
        except BaseException:
            stopped.append(True)
            for loop, task in begun:
                with suppress(RuntimeError):  # it has ended
                    loop.call_soon_threadsafe(task.cancel)
            raise


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
