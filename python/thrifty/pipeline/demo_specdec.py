"""The demo of specdec: a small model drafts for a larger one of another shape, and the law stays the larger one's."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.pairconnect import PairLM, read_text
from thrifty.pipeline.data import novels
from thrifty.report import Bars, Figure, Section, Table
from thrifty.specdec import Engine, LatencyCurve, PairTarget, best_gamma

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], object]

__all__ = ["tell"]

#: Requests, ids of a prompt, and ids that follow.
REQUESTS, PROMPT, NEW = 16, 32, 96
GAMMA = 4
ROUNDS = 5
LAW: dict[str, Any] = {"temperature": 0.8, "top_p": 0.95}


def tell(folder: Path, *, full: bool, threads: int, seed: int, progress: Progress | None) -> Section:
    """Continue texts plainly, with drafts whatever comes of them, and with as many as pay."""
    del folder, full
    target = PairLM.load(novels() / "model.safetensors", progress=progress)
    small = PairLM.load(novels() / "small.safetensors", precision="i8", progress=progress)
    starts = prompts(target)
    world = World(target, small, starts, threads, seed)
    curve = world.measured()
    ways: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("plain", [], {}),
        (f"{GAMMA} drafts always", [small], {"gamma": GAMMA}),
        ("as many drafts as pay", [small], {"latency": curve}),
    ]
    # In turn, the best of each: what else the machine does comes and goes.
    rounds = [[world.run(name, models, progress, **more) for name, models, more in ways] for _ in range(ROUNDS)]
    plain, fixed, chosen = (min(tries, key=lambda run: run.seconds) for tries in zip(*rounds, strict=True))
    world.count(fixed, gamma=GAMMA)
    world.count(chosen, latency=curve)
    same = world.differing(progress)
    alpha = fixed.accepted[0] / max(fixed.offered[0], 1)
    best = best_gamma(min(alpha, 0.999), batch=REQUESTS, latency=curve)
    won = fixed.rate > plain.rate
    verdict = (
        f"Here drafts pay: {fixed.rate / plain.rate:.2f} times as many ids a second."
        if won
        else f"Here drafts do not pay: {fixed.rate / plain.rate:.2f} times as many ids a second. A target that looks "
        "up instead of attending computes a row of scores as slowly in a batch as alone, so a verification of "
        f"{GAMMA + 1} ids costs nearly {GAMMA + 1} times one, and drafts come on top; on a target whose weights must "
        "come from memory for each step, the same acceptance would pay."
    )
    positions = {
        f"draft {k + 1}": float(a / o)
        for k, (a, o) in enumerate(zip(fixed.accepted, fixed.offered, strict=True))
        if o > 0
    }
    return Section(
        "specdec",
        "specdec: a draft proposes, the target decides",
        f"A model of {_shape(small)} proposes up to {GAMMA} ids for each of {REQUESTS} texts, and one of "
        f"{_shape(target)} verifies them in one call. What is emitted has the law of the larger model, whatever is "
        f"proposed (block verification).\n\n{verdict}\n\nThe planner that may choose how many ids to draft, none "
        f"included, says of the last step: {chosen.explained}.",
        [
            Figure(
                "specdec.acceptance",
                "First drafts that are accepted",
                alpha,
                "",
                source=f"of {fixed.offered[0]:,}; temperature {LAW['temperature']}, top-p {LAW['top_p']}",
            ),
            Figure(
                "specdec.tokens_per_verify",
                "Ids a verification",
                fixed.tokens / fixed.rows,
                "ids",
                baseline=1.0,
                ratio=fixed.tokens / fixed.rows,
                source=f"with {GAMMA} drafts; beside it plain decoding",
            ),
            Figure(
                "specdec.fixed_rate",
                f"Ids a second, {GAMMA} drafts always",
                fixed.rate,
                "ids/s",
                baseline=plain.rate,
                ratio=fixed.rate / plain.rate,
                source=f"{fixed.tokens:,} ids; beside it plain decoding of the same texts",
            ),
            Figure(
                "specdec.chosen_rate",
                "Ids a second, as many drafts as pay",
                chosen.rate,
                "ids/s",
                baseline=plain.rate,
                ratio=chosen.rate / plain.rate,
                source=f"{chosen.drafted:,} ids drafted; beside it plain decoding",
            ),
            Figure(
                "specdec.differing",
                "Texts that drafts change",
                float(same),
                "texts",
                source=f"of {REQUESTS}, with the seed-exact rule: the same seed, with drafts and without",
            ),
            Figure(
                "specdec.best_gamma",
                "Drafts that would be best",
                float(best.gamma),
                "ids",
                source=f"by the model of arXiv 2402.01528: {curve.weights_ms:.3f} ms a verification of one id, "
                f"{curve.compute_ms_per_token:.4f} ms an id of many, {curve.draft_ms_per_layer:.4f} ms a draft",
            ),
            Bars("specdec.positions", "Drafts that are accepted, by their place", positions),
            Table(
                "specdec.runs",
                "The same texts, three ways",
                ["way", "ids", "verifications", "drafted", "accepted", "ids a second"],
                [(r.name, r.tokens, r.rows, r.drafted, r.taken, round(r.rate)) for r in (plain, fixed, chosen)],
            ),
        ],
    )


def prompts(model: PairLM) -> list[NDArray[np.uint32]]:
    """Beginnings from a text that neither model has seen, evenly spread."""
    ids = model.ids(read_text(novels() / "held-back.txt"))
    return [ids[at : at + PROMPT] for at in np.linspace(0, len(ids) - PROMPT, REQUESTS).astype(int)]


class Run:
    """What a way of decoding took, and what became of its drafts."""

    def __init__(self, name: str) -> None:
        self.name, self.seconds, self.explained = name, 0.0, ""
        self.tokens = self.rows = self.drafted = self.taken = 0
        self.offered, self.accepted = np.zeros(GAMMA, np.int64), np.zeros(GAMMA, np.int64)
        self.texts: list[list[int]] = []

    @property
    def rate(self) -> float:
        """Ids a second."""
        return self.tokens / self.seconds


class World:
    """Two models, and texts to go on with."""

    def __init__(
        self, target: PairLM, small: PairLM, starts: list[NDArray[np.uint32]], threads: int, seed: int
    ) -> None:
        self.target, self.small, self.starts = target, small, starts
        self.threads, self.seed = threads, seed

    def engine(self, models: list[PairLM], **more: Any) -> tuple[Engine, list[int]]:
        """Make an engine, and submit all texts to it."""
        engine = Engine(
            PairTarget(self.target, self.threads),
            [model.drafter() for model in models],
            vocab=self.target.vocab,
            seed=self.seed,
            max_length=PROMPT + NEW,
            **more,
        )
        return engine, [engine.submit(ids, max_new=NEW, uid=uid, **LAW) for uid, ids in enumerate(self.starts)]

    def run(self, name: str, models: list[PairLM], progress: Progress | None, **more: Any) -> Run:
        """Go on with all texts."""
        engine, handles = self.engine(models, **more)
        found = Run(name)
        begun = perf_counter()
        engine.run(progress=progress)
        found.seconds = perf_counter() - begun
        said = engine.stats()
        found.tokens, found.rows = said["emitted"], said["rows"]
        found.drafted, found.taken = said["drafted"], said["accepted"]
        found.texts = [engine.take(handle).tokens.tolist() for handle in handles]
        return found

    def count(self, found: Run, **more: Any) -> None:
        """Go on once more, step by step, and count by place what becomes of drafts."""
        engine, _ = self.engine([self.small], **more)
        while True:
            step = engine.plan()
            if step.rows == 0:
                engine.abort(step)
                return
            drafted = engine.draft(step)
            verified, proposed = engine.verify(step, PairTarget(self.target, self.threads)(step), drafted)
            for k in range(GAMMA):
                found.offered[k] += int((proposed > k).sum())
                found.accepted[k] += int((verified.accepted > k).sum())
            if step.giving:
                found.explained = engine.explain(int(step.handles[0]))
            engine.commit(step, verified, proposed)

    def differing(self, progress: Progress | None) -> int:
        """How many texts drafts change when the random numbers are the target's own."""
        plain = self.run("plain", [], progress, rule="seed_exact")
        drafted = self.run("drafted", [self.small], progress, rule="seed_exact", gamma=GAMMA)
        return sum(a != b for a, b in zip(plain.texts, drafted.texts, strict=True))

    def measured(self) -> LatencyCurve:
        """Measure what verifications and drafts take here: of one id, and of many."""
        ids = np.concatenate(self.starts)

        def of_target(n: int) -> float:
            return min(_seconds(lambda: self.target.scores(ids[:n], threads=self.threads)) for _ in range(5))

        alone, many = of_target(1), of_target(256)
        draft = self.small.drafter()
        names = [draft.open(start) for start in self.starts]
        each = min(_seconds(lambda: draft.propose(names, 1)) for _ in range(20))
        return LatencyCurve(1, 1e3 * each, 0.0, 1e3 * alone, max(1e3 * (many - alone) / 255, 1e-6), 0.0)


def _seconds(call: Callable[[], object]) -> float:
    begun = perf_counter()
    call()
    return perf_counter() - begun


def _shape(model: PairLM) -> str:
    dense, tables = model.nbytes
    layers = len(model.tables)
    return f"{layers} layer{'s' * (layers > 1)} of width {model.dim} ({(dense + tables) / 1e6:.1f} MB)"
