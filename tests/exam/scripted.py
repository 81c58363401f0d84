"""A judge on a local address that replies as a script says, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def verdict(correct: str, answer: str = "8", confidence: int | None = None) -> str:
    values = {"extracted_final_answer": answer, "reasoning": "compared", "correct": correct, "confidence": confidence}
    return json.dumps(values)


class Script:
    """What the judge does with a prompt; ``replies`` maps words of a response to what is said of it."""

    def __init__(self, replies: dict[str, str], *, otherwise: str = "", status: int = 200) -> None:
        self.replies, self.otherwise, self.status = replies, otherwise or verdict("no", "None"), status
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def asked(self, words: str) -> int:
        """How often it was asked about a response with these words."""
        return sum(words in request["messages"][0]["content"] for request in self.requests)

    def __call__(self, messages: list[dict[str, Any]]) -> str:
        prompt = messages[0]["content"]
        return next((reply for words, reply in self.replies.items() if words in prompt), self.otherwise)


@contextmanager
def served(script: Script) -> Iterator[Script]:
    """Serve a script as an endpoint does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.requests.append(request)
            script.headers.append(dict(self.headers))
            message = {"role": "assistant", "content": script(request["messages"])}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            data = json.dumps({"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode()
            self.send_response(script.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def counted(script: Callable[[list[dict[str, Any]]], str]) -> tuple[Callable[[list[dict[str, Any]]], str], list[str]]:
    """A function that replies as a script does, and the prompts that it was given."""
    prompts: list[str] = []

    def reply(messages: list[dict[str, Any]]) -> str:
        prompts.append(messages[0]["content"])
        return script(messages)

    return reply, prompts
