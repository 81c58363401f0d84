"""What generating takes: the prompt's pass, then step after step over a cache that grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device import law as laws
from thrifty.device.shape import whole

if TYPE_CHECKING:
    from thrifty.device.columns import Calls
    from thrifty.device.law import Law

__all__ = ["Latencies", "generations", "milliseconds", "possible"]

NODES = 17
"""Lengths of the cache at which steps are told; those between lie on lines."""
MOST = 10**6
"""Tokens of a prompt, or new ones."""


@dataclass(frozen=True, eq=False)
class Latencies:
    """Milliseconds of generations, arrays of a value a shape.

    Attributes
    ----------
    ms, low, high : float64 array
        Of the whole; see :class:`~thrifty.device.Latency`.
    first_ms, token_ms : float64 array
        Until the first token is there, which is the prompt's pass; each further token of a sequence, in the mean.
    outside : bool array
        Whether the shape or the lengths are far from what was timed.
    """

    ms: Any
    low: Any
    high: Any
    first_ms: Any
    token_ms: Any
    outside: Any

    def __len__(self) -> int:
        return len(self.ms)


def milliseconds(one: Law, several: Law, calls: Calls) -> Any:
    """Return milliseconds of calls of whatever rows; more rows never take less than one."""
    ms, more = laws.predict(one, calls.with_(batch=1, tokens=1)), calls.rows > 1
    if more.any():
        ms = np.where(more, np.maximum(ms, laws.predict(several, calls)), ms)
    return ms


def possible(prompt: int, new_tokens: int) -> None:
    """Refuse lengths that no generation has."""
    for name, value in (("prompt", prompt), ("new_tokens", new_tokens)):
        if whole(name, value, 1) > MOST:
            raise ValueError(f"{name}: {value} is not possible; at most {MOST:,}")


def generations(one: Law, several: Law, calls: Calls, *, prompt: int, new_tokens: int) -> tuple[Any, Any]:
    """Return milliseconds of the prompt's pass and of all further steps, each float64 (calls).

    The pass yields the first new token, each step the next: the last one's keys and values are not needed.
    """
    possible(prompt, new_tokens)
    first = milliseconds(one, several, calls.with_(tokens=prompt, context=0))
    rest = np.zeros(len(calls))
    if new_tokens > 1:
        last = prompt + new_tokens - 2
        nodes = np.unique(np.linspace(prompt, last, min(NODES, new_tokens - 1)).round())
        lengths = np.arange(prompt, last + 1)
        for node, unit in zip(nodes, np.eye(len(nodes)), strict=True):
            steps = float(np.interp(lengths, nodes, unit).sum())
            rest += steps * milliseconds(one, several, calls.with_(tokens=1, context=node))
    return first, rest
