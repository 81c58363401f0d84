"""The same weights whatever runs them: threads, instruction sets, tables kept up or rebuilt, kills, and slices.

Real rows (wn): 300 steps of 128 rows, 1,024 of 15,792 neurons active. threads: the bytes of the models that one thread
and two trained, families, precisions and losses in all combinations. simd: four trained models on all instruction
sets that the processor has: codes of rows, active neurons of batches, and the weights after one more step. tables:
buckets of tables whose rows were hashed again within a budget, once the queue is drained, beside those of new tables.
kill: the command line's trainings with checkpoints, killed (-9) at random moments and started again until they end.
ranks: 50 steps of a head whose neurons are spread over two processes under torchrun (gloo on loopback), beside one
process.

--planted flips bits of models and of a code, changes an active neuron and a weight, leaves the queue undrained, and
lets the ranks keep their gradients of the hidden values to themselves.
"""

from __future__ import annotations

import lzma
import os
import signal
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.slide.ranks import Task, together, torchrun

from thrifty.slide import LSHConfig, Trainer, read_xml, write_xml

STEPS, BATCH, KILLS = 300, 128, 12
PRECISIONS, LOSSES = ("f32", "bf16", "bf16-stochastic"), ("softmax", "sigmoid")
# Loads models and says what they come to under an instruction set: python -c ... ROWS OUT MODEL...
PROBE = """
import sys
import numpy as np
from thrifty import _core
from thrifty.slide import LSHConfig, Trainer, hash_codes, read_xml
rows, out, *models = sys.argv[1:]
inputs, targets = read_xml(rows)
found = {"path": np.array(_core.simd_path())}
for number, model in enumerate(models):
    trainer = Trainer.load(model)
    w = trainer.weights()
    weight, bias, labels, length = w["output"].ravel(), w["output_bias"], trainer.labels, trainer.hidden
    for family in ("dwta", "simhash", "doph", "minhash"):
        found[f"codes {number} {family}"] = hash_codes(w["output"], family, tables=10)
    for family in ("dwta", "simhash"):
        head = _core.SlideHead(LSHConfig(family=family), (0, labels, labels), length, "softmax", 0.01, 1, True)
        head.refresh(weight, False, 2)
        for at in range(0, 1280, 128):
            x, y = inputs[at:at + 128], targets[at:at + 128]
            hidden = np.maximum(x @ w["input"] + w["input_bias"], 0).astype(np.float32).ravel()
            pairs = y.indptr[1:].astype(np.uint64), y.indices.astype(np.uint32)
            asked, _ = head.ask(weight, bias, hidden, pairs, None, 2)
            token, _, active = head.forward(weight, bias, hidden, pairs, asked, 2)
            head.forget(token)
            found[f"active {number} {family} {at}"] = active
    trainer.fit(inputs[1280:1408], targets[1280:1408])
    found |= {f"step {number} {name}": value for name, value in trainer.weights().items()}
np.savez(out, **found)
"""
goal = Goal(__file__, __doc__, ("scipy", "torch"))


def flipped(content: bytes) -> bytes:
    """Return a file with one bit of its last number changed."""
    return content[:-1] + bytes([content[-1] ^ 1])


def trainer(rows: tuple[Any, Any], threads: int, **settings: Any) -> Trainer:
    """Return a new trainer for rows."""
    features, labels = rows[0].shape[1], rows[1].shape[1]
    return Trainer(features, labels, batch=BATCH, seed=goal.seed, threads=threads, **settings)


def threads(rows: tuple[Any, Any], folder: Path) -> None:
    """Models of one thread and two."""
    equal, cases = 0, list(product(("dwta", "simhash"), PRECISIONS, LOSSES))
    for i, (family, precision, loss) in enumerate(cases):
        files = []
        for n in (1, 2):
            made = trainer(rows, n, head=LSHConfig(family=family), precision=precision, loss=loss)
            made.fit(*rows)
            assert made.stats()["steps"] == STEPS
            made.save(folder / "model")
            files.append((folder / "model").read_bytes())
        if goal.planted and i == 0:
            files[1] = flipped(files[1])
        equal += files[0] == files[1]
    what = f"of {len(cases)} models (dwta, simhash; f32, bf16, bf16-stochastic; softmax, sigmoid) after {STEPS} steps, "
    goal.row("threads/bytes", what + "those whose bytes are the same for 1 and 2 threads", f"== {len(cases)}", equal)


def simd(rows: tuple[Any, Any], folder: Path) -> None:
    """Trained models on all instruction sets."""
    models = [folder / f"model-{i}" for i in range(4)]
    for model, (precision, loss) in zip(models, product(("f32", "bf16-stochastic"), LOSSES), strict=True):
        made = trainer(rows, 2, precision=precision, loss=loss)
        made.fit(*rows)
        made.save(model)
    write_xml(folder / "some", rows[0][:1408], rows[1][:1408])
    found: list[dict[str, Any]] = []
    for path in ("scalar", "avx2", "avx512"):
        command = [sys.executable, "-c", PROBE, folder / "some", folder / "found.npz", *models]
        environment = {**os.environ, "THRIFTY_SIMD": path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"THRIFTY_SIMD={path}: {done.stderr.strip()[-200:]}", file=sys.stderr)
            continue
        found.append(dict(np.load(folder / "found.npz")))
        assert str(found[-1]["path"]) == path
    paths = ", ".join(str(f.pop("path")) for f in found)
    goal.row("simd/paths", f"instruction sets compared ({paths})", ">= 2", len(found))
    first, others = found[0], found[1:]
    if goal.planted:
        others[-1]["codes 0 dwta"][7, 3] ^= 1
        others[-1]["active 1 dwta 0"][5] += 1
        others[-1]["step 2 output"][100] *= np.float32(1.00001)
    counts = dict.fromkeys(("codes", "active", "step"), 0)
    totals, most = dict.fromkeys(counts, 0), 0.0
    for name, value in first.items():
        kind = name.split()[0]
        totals[kind] += value.size
        for other in others:
            same = value.shape == other[name].shape
            bits = (value.view(np.uint32), other[name].view(np.uint32)) if same else (np.ones(1), np.zeros(1))
            counts[kind] += int(np.count_nonzero(bits[0] != bits[1]))
            if kind == "step":
                most = max(most, float(np.abs(value - other[name]).max() / np.abs(value).max()))
    goal.row("simd/codes", f"of {totals['codes']:,} codes, those that differ", "== 0", counts["codes"])
    what = f"of {totals['active']:,} active neurons of 80 batches, those that differ"
    goal.row("simd/active", what, "== 0", counts["active"])
    goal.row("simd/step", "weights after a step: largest difference, relative to the largest", "<= 1e-6", most)
    goal.row("simd/bits", f"of {totals['step']:,} weights after a step, those that differ", "== 0", counts["step"])


def tables(rows: tuple[Any, Any], folder: Path) -> None:
    """Tables that were kept up, beside new ones."""
    del folder
    wrong = undrained = buckets = 0
    waits = []
    for family, k, rehash, precision in (
        ("dwta", 3, 64, "f32"),
        ("dwta", 4, 1000, "bf16-stochastic"),
        ("simhash", 12, 256, "bf16"),
        ("doph", 2, 256, "f32"),
        ("minhash", 2, 16, "f32"),
    ):
        # With k given, tables are built once, before the first step.
        made = trainer(rows, 2, head=LSHConfig(family=family, k=k, rehash=rehash), precision=precision)
        made.fit(*rows)
        stats = made.stats()
        waits.append(f"{stats['queue']:,} rows since {stats['oldest_stale_steps']}")
        undrained += made._core.check_tables(False, 2)[0] > 0
        differ, all_ = made._core.check_tables(not goal.planted, 2)
        wrong, buckets = wrong + differ, buckets + all_
    what = f"of {buckets:,} buckets of five heads after {STEPS} steps, the queue drained, those unlike new ones"
    goal.row("tables/buckets", what, "== 0", wrong)
    what = f"heads whose tables differed before that: rows waited, the oldest for so many steps: {'; '.join(waits)}"
    goal.row("tables/undrained", what, ">= 4", undrained)


def kill(rows: tuple[Any, Any], folder: Path) -> None:
    """Trainings that are killed, and go on."""
    part = len(rows[0].indptr) // 4
    write_xml(folder / "rows", rows[0][:part], rows[1][:part])
    rng = np.random.default_rng(goal.seed)
    cases = (["--k", "3"], ["--family", "simhash", "--precision", "bf16"], ["--precision", "bf16-stochastic"])
    killed = equal = ended = left = 0
    found: list[str] = []  # steps of the checkpoints from which trainings went on
    for i, case in enumerate(cases):
        places = folder / f"whole-{i}", folder / f"killed-{i}"
        command = [sys.executable, "-m", "thrifty", "slide", "train", str(folder / "rows")]
        command_of = [[*command, str(p / "model"), "--checkpoint", str(p), "--every", "5", *case] for p in places]
        for place in places:
            place.mkdir()
        began = time.monotonic()
        subprocess.run(command_of[0], capture_output=True, check=True)
        length = time.monotonic() - began
        here = 0
        while True:
            checkpoint = places[1] / "checkpoint.safetensors"
            if here > 0 and checkpoint.exists():
                found.append(str(Trainer.load(checkpoint).stats()["steps"]))
            with subprocess.Popen(command_of[1], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
                try:
                    process.wait(None if here == KILLS // len(cases) else length * rng.uniform(0.1, 0.5))
                except subprocess.TimeoutExpired:
                    process.kill()
            if process.returncode != -signal.SIGKILL:
                break
            here += 1
        killed += here
        ended += process.returncode == 0
        if process.returncode == 0:
            files = [(place / "model").read_bytes() for place in places]
            if goal.planted and i == 0:
                files[1] = flipped(files[1])
            equal += files[0] == files[1]
        left += len({path.name for path in places[1].iterdir()} - {"checkpoint.safetensors", "model"})
    goal.row("kill/hit", f"kills that hit one of {len(cases)} trainings", ">= 9", killed)
    what = f"starts that found a checkpoint, after so many steps: {', '.join(found)}"
    goal.row("kill/resumed", what, ">= 6", len(found))
    goal.row("kill/ended", "trainings that ended in the end", f"== {len(cases)}", ended)
    what = "trainings whose model has the bytes of one that was never killed"
    goal.row("kill/equal", what, f"== {len(cases)}", equal)
    goal.row("kill/left", "files left beside models and checkpoints", "== 0", left)


def ranks(rows: tuple[Any, Any], folder: Path) -> None:
    """One head in two processes."""
    del rows
    tasks = [{}, {"family": "simhash"}, {"loss": "sigmoid"}, {"correction": "logq"}]
    most, active = 0.0, 0
    for change in tasks:
        task = Task(seed=goal.seed, **change)
        (whole,) = together(task, 1)
        spread = torchrun(Task(seed=goal.seed, **change, deaf=goal.planted), 2, folder / "losses.json")
        losses, expected = np.array(spread["losses"]), np.array(whole.losses)
        most = max(most, float(np.abs(losses / expected - 1).max()))
        active += sum(a != b for a, b in zip(spread["active"], whole.active, strict=True))
    what = "two ranks under torchrun: losses of 50 steps from one process', the farthest, relative, of four heads"
    goal.row("ranks/losses", what, "<= 1e-5", most)
    goal.row("ranks/active", "of their 200 sets of active neurons, those unlike one process'", "== 0", active)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "train.txt"
        with lzma.open(goal.data("slide") / "wn" / "train.txt.xz") as packed:
            file.write_bytes(packed.read())
        inputs, targets = read_xml(file)
        labelled = np.flatnonzero(np.diff(targets.indptr))[: STEPS * BATCH]
        rows = inputs[labelled], targets[labelled]
        for part in (threads, simd, tables, kill, ranks):
            if goal.wants(part.__name__):
                part(rows, folder)
    goal.end()


if __name__ == "__main__":
    main()
