"""Pair models that learned from a Transformer on one GPU: perplexity of their files, whole splits.

Rows are those of benches/results/pair_gpu.jsonl, made on one H100 by

    python benches/cases/text_ids.py shared/data/text/pgnovels IDS
    python benches/cases/pair_gpu.py IDS/bpe2048 OUT --minutes 8.5

in three commands; the first had a teacher of 60 M ids (its rows name no noise), the others the one of 40 M. Students
are files with tables of whole numbers, scored by ``PairLM.evaluate`` there. Without the rows there is nothing to judge.
counts: modified Kneser-Ney of four ids on all the training text, computed here, on the first 40,000 ids of the
validation text. again: the student that ships with the demo, scored here once more.

--planted judges the student that had no teacher.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT / "benches" / "peers"))
from kneser_ney import KneserNey

from thrifty.pairconnect import PairLM, Tokenizer, read_text

goal = Goal(__file__, __doc__)
KEPT = ROOT / "benches" / "results" / "pair_gpu.jsonl"
SHIPPED = ROOT / "python" / "thrifty" / "data" / "pairconnect" / "model.safetensors"


def best(found: list[dict[str, Any]], **sizes: Any) -> dict[str, Any]:
    """The student of these sizes with the least perplexity; with the fault, one without a teacher."""
    taught = [r for r in found if r.get("bytes") and all(r[name] == value for name, value in sizes.items())]
    taught = [r for r in taught if (r["share"] == 0) == goal.planted and r["trained"] >= 20e6]
    if not taught:
        raise goal.absent(f"{KEPT} has no student of {sizes} with 20 M ids")
    return min(taught, key=lambda r: r["valid"]["perplexity"])


def counts() -> float:
    """Perplexity of Kneser-Ney on the beginning of the validation text."""
    folder = goal.data("text/pgnovels")
    tokenizer = Tokenizer.from_file(folder / "bpe2048.json")
    model = KneserNey(tokenizer.encode(read_text(folder / "train.txt.xz"))[0], 4, tokenizer.vocab)
    valid = tokenizer.encode(read_text(folder / "valid.txt"))[0][:40_000]
    starts = np.arange(0, len(valid) - 64, 32)
    return float(np.exp(model.losses(valid, (starts[:, None] + np.arange(33, 65)).reshape(-1)).mean()))


def main() -> None:
    """Judge the rows."""
    if not KEPT.exists():
        raise goal.absent(f"{KEPT} is not there; the docstring says how it is made")
    rows = [json.loads(line) for line in KEPT.read_text().splitlines()]
    teacher = [r for r in rows if r["name"] == "teacher"][-1]
    where = teacher["where"]
    what = f"teacher, {teacher['layers']} x {teacher['dim']}, {teacher['trained']:,} ids: valid, windows of 256"
    goal.row("teacher/valid", what, "<= 27.1", teacher["valid_whole"]["perplexity"], "", where)
    sizes = {"mixer": "pair", "dim": 128, "layers": 2, "window": 4}
    many = best(rows, rows=65_536, **sizes)
    told = f"'{many['name']}', {many['trained']:,} ids: valid perplexity (test {many['test']['perplexity']:.1f})"
    goal.row("student/k64k", f"2 x 128, 65,536 rows a head, {told}", "<= 39", many["valid"]["perplexity"], "", where)
    if not goal.planted:
        few = best(rows, rows=4096, **sizes)
        told = f"'{few['name']}', {few['trained']:,} ids: valid perplexity (test {few['test']['perplexity']:.1f})"
        goal.row("student/k4k", f"2 x 128, 4,096 rows a head, {told}", "<= 47", few["valid"]["perplexity"], "", where)
        plain = next(r for r in rows if r["name"] == "plain")["valid"]["perplexity"]
        what = f"the same as long without a teacher ({plain:.0f}, by heart), over the student: valid perplexity"
        goal.row("student/teacher", what, ">= 1.5", plain / many["valid"]["perplexity"], "times", where)
        demo = min((r for r in rows if r["saved"] == "demo"), key=lambda r: r["valid"]["perplexity"])
        bits = demo["test"]["bits_per_byte"]
        what = f"the demo's student: bytes (valid {demo['valid']['perplexity']:.1f}, test {bits:.3f} bits a byte)"
        goal.row("demo/bytes", what, "<= 3000000", demo["bytes"], "", where)
        if SHIPPED.exists():
            valid = PairLM.load(SHIPPED).evaluate(read_text(goal.data("text/pgnovels") / "valid.txt"))
            what = "the model that ships, scored here, over its row: valid perplexity"
            goal.row("demo/again", what, "0.999..1.001", valid["perplexity"] / demo["valid"]["perplexity"], "times")
    law = counts()
    what = (
        f"Kneser-Ney of four ids on the same text ({law:.1f}) over the best of 65,536 rows, first 40,000 ids of valid"
    )
    goal.row("counts/over student", what, ">= 1", law / many["valid_first"]["perplexity"], "times", where)


main()
goal.end()
