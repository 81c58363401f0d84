"""Attention, pair tables and both in one setting on one GPU: bits a byte, parameters, operations, tokens a second.

Rows are those of benches/results/pair_fair.jsonl, made on one H100 by

    python benches/cases/text_ids.py shared/data/text/pgnovels IDS --train-tokenizer 8192
    python benches/cases/pair_fair.py IDS/bpe8192 OUT --minutes 8.5          (twice)

Without them there is nothing to judge. there: all models, plain and distilled, and three learning rates of each. bits:
of each over the Transformer's, plain (the better of a short and a long training on the validation text) and distilled.
operations: the formula against torch's counter of operations. The table goes to benches/results/pair_fair.md.

--planted takes a model's distilled row away, and counts the units of a layer once too often.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT / "benches"))
import torch
from torch.utils.flop_counter import FlopCounterMode

from cases.flops import of_token
from thrifty.models import Decoder, DecoderConfig
from thrifty.pairconnect import PairSpec

goal = Goal(__file__, __doc__, ("torch",))
KEPT = ROOT / "benches" / "results" / "pair_fair.jsonl"
MODELS = ("transformer", "pair W=4", "pair W=8", "hybrid", "transformer + pair")


def operations() -> None:
    """A row of the formula against what torch counts. Torch counts attention without its mask."""
    most = 0.0
    for mixers in (("none",), ("pair", "pair"), ("attention", "pair", "attention")):
        config = DecoderConfig(
            vocab=300, dim=64, hidden=96, mixers=mixers, pair=PairSpec(vocab=300, rows=50, head_dim=16)
        )
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            Decoder(config).eval()(torch.zeros(2, 24, dtype=torch.long))
        ours = of_token(replace(config, hidden=192) if goal.planted else config, 24)
        unmasked = ours["mixing"] * 24 / ((24 + 1) / 2)
        most = max(most, abs((ours["products"] + unmasked) * 48 / counter.get_total_flops() - 1))
    what = "operations of three decoders by the formula, from those that torch counts, the farthest"
    goal.row("operations/counted", what, "<= 1e-9", most)


def table(rows: dict[str, dict[str, Any]], plain: dict[str, dict[str, Any]]) -> str:
    """What was measured, as Markdown."""
    lines = [
        "| model | parameters, dense / tables | operations a token | tokens a second in training | plain, bits a byte |"
        " distilled, bits a byte |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in plain.items():
        taught = rows.get(f"distilled {name}")
        cells = [
            name,
            f"{row['parameters_dense'] / 1e6:.1f} M / {row['parameters_tables'] / 1e6:.0f} M",
            f"{row['flops_a_token']['all'] / 1e6:.1f} M",
            f"{row['tokens_a_second']:,}",
            f"{row['test']['bits_per_byte']:.3f} ({row['trained'] / 1e6:.0f} M ids)",
            "not run" if taught is None else f"{taught['test']['bits_per_byte']:.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Judge the rows."""
    if not KEPT.exists():
        raise goal.absent(f"{KEPT} is not there; the docstring says how it is made")
    rows = {row["name"]: row for row in map(json.loads, KEPT.read_text().splitlines())}
    operations()
    if goal.planted:
        rows.pop("distilled hybrid", None)
    sweeps = {m: [r for r in rows.values() if r["name"].startswith(f"sweep {m} lr=")] for m in MODELS}
    missing = [f"{kind} {m}" for kind in ("plain", "distilled") for m in MODELS if f"{kind} {m}" not in rows]
    missing += [f"sweep {m}" for m in MODELS if len(sweeps[m]) < 3]
    what = f"models without a row, of plain, distilled and three learning rates ({', '.join(missing) or 'none'})"
    where = next(iter(rows.values()))["where"]
    goal.row("there/models", what, "== 0", len(missing), "", where)
    if goal.planted:
        goal.end()
    trained = {m: [*sweeps[m], *(rows[n] for n in (f"plain {m}",) if n in rows)] for m in MODELS}
    plain = {m: min(found, key=lambda r: r["valid"]["perplexity"]) for m, found in trained.items() if found}
    taught = {m: rows[f"distilled {m}"] for m in MODELS if f"distilled {m}" in rows}
    for kind, found in (("plain", plain), ("distilled", taught)):
        base = found["transformer"]["test"]["bits_per_byte"]
        for name in [m for m in MODELS[1:] if m in found]:
            bits = found[name]["test"]["bits_per_byte"]
            what = f"{kind} {name} ({bits:.3f}) over {kind} Transformer ({base:.3f}): test bits a byte"
            goal.row(f"bits/{kind} {name}", what, "<= 1.03", bits / base, "times", where)
    counted = {m: row["flops_a_token"]["all"] for m, row in plain.items()}
    what = f"operations a token: Transformer ({counted['transformer'] / 1e6:.1f} M) over pair W=4"
    goal.row("operations/fewer", what, ">= 1", counted["transformer"] / counted["pair W=4"], "times")
    (ROOT / "benches" / "results" / "pair_fair.md").write_text(table(rows, plain))


main()
goal.end()
