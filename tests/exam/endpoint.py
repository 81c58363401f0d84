"""A scripted endpoint: what it says follows from the request and how often it came, so that runs can be repeated.

``python tests/exam/endpoint.py ADDRESS_FILE [--seed N] [--latency S] [--faults]`` serves until it is killed; the file
gets the address. With ``--faults`` 5 % of requests are refused (429 with Retry-After), 3 % fail (500), 2 % get half of
the JSON, 1 % nothing at all and 1 % a body of 9 MB. GET /counts tells what was served, and the seconds that it took;
GET /questions how often each was asked and how often answered.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Said:
    """One answer of the server."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    hang: bool = False
    hang_up: bool = False  # close the connection after the body, whose length was promised to be one more
    kind: str = "answered"


Script = Callable[[dict[str, Any], int], Said]


def reply(text: str | None, finish: str = "stop", usage: Any = None, **more: Any) -> Said:
    """A completion as endpoints send it."""
    usage = {"prompt_tokens": 100, "completion_tokens": len(text or "") // 4} if usage is None else usage
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return Said(body=json.dumps({"id": "x", "choices": [choice], "usage": usage}).encode(), **more)


def content(request: dict[str, Any]) -> str:
    """The text of the question in a request."""
    said = request["messages"][-1]["content"]
    return said if isinstance(said, str) else said[0]["text"]


def answer(request: dict[str, Any], attempt: int = 0) -> Said:
    """A letter and a confidence that follow from the question."""
    digest = hashlib.sha256(content(request).encode()).digest()
    text = f"Explanation: {'because ' * 40}\nAnswer: {'ABCD'[digest[0] % 4]}\nConfidence: {digest[1] % 101}%"
    return reply(text)


def faulty(seed: int, latency: float, after: float = 0.2) -> Script:
    """Faults of every kind, by seed, question and attempt."""

    kinds, shares = ("answered", "429", "500", "broken", "hang", "large"), (0.88, 0.05, 0.03, 0.02, 0.01, 0.01)

    def script(request: dict[str, Any], attempt: int) -> Said:
        (kind,) = random.Random(f"{seed} {attempt} {content(request)}").choices(kinds, shares)
        said = answer(request)
        said.wait, said.kind = latency, kind
        if kind == "429":
            said.status, said.headers, said.body = 429, {"Retry-After": f"{after:g}"}, b'{"error": "slower"}'
        elif kind == "500":
            said.status, said.body = 500, b"a fault"
        elif kind == "broken":
            said.body = said.body[: len(said.body) // 2]
        elif kind == "hang":
            said.hang = True
        elif kind == "large":
            said.body = b" " * 9_000_000 + said.body
        return said

    return script


class Server:
    """Serves a script; counts what it served, and keeps the requests it is told to keep."""

    def __init__(self, script: Script, keep: bool = False) -> None:
        self.script, self.keep = script, keep
        self.url = ""
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.served: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.attempts: Counter[bytes] = Counter()
        self.at_once = self.most_at_once = 0
        self.seconds = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        begun = time.perf_counter()
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if first.startswith("GET /counts"):
            counts = {**self.served, "questions": len(self.attempts), "seconds": self.seconds}
            said = Said(body=json.dumps(counts).encode())
        elif first.startswith("GET /questions"):
            said = Said(body=json.dumps({text: [n, self.answered[text]] for text, n in self.asked.items()}).encode())
        else:
            said = await self._scripted(headers, body, begun)
        if said.hang:
            await reader.read(1)  # until the client goes away
            return False
        lines = [f"HTTP/1.1 {said.status} .", *(f"{name}: {value}" for name, value in said.headers.items())]
        lines.append(f"Content-Length: {len(said.body) + said.hang_up}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + said.body)
        await writer.drain()
        return not said.hang_up

    async def _scripted(self, headers: dict[str, str], body: bytes, begun: float) -> Said:
        key = hashlib.sha256(body).digest()
        self.attempts[key] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            request = json.loads(body)
            self.asked[content(request)] += 1
            said = self.script(request, self.attempts[key])
            if said.wait:  # what the script took is part of it
                await asyncio.sleep(begun + said.wait - time.perf_counter())
        finally:
            self.at_once -= 1
            self.seconds += time.perf_counter() - begun
        self.served[said.kind] += 1
        self.answered[content(request)] += said.kind == "answered"
        if self.keep:
            self.requests.append((headers, request))
        return said

    async def stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextmanager
def serving(script: Script = answer, *, keep: bool = False) -> Iterator[Server]:
    """Serve a script from a thread."""
    server, ready, loop = Server(script, keep), threading.Event(), asyncio.new_event_loop()
    stopped = asyncio.Event()

    async def serve() -> None:
        listening = await server.start()
        ready.set()
        await stopped.wait()
        await server.stop(listening)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--faults", action="store_true")
    given = parser.parse_args()

    def plain(request: dict[str, Any], attempt: int) -> Said:
        said = answer(request)
        said.wait = given.latency
        return said

    server = Server(faulty(given.seed, given.latency) if given.faults else plain)
    listening = await server.start()
    partial = given.address.with_suffix(".partial")
    partial.write_text(server.url)
    partial.replace(given.address)
    await listening.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
