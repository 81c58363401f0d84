"""Many runs of small Markov chains at once, and what they say about the law of what was emitted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2

from tests.specdec import tree_twin
from tests.specdec.verify_twin import Chain, mix64, philox
from thrifty.specdec import verify, verify_tree

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "specdec" / "verify_golden.json"


@dataclass(frozen=True)
class Case:
    """A chain of the target, one of the draft, and what enumeration gives."""

    gamma: int
    start: int
    p: Chain
    q: Chain
    accepted: dict[str, float]
    parents: tuple[int, ...] = ()

    @property
    def floats(self) -> tuple[Any, Any]:
        return tuple(np.array([[float(x) for x in row] for row in law]) for law in (self.p, self.q))

    def law(self) -> Any:
        """The chance of every chain of gamma + 1 ids, flat."""
        p = self.floats[0]
        law, state = np.ones(1), np.array([self.start])
        for _ in range(self.gamma + 1):
            law = (law[:, None] * p[state]).reshape(-1)
            state = np.tile(np.arange(len(p)), len(law) // len(p))
        return law


def cases() -> list[Case]:
    """The golden cases."""
    out = []
    for case in json.loads(GOLDEN.read_text()):
        p, q = (tuple(tuple(Fraction(x) for x in row) for row in case[name]) for name in "pq")
        accepted = {rule: case[f"expected_accepted_{rule}"] for rule in ("token", "block")}
        out.append(Case(case["gamma"], case["start"], p, q, accepted))
    return out


def trees() -> list[Case]:
    """The golden trees; gamma is the most nodes on a way."""
    out = []
    for case in json.loads(tree_twin.GOLDEN.read_text()):
        p, q = (tuple(tuple(Fraction(x) for x in row) for row in case[name]) for name in "pq")
        parents, accepted = tuple(case["parents"]), {"tree": case["expected_accepted"]}
        out.append(Case(tree_twin.depth(case["parents"]), case["start"], p, q, accepted, parents))
    return out


def drawn(law: Any, rng: np.random.Generator) -> Any:
    """An id of each row of laws."""
    edges = np.cumsum(law, axis=1)
    return (rng.random((len(law), 1)) * edges[:, -1:] >= edges[:, :-1]).sum(1)


def races(law: Any, seed: int, uid: Any, begin: Any, purpose: int, i: int) -> Any:
    """An id of each row of laws, drawn by the numbers of a purpose at place i of a round."""
    uid, begin = np.asarray(uid, np.uint64), np.asarray(begin, np.uint64)
    key = mix64(np.uint64(mix64(seed)) ^ mix64(uid + np.uint64(1)))  # type: ignore[call-overload]
    stream = begin << np.uint64(8) | np.uint64(purpose)
    position = (begin + np.uint64(i)) << np.uint64(24)
    low, up = np.uint64(0xFFFFFFFF), np.uint64(32)
    words: Any = []
    for block in range(-(-law.shape[1] // 4)):
        at = position | np.uint64(block)
        words += philox((at & low, at >> up, stream & low, stream >> up), (key & low, key >> up))  # type: ignore[arg-type]
    uniform = (np.stack(words[: law.shape[1]], 1).astype(np.float64) + 0.5) / 2**32
    with np.errstate(divide="ignore"):
        return np.argmin(-np.log(uniform) / law, axis=1)


def emitted(case: Case, rule: Any, runs: int, seed: int, *, planted: bool = False) -> tuple[Any, Any]:
    """How many drafts were accepted in each run, and the first gamma + 1 ids.

    Drafts come from numpy's generator, as do the ids behind what a run emits: the law is then the target's only if
    verification draws what it must. A planted fault draws what replaces a draft from p.
    """
    rng = np.random.default_rng([seed, case.gamma, case.start])
    p, q = case.floats
    state = np.full(runs, case.start)
    states, drafts = [state], []
    for _ in range(case.gamma):
        state = drawn(q[state], rng)
        drafts.append(state)
        states.append(state)
    draft, at = np.stack(drafts, 1), np.stack(states, 1)
    target, source = p[at].astype(np.float32), q[at[:, :-1]].astype(np.float32)
    accepted, tokens = verify(
        target, source, draft, rule=rule, seed=seed, uid=np.arange(runs), position=np.full(runs, 3)
    )
    if planted:
        rejected = np.flatnonzero(accepted < case.gamma)
        tokens[rejected, accepted[rejected]] = drawn(p[at[rejected, accepted[rejected]]], rng)
    for i in range(1, case.gamma + 1):
        missing = np.flatnonzero(tokens[:, i] < 0)
        tokens[missing, i] = drawn(p[tokens[missing, i - 1]], rng)
    return accepted, tokens


def emitted_tree(case: Case, runs: int, seed: int, *, planted: bool = False) -> tuple[Any, Any]:
    """:func:`emitted` of a tree. A planted fault takes the likeliest id for all siblings but the first, and calls it
    drawn."""
    rng = np.random.default_rng([seed, *case.p[0][0].as_integer_ratio()])
    p, q = case.floats
    nodes, every = np.empty((runs, len(case.parents)), int), np.arange(runs)
    states = [np.full(runs, case.start)]
    for k, parent in enumerate(case.parents):
        law, siblings = q[states[parent + 1]], [j for j in range(k) if case.parents[j] == parent]
        for j in siblings:
            law[every, nodes[:, j]] = 0
        drawn_ = drawn(law, rng)
        if planted and siblings:
            drawn_ = law.argmax(1)
        nodes[:, k] = drawn_
        states.append(drawn_)
    at = np.stack(states, 1)
    found = verify_tree(
        p[at].astype(np.float32), q[at].astype(np.float32), np.tile(case.parents, (runs, 1)), nodes,
        seed=seed, uid=every, position=np.full(runs, 3),
    )  # fmt: skip
    tokens = found.tokens[:, : case.gamma + 1].copy()
    for i in range(1, case.gamma + 1):
        missing = np.flatnonzero(tokens[:, i] < 0)
        tokens[missing, i] = drawn(p[tokens[missing, i - 1]], rng)
    return found.accepted, tokens


def chi_square(tokens: Any, law: Any, vocab: int) -> float:
    """How likely counts of chains are at least so far from their law."""
    cells = (tokens * vocab ** np.arange(tokens.shape[1])[::-1]).sum(1)
    counts = np.bincount(cells, minlength=len(law))
    if counts[law == 0].any():
        return 0.0
    expected = len(tokens) * law[law > 0]
    statistic = ((counts[law > 0] - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, max(len(expected) - 1, 1)))


def holm(chances: list[float]) -> float:
    """The least of p-values, adjusted for their number (Holm 1979)."""
    return min(1.0, len(chances) * min(chances))
