"""Attention, pair tables and both in one setting, on one GPU: learning rates chosen, then plain and distilled.

    python benches/cases/pair_fair.py IDS OUT [--kept ROWS] [--minutes 8.5] [--work FOLDER] [--estimate] [--toy]
        [--dim 512] [--layers 6] [--context 512] [--rows 131072] [--sweep-tokens N] [--tokens N] [--phases LIST]

IDS is what ``text_ids.py`` wrote (bpe8192: 8,192 ids, trained on the training text alone). All models have the same
width, depth, units, dropout, batch, schedule and optimiser (AdamW; no decay of tables). Phases: ``sweep``, three
pairs of learning rates a model at --sweep-tokens; ``plain``, the best of them at --tokens; ``teacher``, a deeper
Transformer; ``distilled``, the same models with its distribution as their only target. Rows go to OUT/pair_fair.jsonl
as they come, and those of --kept and of earlier commands on the same machine are not measured again. A model is scored
on the whole splits by windows of the context, the last half of each. ``--estimate`` times 20 steps of each and prints
the minutes of each phase.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from cases.flops import of_token
from cases.pair_gpu import DEVICE, Run, Student, the_teacher
from thrifty.models import Decoder, TrainSettings, train

if TYPE_CHECKING:
    from collections.abc import Callable

RATES = {
    "attention": ((6e-4, 0.0), (1.2e-3, 0.0), (2.4e-3, 0.0)),
    "both": ((1.2e-3, 3e-3), (1.2e-3, 1e-2), (2.4e-3, 1e-2)),
    "pair": ((2e-3, 3e-3), (2e-3, 1e-2), (4e-3, 1e-2)),
}
"""Learning rates of dense weights and of tables."""
PHASES = ("sweep", "plain", "teacher", "distilled")


def models(arguments: Any) -> dict[str, Student]:
    """Of the comparison, the most wanted first."""
    depth = arguments.layers
    base = Student(
        "",
        mixer="attention",
        dim=arguments.dim,
        hidden=-(-arguments.dim * 8 // 3 // 16) * 16,
        layers=depth,
        rows=arguments.rows,
        dropout=0.15,
        context=arguments.context,
        batch=arguments.batch,
        share=0.0,
    )
    one = ["pair"] * depth
    one[depth // 2] = "attention"
    return {
        "transformer": base,
        "pair W=4": replace(base, mixer="pair"),
        "hybrid": replace(base, mixer=",".join(one)),
        "transformer + pair": replace(base, mixer=",".join(["pair", *["attention"] * depth])),
        "pair W=8": replace(base, mixer="pair", window=8),
    }


def rates_of(spec: Student) -> tuple[tuple[float, float], ...]:
    kinds = set(spec.mixers)
    return RATES["both" if len(kinds) > 1 else kinds.pop()]


def the_row(run: Run, name: str, spec: Student, teacher: Callable[[Any], Any] | None) -> dict[str, Any]:
    """What came of a model, measured unless it is there."""
    if name not in run.rows:
        model, row = run.trained(replace(spec, name=name), teacher)
        row["test"] = run.scored(model, run.test)
        config = spec.config(run.text.vocab)
        counted = of_token(config, spec.context)
        run.add(row | {"phase": name.split(maxsplit=1)[0], "vocab": run.text.vocab, "flops_a_token": counted})
    return run.rows[name]


def pace(run: Run, spec: Student, teacher: Callable[[Any], Any] | None) -> float:
    """Tokens a second of 20 steps after 5 of warming up."""
    torch.manual_seed(1)
    model = Decoder(spec.config(run.text.vocab)).to(DEVICE)
    each = spec.context * spec.batch
    at: dict[int, float] = {}

    def progress(_: str, step: int, __: int) -> None:
        if step in (5, 25):
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            at[step] = time.perf_counter()

    settings = TrainSettings(
        context=spec.context, batch=spec.batch, tokens=25 * each, lr=1e-4, table_lr=1e-4, precision=run.precision
    )
    train(model, run.train, settings, teacher=teacher, progress=progress)
    return 20 * each / (at[25] - at[5])


def estimate(run: Run, found: dict[str, Student], deep: Student, arguments: Any) -> None:
    """Print the minutes of each phase."""
    minutes = dict.fromkeys(PHASES, 0.0)
    teacher_pace = pace(run, deep, None)
    minutes["teacher"] = min(deep.tokens / teacher_pace, 170.0) / 60
    torch.manual_seed(1)
    teacher = Decoder(deep.config(run.text.vocab)).to(DEVICE).eval().requires_grad_(False)
    for name, spec in found.items():
        plain, soft = pace(run, spec, None), pace(run, spec, teacher)
        run.say(f"{name}: {plain:,.0f} tokens a second, distilled {soft:,.0f}")
        minutes["sweep"] += len(rates_of(spec)) * arguments.sweep_tokens / plain / 60
        minutes["plain"] += arguments.tokens / plain / 60
        minutes["distilled"] += arguments.tokens / soft / 60
    run.say(f"teacher: {teacher_pace:,.0f} tokens a second")
    run.say("minutes: " + ", ".join(f"{k} {v:.1f}" for k, v in minutes.items()) + f", all {sum(minutes.values()):.1f}")


def parsed() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kept", type=Path, help="rows of an earlier command")
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair_fair"))
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rows", type=int, default=131_072)
    parser.add_argument("--sweep-tokens", type=int, default=8_000_000)
    parser.add_argument("--tokens", type=int, default=40_000_000)
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--estimate", action="store_true")
    parser.add_argument("--toy", action="store_true")
    arguments = parser.parse_args()
    if arguments.toy:
        tiny = {"dim": 64, "layers": 3, "context": 32, "batch": 8, "rows": 512, "sweep_tokens": 3000, "tokens": 6000}
        vars(arguments).update(tiny)
    return arguments


def main() -> None:
    arguments = parsed()
    torch.set_float32_matmul_precision("high")
    run = Run(arguments, "pair_fair", window=arguments.context)
    found = models(arguments)
    deep = replace(
        found["transformer"],
        name="teacher",
        layers=2 * arguments.layers,
        dropout=0.2,
        tokens=arguments.tokens * 3 // 5,  # after more it knows the text by heart
        lr=1e-3,
    )
    run.say(f"{len(run.rows)} rows are there")
    if arguments.estimate:
        estimate(run, found, deep, arguments)
        return
    paces: dict[str, float] = {}

    def wanted(name: str, spec: Student, teacher: Any) -> None:
        """Measure, if there is time by the pace of the model's last run."""
        kind = name.partition(" lr=")[0].partition(" ")[2]
        seconds = spec.tokens * paces.get(kind, 0.0) * (1.2 if teacher is None else 1.8)
        if name not in run.rows and run.left() < 10 + seconds:
            run.say(f"{name}: not run, {run.left():.0f} s are left")
            return
        row = the_row(run, name, spec, teacher)
        paces[kind] = row["seconds"] / row["trained"]

    final: dict[str, Student] = {}
    phases = arguments.phases.split(",")
    for model, spec in found.items():
        for lr, table_lr in rates_of(spec) if "sweep" in phases else ():
            name = f"sweep {model} lr={lr:g} {table_lr:g}"
            wanted(name, replace(spec, lr=lr, table_lr=table_lr, tokens=arguments.sweep_tokens), None)
        rows = [r for r in run.rows.values() if r["name"].startswith(f"sweep {model} lr=")]
        if len(rows) == len(rates_of(spec)):
            best = min(rows, key=lambda r: r["valid"]["perplexity"])
            final[model] = replace(spec, lr=best["lr"], table_lr=best["table_lr"], tokens=arguments.tokens)
            run.say(f"{model}: learning rates {best['lr']:g} {best['table_lr']:g}")
    if "plain" in phases:
        for model, spec in final.items():
            wanted(f"plain {model}", spec, None)
    names = [f"distilled {model}" for model in final if f"distilled {model}" not in run.rows]
    # A teacher takes half of the time that is left, at most three minutes.
    if "distilled" in phases and names and (arguments.toy or run.left() > 300):
        teacher = the_teacher(run, deep).requires_grad_(False)
        for model, spec in final.items():
            wanted(f"distilled {model}", replace(spec, share=1.0, dropout=0.1, noise=0.1), teacher)
    run.say("end")


if __name__ == "__main__":
    main()
