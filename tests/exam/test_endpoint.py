"""One request to an endpoint, whatever the endpoint says; and many, as far as it lets them."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st

from tests.exam.endpoint import Said, answer, content, reply, serving
from thrifty.errors import EndpointError
from thrifty.exam import Endpoint, Reply
from thrifty.exam.asking.ask import Asker, Outcome
from thrifty.exam.asking.endpoint import Connection
from thrifty.exam.asking.retry import Failed

KEY = "sk-Secret0123456789"


def messages(text: str = "one") -> list[dict[str, Any]]:
    return [{"role": "system", "content": "s"}, {"role": "user", "content": text}]


def ask(endpoint: Endpoint, timeout: float = 10.0) -> Reply:
    async def once() -> Reply:
        async with Connection(endpoint, timeout) as connection:
            return await connection.ask(connection.body(messages()))

    return asyncio.run(once())


def test_what_a_request_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY + "\n")
    with serving(keep=True) as server:
        endpoint = Endpoint(server.url, "small", "A_KEY", 100, 0.5, {"reasoning_effort": "low"})
        found = ask(endpoint)
    assert found.text.startswith("Explanation: because")
    assert (found.finish_reason, found.prompt_tokens) == ("stop", 100)
    ((headers, body),) = server.requests
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept-encoding"] == "identity"
    assert body == {
        "model": "small",
        "messages": messages(),
        "max_tokens": 100,
        "temperature": 0.5,
        "reasoning_effort": "low",
    }


@pytest.mark.parametrize(
    ("said", "reason", "again"),
    [
        (Said(400, b'{"error": "too long"}'), "HTTP 400", False),
        (Said(401), "HTTP 401", False),
        (Said(429), "HTTP 429", True),
        (Said(500), "HTTP 500", True),
        (Said(302, headers={"Location": "http://localhost/"}), "HTTP 302", False),
        (Said(body=b'{"choices": [{"mess'), "the answer is not JSON", True),
        (Said(body=b""), "the answer is not JSON", True),
        (Said(body=b"[" * 200_000), "the answer is not JSON", True),
        (Said(body=b'{"choices": []}'), "the answer has no message", True),
        (Said(body=b'{"choices": [{"message": null}]}'), "the answer has no message", True),
        (Said(body=b'{"choices": [{"message": {"content": 5}}]}'), "the answer has no message", True),
        (Said(body=b'{"choices": [{"message": {"content": [5]}}]}'), "the answer has no message", True),
        (Said(body=b'{"error": {"message": "overloaded"}}'), "the answer has no message", True),
        (Said(body=b"[]"), "the answer has no message", True),
        (Said(body=b" " * 9_000_000), "the answer has more than 8 MiB", True),
        (Said(body=b"x", hang_up=True), "the connection broke", True),
        (Said(503, b"x" * 9_000_000, {"Content-Encoding": "gzip"}), "HTTP 503", True),
        (Said(hang=True), "no whole answer in time", True),
        (Said(headers={"Content-Encoding": "gzip"}, body=b"x"), "the answer is compressed", False),
    ],
)
def test_answers_that_are_none(said: Said, reason: str, again: bool) -> None:
    with serving(lambda request, attempt: said) as server, pytest.raises(Failed) as failed:
        ask(Endpoint(server.url, "small"), timeout=0.3 if said.hang else 10.0)
    assert failed.value.reason.startswith(reason)
    assert failed.value.again == again
    assert failed.value.__cause__ is None


def test_answers_of_other_forms() -> None:
    def found(said: Said) -> Reply:
        with serving(lambda request, attempt: said) as server:
            return ask(Endpoint(server.url, "small"))

    assert found(reply(None, "content_filter", {})) == Reply("", "content_filter")
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert found(Said(body=json.dumps({"choices": [{"message": {"content": parts}}]}).encode())) == Reply("ab")
    odd = {"prompt_tokens": True, "completion_tokens": -1}
    assert found(reply("half \ud83d of \ud83d\ude00", "stop", odd)) == Reply("half \ufffd of \U0001f600", "stop")
    odd = {"prompt_tokens": 1e9, "completion_tokens": 10**30}
    assert found(reply("x", "s" * 100, odd)) == Reply("x", "s" * 40)
    assert found(reply("x", 7, [])) == Reply("x")  # type: ignore[arg-type]


def test_nobody_answers() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(Failed, match="no connection"):
            ask(Endpoint(f"http://127.0.0.1:{bound.getsockname()[1]}/v1", "small"))


def test_the_key_is_taken_out_of_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    with serving(lambda request, attempt: reply(f"the key is {KEY}.", KEY)) as server:
        assert ask(Endpoint(server.url, "small", "A_KEY")) == Reply("the key is [key].", "[key]", 100, 7)
    with serving(lambda request, attempt: Said(401, b"x" * 1990 + KEY.encode() + b" is wrong\x1b[2J")) as server:
        with pytest.raises(Failed) as failed:
            ask(Endpoint(server.url, "small", "A_KEY"))
        assert "Secret" not in str(failed.value)
        assert str(failed.value).isprintable()


def test_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(keep=True) as server:
        monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
        assert ask(Endpoint("http://example.invalid/v1", "small")).finish_reason == "stop"
        assert server.requests[0][0]["host"] == "example.invalid"
        monkeypatch.setenv("no_proxy", "example.invalid")
        with pytest.raises(Failed, match="no connection"):
            ask(Endpoint("http://example.invalid/v1", "small"))
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("http_proxy", "gopher://user:s3cret@localhost")
        with pytest.raises(EndpointError, match="the proxy that the environment names") as error:
            ask(Endpoint("http://example.invalid/v1", "small"))
        assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("value", ["", "  ", "a\nb", "ключ"])
def test_keys_that_are_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("A_KEY", value)
    with pytest.raises(EndpointError, match="environment variable A_KEY") as error:
        ask(Endpoint("http://localhost:1/v1", "small", "A_KEY"))
    assert not value.strip() or value not in str(error.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000", "http://localhost:8000/chat/completions"),
        ("https://host/v1/chat/completions", "https://host/v1/chat/completions"),
        ("https://host/v1?api-version=3&key=s3cret#x", "https://host/v1/chat/completions"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1/chat/completions"),
    ],
)
def test_addresses(url: str, address: str) -> None:
    assert Endpoint(url, "small").address == address


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://host/v1", "http://", "http://u:s3cret@host/v1", "http://h:x/"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="endpoint: ") as error:
        Endpoint(url, "small")
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "given", [{"max_tokens": 0}, {"temperature": 3.0}, {"temperature": float("nan")}, {"extra": {"stream": True}}]
)
def test_numbers_that_are_none(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        Endpoint("http://localhost/v1", "small", **given)


async def given(data: bytes) -> Reply:
    """Ask an endpoint that answers with these bytes and hangs up."""

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        writer.close()

    async with await asyncio.start_server(answers, "127.0.0.1", 0) as server:
        endpoint = Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "small")
        async with Connection(endpoint, 5.0) as connection:
            return await connection.ask(connection.body(messages()))


GOOD = b'{"choices": [{"message": {"content": "x"}}]}'
CHUNKED = (
    b"Transfer-Encoding: chunked\r\n\r\n5\r\n"
    + GOOD[:5]
    + b"\r\n%x\r\n" % (len(GOOD) - 5)
    + GOOD[5:]
    + b"\r\n0\r\n\r\n"
)


@pytest.mark.parametrize("rest", [b"\r\n" + GOOD, CHUNKED, b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD])
def test_ways_to_send_a_body(rest: bytes) -> None:
    assert asyncio.run(given(b"HTTP/1.1 200 OK\r\n" + rest)) == Reply("x")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "text", "type"]), inner, max_size=3
        )
    ),
)


@given_by(
    st.binary(max_size=60)
    | st.builds(b"HTTP/1.1 %d x\r\n%b".__mod__, st.tuples(st.integers(-5, 1200), st.binary(max_size=60)))
    | values.map(lambda value: b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(value).encode())
    | values.map(lambda value: b'HTTP/1.1 200 OK\r\n\r\n{"choices": [{"message": %b}]}' % json.dumps(value).encode())
)
def test_an_endpoint_may_answer_anything(data: bytes) -> None:
    with suppress(Failed):
        found = asyncio.run(given(data))
        assert found.text.encode() is not None


# Many requests.


def asked(
    script: Callable[[dict[str, Any], int], Said],
    texts: list[str],
    concurrency: int = 4,
    retries: int = 3,
    **given: Any,
) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}

    async def work() -> None:
        with serving(script) as server:
            async with Connection(Endpoint(server.url, "small"), 10.0) as connection:
                asker = Asker(connection, concurrency=concurrency, retries=retries, where=server.url, **given)
                await asker.run(((text, messages(text)) for text in texts), found.__setitem__)
            assert server.most_at_once <= concurrency

    try:
        asyncio.run(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return found


def test_each_is_asked_until_it_is_answered_or_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thrifty.exam.asking.ask.delay", lambda attempt, after: 0.001)

    def script(request: dict[str, Any], attempt: int) -> Said:
        text = content(request)
        if text.startswith("bad"):
            return Said(400, b"no")
        if text.startswith("never"):
            return Said(500, b"broken")
        return answer(request) if attempt == int(text[-1]) else Said(503, b"later")

    texts = [f"{kind} {i} {1 + i % 4}" for i in range(12) for kind in ("good", "bad", "never")]
    found = asked(script, texts)
    assert set(found) == set(texts)
    for text, outcome in found.items():
        if text.startswith("good"):
            assert outcome.reply is not None
            assert outcome.attempts == int(text[-1])
        else:
            assert outcome.reply is None
            assert (outcome.error, outcome.attempts) == (("HTTP 400", 1) if text.startswith("bad") else ("HTTP 500", 4))


@pytest.mark.parametrize(("status", "count", "requests"), [(401, 100, 20), (404, 3, 3), (403, 100, 20)])
def test_an_endpoint_that_refuses_all_is_told_soon(status: int, count: int, requests: int) -> None:
    served = 0

    def script(request: dict[str, Any], attempt: int) -> Said:
        nonlocal served
        served += 1
        return Said(status, b"who are you?")

    with pytest.raises(EndpointError, match=f"HTTP {status}, {requests} questions in a row: who are you"):
        asked(script, [str(i) for i in range(count)])
    assert served <= requests + 4


def test_refusals_among_answers_are_failures_of_their_questions() -> None:
    found = asked(lambda r, a: Said(403) if content(r)[-1] == "3" else answer(r), [str(i) for i in range(100)])
    assert sum(outcome.reply is None for outcome in found.values()) == 10


def test_what_waits_to_be_asked_again_is_not_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thrifty.exam.asking.ask.delay", lambda attempt, after: 0.3)
    seen: set[str] = set()

    def script(request: dict[str, Any], attempt: int) -> Said:
        seen.add(content(request))
        return Said(500)

    with pytest.raises(EndpointError, match="HTTP 500"):
        asked(script, [str(i) for i in range(500)], retries=1)
    assert len(seen) < 60


def test_requests_a_minute() -> None:
    begun = time.monotonic()
    found = asked(lambda r, a: answer(r), [str(i) for i in range(30)], rpm=1200)
    # 20 a second, of which the first 20 may come at once.
    assert len(found) == 30
    assert time.monotonic() - begun >= 0.45


def test_tokens_a_minute() -> None:
    begun = time.monotonic()
    # An answer is told to be 100 tokens and more.
    assert len(asked(lambda r, a: answer(r), [str(i) for i in range(12)], concurrency=1, tpm=60_000)) == 12
    assert time.monotonic() - begun >= 0.1
