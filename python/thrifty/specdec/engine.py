"""Requests through a target, with drafts from others, step by step."""

from __future__ import annotations

from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thrifty import _core
from thrifty.errors import ModelError
from thrifty.specdec._arrays import integers
from thrifty.specdec.latency import LatencyCurve
from thrifty.specdec.params import SamplingParams
from thrifty.specdec.rounds import Drafted, Penalties, Rounds
from thrifty.specdec.step import Step
from thrifty.specdec.verify import RULES, Rule, Verified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["Engine", "Result"]

#: A request that arrived so many steps later goes behind one whose priority is less by 1.
AGEING = 1024


class Result(NamedTuple):
    """What became of a request: its ids, why there are no more, and what went wrong with a model."""

    tokens: NDArray[np.uint32]
    end: str
    error: str | None = None


class Engine:
    """A lossless scheduler: continuous batches, drafts, verification, a cache in blocks that requests share.

    Parameters
    ----------
    target : callable
        Takes a :class:`Step`, returns the scores of its outputs: float32, or bfloat16 (uint16 or a tensor), of shape
        (outputs, vocab). :class:`PairTarget` makes one of a PairLM. One that keeps a cache, and is to verify trees, has
        a method ``move(source, target)`` too: places (int32) in the cache whose contents are to stand in others. No
        place is read after it was written to when they are moved in their order.
    drafters : drafter or sequence of them, optional
        :class:`LookupDraft` and others that need no model; :class:`~thrifty.pairconnect.PairDraft`, whose own settings
        are not used; :class:`TreeDraft`; or callables that take a step and the rows (int64 indices) that want drafts,
        and return :class:`Drafts`.
    vocab : int
        Ids are below.
    gamma : int
        Drafts of a request and step, from the first drafter, where there is no ``latency``; at most ``max_gamma``. Of a
        tree these are its nodes.
    rule : {"block", "token", "greedy", "seed_exact"}
        See :func:`verify`. "seed_exact" draws with the target's own random numbers, so that what is emitted does not
        depend on drafts at all.
    seed : int
        With the uid of a request, what all of its random numbers are a function of.
    blocks, block_size : int
        Of the cache, and tokens of a block.
    max_running : int
        Requests that run at a time; others wait.
    max_length : int
        Tokens of a request, its prompt among them.
    token_budget : int, optional
        Tokens of a step; by default ``max_running * (max_gamma + 1)``, at least 512.
    max_gamma : int
        Drafts of a request and step at most.
    share_prefixes : bool
        Whether requests that begin alike share blocks.
    latency : LatencyCurve, or one for each drafter, optional
        What the target and each drafter take, to begin with: then a planner chooses drafter and gamma for each request
        and step, none included, by what it learns of times and acceptance. At most 16 drafts.
    alpha : float
        The chance that a draft is accepted, to begin with.
    threads : int, optional
        Of verification; by default all cores.

    Raises
    ------
    ValueError
        For a size that is out of range.

    Notes
    -----
    What a request emits has the target's law (arXiv 2402.01528, section 2; rules: :func:`verify`), and given equal
    scores it is a function of (seed, uid) and the rounds alone: with "seed_exact" and "greedy" not even of the rounds.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.specdec import Drafts, Engine
    >>> scores = np.log(np.random.default_rng(0).dirichlet(np.ones(8), 8)).astype(np.float32)
    >>> def target(step):  # a chain: what follows depends on the last id
    ...     return scores[step.tokens[step.outputs]]
    >>> def same(step, rows):  # a drafter that repeats the last id
    ...     last = step.tokens[step.first[rows + 1] - step.gamma[rows] - 1].astype(np.int64)
    ...     return Drafts(np.repeat(last[:, None], step.gamma.max(), axis=1))
    >>> engine = Engine(target, [same], vocab=8, gamma=3, rule="seed_exact")
    >>> plain = Engine(target, vocab=8, rule="seed_exact")
    >>> for one in (engine, plain):
    ...     handle = one.submit([1, 2], max_new=20, uid=5)
    ...     one.run()
    >>> engine.take(handle).tokens.tolist() == plain.take(handle).tokens.tolist()
    True
    """

    def __init__(
        self,
        target: Callable[[Step], Any],
        drafters: Any = (),
        *,
        vocab: int,
        gamma: int = 4,
        rule: Rule = "block",
        seed: int = 0,
        blocks: int = 4096,
        block_size: int = 16,
        max_running: int = 64,
        max_length: int = 4096,
        token_budget: int | None = None,
        max_gamma: int = 16,
        share_prefixes: bool = True,
        latency: LatencyCurve | Sequence[LatencyCurve] | None = None,
        alpha: float = 0.7,
        threads: int | None = None,
    ) -> None:
        if rule not in RULES:
            raise ValueError(f"rule: {rule!r} is none of {', '.join(RULES)}")
        drafters = list(drafters) if isinstance(drafters, (list, tuple)) else [drafters]
        if len(drafters) > 8:
            raise ValueError(f"drafters: {len(drafters)}; at most 8 are possible")
        for name, value, most in (("max_gamma", max_gamma, 255), ("gamma", gamma, max_gamma)):
            if not 0 <= value <= most:
                raise ValueError(f"{name}: {value} is not between 0 and {most}")
        curves = [] if latency is None else [latency] if isinstance(latency, LatencyCurve) else list(latency)
        if latency is not None and len(curves) != len(drafters):
            raise ValueError(f"latency: {len(curves)} curves for {len(drafters)} drafters; one of each is needed")
        if token_budget is None:
            token_budget = max(512, max_running * (max_gamma + 1))
        self._target, self.vocab = target, vocab
        within = (getattr(part, "within", None) for part in (target, *drafters))
        self._within = list(dict.fromkeys(context for context in within if context is not None))
        self._core = _core.SpecScheduler(
            (blocks, block_size, max_running, max_length, token_budget, max_gamma if drafters else 0, AGEING),
            vocab,
            share_prefixes,
            gamma,
            curves,
            [alpha] * len(curves),
            len(drafters),
            rule,
            seed,
        )
        self._arrays = self._core.arrays()
        self._rounds = Rounds(self._core, drafters, vocab, rule, seed, threads)
        self._core.parts(target.fed_by(self._core) if hasattr(target, "fed_by") else None, self._rounds.parts)
        self._errors: dict[int, str] = {}
        self._next_uid = 0

    def submit(
        self,
        prompt: Any,
        *,
        max_new: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        stop: Iterable[int] = (),
        uid: int | None = None,
        priority: int = 0,
        max_gamma: int | None = None,
        group: int = 0,
        salt: int = 0,
        tbt_ms: float | None = None,
    ) -> int:
        """Submit a request; return its handle.

        Parameters
        ----------
        prompt : integer array of shape (tokens,)
            At least one id.
        max_new : int
            Ids that may follow at most.
        temperature, top_k, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty : numbers
            The law of its ids; see :class:`SamplingParams`.
        stop : iterable of int
            Ids that end it; the one that came is its last.
        uid : int, optional
            Requests of one seed and uid draw alike; by default every request has its own.
        priority : int
            Larger goes first. Who waits gains as well, so nobody waits for ever.
        max_gamma : int, optional
            No more drafts a step for this request.
        group : int
            Requests of a group are expected to be alike in what they accept.
        salt : int
            Requests of different salts share no blocks.
        tbt_ms : float, optional
            A target: milliseconds between its ids at most, from its first one on. With ``latency``, those who are near
            to missing theirs weigh more in plans; times count that :meth:`step` takes.

        Raises
        ------
        ValueError
            For an id that is not below ``vocab``, or a setting that is out of range.
        OutOfBlocks
            When it needs more blocks than there are.
        """
        penalties = Penalties(float(repetition_penalty), float(presence_penalty), float(frequency_penalty))
        # What is wrong with settings is said here and not in the middle of a step.
        SamplingParams(
            temperature=temperature,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=penalties.repetition,
            presence_penalty=penalties.presence,
            frequency_penalty=penalties.frequency,
        ).arrays(1)
        if not penalties.repetition > 0 or not np.isfinite([*vars(penalties).values()]).all():
            raise ValueError(f"penalties: {penalties} are not finite, or repetition_penalty is not above 0")
        if top_k < 0:
            raise ValueError(f"top_k: {top_k} is not at least 0")
        if uid is None:
            uid = self._next_uid
        handle = self._core.submit(
            integers(prompt, "prompt", np.uint32, 1),
            max_new,
            [int(id_) for id_ in stop],
            (temperature, top_k, top_p, min_p),
            uid,
            priority,
            255 if max_gamma is None else max_gamma,
            group,
            salt,
            tbt_ms,
        )
        self._next_uid = max(self._next_uid, uid) + 1
        if penalties != Penalties():
            self._rounds.penalties[handle] = penalties
        return handle

    def submit_many(
        self,
        prompts: Any,
        *,
        max_new: int,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        stop: Iterable[int] = (),
        uid: Any = None,
        priority: int = 0,
        max_gamma: Any = None,
        group: int = 0,
        salt: int = 0,
        tbt_ms: float | None = None,
    ) -> NDArray[np.uint64]:
        """Submit requests of one law in one call, all or none; return their handles, uint64 of shape (requests,).

        Parameters
        ----------
        prompts : integer array of shape (requests, tokens), or sequence of arrays
        uid, max_gamma : integer arrays of shape (requests,), optional
            As for :meth:`submit`, of each.
        """
        if isinstance(prompts, np.ndarray) and prompts.ndim == 2:
            n, lengths = len(prompts), np.full(len(prompts), prompts.shape[1], np.int64)
            flat = integers(prompts.reshape(-1), "prompts", np.uint32, 1)
        else:
            rows = [integers(prompt, "prompts", np.uint32, 1) for prompt in prompts]
            n, lengths = len(rows), np.array([len(row) for row in rows], np.int64)
            flat = np.concatenate(rows) if n else np.zeros(0, np.uint32)
        uids = np.arange(self._next_uid, self._next_uid + n) if uid is None else np.asarray(uid)
        gammas = np.full(n, 255) if max_gamma is None else np.broadcast_to(np.asarray(max_gamma), n)
        if n and not (gammas.min() >= 0 and gammas.max() <= 255):
            raise ValueError(f"max_gamma: {gammas.min()}..{gammas.max()} is not between 0 and 255")
        handles = self._core.submit_many(
            flat,
            np.cumsum(lengths),
            max_new,
            [int(id_) for id_ in stop],
            (temperature, top_k, top_p, min_p),
            np.ascontiguousarray(uids, np.uint64),
            priority,
            np.ascontiguousarray(gammas, np.uint8),
            group,
            salt,
            tbt_ms,
        )
        if n:
            self._next_uid = max(self._next_uid, int(uids.max()) + 1)
        return handles

    def plan(self, *, speculate: bool = True) -> Step:
        """Plan a step; one without rows means that there is nothing to do.

        Raises
        ------
        StalePlan
            When the last plan was neither committed nor aborted.
        """
        return Step(self._core, self._arrays, self._core.plan(speculate))

    def draft(self, step: Step) -> Drafted:
        """Ask the drafters for what a step wants of them, and write it into the step's tokens.

        Returns rows and their drafts, one pair a drafter that was asked; rows None are all that give ids.

        Raises
        ------
        ValueError
            When a drafter gives what does not fit.
        """
        with self._inside():
            return self._rounds.draft(step)

    def _inside(self) -> ExitStack:
        """Return the contexts that models want their calls within."""
        stack = ExitStack()
        for context in self._within:
            stack.enter_context(context())
        return stack

    def verify(self, step: Step, scores: Any, drafted: Drafted) -> tuple[Verified, NDArray[np.uint8]]:
        """Verify what was drafted for a step against the target's scores of its outputs.

        Returns what was accepted and emitted, a row for each that gives ids, and how many drafts each row had. Where
        nodes of trees were accepted, the target is told to move what it has of them in its cache.

        Raises
        ------
        ModelError
            When a law is none: names the row and the position in its chain.
        """
        verified, proposed = self._rounds.verify(step, scores, drafted)
        move = getattr(self._target, "move", None)
        if move is not None:
            # Into places that nobody reads before the commit, so a plan may still be taken back.
            source, target = self._rounds.moves(step, verified.accepted)
            if len(source):
                move(source, target)
        return verified, proposed

    def commit(self, step: Step, verified: Verified, proposed: Any = None) -> None:
        """Take what came of a step: requests get their ids, blocks that are no longer needed go back.

        ``accepted`` is -1 for a request that can't go on. With an error nothing changes.

        Raises
        ------
        StalePlan
            When the plan was committed or aborted before.
        ValueError
            When the numbers do not fit the plan.
        """
        tokens = np.ascontiguousarray(verified.tokens, np.int64)
        self._core.commit(step.number, np.ascontiguousarray(verified.accepted, np.int64), tokens, proposed)

    def abort(self, step: Step) -> None:
        """Take a plan back: requests are as they were, but for those that lost their blocks to others in it."""
        self._core.abort(step.number)

    def step(self) -> bool:
        """Do a step: plan, draft, target, verify, commit; say whether there was something to do.

        What a model raises takes the plan back, and the step is done again without drafts. When that fails too, the
        requests of the plan end as failed, with the message in their result. Laws that are none end only the requests
        that have them.
        """
        with self._inside():
            return self._step()

    def _step(self) -> bool:
        try:
            alone = self._rounds.penalties or self._rounds.curious
            plan = self._core.plan(True) if alone else self._core.step()
            if plan is None:
                return True
            step = Step(self._core, self._arrays, plan)
            try:
                if step.rows:
                    self._do(step)
                    return True
            except BaseException:
                self._core.abort(step.number)
                raise
            self._core.abort(step.number)
            return False
        except Exception:
            # It is told if it happens again.
            step = self.plan(speculate=False)
        try:
            self._do(step, alone=True)
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            self._errors |= {int(handle): message for handle in step.handles}
            self._core.fail(step.number)
        except BaseException:
            self._core.abort(step.number)
            raise
        return True

    def _do(self, step: Step, *, alone: bool = False) -> None:
        rounds = self._rounds
        begun = perf_counter()
        drafted = None if rounds.held(step) else rounds.asked(step)
        asked = perf_counter()
        scores = self._target(step)
        scored = perf_counter()
        drafting = rounds.draft_ms
        before = 1e3 * (asked - begun) - sum(drafting), 1e3 * (scored - asked)
        if not alone and rounds.settled(step, scores, drafted, before):
            return
        if drafted is None:
            drafted = rounds.told(step)
        try:
            verified, proposed = self.verify(step, scores, drafted)
        except ModelError:
            if not alone:
                raise
            verified, proposed = self._rounds.each(step, scores, self._errors)
        done = perf_counter()
        host = 1e3 * (done - begun - scored + asked) - sum(drafting)
        self._core.timed(max(host, 0.0), 1e3 * (scored - asked), drafting)
        self.commit(step, verified, proposed)

    def run(self, *, progress: Callable[[str, int, int], object] | None = None) -> None:
        """Do steps until nobody runs or waits.

        ``progress(phase, done, total)`` is called after each with the ids emitted; an exception from it stops the work
        between two steps, and a later call goes on.
        """
        if progress is None:
            with self._inside():
                while self._step():
                    pass
            return
        while self.step():
            emitted = self._core.stats()["emitted"]
            progress("generate", emitted, emitted)

    def explain(self, handle: int) -> str:
        """Say in words why a request had the drafts that it had in the last step, and what would change it."""
        found = self._core.explain(handle)
        if found is not None:
            return found
        return "the number of drafts is fixed; give latency curves, and a planner chooses it"

    def cancel(self, handle: int) -> None:
        """End a request; while a step goes on, at its end."""
        self._core.cancel(handle)

    def state(self, handle: int) -> str:
        """Return where a request is: "waiting", "running", or why it ended."""
        return self._core.state(handle)

    def tokens(self, handle: int) -> NDArray[np.uint32]:
        """Return the ids that have followed a prompt so far."""
        return self._core.tokens(handle)

    def take(self, handle: int) -> Result:
        """Return what became of a request that has ended, and forget it."""
        tokens, end = self._core.take(handle)
        self._rounds.penalties.pop(handle, None)
        return Result(tokens, end, self._errors.pop(handle, None))

    def take_all(self) -> dict[int, Result]:
        """Return what became of all requests that have ended, by handle in the order of their ends; forget them."""
        handles, ids, ends, why = self._core.take_all()
        tokens = np.split(ids, ends[:-1]) if len(ends) else []
        found = {}
        for handle, own, end in zip(handles.tolist(), tokens, why, strict=True):
            self._rounds.penalties.pop(handle, None)
            found[handle] = Result(own, end, self._errors.pop(handle, None))
        return found

    def stats(self) -> dict[str, int]:
        """Return what has happened so far, counted, and what there is now: running, waiting, free blocks.

        Of requests with ``tbt_ms``, ``paced`` counts ids behind the first, and ``on_time`` those that came in time.
        """
        running, waiting, free = self._core.load()
        return self._core.stats() | {"running": running, "waiting": waiting, "free_blocks": free}
