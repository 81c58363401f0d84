"""A card that is not there: its tensors lie in the CPU's memory, and its graphs are the operations that a call made.

What records and replays is what runs on a card; a recorded operation that a graph can't hold (one whose size or value
the host must know) is an error here as there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

NAME = "made-up card"
#: Operations that make the host wait for the card.
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero")


class Graph:
    """Operations with what they read and wrote; replayed into the same memory."""

    captured = replayed = 0

    def __init__(self) -> None:
        self.steps: list[tuple[Any, Any, Any, Any]] = []
        Graph.captured += 1

    def pool(self) -> tuple[int, int]:
        return (0, 1)

    def replay(self) -> None:
        Graph.replayed += 1
        for function, given, named, found in self.steps:
            again = function(*given, **named)
            for old, new in zip(_tensors(found), _tensors(again), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class _Recording(TorchDispatchMode):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        if any(name in str(function) for name in WAITING):
            raise RuntimeError(f"{function}: operation not permitted when stream is capturing")
        found = function(*given, **(named or {}))
        self.graph.steps.append((function, given, named or {}, found))
        return found


def _tensors(value: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    tree_map(lambda one: found.append(one) if isinstance(one, torch.Tensor) else None, value)
    return found


@contextlib.contextmanager
def _recorded(graph: Graph, pool: Any = None) -> Iterator[None]:
    assert pool in (None, (0, 1))
    with _Recording(graph):
        yield


@contextlib.contextmanager
def card() -> Iterator[None]:
    """Have torch say that it has a card, for thrifty.device."""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    there = {
        "CUDAGraph": Graph,
        "graph": _recorded,
        "Stream": lambda: stream,
        "stream": lambda given: contextlib.nullcontext(),
        "current_stream": lambda: stream,
        "device": lambda given: contextlib.nullcontext(),
        "synchronize": lambda given: None,
        "get_device_name": lambda given: NAME,
        "get_device_properties": lambda given: SimpleNamespace(uuid="fake"),
        "device_count": lambda: 1,
    }
    with contextlib.ExitStack() as stack:
        for name, value in there.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        place = mock.patch("thrifty.device.arrays.place_of", lambda torch, device: torch.device("cpu"))
        stack.enter_context(place)
        yield
