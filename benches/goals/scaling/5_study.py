"""The method end to end on one card: a ladder of small byte-level decoders, a law, larger ones that it told of.

ladder: 0.05, 0.1, 0.3 and 1 million parameters (without embeddings) in 4 shapes of 20, 40 and 80 bytes a parameter: one
trunk for each shape with branches that cool down; of three sizes a shape with 3 seeds. Text: Python sources of the
machine's packages and novels, split by file.
target: 3 million parameters at 20 bytes a parameter in 3 shapes, from wide to deep: told before they are trained (the
file told.json has it), then trained.
choice: the least loss told among shapes that are 1.5 times as fast as the deepest, beside the deepest.
resume: a training that is stopped now and then, and gone on with, comes to the same bits.

--out is a folder: rows.csv gets each row as it comes, files.csv has the files, card.json what else was measured; the
same command goes on from there, and where there is no card it judges what a card left. --seconds is for all of the
command, which stops in time. --toy yes is small and for a CPU. --novels is their folder. --rows is a file of rows that
an empty --out begins with: what has its row is not trained, so that of a ladder's only the targets are.

--planted counts half of the ladder's rows, asks the law of a tenth of the bytes that the targets saw, takes the deepest
shape for the chosen one, and changes a weight where a training was stopped; each part that is there must catch it.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from rows import Goal

from cases.bytes_of_python import read
from cases.pace import Pace
from cases.serving import Server, Sizes, weights
from cases.told import Nobody, tell_once
from thrifty.exam import continuations
from thrifty.models import TrainSettings, train_branches
from thrifty.models.evaluate import log_likelihoods
from thrifty.models.rungs import RungTrainer, decoder_for
from thrifty.pairconnect import Bytes
from thrifty.scaling import ladder, rungs_of, study, table_of
from thrifty.scaling.study import candidates
from thrifty.stats import philox

if TYPE_CHECKING:
    from thrifty.device import ModelShape
    from thrifty.scaling import Rung, Study

BEGUN = time.monotonic()
# Without it products of matrices may give other bits; read when the card is first used.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
goal = Goal(
    __file__,
    __doc__,
    ("torch", "scipy"),
    {
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "seconds": "470",
        "out": str(Path(tempfile.gettempdir()) / "scaling_study"),
        "toy": "no",
        "novels": "",
        "rows": "",
    },
)
TOY, DEVICE = goal.options["toy"] == "yes", goal.options["device"]
SECONDS, OUT = float(goal.options["seconds"]), Path(goal.options["out"])
WHERE = "gpu" if DEVICE.startswith("cuda") else "cpu"
CONTEXT, SPEED = 64, 1.5
#: Rungs side by side.
TOGETHER = 8
SIZES, TARGET = (50_000, 100_000, 300_000, 1_000_000), 3_000_000
MULTIPLES: tuple[int, ...] = (20, 40, 80)
SHAPES, RATIOS, TARGET_RATIOS, HELD = 4, (4.0, 48.0), (4.0, 40.0), 2_000_000
if TOY:
    torch.set_num_threads(1)
    CONTEXT, SIZES, TARGET, SHAPES, HELD = 64, (1_500, 2_500, 4_000, 6_500), 12_000, 2, 60_000
    RATIOS, TARGET_RATIOS = (3.0, 16.0), (3.0, 16.0)
OUT.mkdir(parents=True, exist_ok=True)
if goal.options["rows"] and not (OUT / "rows.csv").exists():
    shutil.copyfile(goal.options["rows"], OUT / "rows.csv")


def say(text: str) -> None:
    """Tell how it goes."""
    print(f"{time.monotonic() - BEGUN:6.1f} s  {text}", file=sys.stderr, flush=True)


card = OUT / "card.json"
kept: dict[str, Any] = json.loads(card.read_text()) if card.exists() else {}
#: There is no card, and one has been at work.
JUDGE = kept.get("where") == "gpu" and WHERE == "cpu"
WHERE = kept.get("where", WHERE)


def keep(name: str, value: Any) -> None:
    """Remember what was measured."""
    kept[name] = value
    card.write_text(json.dumps(kept, indent=1) + "\n")


how: dict[str, Any] = {"multiples": MULTIPLES, "context": CONTEXT, "vocab": 256}
rungs = ladder(SIZES, seed=goal.seed, repeats=3, again=3, shapes=SHAPES, ratios=RATIOS, **how)
targets = rungs_of(TARGET, seed=goal.seed, shapes=3, ratios=TARGET_RATIOS, **(how | {"multiples": (20,)}))
pace = Pace(SECONDS, BEGUN, layer_ms=0.3 if WHERE == "gpu" else 6.0, step_ms=0.7 if WHERE == "gpu" else 3.0)
names = {rung.name for rung in targets}


def after(model: Any, rung: Rung) -> dict[str, float]:
    """Let a target take the exam."""
    if rung.name not in names:
        return {}
    answers = exam.grade(lambda pairs: log_likelihoods(model, pairs, Bytes())).answers
    return {"score": sum(one.correct for one in answers) / len(answers)}


def graphs() -> bool:
    """Whether steps can be graphs here: a training of a moment is tried both ways."""
    (rung, *_) = rungs_of(20_000, **(how | {"multiples": (2,)}))
    ends = []
    for graph in (False, True):
        settings = TrainSettings(
            context=CONTEXT, batch=4, tokens=40 * 4 * CONTEXT, lr=1e-3, schedule="wsd", warmup_tokens=8 * CONTEXT
        )
        model = decoder_for(rung.shape).to(DEVICE)
        try:
            ends += [one.loss for one in train_branches(model, text.train, settings, [settings.tokens], graph=graph)]
        except RuntimeError as error:
            say(f"no graphs here: {error}")
            return False
    say(f"a step as a graph or not: losses {ends[1]:.5f} and {ends[0]:.5f}")
    return abs(ends[1] - ends[0]) < 0.02 * ends[0]


def token_ms(shape: ModelShape, graph: bool) -> float:
    """Milliseconds a token at batch 1, in the median."""
    card = WHERE == "gpu"
    sizes = Sizes(shape.vocab, shape.dim, shape.layers, shape.heads, shape.hidden, cache=CONTEXT)
    server = Server(
        sizes,
        weights(sizes, DEVICE, goal.seed),
        batch=1,
        dtype="bfloat16" if card else "float32",
        graph=graph and card,
        attention="auto",
    )
    found = []
    for i in range(60):
        begun = time.perf_counter()
        for _ in range(10):
            server.step()
        server.wait()
        if i >= 10:
            found.append((time.perf_counter() - begun) * 100)
    return median(found)


def tell(rung: Rung, number: int, row: Any) -> None:
    """Say what a row is, and what is left."""
    pace.took(rung, row)
    say(
        f"{rung.name}  {row['n_tokens'] / rung.n_params:3.0f} a parameter: {row['loss']:.4f}  "
        f"({row['steps'] * rung.batch * rung.context / row['seconds'] / 1e3:,.0f} kB/s)  {pace.left()}"
    )


def predicted(so_far: Study) -> None:
    """Write down what the law tells, before any target is trained."""
    losses = [
        {"run": one.rung.name, "loss": one.loss, "low": one.low, "high": one.high, "ms": one.ms}
        for one in so_far.candidates
    ]
    assert so_far.law is not None
    tell_once(OUT / "told.json", {"law": so_far.law.name_, "coefficients": so_far.law.coef_, "told": losses})
    say(f"law {so_far.law.name_}: {so_far.law.coef_}")
    for one in losses:
        say(f"told: {one}")


def stopped_losses(sound: RungTrainer, rung: Rung, spoil: bool) -> list[float]:
    """Losses of a training that is stopped now and then, and gone on with; after a weight was changed, if asked."""
    found: list[float] = []
    looks = iter(philox(goal.seed).random(100_000) < 0.3)
    with tempfile.TemporaryDirectory() as folder:
        stopped = replace(sound, stop=lambda: bool(next(looks)), folder=Path(folder))
        while len(found) < len(rung.lengths):
            found += [row["loss"] for row in stopped(rung, rung.lengths[len(found) :]) if row]
            for path in Path(folder).glob("*.trunk") if spoil else ():
                content = torch.load(path, weights_only=True)
                content["model"]["embed.weight"][0, 0] += 1
                torch.save(content, path)
    return found


trainer: Any = Nobody()
if not JUDGE:
    novels = Path(goal.options["novels"]) if goal.options["novels"] else goal.data("text/pgnovels")
    text = read(novels, most=2_000_000 if TOY else None, held=HELD)
    with (OUT / "files.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "bytes", "sha256"), *text.files])
    say(f"{len(text.files):,} files, {len(text.train):,} bytes to train on, {len(text.held):,} held back")
    about = {
        "precision": "bf16" if WHERE == "gpu" else "f32",
        "data_bytes": str(len(text.train)),
        "data_files": str(len(text.files)),
        "data_sha256": text.sha256,
    }
    if kept.get("about", about) != about:
        sys.exit(f"{card}: {kept['about']} is not {about}; give another --out")
    keep("where", WHERE)
    keep("about", about)
    keep("devices", sorted({*kept.get("devices", []), torch.cuda.get_device_name() if WHERE == "gpu" else "cpu"}))
    exam = continuations((novels / "valid.txt").read_text(), 24 if TOY else 240, seed=goal.seed)
    trainer = RungTrainer(
        text.train,
        text.held,
        device=DEVICE,
        graph=graphs(),
        precision="bf16" if WHERE == "gpu" else "f32",
        settings={"beta2": 0.95},
        folder=OUT,
        stop=pace.over,
        after=after,
    )
    if "speeds" not in kept:
        keep("speeds", {f"{one.shape}": (token_ms(one.shape, False), token_ms(one.shape, True)) for one in targets})
table = table_of(OUT / "rows.csv", kept["about"])
pace.plan(rungs, targets, table.rows)
say(f"{len(rungs)} rungs, {sum(len(rung.lengths) for rung in rungs)} rows; {len(table.rows)} are there; {pace.left()}")
speeds = kept["speeds"]
say(f"milliseconds a token, without and with a graph: {speeds}")
found = study(
    # The longest first: what is trained beside it ends before.
    rungs[::-1],
    targets,
    trainer,
    table,
    latency=lambda shape: float(speeds[str(shape)][0]),
    keep=len(targets),
    together=TOGETHER,
    predicted=predicted,
    tell=tell,
)
for note in found.notes:
    say(note)

caught: dict[str, bool] = {}


def judge(name: str, *figure: Any, unit: str = "") -> None:
    """Keep a row, and whether its part has one that fails."""
    part = name.partition("/")[0]
    caught[part] = not goal.row(name, *figure, unit, WHERE) or caught.get(part, False)


def end() -> NoReturn:
    """End; a fault was planted in each part, so each must have caught it."""
    if goal.planted and not all(caught.values()):
        sys.exit(f"planted fault NOT caught by {', '.join(part for part, by in caught.items() if not by)}")
    goal.end()


if goal.wants("ladder"):
    known = {rung.name for rung in rungs}
    there = [row for row in table.rows if row["run"] in known]
    if goal.planted:
        there = there[: len(there) // 2]
    judge("ladder/rows", "rows of the ladder", ">= 40", len(there))
    seeds: dict[str, set[str]] = {}
    for row in there:
        seeds.setdefault(row["run"].rsplit("-s", 1)[0], set()).add(row["seed"])
    judge("ladder/seeds", "shapes with 3 seeds", ">= 3", sum(len(s) >= 3 for s in seeds.values()))
    most = max(float(row["epochs"]) for row in there) if there else 0.0
    judge("ladder/epochs", "times the text was seen, at most", "<= 4", most)
if found.chosen is None:
    say("not all is trained: the same command goes on")
    end()
if goal.wants("target"):
    assert found.law is not None
    fewer = [replace(rung, lengths=(rung.lengths[0] // 10,)) for rung in targets] if goal.planted else targets
    told = {one.rung.name: one for one in candidates(found.law, fewer)}
    pairs = [(told[one.rung.name], one.measured) for one in found.candidates]
    away = [abs(one.loss / measured - 1) for one, measured in pairs]
    inside = sum(one.low <= measured <= one.high for one, measured in pairs)
    judge("target/loss", "losses of 3 M told from at most 1 M: largest error", "<= 2", 100 * max(away), unit="%")
    judge("target/interval", "intervals that have the loss, of 3", ">= 2", inside)
    wide = median((one.high - one.low) / one.loss for one in found.candidates)
    judge("target/width", "width of the intervals in the median", "<= 10", 100 * wide, unit="%")
if goal.wants("choice"):
    deep = max(found.candidates, key=lambda one: one.rung.shape.layers)
    fast = [one for one in found.candidates if one.ms * SPEED <= deep.ms]
    best = deep if goal.planted else min(fast, key=lambda one: one.loss, default=deep)
    eager, graph = (speeds[str(deep.rung.shape)][i] / speeds[str(best.rung.shape)][i] for i in (0, 1))
    worse = 100 * (best.measured / deep.measured - 1)
    say(f"chosen {best.rung.shape}, deepest {deep.rung.shape}; scores {best.score:.3f} and {deep.score:.3f}")
    judge("choice/eager", "a token at batch 1: the deepest over the chosen shape", ">= 1.5", eager, unit="x")
    judge("choice/graph", "the same as a CUDA graph", ">= 1.5", graph, unit="x")
    judge("choice/loss", "held-out loss of the chosen shape beside the deepest's", "<= 0.5", worse, unit="%")
if goal.wants("resume"):
    if not JUDGE:
        (rung, *_) = rungs_of(20_000, seed=goal.seed, **(how | {"multiples": (10, 20)}))
        sound = replace(trainer, stop=None, after=None, folder=None)
        whole = [row["loss"] for row in sound(rung, rung.lengths) if row]
        keep("changed", sum(a != b for a, b in zip(whole, stopped_losses(sound, rung, False), strict=True)))
        keep("spoiled", sum(a != b for a, b in zip(whole, stopped_losses(sound, rung, True), strict=True)))
    changed = kept["spoiled" if goal.planted else "changed"]
    judge("resume/bits", "losses that stops change", "== 0", changed)
say("done")
end()
