"""What a step over ranks will take: bytes by a formula, compute by a measurement of one rank's part."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from thrifty.slide.config import LSHConfig
from thrifty.slide.ranks import Ranks
from thrifty.slide.shards import Shards, payload
from thrifty.slide.trainer import Trainer

__all__ = ["Plan", "plan"]

OVERHEAD = 1.1
"""Bytes on a link over those of messages: headers and acknowledgements of TCP (1.09 between two hosts of
benches/goals/ranks)."""
ROUNDS = 3
"""Exchanges of a step, one after the other."""
MEASURED = 262_144
"""Labels of a part that is measured at most; a step hardly depends on them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A step over ranks.

    Attributes
    ----------
    bytes_a_step : float
        Of messages that a node sends.
    compute_ms, network_ms : float
        Milliseconds of a node's part of a step, measured on this machine with as many threads as a node has cores; and
        of its messages, with the delay of three exchanges.
    steps_a_second : float
        With one after the other; what overlaps makes it a little faster.
    rows_a_second : float
    bytes_of_memory : int
        Of a node: weights, moments and tables.
    dense_bytes_a_step : float
        What a node sends where dense gradients of the same network are summed over nodes (a ring, float32).
    """

    bytes_a_step: float
    compute_ms: float
    network_ms: float
    steps_a_second: float
    rows_a_second: float
    bytes_of_memory: int
    dense_bytes_a_step: float


def plan(
    labels: int,
    *,
    nodes: int,
    cores: int,
    mbit: float,
    latency_ms: float = 0.2,
    features: int = 135_909,
    hidden: int = 128,
    batch: int = 128,
    head: LSHConfig | None = None,
    density: float = 0.8,
    nonzeros: int = 76,
    messages: str = "bf16",
) -> Plan:
    """Return what a step of a network over nodes takes.

    Parameters
    ----------
    labels, features, hidden, batch : int
        L, D, H and rows a step (B).
    nodes, cores : int
        N, and cores of each.
    mbit, latency_ms : float
        Of a node's link in Mbit/s, and milliseconds that a message takes to set out and arrive.
    head : LSHConfig, optional
        As for :class:`Trainer`.
    density : float
        Share of hidden values that are not zero.
    nonzeros : int
        Features of a row.
    messages : str
        As for :class:`Trainer`.

    Raises
    ------
    ValueError
        When an argument is out of its range; the message names it.

    Examples
    --------
    >>> p = plan(100_000, nodes=4, cores=1, mbit=100, features=10_000)
    >>> p.network_ms > 1, p.steps_a_second > 1, p.dense_bytes_a_step > 1000 * p.bytes_a_step
    (True, True, True)

    Notes
    -----
    Bytes: :func:`thrifty.slide.shards.payload`. Time: compute + ``8 * bytes * 1.1 / (1000 * mbit)`` + three times the
    latency.
    """
    for name, value, least in (("nodes", nodes, 1), ("cores", cores, 1), ("mbit", mbit, 1e-9), ("density", density, 0)):
        if not value >= least:
            raise ValueError(f"{name}: {value} is not possible; at least {least:g}")
    head = head or LSHConfig()
    whole = Trainer.memory(features, labels, hidden=hidden, head=head)["total"]
    compute = 1e3 * _seconds(labels, nodes, cores, features, hidden, batch, head, nonzeros, messages)
    sent = payload(nodes, batch, hidden, density, messages)
    network = 8 * sent * OVERHEAD / (1e3 * mbit) + (ROUNDS * latency_ms if nodes > 1 else 0.0)
    steps = 1e3 / (compute + network)
    dense = 2 * (nodes - 1) / nodes * 4.0 * (hidden * (features + labels) + hidden + labels)
    return Plan(sent, compute, network, steps, steps * batch, -(-whole // nodes), dense)


def _seconds(
    labels: int,
    nodes: int,
    cores: int,
    features: int,
    hidden: int,
    batch: int,
    head: LSHConfig,
    nonzeros: int,
    messages: str,
) -> float:
    """Seconds of a node's part of a step, its messages already there."""
    share = max(2, min(-(-labels // nodes), MEASURED))
    shape = (min(features, 1 << 17), hidden, share)
    network = shape, head.part(1 / nodes), "softmax", "f32", "sparse", 0.01, batch, 0
    shards = Shards(*network, threads=cores, group=Ranks(0, 1), deterministic=False, messages=messages, shares="equal")
    rng = np.random.default_rng(0)
    rows = 40 * batch
    columns = np.sort(rng.integers(0, shape[0], (rows, nonzeros)), axis=1).astype(np.uint32)
    ends = np.arange(1, rows + 1, dtype=np.uint64)
    x = ends * np.uint64(nonzeros), columns.ravel(), np.full(columns.size, nonzeros**-0.5, np.float32)
    y = ends, rng.integers(0, share, rows).astype(np.uint32)
    times = []
    for begin in range(0, rows, batch):
        begun = time.perf_counter()
        shards.step(x, y, np.arange(begin, begin + batch, dtype=np.uint32))
        times.append(time.perf_counter() - begun)
    return float(np.median(times[10:]))
