"""Which draft to train: candidates of a size at every depth, ranked by what decoding takes, before any is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from thrifty.device.shape import whole
from thrifty.errors import Infeasible
from thrifty.specdec.latency import expected_tau
from thrifty.specdec.shapes import depths, draft_of, largest_within
from thrifty.specdec.throughput import Clock

if TYPE_CHECKING:
    from thrifty.device import DeviceProfile, Latency, ModelShape

__all__ = ["Advice", "Candidate", "advise", "rank"]


@dataclass(frozen=True)
class Candidate:
    """A draft, and what it must and will do.

    Attributes
    ----------
    shape : ModelShape
    draft : Latency
        Milliseconds of one of its steps, over the batch (t_d).
    alpha : float
        Chance that a draft is accepted, as assumed or measured.
    gamma : int
        Drafts of a step that yield most at that chance; 0 where decoding without is best.
    tau : float
        Ids that a verification yields then.
    tokens_per_second, speedup : float
        Over the batch, and over decoding without a draft.
    tau_break_even : float
        Ids that a verification must yield with so many drafts (with 1 where ``gamma`` is 0) to be as fast as decoding
        without.
    alpha_break_even, tokens_break_even : float or None
        The least acceptance with which any number of drafts pays, and the ids that a verification then yields; None
        where even a draft that is always right does not pay.
    tau_to_beat, alpha_to_beat : float or None
        What it must yield with so many drafts, and be accepted with the best number of them, to be as fast as the draft
        that is there now; None without one, or where it can not.
    alpha_to_match : float or None
        The acceptance that makes it as fast as the first of the ranking; None where it can not be.
    """

    shape: ModelShape
    draft: Latency
    alpha: float
    gamma: int
    tau: float
    tokens_per_second: float
    speedup: float
    tau_break_even: float
    alpha_break_even: float | None
    tokens_break_even: float | None
    tau_to_beat: float | None = None
    alpha_to_beat: float | None = None
    alpha_to_match: float | None = None


@dataclass(frozen=True)
class Advice:
    """Candidates, the best first, and what they were held against.

    Attributes
    ----------
    candidates : tuple of Candidate
    target : ModelShape
    clock : Clock
        Milliseconds of verifications.
    device : str
    context : int
        Tokens of a sequence in the cache.
    parts : tuple of dict
        For each candidate, where the milliseconds of one token go (:meth:`DeviceProfile.parts`).
    current_tokens_per_second : float or None
        Of the draft that is there now.
    outside : tuple of str
        Sizes of the target that are far from what the profile's timings cover.
    """

    candidates: tuple[Candidate, ...]
    target: ModelShape
    clock: Clock
    device: str
    context: int
    parts: tuple[dict[str, float], ...]
    current_tokens_per_second: float | None
    outside: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON has."""
        return {
            "device": self.device,
            "target": asdict(self.target),
            "batch": self.clock.batch,
            "context": self.context,
            "host_ms": self.clock.host_ms,
            "verify_ms": list(self.clock.verify_ms),
            "plain_tokens_per_second": self.clock.plain,
            "current_tokens_per_second": self.current_tokens_per_second,
            "outside": list(self.outside),
            "candidates": [
                asdict(c) | {"parameters": c.shape.parameters, "parts": parts}
                for c, parts in zip(self.candidates, self.parts, strict=True)
            ],
        }

    def explain(self) -> str:
        """Return in words what was found, and which term decides it."""
        from thrifty.specdec.words import explain

        return explain(self)


def rank(
    profile: DeviceProfile,
    target: ModelShape,
    shapes: Sequence[ModelShape],
    *,
    alpha: float | Sequence[float] = 0.7,
    batch: int = 1,
    context: int = 0,
    host_ms: float = 0.0,
    max_gamma: int = 16,
    current: ModelShape | float | None = None,
    current_alpha: float | None = None,
) -> Advice:
    """Rank drafts by the ids a second that they make of a target.

    Parameters
    ----------
    profile : DeviceProfile
        Of what both will run on.
    target : ModelShape
        Of the profile's dtype, as the drafts are.
    shapes : sequence of ModelShape
        At least one.
    alpha : float or sequence of float
        Chance that a draft is accepted: one for all before they are trained, or one each where it is measured.
    batch, context : int
        Sequences, and tokens of each in the cache.
    host_ms : float
        What a step that speculates takes besides the models.
    max_gamma : int
        Drafts of a step at most, up to 64.
    current : ModelShape or float, optional
        The draft that is there now, or the milliseconds of its step.
    current_alpha : float, optional
        Its acceptance; by default ``alpha``.

    Returns
    -------
    Advice

    Raises
    ------
    ValueError
        When an argument is not possible.
    MismatchError
        When a shape is of another dtype than the profile.

    Notes
    -----
    arXiv 2402.01528, section 3: a draft of latency t_d with gamma drafts a step breaks even where a verification yields
    (gamma t_d + t_v(gamma + 1) + t_host) / t_v(1) ids, and is as fast as another draft where it yields tau_old (gamma
    t_new + t_v) / (gamma t_old + t_v).
    """
    if not shapes:
        raise ValueError("shapes: none are given; at least one draft is needed")
    alphas = [float(a) for a in alpha] if isinstance(alpha, Sequence) else [float(alpha)] * len(shapes)
    if len(alphas) != len(shapes):
        raise ValueError(f"alpha: {len(alphas)} are given for {len(shapes)} shapes; one for all, or one each")
    for value in alphas:
        _between("alpha", value, 0.0, 1.0)
    _between("host_ms", host_ms, 0.0, 1e6)
    if isinstance(max_gamma, bool) or not isinstance(max_gamma, int) or not 1 <= max_gamma <= 64:
        raise ValueError(f"max_gamma: {max_gamma!r} is not possible; a whole number from 1 to 64 is needed")
    verify = [
        profile.latency(target, batch=batch, tokens=tokens, context=context) for tokens in range(1, max_gamma + 2)
    ]
    clock = Clock(tuple(v.ms for v in verify), batch, host_ms)
    goal = None
    if current is None and current_alpha is not None:
        raise ValueError("current_alpha: of no draft; give current, its shape or its milliseconds")
    if current is not None:
        there = current_alpha if current_alpha is not None else alphas[0]
        _between("current_alpha", there, 0.0, 1.0)
        if isinstance(current, (int, float)):
            _between("current", current, 0.0, 1e6)
        took = (
            float(current)
            if isinstance(current, (int, float))
            else profile.latency(current, batch=batch, context=context).ms
        )
        goal = clock.best(took, there)[1]
    found = [
        _candidate(profile.latency(shape, batch=batch, context=context), shape, accepted, clock, goal)
        for shape, accepted in zip(shapes, alphas, strict=True)
    ]
    found.sort(key=lambda c: (-c.tokens_per_second, c.draft.ms, c.shape.layers))
    first = found[0].tokens_per_second
    found = [_matching(c, clock, first) for c in found]
    return Advice(
        tuple(found),
        target,
        clock,
        f"{profile.device['name']}, {profile.backend}, {profile.dtype}, threads {profile.threads}",
        context,
        tuple(profile.parts(c.shape, context=context) for c in found),
        goal,
        verify[0].outside,
    )


def advise(
    profile: DeviceProfile,
    target: ModelShape,
    *,
    params: float | None = None,
    latency_ms: float | None = None,
    vocab: int | None = None,
    max_depth: int = 24,
    tied: bool = True,
    in_layers: bool = False,
    alpha: float = 0.7,
    batch: int = 1,
    context: int = 0,
    host_ms: float = 0.0,
    max_gamma: int = 16,
    current: ModelShape | float | None = None,
    current_alpha: float | None = None,
) -> Advice:
    """Lay out drafts of a size, or of a latency, at every depth, and rank them.

    Parameters
    ----------
    profile, target, alpha, batch, context, host_ms, max_gamma, current, current_alpha
        As for :func:`rank`; one ``alpha`` for all.
    params : float, optional
        Parameters of a draft, within 3 %.
    latency_ms : float, optional
        Milliseconds that a step of a draft may take. Alone, the largest draft of each depth is laid out, and the
        ranking is by parameters; with ``params``, those that take longer are left out.
    vocab : int, optional
        Ids of the draft; by default the target's.
    max_depth : int
        Layers at most.
    tied : bool
        Whether the drafts' output layer is their embedding.
    in_layers : bool
        Whether ``params`` are those of the layers alone, without embeddings.

    Returns
    -------
    Advice

    Raises
    ------
    ValueError
        When an argument is not possible.
    Infeasible
        When no draft has so many parameters, or takes so little; the message names the nearest that there is.

    Examples
    --------
    >>> from thrifty.device import calibrate, shape_of
    >>> from thrifty.specdec import advise
    >>> profile = calibrate(seconds=1)
    >>> target = shape_of("layers=12,dim=512,heads=8,hidden=1376,vocab=256,tied=1,dtype_bytes=4")
    >>> found = advise(profile, target, params=1e6, max_depth=8)
    >>> len(found.candidates), found.candidates[0].shape.layers < 8
    (7, True)
    """
    if params is None and latency_ms is None:
        raise ValueError("params, latency_ms: give a size of the draft, or a limit of its step")
    if params is not None:
        _between("params", params, 1.0, 1e13)
    if latency_ms is not None:
        _between("latency_ms", latency_ms, 1e-9, 1e9)
    if in_layers and params is None:
        raise ValueError("in_layers: says which params are meant, and none are given")
    if isinstance(max_depth, bool) or not isinstance(max_depth, int) or not 1 <= max_depth <= 1000:
        raise ValueError(f"max_depth: {max_depth!r} is not possible; a whole number from 1 to 1000 is needed")
    ids = target.vocab if vocab is None else whole("vocab", vocab, 1)
    size = profile.dtype_bytes

    def took(shape: ModelShape) -> float:
        return profile.latency(shape, batch=batch, context=context).ms

    every = depths(max_depth)
    if params is None:
        limit = latency_ms if latency_ms is not None else math.inf
        found = [largest_within(limit, depth, ids, took, tied=tied, dtype_bytes=size) for depth in every]
        shapes = [shape for shape in found if shape is not None]
        if not shapes:
            raise Infeasible(
                f"latency_ms: no draft over {ids:,} ids takes at most {latency_ms:g} ms; the smallest takes "
                f"{_smallest(ids, tied, size, took):.3g} ms"
            )
    else:
        shapes = _of_size(params, every, ids, tied=tied, dtype_bytes=size, in_layers=in_layers)
        fast = [shape for shape in shapes if latency_ms is None or took(shape) <= latency_ms]
        if not fast:
            quickest = min(shapes, key=took)
            raise Infeasible(
                f"latency_ms: no draft of {params:,.0f} parameters takes at most {latency_ms:g} ms; the fastest, "
                f"{quickest}, takes {took(quickest):.3g} ms"
            )
        shapes = fast
    advice = rank(
        profile,
        target,
        shapes,
        alpha=alpha,
        batch=batch,
        context=context,
        host_ms=host_ms,
        max_gamma=max_gamma,
        current=current,
        current_alpha=current_alpha,
    )
    return advice if params is not None else _by_size(advice)


def _candidate(draft: Latency, shape: ModelShape, alpha: float, clock: Clock, goal: float | None) -> Candidate:
    gamma, most = clock.best(draft.ms, alpha)
    asked = max(gamma, 1)
    pays = clock.alpha_needed(draft.ms, clock.plain)
    beats = None if goal is None else clock.alpha_needed(draft.ms, goal)
    return Candidate(
        shape=shape,
        draft=draft,
        alpha=alpha,
        gamma=gamma,
        tau=expected_tau(alpha, gamma),
        tokens_per_second=most,
        speedup=most / clock.plain,
        tau_break_even=clock.tau_needed(draft.ms, asked, clock.plain),
        alpha_break_even=None if pays is None else pays[0],
        tokens_break_even=None if pays is None else expected_tau(*pays),
        tau_to_beat=None if goal is None else clock.tau_needed(draft.ms, asked, goal),
        alpha_to_beat=None if beats is None else beats[0],
    )


def _matching(candidate: Candidate, clock: Clock, goal: float) -> Candidate:
    needed = clock.alpha_needed(candidate.draft.ms, goal)
    return Candidate(**(vars(candidate) | {"alpha_to_match": None if needed is None else needed[0]}))


def _by_size(advice: Advice) -> Advice:
    """Where all take the same time, more parameters are what tells drafts apart."""
    order = sorted(range(len(advice.candidates)), key=lambda i: -advice.candidates[i].shape.parameters)
    candidates, parts = (tuple(values[i] for i in order) for values in (advice.candidates, advice.parts))
    return Advice(**(vars(advice) | {"candidates": candidates, "parts": parts}))


def _of_size(
    params: float, every: list[int], vocab: int, *, tied: bool, dtype_bytes: float, in_layers: bool
) -> list[ModelShape]:
    found = [
        draft_of(params, depth, vocab, tied=tied, dtype_bytes=dtype_bytes, embeddings=not in_layers) for depth in every
    ]
    shapes = [shape for shape in found if shape is not None]
    if not shapes:
        least = next(
            size
            for size in (2.0 ** (k / 8) for k in range(8, 400))
            if draft_of(size, every[0], vocab, tied=tied, dtype_bytes=dtype_bytes, embeddings=not in_layers)
        )
        raise Infeasible(
            f"params: no decoder over {vocab:,} ids has {params:,.0f} parameters; the least is about {least:,.0f}"
        )
    return shapes


def _smallest(vocab: int, tied: bool, dtype_bytes: float, took: Any) -> float:
    shapes = (draft_of(2.0 ** (k / 8), 1, vocab, tied=tied, dtype_bytes=dtype_bytes) for k in range(8, 400))
    return float(next(took(shape) for shape in shapes if shape is not None))


def _between(name: str, value: Any, least: float, most: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{name}: {value!r} is not possible; a number from {least:g} to {most:g} is needed")
