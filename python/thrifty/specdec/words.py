"""Advice in words: what was found, which term decides it, what would change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thrifty.specdec.latency import expected_tau

if TYPE_CHECKING:
    from thrifty.specdec.advise import Advice, Candidate

__all__ = ["explain"]

ALIKE = 1.05
"""Times and sizes that differ by less are the same."""

#: Where the milliseconds of a draft go, as it is said.
TERMS = {
    "overhead": "the call itself",
    "layers": "layers, each of which costs the same whatever its width",
    "weights": "reading the layers' weights",
    "head": "the output layer",
    "cache": "keys and values of the context",
}


def explain(advice: Advice) -> str:
    """Return sentences, a paragraph each for the target, the best draft, depth, and doubts."""
    best, clock = advice.candidates[0], advice.clock
    out = [
        f"On {advice.device}: a step of the target takes {clock.verify_ms[0]:.3g} ms, which makes "
        f"{clock.plain:,.0f} ids a second without a draft"
        + (f", for {clock.batch} sequences together." if clock.batch > 1 else ".")
    ]
    out.append(_of_best(best, advice))
    parts = advice.parts[0]
    term = max(parts, key=lambda name: parts[name])
    out.append(f"Most of its time, {parts[term] / sum(parts.values()):.0%} (of one sequence), goes to {TERMS[term]}.")
    deepest = max(advice.candidates, key=lambda c: c.shape.layers)
    if deepest.shape.layers > best.shape.layers:
        out.append(_of_depth(best, deepest))
    if advice.current_tokens_per_second is not None:
        out.append(_of_current(best, advice.current_tokens_per_second))
    far = sorted(set(advice.outside) | {name for c in advice.candidates for name in c.draft.outside})
    if far:
        out.append(
            f"Beyond what was timed: {', '.join(far)}. Such times are told from a law alone, and their intervals are "
            "twice as wide; time shapes of that size (calibrate's shapes) to be sure."
        )
    return "\n".join(out)


def _interval(c: Candidate) -> str:
    return f"{c.draft.ms:.3g} ms ({c.draft.low:.3g} to {c.draft.high:.3g})"


def _of_best(best: Candidate, advice: Advice) -> str:
    text = f"The first draft is {best.shape}: {best.shape.parameters:,} parameters, {_interval(best)} a step."
    if best.alpha_break_even is None or best.tokens_break_even is None:
        return (
            f"{text} It does not pay: even if all drafts were accepted, drafting and verifying would take more than "
            f"decoding plainly, since with one draft a verification must yield {best.tau_break_even:.2f} ids and "
            "yields at most 2."
        )
    pays = (
        f"It pays from an acceptance of {best.alpha_break_even:.2f} on, where a verification yields "
        f"{best.tokens_break_even:.2f} ids."
    )
    if best.gamma == 0:
        return f"{text} At an acceptance of {best.alpha:.2f} it does not pay. {pays}"
    return (
        f"{text} At an acceptance of {best.alpha:.2f} it drafts {best.gamma} at a time, a verification yields "
        f"{best.tau:.2f} ids, and decoding is {best.speedup:.2f} times as fast. {pays}"
    )


def _of_depth(best: Candidate, deepest: Candidate) -> str:
    ratio = deepest.draft.ms / best.draft.ms
    fewer = best.shape.parameters / deepest.shape.parameters
    if ratio < ALIKE and fewer > ALIKE:
        return f"Depth: in the same time {deepest.shape} computes {fewer:.2f} times fewer parameters."
    text = f"Depth: {deepest.shape} takes {_interval(deepest)}, {ratio:.2f} times as long"
    if best.gamma == 0:
        return f"{text}."
    if deepest.alpha_to_match is None:
        return f"{text}; even if all its drafts were accepted it would not be as fast."
    return f"{text}; to be as fast it would have to be accepted with {deepest.alpha_to_match:.2f}."


def _of_current(best: Candidate, goal: float) -> str:
    if best.alpha_to_beat is None:
        return f"The draft that is there makes {goal:,.0f} ids a second, which the first can not reach."
    gamma = max(best.gamma, 1)
    needed = 0.0 if best.tau_to_beat is None else best.tau_to_beat
    return (
        f"The draft that is there makes {goal:,.0f} ids a second; the first beats it above an acceptance of "
        f"{best.alpha_to_beat:.2f}. With {gamma} drafts a verification must yield {needed:.2f} ids, of "
        f"{expected_tau(1.0, gamma):.0f} at most."
    )
