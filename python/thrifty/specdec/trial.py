"""Whether a draft pays: it drafts for its target through the engine, and is told by what that takes and yields."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thrifty.errors import ModelError
from thrifty.specdec.engine import Engine
from thrifty.specdec.latency import LatencyCurve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from thrifty.specdec.step import Step
    from thrifty.specdec.verify import Rule

__all__ = ["Trial", "try_draft"]

BLOCK = 16
#: Drafts of a step that are timed; what others take lies between.
LENGTHS = (0, 1, 2, 3, 4, 6, 8, 12)
TURNS = 8


@dataclass(frozen=True)
class Trial:
    """What a draft yields and takes, and whether it pays.

    Attributes
    ----------
    temperature, rule, running :
        The law that ids were drawn by, how drafts were verified, and requests at a time.
    verifications : int
        Of ``longest`` drafts each, by which acceptance is told.
    survival : tuple of float
        With which chance the first k drafts are accepted, for k from 1 to ``longest``.
    alpha : float
        The chance of each draft behind accepted ones, as one number.
    draft_ms, target_ms : float
        Medians: one draft of all requests, and a pass of the target over one id of each.
    step_ms : tuple of float
        A step with 0 to ``longest`` drafts each, and all that belongs to it.
    curve : LatencyCurve
        Much the same in two numbers a model, as :class:`Engine` takes it.
    plain_tokens_per_second, tokens_per_second : float
        As measured: without drafts, and with those that the engine's planner chose.
    planned : str
        Why it chose what it did in the end, in its words.
    """

    temperature: float
    rule: str
    running: int
    verifications: int
    survival: tuple[float, ...]
    alpha: float
    draft_ms: float
    target_ms: float
    step_ms: tuple[float, ...]
    curve: LatencyCurve
    plain_tokens_per_second: float
    tokens_per_second: float
    planned: str

    @property
    def longest(self) -> int:
        """Drafts of the verifications that were counted."""
        return len(self.survival)

    @property
    def tau(self) -> float:
        """Ids that such a verification yields."""
        return self.tau_of(self.longest)

    def tau_of(self, gamma: int) -> float:
        """Return the ids that a verification of fewer drafts yields."""
        return 1 + sum(self.survival[:gamma])

    def rate(self, gamma: int) -> float:
        """Return the ids a millisecond of one request, with so many drafts a step (arXiv 2402.01528, section 3)."""
        return self.tau_of(gamma) / self.step_ms[gamma]

    @property
    def gamma(self) -> int:
        """Drafts of a step that are best by these numbers; 0 where none pay."""
        return max(range(self.longest + 1), key=self.rate)

    @property
    def speedup(self) -> float:
        """Ids a second with so many drafts over those without."""
        return self.rate(self.gamma) / self.rate(0)

    @property
    def tau_break_even(self) -> list[float]:
        """Ids that a verification must yield to be as fast as decoding without drafts, for each number of them."""
        return [ms / self.step_ms[0] for ms in self.step_ms[1:]]

    @property
    def acceptance(self) -> list[float | None]:
        """With which chance each draft is accepted where those before it were; None where they never were."""
        before = [1.0, *self.survival]
        return [s / b if b > 0 else None for s, b in zip(self.survival, before, strict=False)]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON has."""
        measured = self.tokens_per_second / self.plain_tokens_per_second
        names = ("tau", "gamma", "speedup", "acceptance", "tau_break_even")
        more = {"measured_speedup": measured, "pays": self.gamma > 0, "explanation": self.explain()}
        return asdict(self) | {name: getattr(self, name) for name in names} | more

    def explain(self) -> str:
        """Return in words what was found."""
        asked = f"{self.running} requests" if self.running > 1 else "one request"
        out = [
            f"At temperature {self.temperature:g}, by the rule {self.rule}, a verification of {self.longest} drafts "
            f"yields {self.tau:.2f} ids. For {asked} a draft takes {self.draft_ms:.3g} ms, a pass of the target "
            f"{self.target_ms:.3g} ms."
        ]
        if self.gamma:
            more = " or more" if self.gamma == self.longest else ""
            out.append(
                f"Speculation pays: best are {_some(self.gamma)}{more} a step, which make decoding {self.speedup:.2f} "
                f"times as fast."
            )
        else:
            g = max(range(1, self.longest + 1), key=self.rate)
            never = "" if self.tau_break_even[g - 1] < g + 1 else f", which {_some(g)} can't"
            out.append(
                f"Speculation does not pay: with {_some(g)} a step, the best number, a verification yields "
                f"{self.tau_of(g):.2f} ids and would have to yield {self.tau_break_even[g - 1]:.2f}{never}."
            )
        ratio = self.tokens_per_second / self.plain_tokens_per_second
        out.append(f"With the engine's planner decoding was {ratio:.2f} times as fast. Its last choice: {self.planned}")
        return "\n".join(out)


def try_draft(
    target: Callable[[Step], Any],
    drafter: Any,
    prompts: Any,
    *,
    vocab: int,
    new: int = 64,
    gamma: int = 8,
    temperature: float = 1.0,
    rule: Rule = "block",
    running: int = 1,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Trial:
    """Let a draft work for its target, and tell whether it pays on this machine.

    Parameters
    ----------
    target, drafter :
        As for :class:`Engine`. A target with a cache has ``running`` slots of ``prompts.shape[1] + new`` ids.
    prompts : integer array of shape (requests, tokens)
        Ids of texts that neither was trained on.
    vocab : int
        Ids are below.
    new : int
        Ids that follow each prompt.
    gamma : int
        Drafts of a step at most, 2 to 16.
    temperature : float
        Of the law that ids are drawn by; 0 takes the likeliest.
    rule : {"block", "token", "greedy", "seed_exact"}
        See :func:`verify`.
    running : int
        Requests at a time.
    seed : int
        Of all draws.
    threads : int, optional
        Of verification; by default all cores.
    progress : callable, optional
        Called as ``progress("draft", done, total)`` with ids; an exception from it stops the work.

    Returns
    -------
    Trial

    Raises
    ------
    ValueError
        For a size that is out of range.
    ModelError
        When a model raised, or no draft was verified.

    Notes
    -----
    Acceptance is counted where ``gamma`` drafts were verified; by the rule "block" that of the first of fewer is a
    little less. Throughput of fewer is what arXiv 2402.01528, section 3, says of these counts and times.

    Examples
    --------
    >>> from thrifty.pairconnect import PairLM
    >>> from thrifty.pipeline.data import novels
    >>> from thrifty.specdec import PairTarget, try_draft
    >>> target = PairLM.load(novels() / "model.safetensors")
    >>> small = PairLM.load(novels() / "small.safetensors")
    >>> prompts = [target.ids("It was the best of times")[:4]] * 3
    >>> found = try_draft(PairTarget(target), small.drafter(), prompts, vocab=2048, new=24, gamma=4)
    >>> len(found.survival), found.survival[0] > found.survival[3], found.tau > 1
    (4, True, True)
    """
    prompts = np.asarray(prompts)
    if prompts.ndim != 2 or len(prompts) < 2 or not prompts.size:
        raise ValueError(f"prompts: shape {prompts.shape}; (requests, tokens) is needed, at least 2 requests")
    for name, value, least, most in (("gamma", gamma, 2, 16), ("new", new, 2, 1 << 20), ("running", running, 1, 4096)):
        if not least <= value <= most:
            raise ValueError(f"{name}: {value} is not between {least} and {most}")
    if new <= gamma:
        raise ValueError(f"new: {new} ids have no room for {gamma} drafts; at least {gamma + 1} are needed")
    length = prompts.shape[1] + new
    sizes: dict[str, Any] = {
        "vocab": vocab,
        "rule": rule,
        "seed": seed,
        "blocks": running * (-(-length // BLOCK) + 1),
        "block_size": BLOCK,
        "max_running": running,
        "max_length": length,
        "share_prefixes": False,
        "threads": threads,
    }
    law = {"max_new": new, "temperature": temperature}
    lengths = [g for g in LENGTHS if g < gamma] + [gamma]
    fixed = {g: _Watched(target, [drafter] if g else [], gamma=g, max_gamma=g, **sizes) for g in lengths}
    # All take turns, so that what else the machine does befalls all alike.
    parts = np.array_split(prompts, max(2, min(TURNS, len(prompts) // running)))
    done, total = 0, len(prompts) * new * (len(fixed) + 1)
    planner: _Watched | None = None
    for turn, part in enumerate(parts):
        if turn == 1:
            costs = _Costs.of(fixed)
            curve = costs.curve(running)
            start = _alpha(fixed[gamma].counts(gamma), gamma)
            planner = _Watched(target, [drafter], gamma=0, max_gamma=gamma, latency=curve, alpha=start, **sizes)
        for watched in (*fixed.values(), planner):
            if watched is None:
                continue
            for emitted in watched.decoded(part, **law):
                if progress is not None:
                    progress("draft", done + emitted, total)
            done += len(part) * new
    assert planner is not None
    counts = fixed[gamma].counts(gamma)
    survival = tuple(float((counts >= k).mean()) for k in range(1, gamma + 1))
    costs = _Costs.of(fixed)
    return Trial(
        temperature=temperature,
        rule=rule,
        running=running,
        verifications=len(counts),
        survival=survival,
        alpha=_alpha(counts, gamma),
        draft_ms=costs.one_draft,
        target_ms=costs.target[0],
        step_ms=costs.steps(gamma),
        curve=costs.curve(running),
        plain_tokens_per_second=fixed[0].speed(turn=1),
        tokens_per_second=planner.speed(),
        planned=planner.planned,
    )


def _some(drafts: int) -> str:
    return "1 draft" if drafts == 1 else f"{drafts} drafts"


def _alpha(counts: NDArray[np.int64], gamma: int) -> float:
    """Return the chance of each draft behind accepted ones."""
    return float(counts.sum() / np.minimum(counts + 1, gamma).sum())


@dataclass(frozen=True)
class _Costs:
    """Medians of what steps take, by the drafts of each row, in milliseconds."""

    target: dict[int, float]
    host: dict[int, float]
    one_draft: float

    @classmethod
    def of(cls, fixed: dict[int, _Watched]) -> _Costs:
        """Return those of engines that draft a fixed number."""
        some = {g: watched.with_drafts(g) for g, watched in fixed.items()}
        target, draft, host = (
            {g: float(np.median([getattr(found, part) for found in rounds])) for g, rounds in some.items()}
            for part in ("target_ms", "draft_ms", "host_ms")
        )
        longest = max(fixed)
        return cls(target, host, draft[longest] / longest)

    def steps(self, longest: int) -> tuple[float, ...]:
        """Return what a step takes with each number of drafts."""
        known = list(self.target)
        rest = np.interp(range(longest + 1), known, [self.target[g] + self.host[g] for g in known]).tolist()
        return tuple(g * self.one_draft + ms for g, ms in enumerate(rest))

    def curve(self, running: int) -> LatencyCurve:
        """Return them as two numbers a model: least squares relative to what was measured."""
        from scipy.optimize import nnls

        ids = running * (np.array(list(self.target), float) + 1)
        ms = np.array([self.target[g] + self.host[g] for g in self.target])
        (base, each), _ = nnls(np.stack([np.ones_like(ids), ids], 1) / ms[:, None], np.ones_like(ms))
        return LatencyCurve(1, self.one_draft, 0.0, 0.0, float(each), float(base))


class _Round(NamedTuple):
    """A step without ids of prompts: drafts and ids of each of its rows, and milliseconds of its parts."""

    gamma: NDArray[np.int64]
    yielded: NDArray[np.int64]
    draft_ms: float
    target_ms: float
    host_ms: float


class _Watched:
    """An engine, and what its steps take and yield."""

    def __init__(self, target: Callable[[Step], Any], drafters: Any, **settings: Any) -> None:
        self._target, self.within = target, getattr(target, "within", None)
        self.engine = Engine(self, drafters, **settings)
        self.rounds: list[_Round] = []
        self.planned = ""
        self._begins: list[int] = []
        self._ms, self._passed = 0.0, (np.zeros(0, np.uint64), np.zeros(0, np.int64), 0)

    def __call__(self, step: Step) -> Any:
        """Do a pass of the target."""
        # Arrays are written to again by the next plan.
        self._passed = step.handles.copy(), step.gamma.astype(np.int64), step.size
        begun = perf_counter()
        found = self._target(step)
        self._ms = 1e3 * (perf_counter() - begun)
        return found

    def decoded(self, prompts: Any, **law: Any) -> Iterator[int]:
        """Let requests through to their ends; yields how many ids are out."""
        begin, had = self.engine.stats()["emitted"], dict.fromkeys(map(int, self.submitted(prompts, **law)), 0)
        while True:
            begun = perf_counter()
            if not self.engine.step():
                break
            took = 1e3 * (perf_counter() - begun)
            handles, gamma, size = self._passed
            has = {handle: len(self.engine.tokens(handle)) for handle in handles.tolist()}
            yielded = np.array([has[handle] - had[handle] for handle in has])
            had |= has
            # Near its end a request has no room for drafts, which tells nothing.
            going = next((handle for handle in has if has[handle] <= law["max_new"] // 2), None)
            if going is not None:
                self.planned = self.engine.explain(going)
            if size == len(gamma) + gamma.sum():
                drafting = sum(self.engine._rounds.draft_ms)
                self.rounds.append(_Round(gamma, yielded, drafting, self._ms, took - self._ms - drafting))
            yield self.engine.stats()["emitted"] - begin
        for result in self.engine.take_all().values():
            if result.error:
                raise ModelError(f"decoding failed: {result.error}")

    def submitted(self, prompts: Any, **law: Any) -> Any:
        """Submit requests; return their handles."""
        self._begins.append(len(self.rounds))
        return self.engine.submit_many(prompts, **law)

    def with_drafts(self, gamma: int) -> list[_Round]:
        """Return the steps whose rows all had so many drafts; near their ends they have fewer."""
        found = [found for found in self.rounds if (found.gamma == gamma).all()]
        if not found:
            raise ModelError(f"no verification of {gamma} drafts was seen; does the drafter draft?")
        return found

    def counts(self, gamma: int) -> NDArray[np.int64]:
        """Return how many drafts were accepted of each row of such steps."""
        return np.concatenate([found.yielded for found in self.with_drafts(gamma)]) - 1

    def speed(self, turn: int = 0) -> float:
        """Return ids a second, from some turn on."""
        rounds = self.rounds[self._begins[turn] :]
        ms = sum(found.draft_ms + found.target_ms + found.host_ms for found in rounds)
        return 1e3 * float(sum(found.yielded.sum() for found in rounds)) / ms
