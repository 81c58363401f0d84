"""Speculation changes no id where it must not: greedy, and with the target's own random numbers.

The target is the model of the package in f32; the 480 questions of Spec-Bench are the prompts, 128 ids follow each.

greedy/: the engine with drafts beside plain decoding of each prompt alone (``PairLM.generate``), id by id.
seed/: the seed-exact rule: plain, with another drafter, with another gamma, with so few blocks that requests lose
theirs in the middle, alone and among others; all must be bit-equal.

Drafters: the same model in 8 bits with a shortlist, and a model of random weights that knows nothing.

--planted: the drafts of the seed-exact rule are verified by the block rule, which emits other ids.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

from thrifty.pairconnect import PairLM, read_text
from thrifty.specdec import Drafts, Engine, PairTarget, Step

goal = Goal(__file__, __doc__)
NEW, LONGEST = 128, 192
DATA = ROOT / "python" / "thrifty" / "data" / "pairconnect"
target = PairLM.load(DATA / "model.safetensors")
VOCAB = len(target.scores([0])[0])
LAW = {"temperature": 0.8, "top_p": 0.95}


def prompts() -> list[Any]:
    """The first turn of each question, the last ids of it."""
    lines = goal.data("specdec/spec_bench_questions.jsonl").read_text().splitlines()
    texts = [json.loads(line)["turns"][0] for line in lines]
    return [np.asarray(target.ids(text))[-LONGEST:] for text in texts]


def ran(
    prompts: list[Any], drafters: list[Any], rule: Any, uids: Any = None, **more: Any
) -> tuple[list[Any], dict[str, int]]:
    engine = Engine(
        PairTarget(target), drafters, vocab=VOCAB, rule=rule, seed=goal.seed, max_length=LONGEST + NEW, **more
    )
    law = {"temperature": 0.0} if rule == "greedy" else LAW
    uids = range(len(prompts)) if uids is None else uids
    handles = [engine.submit(prompt, max_new=NEW, uid=uid, **law) for prompt, uid in zip(prompts, uids, strict=True)]
    engine.run()
    return [engine.take(handle).tokens for handle in handles], engine.stats()


def different(found: list[Any], wanted: list[Any]) -> int:
    return sum(not np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def nonsense(step: Step, rows: Any) -> Drafts:
    """Ids that have nothing to do with anything."""
    rng = np.random.default_rng(step.number)
    return Drafts(rng.integers(0, VOCAB, (len(rows), int(step.gamma[: step.giving].max()))))


def main() -> None:
    asked = prompts()
    text = target.ids(read_text(DATA / "novels.txt.xz"))
    small = PairLM.load(DATA / "model.safetensors", precision="i8").with_shortlist(text, rows=4096, length=32)
    if goal.wants("greedy"):
        wanted = [target.generate(prompt, NEW, temperature=0.0) for prompt in asked]
        for name, drafter, gamma in (("model", small.drafter(), 4), ("nonsense", nonsense, 7)):
            found, said = ran(asked, [drafter], "greedy", gamma=gamma)
            share = said["accepted"] / max(said["drafted"], 1)
            what = f"greedy, {len(asked)} prompts x {NEW} ids, drafts of {name} ({share:.0%} accepted): "
            what += "texts that differ"
            goal.row(f"greedy/{name}", what, "== 0", different(found, wanted), "texts")
    if goal.wants("seed"):
        plain, _ = ran(asked, [], "seed_exact")
        cases: dict[str, tuple[list[Any], dict[str, Any]]] = {
            "with drafts": ([small.drafter()], {"gamma": 4}),
            "another gamma": ([small.drafter()], {"gamma": 8}),
            "another drafter": ([nonsense], {"gamma": 3}),
            "few blocks": ([small.drafter()], {"gamma": 4, "blocks": 300}),
        }
        for name, (drafters, more) in cases.items():
            rule = "block" if goal.planted else "seed_exact"
            found, said = ran(asked, drafters, rule, **more)
            what = f"seed-exact, {name}: {said['accepted']:,} of {said['drafted']:,} drafts accepted, "
            what += f"{said['preempted']:,} preempted; texts that differ from plain ones"
            goal.row(f"seed/{name}", what, "== 0", different(found, plain), "texts")
            if name == "few blocks":
                goal.row("seed/preempted", "of these, requests that lost their blocks", ">= 1", said["preempted"])
        alone = [ran([asked[i]], [small.drafter()], "seed_exact", [i], gamma=5)[0][0] for i in range(0, len(asked), 10)]
        what = f"seed-exact, {len(alone)} prompts alone with drafts: texts that differ from those among {len(asked)}"
        goal.row("seed/alone", what, "== 0", different(alone, plain[::10]), "texts")


main()
goal.end()
