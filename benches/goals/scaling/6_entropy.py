"""The irreducible loss of a fitted law, beside the entropy of sources of which it is known.

markov: each symbol depends on the three before. grammar: sentences of a grammar without ambiguity. mixture: documents,
each wholly of one of two sources. On each a ladder of decoders is trained, sizes by lengths. A law is fitted to their
losses on held-back text, exponents from 0.2 on, with a profile interval of its irreducible loss, and written down;
then the entropy is asked.

--out is a folder: <source>.csv gets each row as it comes; the same command goes on from there. --seconds is for all of
the command, which stops in time; where there is no card, what a card left is judged. --toy yes is small, for a CPU.

--planted asks for the entropy of another source of the same kind.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from rows import Goal

from cases.pace import Pace
from cases.told import Nobody, tell_once
from thrifty.models.rungs import RungTrainer
from thrifty.scaling import Rung, ScalingLaw, climb, shape_of, table_of
from thrifty.scaling.sources import Grammar, Markov, Mixture
from thrifty.scaling.study import runs_of

if TYPE_CHECKING:
    from collections.abc import Callable

BEGUN = time.monotonic()
# Without it products of matrices may give other bits; read when the card is first used.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
goal = Goal(
    __file__,
    __doc__,
    ("torch", "scipy"),
    {
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "seconds": "235",
        "out": str(Path(tempfile.gettempdir()) / "scaling_entropy"),
        "toy": "no",
    },
)
TOY, DEVICE = goal.options["toy"] == "yes", goal.options["device"]
OUT, WHERE = Path(goal.options["out"]), "gpu" if DEVICE.startswith("cuda") else "cpu"
OUT.mkdir(parents=True, exist_ok=True)
card = OUT / "card.json"
kept: dict[str, str] = json.loads(card.read_text()) if card.exists() else {}
#: There is no card, and one has been at work: what it left is judged, and nothing is trained here.
JUDGE = kept.get("where") == "gpu" and WHERE == "cpu"
if WHERE == "gpu":
    kept["where"] = WHERE
    kept["device"] = torch.cuda.get_device_name()
    card.write_text(json.dumps(kept) + "\n")
WHERE = kept.get("where", WHERE)
CONTEXT = 128
#: Parameters and layers.
SIZES = ((6_000, 2), (12_000, 2), (24_000, 2), (48_000, 2), (96_000, 3))
LENGTHS: tuple[int, ...] = (6_000_000, 12_000_000, 24_000_000, 48_000_000)
SYMBOLS, HELD, BATCH, WARM = 8, 4_000_000, 32, 800_000
if TOY:
    # As many steps of smaller ones, on smaller sources.
    torch.set_num_threads(1)
    SIZES = ((1_300, 2), (3_000, 2), (6_000, 2), (12_000, 2))
    LENGTHS = tuple(length // 8 for length in LENGTHS)
    SYMBOLS, HELD, BATCH, WARM = 4, 200_000, 4, 100_000
#: A term that falls more slowly can't be told from what never falls, over two decades.
BOUNDS = {"alpha": (0.2, 3.0), "beta": (0.2, 3.0)}
SOURCES: dict[str, Callable[[int], Any]] = {
    "markov": lambda seed: Markov(SYMBOLS, 3, seed=seed),
    "grammar": lambda seed: Grammar(SYMBOLS + 4, SYMBOLS // 2, SYMBOLS // 2, growth=0.6, opening=2, seed=seed),
    "mixture": lambda seed: Mixture(SYMBOLS, seed=seed),
}


def say(text: str) -> None:
    """Tell how it goes."""
    print(f"{time.monotonic() - BEGUN:6.1f} s  {text}", file=sys.stderr, flush=True)


def rung(size: float, layers: int, symbols: int) -> Rung:
    """A size at all lengths."""
    shape, step = shape_of(size, layers, vocab=symbols), BATCH * CONTEXT
    lengths = tuple(round(length / step) * step for length in LENGTHS)
    lr = 5e-3 * math.sqrt(64 / shape.dim)
    return Rung(shape=shape, lengths=lengths, context=CONTEXT, batch=BATCH, lr=lr, warmup=WARM, seed=goal.seed)


wanted = [name for name in SOURCES if goal.wants(name)]
covered = judged = 0
for i, name in enumerate(wanted):
    source = SOURCES[name](goal.seed)
    rungs = [rung(size, layers, source.symbols) for size, layers in SIZES]
    table = table_of(OUT / f"{name}.csv", {"source": f"{name} {SYMBOLS} {goal.seed}"})
    # What is left is shared by the sources that are left.
    until = time.monotonic() - BEGUN
    share = until + (float(goal.options["seconds"]) - until) / (len(wanted) - i)
    pace = Pace(
        share, BEGUN, layer_ms=0.3 if WHERE == "gpu" else 4.0, step_ms=0.7 if WHERE == "gpu" else 3.0, reserve=4
    )
    pace.plan(rungs, [], table.rows)
    trainer: Any = Nobody()
    if not JUDGE:
        text = source.draw(LENGTHS[-1] + CONTEXT + 1, seed=goal.seed + 1)
        held = source.draw(HELD, seed=goal.seed + 2)
        say(f"{name}: {len(text):,} symbols, {len(held):,} held back; {pace.left()}")
        trainer = RungTrainer(
            text,
            held,
            stride=CONTEXT // 2,
            device=DEVICE,
            graph=True,
            settings={"beta2": 0.95},
            folder=OUT,
            stop=pace.over,
        )

    def tell(one: Rung, number: int, row: Any, pace: Pace = pace) -> None:
        pace.took(one, row)
        say(f"{one.name}  {row['n_tokens'] / 1e6:5.2f} M: {row['loss']:.4f} in {row['seconds']:.1f} s  {pace.left()}")

    if not climb(rungs[::-1], trainer, table, together=len(rungs), tell=tell):
        say(f"{name}: not all is trained; the same command goes on where it was begun")
        continue
    law = ScalingLaw("chinchilla", bounds=BOUNDS).fit(runs_of(table, rungs)[0], groups="run")
    low, high = law.profile("E", level=0.95)
    free = ScalingLaw("chinchilla").fit(runs_of(table, rungs)[0], groups="run")
    say(f"{name}: with exponents of any size: {free.coef_['E']:.5f}, {free.profile('E', level=0.95)}")
    others = {
        kind: law.bootstrap(n=1000, seed=goal.seed, kind=kind).interval("E", 0.95) for kind in ("case", "cluster")
    }
    say(f"{name}: by bootstraps of runs, and of trunks: {others}")
    told = {"coefficients": law.coef_, "low": low, "high": high, "rows": len(table.rows)}
    tell_once(OUT / f"{name}.told.json", told)
    say(f"{name}: told {told}")
    entropy = (SOURCES[name](goal.seed + 1000) if goal.planted else source).entropy()
    inside = low <= entropy.rate <= high
    covered += inside
    judged += 1
    say(
        f"{name}: entropy {entropy.rate:.5f} (error {entropy.error:.1e}), told {law.coef_['E']:.5f}, "
        f"{low:.5f} to {high:.5f}"
    )
    width = 100 * (high - low) / law.coef_["E"]
    goal.row(f"{name}/width", "width of the interval of the irreducible loss", "<= 5", width, "%", WHERE)
    goal.row(
        f"{name}/away",
        "irreducible loss beside the entropy",
        "-5..5",
        100 * (law.coef_["E"] / entropy.rate - 1),
        "%",
        WHERE,
    )
if judged == len(wanted):
    goal.row("all/covered", "intervals that have the entropy", f">= {len(wanted)}", covered, "sources", WHERE)
goal.end()
