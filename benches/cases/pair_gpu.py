"""Distilled pair models on one GPU: a Transformer is trained on all the novels, and students learn from it.

    python benches/cases/pair_gpu.py IDS OUT [--kept ROWS] [--minutes 8.5] [--work FOLDER] [--only NAMES] [--toy]

IDS is what ``text_ids.py`` wrote for bpe2048. Rows go to OUT/pair_gpu.jsonl as they come: the teacher; short runs that
choose learning rates; students, the most wanted first, until the minutes are over. Rows of --kept, and of an earlier
command on the same machine, are taken over and not measured again. Teacher and rows are kept in --work. Students are
written as the files that ``thrifty pairconnect`` reads, tables in whole numbers, and it is those files that are scored,
by ``PairLM.evaluate``. OUT gets k4k.safetensors, demo.safetensors (at most 3 MB), draft.tar (a small Transformer, what
``load_decoder`` opens) and the best student in pieces of 15 MB; what does not beat an earlier row is not written.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from cases import text_ids
from thrifty.models import Decoder, DecoderConfig, TrainSettings, load_decoder, save_decoder, train
from thrifty.models.evaluate import evaluate
from thrifty.models.export import save_pairlm
from thrifty.pairconnect import PairLM, PairSpec

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WHERE = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
PIECE = 15_000_000
FIRST = 40_000
"""Ids of the beginning of a split, for comparison with what is trained on a CPU."""


@dataclass(frozen=True)
class Student:
    """Sizes and settings of one."""

    name: str
    mixer: str = "pair"
    dim: int = 128
    hidden: int = 512
    layers: int = 2
    rows: int = 65_536
    window: int = 4
    pool: Any = "mean"
    dropout: float = 0.0
    tokens: int = 24_000_000
    share: float = 1.0
    temperature: float = 1.0
    noise: float = 0.0
    lr: float = 0.0
    table_lr: float = 0.0
    table_falls: bool = True
    batch: int = 32
    context: int = 256
    saved: str = ""

    @property
    def mixers(self) -> tuple[str, ...]:
        """Of each layer; a list has one for each."""
        return tuple(self.mixer.split(",")) if "," in self.mixer else (self.mixer,) * self.layers

    def config(self, vocab: int) -> DecoderConfig:
        pair = PairSpec(
            vocab=vocab,
            rows=self.rows,
            heads=4,
            head_dim=self.dim // 4,
            window=self.window,
            pool=self.pool,
            seed=1,
            dtype="i8",
        )
        return DecoderConfig(
            vocab=vocab,
            dim=self.dim,
            hidden=self.hidden,
            mixers=self.mixers,
            heads=max(4, self.dim // 64),
            pair=pair,
            dropout=self.dropout,
        )


TEACHER = Student(
    "teacher", mixer="attention", dim=512, hidden=1376, layers=12, dropout=0.2, tokens=40_000_000, lr=1e-3, batch=64
)
BASE = Student("k64k", saved="best")
SWEEP = replace(BASE, tokens=6_000_000, saved="")
STUDENTS = (
    Student("dropout .15", dropout=0.15, tokens=12_000_000, saved="best"),
    Student("noise .15", noise=0.15, tokens=12_000_000, saved="best"),
    Student("dropout .1 noise .1 long", dropout=0.1, noise=0.1, tokens=24_000_000, saved="best"),
    Student("demo a", layers=1, hidden=256, rows=8192, tokens=24_000_000, noise=0.1, saved="demo"),
    Student("dropout .15 softmax", dropout=0.15, pool="softmax", tokens=12_000_000, saved="best"),
    Student("window 3 dropout .1 noise .1", window=3, dropout=0.1, noise=0.1, saved="best"),
    Student("softmax dropout .1 noise .1", pool="softmax", dropout=0.1, noise=0.1, saved="best"),
    Student("dropout .05 noise .15", dropout=0.05, noise=0.15, saved="best"),
    Student("wide dropout .1 noise .1", dim=256, dropout=0.1, noise=0.1),
    Student("demo c", layers=1, hidden=256, rows=8192, tokens=40_000_000, noise=0.05, saved="demo"),
    Student("bare", tokens=12_000_000),
    Student("k4k noise .1", rows=4096, tokens=24_000_000, noise=0.1, saved="k4k"),
    Student("draft", mixer="attention", dim=256, hidden=688, dropout=0.1, tokens=20_000_000, saved="draft"),
    Student("dropout .3 noise .2", dropout=0.3, noise=0.2, tokens=16_000_000, saved="best"),
    Student("window 3", window=3, dropout=0.15, tokens=12_000_000, saved="best"),
    Student("demo b", layers=1, hidden=512, rows=4096, tokens=24_000_000, noise=0.1, saved="demo"),
    Student("temperature 2", temperature=2.0, dropout=0.15, tokens=12_000_000, saved="best"),
    Student("wide", dim=256, hidden=512, dropout=0.15, tokens=12_000_000, saved="best"),
    Student("no pair", mixer="none", tokens=12_000_000),
    Student("plain", share=0.0),
    Student("three layers", layers=3, dropout=0.15, tokens=12_000_000, saved="best"),
    Student("k256k", rows=262_144, dropout=0.15, tokens=12_000_000, saved="best"),
)


def small(student: Student) -> Student:
    """The same of toy size."""
    return replace(
        student,
        dim=32 if student.mixer == "pair" else 64,
        hidden=min(student.hidden, 64),
        layers=min(student.layers, 2),
        rows=min(student.rows, 512),
        tokens=6_000,
        context=32,
        batch=8,
    )


class Run:
    """Rows that are there, the clock, and the texts."""

    def __init__(self, arguments: Any, name: str, window: int = 64) -> None:
        self.window = window
        self.out: Path = arguments.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.file = self.out / f"{name}.jsonl"
        self.rows: dict[str, dict[str, Any]] = {}
        self.work: Path = arguments.work
        self.work.mkdir(parents=True, exist_ok=True)
        for kept in (arguments.kept, self.work / self.file.name, self.file):
            if kept is not None and kept.exists():
                self.rows |= {row["name"]: row for row in map(json.loads, kept.read_text().splitlines())}
        self.file.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()))
        self.text = text_ids.novels(arguments.ids)
        self.toy: bool = arguments.toy
        train_ids = self.text.train.ids[: 40_000 if self.toy else None]
        self.train = train_ids.astype(np.int64)
        self.valid = text_ids.first(self.text.valid, 2_000 if self.toy else None)
        self.test = text_ids.first(self.text.test, 2_000 if self.toy else None)
        self.begun = time.monotonic()
        self.end = self.begun + 60 * arguments.minutes
        self.precision: Any = "bf16" if DEVICE == "cuda" else "f32"

    def left(self) -> float:
        return self.end - time.monotonic()

    def add(self, row: dict[str, Any]) -> None:
        row |= {"where": WHERE, "torch": torch.__version__}
        self.rows[row["name"]] = row
        for path in (self.file, self.work / self.file.name):
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        self.say(json.dumps({k: row[k] for k in ("name", "seconds", "valid", "tokens_a_second")}))

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.begun:6.1f} s] {text}", flush=True)

    def trained(self, student: Student, teacher: Callable[[Any], Any] | None, seconds: float | None = None) -> Any:
        """Train one; return the model and its row."""
        torch.manual_seed(1)
        model = Decoder(student.config(self.text.vocab)).to(DEVICE)
        dense, tables = model.parameters_of()
        settings = TrainSettings(
            context=student.context,
            batch=student.batch,
            tokens=student.tokens,
            lr=student.lr,
            table_lr=student.table_lr or 1e-2,
            table_falls=student.table_falls,
            weight_decay=0.1 if "attention" in student.mixers else 0.01,
            teacher_share=student.share,
            teacher_temperature=student.temperature,
            noise=student.noise,
            precision=self.precision,
            seed=1,
        )
        steps = settings.steps

        def progress(_: str, step: int, __: int) -> None:
            if step % max(1, steps // 3) == 0:
                self.say(f"{student.name}: step {step} of {steps}")

        begun = time.monotonic()
        rows = train(
            model,
            self.train,
            settings,
            teacher=teacher if student.share else None,
            max_seconds=seconds,
            progress=progress,
        )
        took = time.monotonic() - begun
        row = {
            **asdict(student),
            "trained": rows[-1]["tokens"],
            "loss": rows[-1]["loss"],
            "seconds": round(took, 2),
            "tokens_a_second": round(rows[-1]["tokens"] / took),
            "parameters_dense": sum(p.numel() for p in dense),
            "parameters_tables": sum(p.numel() for p in tables),
            "valid": self.scored(model, self.valid),
        }
        if student.share:
            row["teacher"] = self.rows.get("teacher", {}).get("valid")
        return model, row

    def scored(self, model: Any, text: text_ids.Ids, window: int | None = None) -> dict[str, float]:
        """What a torch model comes to."""
        window = window or self.window
        content = bytes(int(text.ends[-1]))  # Ids are there: the text is needed for its length alone
        return evaluate(
            model,
            content,
            text,  # type: ignore[arg-type]
            window=window,
            stride=window // 2,
            precision=self.precision,
        )

    def of_file(self, path: Path) -> dict[str, Any]:
        """What a PairLM file comes to: the whole splits, and the first 40,000 ids of each."""
        model = PairLM.load(path)
        found = {}
        for name, text in (("valid", self.valid), ("test", self.test)):
            content = bytes(int(text.ends[-1]))
            found[name] = model.evaluate(content, encoding=text)  # type: ignore[arg-type]
            found[f"{name}_first"] = model.evaluate(content, encoding=text, max_tokens=FIRST)  # type: ignore[arg-type]
        return found


def the_teacher(run: Run, spec: Student) -> Any:
    """From an earlier command on this machine, or trained now."""
    folder = run.work / "teacher"
    if "teacher" in run.rows and (folder / "config.json").exists():
        model, _, training = load_decoder(folder, device=DEVICE)
        if training["valid"] == run.rows["teacher"]["valid"]:
            run.say("the teacher of an earlier command")
            return model
    model, row = run.trained(spec, None, seconds=min(170.0, run.left() / 2))
    for name, text in (("valid", run.valid), ("test", run.test)):
        row[name] = run.scored(model, text)
        row[f"{name}_first"] = run.scored(model, text_ids.first(text, FIRST))
        row[f"{name}_whole"] = run.scored(model, text, window=spec.context)
    save_decoder(model, folder, tokenizer=run.text.tokenizer, training={"valid": row["valid"]})
    run.add(row)
    return model


def rates(run: Run, teacher: Any) -> dict[str, Any]:
    """Learning rates by short runs, all on the validation text."""

    def measured(one: dict[str, Any]) -> float:
        name = "sweep " + " ".join(f"{k}={v:g}" for k, v in one.items())
        if name not in run.rows:
            spec = replace(small(SWEEP) if run.toy else SWEEP, name=name, **one)
            run.add(run.trained(spec, teacher)[1])
        return float(run.rows[name]["valid"]["perplexity"])

    pairs = ((3e-3, 1e-2), (6e-3, 1e-2), (3e-3, 3e-2), (3e-3, 3e-3), (1e-2, 1e-2))
    best = min(({"lr": lr, "table_lr": other, "table_falls": True} for lr, other in pairs), key=measured)
    return min(best, best | {"table_falls": False}, key=measured)


def save(run: Run, student: Student, model: Any, row: dict[str, Any]) -> None:
    """Write, score what was written, and keep it where it is the best of its kind."""
    note = {
        "distilled": student.share > 0,
        "teacher": {k: run.rows["teacher"][k] for k in ("dim", "layers", "valid")},
        **{k: row[k] for k in ("trained", "loss", "lr", "table_lr", "share", "temperature")},
        "text": "pgnovels, train",
    }
    if student.mixer == "pair":
        path = run.work / f"{student.name.replace(' ', '_')}.safetensors"
        save_pairlm(model, path, tokenizer=run.text.tokenizer, training=note)
        row["of_torch"] = row["valid"]
        row |= run.of_file(path)
        row["bytes"] = path.stat().st_size
    else:
        for name, text in (("valid", run.valid), ("test", run.test)):
            row[name] = run.scored(model, text)
            row[f"{name}_first"] = run.scored(model, text_ids.first(text, FIRST))
    rivals = [r for r in run.rows.values() if student.saved and r.get("saved") == student.saved]
    beaten = all(row["valid"]["perplexity"] < r["valid"]["perplexity"] for r in rivals if r.get("written"))
    limit = {"demo": 3_000_000, "best": 2 * PIECE, "k4k": PIECE, "draft": PIECE}.get(student.saved, 0)
    row["written"] = bool(student.saved) and beaten and row.get("bytes", 0) <= limit
    if not row["written"]:
        return
    if student.mixer != "pair":
        save_decoder(model, run.work / "draft", tokenizer=run.text.tokenizer, training=note, dtype="bf16")
        with tarfile.open(run.out / "draft.tar", "w") as tar:
            tar.add(run.work / "draft", "draft")
        return
    content = path.read_bytes()
    name = f"{student.saved}.safetensors"
    if student.saved != "best":
        (run.out / name).write_bytes(content)
        return
    for old in run.out.glob(f"{name}.*"):
        old.unlink()
    for i in range(0, len(content), PIECE):
        (run.out / f"{name}.{i // PIECE}").write_bytes(content[i : i + PIECE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kept", type=Path, help="rows of an earlier command")
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair_gpu"))
    parser.add_argument("--only", help="names of students, separated by commas")
    parser.add_argument("--toy", action="store_true")
    arguments = parser.parse_args()
    run = Run(arguments, "pair_gpu")
    torch.set_float32_matmul_precision("high")
    only = arguments.only.split(",") if arguments.only else None
    wanted = [s for s in STUDENTS if s.name not in run.rows and (only is None or s.name in only)]
    run.say(f"{WHERE}; {len(run.rows)} rows are there, {len(wanted)} students to come")
    if not wanted:
        return
    teacher = the_teacher(run, small(TEACHER) if run.toy else TEACHER).requires_grad_(False)
    best = rates(run, teacher)
    run.say(f"learning rates {best}")
    pace = 0.0
    for student in wanted:
        settings = best if student.mixer == "pair" else {"lr": 2e-3}
        spec = replace(small(student) if run.toy else student, **settings)
        if run.left() < 10 + 1.2 * pace * spec.tokens:
            run.say(f"{student.name}: not run, {run.left():.0f} s are left")
            continue
        model, row = run.trained(spec, teacher)
        save(run, spec, model, row)
        run.add(row)
        pace = row["seconds"] / row["trained"]
        del model
    run.say("end")


if __name__ == "__main__":
    main()
