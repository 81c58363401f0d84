"""A round: drafts of a step, and what verification makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty._torch import to_numpy
from thrifty.errors import ModelError
from thrifty.specdec.drafts import Drafts, TreeDraft, chances, fitted, narrowed, of_rows, padded, single
from thrifty.specdec.params import SamplingParams
from thrifty.specdec.tree import verify_tree
from thrifty.specdec.verify import Rule, SparseProbs, Verified, source, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thrifty.specdec.step import Step

__all__ = ["Drafted", "Penalties", "Rounds"]

#: Steps of no more scores than these are verified and committed in one call.
SHORT = 1 << 20

#: Rows and their drafts, one pair a drafter that was asked; rows None are all that give ids.
Drafted = list[tuple["NDArray[np.int64] | None", Drafts]]


@dataclass(frozen=True)
class Penalties:
    """Of one request; see :class:`SamplingParams`."""

    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0


@dataclass
class Rounds:
    """Asks drafters and verifies, with the settings of an engine."""

    core: _core.SpecScheduler
    drafters: list[Any]
    vocab: int
    rule: Rule
    seed: int
    threads: int | None
    #: Of requests that have some, by handle.
    penalties: dict[int, Penalties] = field(default_factory=dict)
    #: Milliseconds of each drafter in the last round.
    draft_ms: list[float] = field(default_factory=list)
    #: Nodes by which rows went in the last round, where some had trees.
    nodes: NDArray[np.int64] | None = None
    #: What drafts into a step, of each drafter that can; and what the core asks it by.
    drawn: list[Callable[[Step], None] | None] = field(default_factory=list)
    parts: list[Any] = field(default_factory=list)
    #: Drafters that want to know what the target found likeliest.
    curious: list[_core.SpecDraft] = field(default_factory=list)

    def __post_init__(self) -> None:
        for which, drafter in enumerate(self.drafters):
            core = getattr(drafter, "_core", None)
            if isinstance(core, _core.SpecDraft):
                self.core.attach(which, core)
                if core.wants:
                    self.curious.append(core)
            drawn, part = None, None
            if isinstance(core, (_core.PairDraft, _core.SpecDraft)):
                drawn, part = partial(self.into, which, core), core
            elif hasattr(drafter, "fed_by"):
                drawn, part = drafter.drawn, drafter.fed_by(self.core)
            self.drawn.append(drawn)
            self.parts.append(part)

    def held(self, step: Step) -> bool:
        """Draft into a step where one drafter is asked that can, or none; say whether it was done.

        What else there is to know of the drafts is held by the core, and :meth:`told` tells it.
        """
        self.draft_ms = [0.0] * len(self.drafters)
        if step._which < 0:
            return step._most == 0
        drawn = self.drawn[step._which]
        if drawn is None:
            return False
        begun = perf_counter()
        drawn(step)
        self.draft_ms[step._which] = 1e3 * (perf_counter() - begun)
        return True

    def into(self, which: int, core: _core.PairDraft | _core.SpecDraft, step: Step) -> None:
        """Let a drafter of the core draft into a step."""
        step.size, step._most = self.core.hold(step.number, which, core)

    def told(self, step: Step) -> Drafted:
        """Return what is held of a step's drafts."""
        if step._most == 0:
            return []
        ids, laws = self.core.held()
        return [(None, Drafts(ids, SparseProbs(*laws) if isinstance(laws, tuple) else laws))]

    def draft(self, step: Step) -> Drafted:
        """Ask the drafters for what a step wants of them, and write it into the step's tokens.

        Returns rows and their drafts, one pair a drafter that was asked; rows None are all that give ids.
        """
        return self.told(step) if self.held(step) else self.asked(step)

    def asked(self, step: Step) -> Drafted:
        """Ask the drafters one by one."""
        gamma = step._arrays["gamma"][: step.giving]
        width = step._most
        found: Drafted = []
        ids = np.full((step.giving, width), -1, np.int64)
        # A chain is a tree without branches.
        parents = np.tile(np.arange(width) - 1, (step.giving, 1))
        trees = False
        alone = len(self.drafters) == 1
        asked = np.zeros(1, np.int64) if alone else np.unique(step.draft[: step.giving][gamma > 0])
        for which in asked:
            rows = np.flatnonzero(gamma if alone else (gamma > 0) & (step.draft[: step.giving] == which))
            begun = perf_counter()
            drafts = self.proposed(step, int(which), rows, width)
            self.draft_ms[which] = 1e3 * (perf_counter() - begun)
            of_all = len(drafts.ids) == step.giving
            ids[rows] = drafts.ids[rows] if of_all else drafts.ids
            if drafts.parents is not None:
                parents[rows], trees = drafts.parents[rows] if of_all else drafts.parents, True
            found.append((None if of_all and len(asked) == 1 else rows, drafts))
        step.size = self.core.fill(step.number, ids, parents if trees else None)
        # Where drafters had less than they were asked for, the step is shorter now.
        left = int(gamma.max())
        if left == width:
            return found
        return [(rows, narrowed(drafts, width, left)) for rows, drafts in found if left]

    def proposed(self, step: Step, which: int, rows: NDArray[np.int64], width: int) -> Drafts:
        """Ask one drafter. It has drafts for ``rows``, or for all that give ids, where others have none of it."""
        drafter = self.drafters[which]
        if isinstance(drafter, TreeDraft):
            return self.grown(which, drafter, step.giving, width)
        if isinstance(core := getattr(drafter, "_core", None), (_core.PairDraft, _core.SpecDraft)):
            ids, ends, law_ids, law = self.core.propose(which, core)
            laws = SparseProbs(ends, law_ids, law) if self.rule in ("block", "token") else None
            return Drafts(ids.reshape(step.giving, width), laws)
        return fitted(drafter(step, rows), which, step.gamma[: step.giving][rows], width)

    def grown(self, which: int, drafter: TreeDraft, rows: int, width: int) -> Drafts:
        """Ask a drafter for the trees of a step."""
        laws = self.rule in ("block", "token")
        children = "drawn" if laws else "shared" if self.rule == "seed_exact" else "likeliest"
        hopes = (drafter.first, drafter.sibling)
        ids, parents, ends, law_ids, law = self.core.propose_trees(
            which, drafter.drafter._core, self.seed, children, hopes, laws
        )
        q = SparseProbs(ends, law_ids, law) if laws else None
        return Drafts(ids.reshape(rows, width), q, parents.reshape(rows, width))

    def verify(self, step: Step, scores: Any, drafted: Drafted) -> tuple[Verified, NDArray[np.uint8]]:
        """Verify what was drafted for a step against the target's scores of its outputs.

        Returns what was accepted and emitted, a row for each that gives ids, and how many drafts each row had.

        Raises
        ------
        ModelError
            When a law is none: names the row and the position in its chain.
        """
        giving, gamma = step.giving, step.gamma[: step.giving].astype(np.int64)
        width = int(gamma.max(initial=0))
        for core in self.curious:
            self.core.observe(core, single(scores))
        p = padded(scores, gamma, width, self.vocab)
        accepted = np.zeros(giving, np.int64)
        tokens = np.full((giving, width + 1), -1, np.int64)
        proposed = np.zeros(giving, np.uint8)
        rest = np.ones(giving, bool)
        trees = any(drafts.parents is not None for _, drafts in drafted)
        self.nodes = np.tile(np.arange(width), (giving, 1)) if trees else None
        for rows, drafts in drafted:
            if rows is None:
                rest[:] = False
                done = self.judged(step, slice(None), p, drafts)
                return done, (drafts.ids >= 0).sum(1).astype(np.uint8)
            rest[rows] = False
            ids, q, parents = drafts
            if len(ids) != len(rows):
                ids, parents = ids[rows], None if parents is None else parents[rows]
                q = of_rows(q, rows, width + (parents is not None)) if isinstance(q, SparseProbs) else q
            accepted[rows], tokens[rows] = self.judged(step, rows, p[rows], Drafts(ids, q, parents))
            proposed[rows] = (ids >= 0).sum(1)
        if rest.any():
            rows = np.flatnonzero(rest)
            nothing = Drafts(np.full((len(rows), 0), -1, np.int64))
            accepted[rows], tokens[rows, :1] = self.judged(step, rows, np.ascontiguousarray(p[rows, :1]), nothing)
        return Verified(accepted, tokens), proposed

    def settled(self, step: Step, scores: Any, drafted: Drafted | None, before: tuple[float, float]) -> bool:
        """Verify and commit in one call where a step is short and has no penalties; say whether it was done.

        Without ``drafted``, what is held. ``before`` has the milliseconds of the step so far: outside the models, of
        the target.

        Raises
        ------
        ModelError
            When a law is none; nothing has changed then.
        """
        p = to_numpy(scores, "scores")
        if not isinstance(p, np.ndarray) or p.dtype != np.float32 or p.ndim != 2 or p.size > SHORT or self.penalties:
            return False
        if p.shape[1] != self.vocab or len(drafted or ()) > 1:
            return False
        q = None
        if drafted:
            rows, drafts = drafted[0]
            if drafts.parents is not None or (rows is not None and len(rows) != step.giving):
                return False
            if self.rule in ("block", "token"):
                q = drafts.q
            if isinstance(q, SparseProbs):
                q = source(q, (0, 0, 0))
            elif q is not None:
                q = np.ascontiguousarray(to_numpy(q, "q"), np.float32)
                if q.shape[2] != self.vocab:
                    return False
        p = np.ascontiguousarray(p)
        for core in self.curious:
            self.core.observe(core, p)
        self.core.settle(step.number, p, q, drafted is None, *before, self.draft_ms)
        return True

    def judged(self, step: Step, rows: Any, p: Any, drafts: Drafts) -> Verified:
        """Verify the drafts of some rows."""
        giving = step.giving
        q = chances(drafts.q) if self.rule in ("block", "token") else None
        args: Any = {
            "rule": self.rule,
            "seed": self.seed,
            "uid": step.uids[:giving][rows],
            "position": (step.begin[:giving] + step.fresh[:giving])[rows],
            "from_logits": True,
            "params": self.laws(step, rows),
            "threads": self.threads,
        }
        if drafts.parents is None:
            return verify(p, q, drafts.ids, **args)
        accepted, tokens, nodes = verify_tree(p, q, drafts.parents, drafts.ids, **args)
        if self.nodes is not None:
            self.nodes[rows] = nodes
        return Verified(accepted, tokens)

    def moves(self, step: Step, accepted: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return places of the cache in which accepted nodes of trees lie, and those in which they belong."""
        if self.nodes is None:
            return np.zeros(0, np.int32), np.zeros(0, np.int32)
        depth = np.arange(self.nodes.shape[1])
        row, at = np.nonzero((depth < accepted[:, None]) & (self.nodes != depth))
        begin = (step.first[1 : step.giving + 1] - step.gamma[: step.giving].astype(np.int32))[row]
        return step.places[begin + self.nodes[row, at]], step.places[begin + at]

    def laws(self, step: Step, rows: Any) -> SamplingParams:
        """Return what makes laws of the scores of some rows."""
        giving = step.giving
        laws = {name: getattr(step, name)[:giving][rows] for name in ("temperature", "top_k", "top_p", "min_p")}
        laws["top_k"] = laws["top_k"].astype(np.int64)
        known = self.penalties
        handles = [int(handle) for handle in step.handles[:giving][rows]] if known else []
        if not any(handle in known for handle in handles):
            return SamplingParams(**laws)
        found = [known.get(handle, Penalties()) for handle in handles]
        before = [self.core.ids(handle) if handle in known else np.zeros(0, np.uint32) for handle in handles]
        indptr = np.concatenate([[0], np.cumsum([len(ids) for ids in before])])
        return SamplingParams(
            **laws,
            repetition_penalty=[one.repetition for one in found],
            presence_penalty=[one.presence for one in found],
            frequency_penalty=[one.frequency for one in found],
            prefix=(indptr, np.concatenate(before).astype(np.int64)),
        )

    def each(self, step: Step, scores: Any, errors: dict[int, str]) -> tuple[Verified, NDArray[np.uint8]]:
        """Verify rows without drafts one by one, so that one that can't go on does not stop others."""
        p = padded(scores, np.zeros(step.giving, np.int64), 0, self.vocab)
        accepted = np.zeros(step.giving, np.int64)
        tokens = np.full((step.giving, 1), -1, np.int64)
        for row in range(step.giving):
            one = np.array([row])
            try:
                _, tokens[one] = self.judged(step, one, p[one], Drafts(np.zeros((1, 0), np.int64)))
            except ModelError as error:
                accepted[row] = -1
                errors[int(step.handles[row])] = str(error)
        return Verified(accepted, tokens), np.zeros(step.giving, np.uint8)
