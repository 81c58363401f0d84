"""A model behind an OpenAI-compatible address: one request, one answer or one reason why there is none."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from thrifty.errors import EndpointError
from thrifty.exam.asking.retry import Failed
from thrifty.exam.asking.secrets import SECRET, Secrets, named_like_a_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

__all__ = ["Connection", "Endpoint", "Reply"]

#: Bytes of a longer answer are not read.
MOST_BODY = 8 << 20
#: Bytes of what is said of an error.
MOST_ERROR = 1 << 16
#: Letters of a finish reason that are kept; more tokens than these are no count.
MOST_REASON, MOST_TOKENS = 40, 1 << 53


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said.

    Attributes
    ----------
    text : str
    finish_reason : str
        As the endpoint says it: ``"stop"``, ``"length"``, ``"content_filter"``; empty where it does not.
    prompt_tokens, completion_tokens : int or None
        As the endpoint counts them.
    """

    text: str
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, repr=False)
class Endpoint:
    """A model behind an address that speaks as OpenAI's chat completions do.

    Parameters
    ----------
    url : str
        ``http://localhost:8000/v1``, or the whole address of ``/chat/completions``.
    model : str
        Its name there.
    api_key_env : str, optional
        The environment variable that has the key; the key itself is written nowhere.
    max_tokens : int, optional
        Of an answer.
    temperature : float, optional
    extra : mapping
        What else a request says, as ``{"reasoning_effort": "low"}``; it is written into runs, so no secrets.

    Raises
    ------
    ValueError
        For an address or a number that can't be.

    Examples
    --------
    >>> Endpoint("http://localhost:8000/v1/", "small").address
    'http://localhost:8000/v1/chat/completions'
    """

    url: str
    model: str
    api_key_env: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = self._parts()
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("endpoint: an address is http://HOST/v1 or https://HOST/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError("endpoint: no key belongs into the address; name an environment variable that has it")
        if self.api_key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.api_key_env):
            # It may well be the key: it is not said.
            raise ValueError("api_key_env: what was given is no name of an environment variable")
        if not self.model:
            raise ValueError("model: it has no name")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens: {self.max_tokens}; at least 1")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature: {self.temperature}; 0 to 2")
        if own := self.extra.keys() & {"messages", "model", "stream", "n"}:
            raise ValueError(f"extra: {min(own)} is what a run says itself")
        try:
            json.dumps(dict(self.extra), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"extra: {error}") from None
        if name := named_like_a_secret(dict(self.extra)):
            raise ValueError(
                f"extra: {name[:60]!a} is called like a secret, and a run writes down what requests say; api_key_env "
                "names an environment variable that has the key"
            )

    def __repr__(self) -> str:
        rest = {"model": self.model, "api_key_env": self.api_key_env, **self.parameters}
        return f"Endpoint({self.address!r}, {', '.join(f'{name}={value!r}' for name, value in rest.items())})"

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError:
            raise ValueError("endpoint: its address can't be read") from None
        path = parts.path.rstrip("/")
        path = path if path.endswith("/chat/completions") else f"{path}/chat/completions"
        return parts._replace(path=path, fragment="")

    @property
    def request_url(self) -> str:
        """Where requests go; what follows a question mark may be a secret."""
        return urlunsplit(self._parts())

    @property
    def address(self) -> str:
        """Where requests go, as it may be shown and kept."""
        return urlunsplit(self._parts()._replace(query=""))

    @property
    def parameters(self) -> dict[str, Any]:
        """What requests say beside model and messages."""
        given = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        return {**{name: value for name, value in given.items() if value is not None}, **self.extra}

    def key(self) -> str:
        """Return the key; empty where no variable is named.

        Raises
        ------
        EndpointError
            Where the variable is not set, or holds what no key can be.
        """
        if self.api_key_env is None:
            return ""
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise EndpointError(f"the environment variable {self.api_key_env} is not set, it should have the key")
        if not key.isascii() or not key.isprintable():
            raise EndpointError(f"the environment variable {self.api_key_env} holds letters that no key has")
        shown = json.dumps([self.address, self.model, self.parameters])
        if len(key) >= SECRET and Secrets(key, "").without(shown) != shown:
            raise ValueError("endpoint: its key stands in the address, the model or extra, which a run writes down")
        return key


class Connection:
    """An endpoint that is being asked; enter it.

    Parameters
    ----------
    endpoint : Endpoint
    timeout : float
        Seconds until an answer must be whole.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        import httpx

        self.timeout = timeout
        key = endpoint.key()
        self._secrets = Secrets(key, urlsplit(endpoint.request_url).query)
        try:
            self._url = httpx.URL(endpoint.request_url)
        except httpx.InvalidURL:
            raise ValueError("endpoint: its address can't be read") from None
        self._headers = [
            (b"Host", self._url.netloc),
            (b"Content-Type", b"application/json"),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"thrifty"),
        ]
        if key:
            self._headers.append((b"Authorization", b"Bearer " + key.encode()))
        head = {"model": endpoint.model, "messages": None, **endpoint.parameters}
        self._head, self._tail = json.dumps(head).split('"messages": null', 1)
        proxy = _proxy(self._url.scheme, self._url.host)
        verify = httpx.create_ssl_context() if self._url.scheme == "https" else False

        def transport() -> httpx.AsyncHTTPTransport:
            return httpx.AsyncHTTPTransport(verify=verify, limits=httpx.Limits(max_connections=1), proxy=proxy)

        # Transports alone: a client's redirects, cookies and hooks would be looked at with every request; and each of
        # one connection: a pool looks at all that it has with every request.
        self._transport = transport
        try:
            self._all = [transport()]
        except (ImportError, ValueError):
            raise EndpointError(f"{endpoint.address}: the proxy that the environment names can't be used") from None
        self._idle = list(self._all)
        self._extensions = {"timeout": {"connect": min(10.0, timeout), "read": None, "write": None, "pool": None}}
        self._request, self._broken, self._unreachable = (
            httpx.Request,
            httpx.TransportError,
            (
                httpx.ConnectError,
                httpx.ConnectTimeout,
            ),
        )

    async def __aenter__(self) -> Connection:
        # httpcore tries to import sniffio with every request; where it is not there, that takes a quarter of all time.
        self._absent = "sniffio" not in sys.modules and find_spec("sniffio") is None
        if self._absent:
            sys.modules["sniffio"] = None  # type: ignore[assignment]
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._all:
            await transport.aclose()
        if self._absent:
            sys.modules.pop("sniffio", None)

    def body(self, messages: list[dict[str, Any]]) -> bytes:
        """Return what is sent for messages, the same for every attempt."""
        return f'{self._head}"messages": {json.dumps(messages)}{self._tail}'.encode()

    async def ask(self, body: bytes) -> Reply:
        """Make one request.

        Raises
        ------
        Failed
            Where it brought no answer.
        """
        request = self._request(
            "POST",
            self._url,
            headers=[*self._headers, (b"Content-Length", b"%d" % len(body))],
            content=body,
            extensions=self._extensions,
        )
        if not self._idle:
            self._idle.append(self._transport())
            self._all.append(self._idle[-1])
        transport = self._idle.pop()
        try:
            async with asyncio.timeout(self.timeout):
                response = await transport.handle_async_request(request)
                try:
                    data = await self._read(response)
                finally:
                    await response.stream.aclose()  # type: ignore[union-attr]
        except TimeoutError:
            detail = f"{self.timeout:g} s"
            raise Failed("no whole answer in time", detail, again=True, everywhere=True, silent=True) from None
        except self._unreachable as error:
            detail = self._said(str(error).encode())
            raise Failed("no connection", detail, again=True, everywhere=True, silent=True) from None
        except self._broken as error:
            what = str(error) or type(error).__name__
            raise Failed("the connection broke", self._said(what.encode()), again=True, everywhere=True) from None
        finally:
            self._idle.append(transport)
        if response.status_code != 200:
            detail = self._said(data)
            raise Failed.status(response.status_code, detail, response.headers.get("retry-after"))
        return self._reply(data)

    async def _read(self, response: httpx.Response) -> bytes:
        """Return the body of a response, which is no longer than it may be; of an error its beginning."""
        good = response.status_code == 200
        if good and response.headers.get("content-encoding", "identity").lower() != "identity":
            raise Failed("the answer is compressed, which it was asked not to be", everywhere=True)
        pieces, size = [], 0
        async for piece in response.stream:  # type: ignore[union-attr]
            size += len(piece)
            pieces.append(piece)
            if size > MOST_BODY and good:
                raise Failed(f"the answer has more than {MOST_BODY >> 20} MiB", again=True)
            if size > MOST_ERROR and not good:
                break
        return b"".join(pieces)

    def _reply(self, data: bytes) -> Reply:
        try:
            found = json.loads(data)
            choice = found["choices"][0]
            text = _content(choice["message"].get("content"))
        except (ValueError, RecursionError):
            raise Failed("the answer is not JSON", again=True, everywhere=True) from None
        except (KeyError, IndexError, TypeError, AttributeError):
            detail = self._said(data)
            raise Failed("the answer has no message", detail, again=True, everywhere=True) from None
        reason, usage = choice.get("finish_reason"), found.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        return Reply(
            self._secrets.without(sound(text)),
            self._secrets.without(sound(reason[:MOST_REASON])) if isinstance(reason, str) else "",
            _tokens(usage.get("prompt_tokens")),
            _tokens(usage.get("completion_tokens")),
        )

    def _said(self, data: bytes) -> str:
        """Return what an endpoint says of an error as one short line without secrets."""
        text = self._secrets.none_of(data.decode("utf-8", "replace"))[:2000]
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        return " ".join(text.split())[:300]


def _content(content: object) -> str:
    """Return the text of a message: a string, parts of which some are text, or null."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    raise TypeError


def sound(text: str) -> str:
    """Return text that can be written as UTF-8: halves of surrogate pairs become U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _tokens(count: object) -> int | None:
    return count if type(count) is int and 0 <= count < MOST_TOKENS else None


def _proxy(scheme: str, host: str) -> str | None:
    """Return the proxy that the environment names for a host."""
    from urllib.request import getproxies, proxy_bypass

    if proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")
