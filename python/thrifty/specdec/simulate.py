"""Hours of requests in seconds: the engine's scheduler and policy, and those of others, on a simulated device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thrifty import _core
from thrifty.specdec._arrays import whole
from thrifty.specdec.engine import AGEING
from thrifty.specdec.latency import LatencyCurve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.specdec.trace import Trace

__all__ = ["Replay", "SimulatedDevice", "Simulator", "Used"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SimulatedDevice:
    """What a target and its drafters take on a device, as it was measured.

    Parameters
    ----------
    verify : sequence of (int, float)
        Tokens of a pass of the target, ascending, and milliseconds; between them lies a straight line.
    draft : sequence of (int, float), or one for each drafter
        The same of a pass of the drafter, over so many sequences. Of several, up to 8, a list of such sequences.
    kv_ms : float
        Milliseconds for each token in the caches that a verification reads.
    host_ms : float
        Milliseconds of a step outside the models.
    noise : float
        Standard deviation of times, relative.
    padded : bool
        Whether verifications are filled up to the next size, as CUDA graphs are.
    shift : (float, float)
        Once this share of all ids is out, all takes so many times as long: what was learned is wrong then.

    Examples
    --------
    >>> SimulatedDevice(verify=[(1, 10.0), (256, 16.0)], draft=[(1, 0.8)]).padded
    False
    """

    verify: Sequence[tuple[int, float]]
    draft: Sequence[tuple[int, float]] | Sequence[Sequence[tuple[int, float]]]
    kv_ms: float = 0.0
    host_ms: float = 0.0
    noise: float = 0.0
    padded: bool = False
    shift: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        several = [self.draft] if self.draft and isinstance(self.draft[0][0], (int, np.integer)) else self.draft
        object.__setattr__(self, "verify", _rows("verify", self.verify))
        object.__setattr__(self, "draft", [_rows("draft", rows) for rows in several])
        if not 1 <= len(self.draft) <= 8:
            raise ValueError(f"draft: rows of {len(self.draft)} drafters; those of 1 to 8 are needed")
        if self.verify[0][1] + self.host_ms <= 0:
            raise ValueError("verify: 0 ms, as host_ms is; a step takes time")
        _between("noise", self.noise, 0.0, 1.0)
        object.__setattr__(self, "shift", (float(self.shift[0]), float(self.shift[1])))
        _between("shift", self.shift[0], 0.0, 1.0)
        _between("shift", self.shift[1], 1e-3, 1e3)


class Used(NamedTuple):
    """What a drafter did: requests that it drafted for, in all steps together, its drafts, those accepted, and ms."""

    rows: int
    drafted: int
    accepted: int
    ms: float


@dataclass(frozen=True)
class Replay:
    """What became of a trace under a policy.

    Attributes
    ----------
    policy : str
    speed : float or None
        How many times as fast requests came; None where all waited from the beginning.
    requests, lost : int
        Those that got all of their ids, and others.
    tokens, steps, rows : int
        Ids that were emitted, steps of the device, and requests in all steps together.
    drafted, accepted, preempted : int
        Drafts that were verified, those that were accepted, and requests that lost their blocks and began again.
    blocks_held : int
        Blocks that somebody holds at the end: none.
    used : tuple of Used
        What each drafter did.
    alone : int
        Requests that got ids without drafts, in all steps together.
    paced, in_time : int
        Ids of requests with targets, behind their first ones, and those that came in time.
    seconds, busy_seconds, prompt_seconds : float
        Simulated ones until the end; those in which there was something to do; of these, what prompts add.
    scheduler_seconds : float
        Real ones of a processor, for planning and committing.
    first_ms, end_ms : array of float, shape (n,)
        Simulated milliseconds of each request from arrival to its first id, and to its end.
    """

    policy: str
    speed: float | None
    requests: int
    lost: int
    tokens: int
    steps: int
    rows: int
    drafted: int
    accepted: int
    preempted: int
    blocks_held: int
    used: tuple[Used, ...]
    alone: int
    paced: int
    in_time: int
    seconds: float
    busy_seconds: float
    prompt_seconds: float
    scheduler_seconds: float
    first_ms: NDArray[np.float64] = field(repr=False)
    end_ms: NDArray[np.float64] = field(repr=False)

    @property
    def tokens_per_second(self) -> float:
        """Ids a second in which there was something to do.

        Where the device keeps up, look at ``end_ms`` instead: a slow policy runs more requests at a time there, which
        makes more ids a second of a longer wait.
        """
        return self.tokens / self.busy_seconds

    @property
    def in_time_share(self) -> float | None:
        """Share of the ids that have a time to come at which came by then; None where no request has a target."""
        return self.in_time / self.paced if self.paced else None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON has; latencies as their 50th, 90th and 99th percentiles."""
        told = {name: value for name, value in vars(self).items() if name not in ("first_ms", "end_ms")}
        told |= {"tokens_per_second": self.tokens_per_second, "in_time_share": self.in_time_share}
        told["used"] = [used._asdict() for used in self.used]
        for name, ms in (("first_ms", self.first_ms), ("end_ms", self.end_ms)):
            told[name] = dict(zip(("p50", "p90", "p99"), np.percentile(ms, (50, 90, 99)).tolist(), strict=True))
        return told


class Simulator:
    """Lets a trace through the engine's scheduler, with its policy or that of others, on a device that is simulated.

    Policies are told two numbers of each model and learn the rest; which kind a request is of is told to nobody. Luck
    is a function of seed, request and position, so that all policies meet the same.

    Parameters
    ----------
    trace : Trace
        Requests.
    device : SimulatedDevice or LatencyCurve
        What steps take.
    alphas : float or sequence of float, or of sequences of float
        Chance that the first draft of a request of each kind is accepted; requests are of all kinds alike. Where there
        are several drafters, each kind has one for all of them, or one each.
    fall : float
        What a later draft's chance is multiplied by, for each place.
    turn : float
        Share of requests that become of another kind half way.
    tbt_ms : float or array of float, shape (n,), optional
        Targets for the milliseconds between the ids of a request, from its first one on; NaN for none. They are told to
        ``planner`` and ``oracle`` alone.
    tbt_share : float
        Share of requests that have the target, where it is one number; which is a function of the request.
    blocks, block_size : int
        Of the cache, and tokens of each.
    max_running, token_budget, max_gamma : int
        Requests that run at a time, tokens of a step, and drafts of a request and step at most.

    Raises
    ------
    ValueError
        When an argument is not possible.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.specdec import LatencyCurve, Simulator, Trace
    >>> trace = Trace(np.arange(200) * 150.0, np.full(200, 300), np.full(200, 100))
    >>> curve = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
    >>> replays = Simulator(trace, curve, 0.7).compare(["planner", "fixed 0", "fixed 8"])
    >>> [replay.tokens for replay in replays]
    [20000, 20000, 20000]
    >>> min(replays, key=lambda replay: replay.end_ms.mean()).policy
    'planner'
    """

    def __init__(
        self,
        trace: Trace,
        device: SimulatedDevice | LatencyCurve,
        alphas: float | Sequence[float | Sequence[float]],
        *,
        fall: float = 1.0,
        turn: float = 0.0,
        tbt_ms: Any = None,
        tbt_share: float = 1.0,
        blocks: int = 60_000,
        block_size: int = 16,
        max_running: int = 512,
        token_budget: int = 8192,
        max_gamma: int = 8,
    ) -> None:
        if not isinstance(device, (SimulatedDevice, LatencyCurve)):
            raise TypeError(f"device: a SimulatedDevice or LatencyCurve is needed, got {type(device).__name__}")
        drafts = len(device.draft) if isinstance(device, SimulatedDevice) else 1
        self.alphas = _by_draft(alphas if isinstance(alphas, Sequence) else [alphas], drafts)
        _between("fall", fall, 0.0, 1.0)
        _between("turn", turn, 0.0, 1.0)
        if max_gamma > 16:
            raise ValueError(f"max_gamma: {max_gamma} is not between 0 and 16")
        self.trace, self.device, self.fall, self.turn = trace, device, float(fall), float(turn)
        self.tbt_ms = _targets(tbt_ms, tbt_share, len(trace))
        longest = int((trace.prompt.astype(np.int64) + trace.new).max())
        self._sizes = (
            whole(blocks, "blocks", 32),
            whole(block_size, "block_size", 32),
            whole(max_running, "max_running", 32),
            longest,
            whole(token_budget, "token_budget", 32),
            whole(max_gamma, "max_gamma", 8),
            AGEING,
        )

    def run(
        self, policy: str = "planner", *, speed: float | None = 1.0, seed: int = 0, progress: Progress | None = None
    ) -> Replay:
        """Replay the trace under a policy.

        Parameters
        ----------
        policy : str
            ``planner``, the engine's; ``planner deaf``, the same that is told nothing of targets; ``oracle``, which is
            told all chances and times; ``fixed N``; ``table``, the best length of each batch size for the mean of all
            kinds, or ``table BATCH:N,...``, up to which batch how many; ``tiers N,N,...``, one of these lengths by what
            is accepted of late; ``trim N``, N drafts for all of which those worth it are verified. All but the first
            three draft with the first of several drafters.
        speed : float, optional
            How many times as fast requests come; None lets all wait from the beginning.
        seed : int
            Of luck and noise.
        progress : callable, optional
            Called as ``progress(phase, done, total)`` with ids.

        Returns
        -------
        Replay

        Raises
        ------
        ValueError
            For a policy that is none.
        OutOfBlocks
            When a request alone needs more blocks than there are.
        """
        trace = self.trace.faster(speed)
        found = _core.specdec_simulate(
            policy,
            trace.at_ms,
            trace.prompt,
            trace.new,
            self.tbt_ms,
            self.device,
            (self.alphas, self.fall, self.turn),
            self._sizes,
            whole(seed, "seed", 64),
            progress,
        )
        return Replay(
            policy=policy,
            speed=speed,
            lost=len(trace) - found["requests"],
            seconds=found["ms"] / 1e3,
            busy_seconds=found["busy_ms"] / 1e3,
            prompt_seconds=found["prompt_ms"] / 1e3,
            scheduler_seconds=found["cpu_s"],
            used=tuple(Used(*used) for used in found["used"]),
            **{
                name: found[name]
                for name in (
                    *("requests", "tokens", "steps", "rows", "drafted", "accepted", "preempted", "blocks_held"),
                    *("alone", "paced", "in_time"),
                    *("first_ms", "end_ms"),
                )
            },
        )

    def compare(
        self,
        policies: Sequence[str],
        *,
        speeds: Sequence[float | None] = (1.0,),
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list[Replay]:
        """Replay the trace under each policy at each speed, by speed and then by policy; see :meth:`run`."""
        found = []
        for speed in speeds:
            for policy in policies:
                name = f"{policy}, {'closed' if speed is None else f'{speed:g}x'}"

                def named(phase: str, done: int, total: int, name: str = name) -> None:
                    if phase and progress is not None:
                        progress(name, done, total)

                found.append(self.run(policy, speed=speed, seed=seed, progress=named if progress else None))
        return found


def _rows(name: str, rows: Any) -> list[tuple[int, float]]:
    found = [(whole(n, name, 32), float(ms)) for n, ms in rows]
    if not found:
        raise ValueError(f"{name}: no rows; (size, ms) of at least one size are needed")
    return found


def _by_draft(kinds: Sequence[float | Sequence[float]], drafts: int) -> list[list[float]]:
    """Return for each drafter its chances by kind."""
    if not kinds:
        raise ValueError("alphas: none are given; at least one kind is needed")
    found = []
    for kind in kinds:
        each = [float(a) for a in kind] if isinstance(kind, Sequence) else [float(kind)] * drafts
        if len(each) != drafts:
            raise ValueError(f"alphas: {len(each)} of a kind for {drafts} drafters; one for all, or one each")
        for alpha in each:
            _between("alphas", alpha, 0.0, 1.0)
        found.append(each)
    return [list(row) for row in zip(*found, strict=True)]


def _targets(tbt_ms: Any, share: float, requests: int) -> NDArray[np.float64]:
    """Return the target of each request, NaN for none."""
    _between("tbt_share", share, 0.0, 1.0)
    if tbt_ms is None:
        return np.full(requests, np.nan)
    given = np.asarray(tbt_ms, np.float64)
    if given.ndim == 0:
        # Nothing else is drawn from this stream.
        given = np.where(np.random.default_rng(0x7462).random(requests) < share, given, np.nan)
    if given.shape != (requests,):
        raise ValueError(f"tbt_ms: shape {given.shape} for {requests} requests; one number, or ({requests},) is needed")
    some = given[~np.isnan(given)]
    if not ((some > 0) & np.isfinite(some)).all():
        raise ValueError("tbt_ms: not all are finite numbers above 0")
    return np.ascontiguousarray(given)


def _between(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name}: {value!r} is not possible; a number from {least:g} to {most:g} is needed")
