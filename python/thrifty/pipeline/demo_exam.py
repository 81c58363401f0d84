"""The demo of exam: a language model and cheaper ones take one exam, and what that proves."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from thrifty.exam import (
    Comparison,
    ContinuationExam,
    Graded,
    Question,
    Score,
    compare,
    contamination,
    continuations,
    reliability,
    score,
)
from thrifty.pairconnect import PairLM
from thrifty.pipeline.data import novels
from thrifty.report import Bars, Figure, Section, Series, Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from thrifty.exam.contamination import Contamination

    Progress = Callable[[str, int, int], object]

__all__ = ["TAKERS", "Taken", "asked", "takes", "tell"]

#: Questions; the least characters of a novel that gives some; loss of accuracy that would matter.
QUESTIONS, LEAST, DELTA = 800, 5_000, 0.01
#: Characters of a passage, and of an option: so few that questions share no text.
PASSAGE, OPTION = 64, (24, 40)
#: Questions made of text that the model did learn from, which the check must find.
CONTROL = 50
#: Who takes the exam: the file, and what its dense weights are rounded to.
TAKERS: dict[str, tuple[str, Literal["f32", "bf16", "i8"]]] = {
    "PairLM": ("model", "f32"),
    "its twin of bytes": ("model", "i8"),
    "a smaller PairLM": ("small", "f32"),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """An exam that a model took: grades, and what it cost."""

    graded: Graded
    cpu_seconds: float
    dense_bytes: int

    @property
    def per_second(self) -> float:
        """Right answers a CPU-second."""
        return float(self.graded.correct.sum()) / self.cpu_seconds


def asked(seed: int) -> ContinuationExam:
    """Make the exam of the novels' ends, which the models have not seen."""
    text = (novels() / "held-back.txt").read_bytes()
    spans: dict[str, list[tuple[int, int]]] = json.loads((novels() / "held-back.json").read_text())
    books = {name: b" ".join(text[a:b] for a, b in parts).decode() for name, parts in spans.items()}
    long_ones = {name: book for name, book in books.items() if len(book) >= LEAST}
    return continuations(long_ones, QUESTIONS, context=PASSAGE, length=OPTION, seed=seed)


def takes(exam: ContinuationExam, name: str, threads: int, progress: Progress | None) -> Taken:
    """Let a model take it."""
    file, precision = TAKERS[name]
    model = PairLM.load(novels() / f"{file}.safetensors", precision=precision)

    def log_likelihoods(pairs: object) -> object:
        return model.log_likelihoods(pairs, threads=threads, progress=progress)  # type: ignore[arg-type]

    begun = time.process_time()
    graded = exam.grade(log_likelihoods, name=name)  # type: ignore[arg-type]
    return Taken(graded, time.process_time() - begun, model.nbytes[0])


def tell(folder: Path, *, full: bool, threads: int, seed: int, progress: Progress | None) -> Section:
    """Make the exam, look for it in what was learned, let three models take it, and compare."""
    del full  # all of it takes seconds
    exam = asked(seed)
    # Passages run over the ends of paragraphs, which are lines.
    clean, control = (
        contamination(one, novels() / "novels.txt.xz", within="document", threads=threads)
        for one in (exam.dataset, learned(seed))
    )
    taken = {name: takes(exam, name, threads, progress) for name in TAKERS}
    plain, twin, small = taken.values()
    scores = {name: score(one.graded, resamples=2_000, seed=seed) for name, one in taken.items()}
    first = next(iter(scores.values()))
    verdicts = {name: compare(plain.graded, one.graded, delta=DELTA, seed=seed) for name, one in taken.items()}
    del verdicts["PairLM"]
    of_twin, of_small = verdicts.values()
    return Section(
        "exam",
        "exam: did the cheaper one lose anything?",
        story(exam, clean, control, of_twin, of_small),
        [
            Figure(
                "exam.accuracy",
                "Right continuations",
                100 * first.metrics.accuracy,
                "%",
                baseline=25.0,
                ratio=first.metrics.accuracy / 0.25,
                interval=percent(interval(first)),
                source=f"of {len(exam)} questions, 95 %; beside it who guesses",
            ),
            Figure(
                "exam.twin_accuracy",
                "Its twin of bytes",
                100 * float(twin.graded.correct.mean()),
                "%",
                baseline=100 * first.metrics.accuracy,
                interval=percent(interval(scores["its twin of bytes"])),
                source=of_twin.sentence,
            ),
            Figure(
                "exam.twin_bytes",
                "Dense weights of the twin",
                twin.dense_bytes / 1e3,
                "kB",
                baseline=plain.dense_bytes / 1e3,
                ratio=plain.dense_bytes / twin.dense_bytes,
                source="rounded to bytes with a factor a row; beside it f32",
            ),
            Figure(
                "exam.per_second",
                "Right answers of the twin",
                twin.per_second,
                "a CPU-second",
                baseline=plain.per_second,
                ratio=twin.per_second / plain.per_second,
                source="four options behind five passages each; beside it the model it was rounded from",
            ),
            Figure(
                "exam.small_accuracy",
                "A smaller model",
                100 * float(small.graded.correct.mean()),
                "%",
                baseline=100 * first.metrics.accuracy,
                interval=percent(interval(scores["a smaller PairLM"])),
                source=of_small.sentence,
            ),
            Figure(
                "exam.calibration",
                "Calibration error",
                calibration(first),
                "points",
                baseline=calibration(scores["a smaller PairLM"]),
                source="root mean square over bins of 100, mean confidence "
                f"{100 * first.metrics.mean_confidence:.0f} %; beside it the smaller model's",
            ),
            Figure(
                "exam.contaminated",
                "Questions that stand in what the model learned from",
                len(clean.hits),
                "questions",
                baseline=len(control.hits),
                source=f"word 13-grams of {clean.questions}, in the {clean.corpus_bytes:,} bytes of it that are here; "
                f"beside it {control.questions} questions that were made of those bytes",
            ),
            Bars(
                "exam.takers",
                "Right of the same questions",
                {name: 100 * s.metrics.accuracy for name, s in scores.items()} | {"who guesses": 25.0},
                "%",
                ours="its twin of bytes",
            ),
            diagram(plain.graded),
            Table(
                "exam.verdicts",
                f"Against {plain.graded.name}, question by question",
                ["model", "right", "lost", "won", "difference, points", "from", "to", "verdict"],
                [row(name, verdict) for name, verdict in verdicts.items()],
            ),
            Table(
                "exam.novels",
                "By novel",
                ["novel", "questions", "right, %", "from", "to", "few"],
                [
                    (s.name, s.answers, 100 * s.accuracy, 100 * s.low, 100 * s.high, "yes" if s.few else "")
                    for s in first.subjects
                ],
            ),
            question(exam, plain.graded),
        ],
    )


def learned(seed: int) -> list[Question]:
    """Make questions of the text that the model learned from."""
    import lzma

    text = lzma.decompress((novels() / "novels.txt.xz").read_bytes()).decode()
    return list(continuations(text, CONTROL, seed=seed).dataset)


def story(
    exam: ContinuationExam, clean: Contamination, control: Contamination, twin: Comparison, small: Comparison
) -> str:
    """Tell what was done."""
    return (
        f"An exam for models too small for any other: {len(exam)} passages of novels' ends, which were held back, each "
        "with four continuations from the same novel, as long as each other and cut alike. A model chooses the one "
        "that the passage makes likelier than other passages do; its confidence is that option's share. Who knows "
        "nothing of the passage is right in a quarter.\n\n"
        "First, whether the exam stands in the text that was learned from, as far as that is in the package: "
        f"{len(clean.hits)} of {clean.questions} questions share a run of 13 words with it. That the check can find "
        f"some is seen on {control.questions} questions made of that very text, of which it finds "
        f"{len(control.hits)}.\n\nThen the question that every saving must answer: is the cheaper system as good? The "
        f"twin has its dense weights rounded to bytes. Its verdict on the same questions: {twin.sentence}. That of a "
        f"smaller model, by the same test: {small.sentence}."
    )


def interval(found: Score) -> tuple[float, float]:
    """Of the accuracy, over clusters where there are some."""
    return (found.clustered.low, found.clustered.high) if found.clustered else found.metrics.wilson


def percent(of: tuple[float, float]) -> tuple[float, float]:
    """Shares in percent."""
    return 100 * of[0], 100 * of[1]


def calibration(found: Score) -> float:
    """Return the error over all bins, in points; nan where it has none."""
    return 100 * found.rmsce.value if found.rmsce else float("nan")


def row(name: str, found: Comparison) -> tuple[object, ...]:
    """One comparison as a line of the table."""
    d = found.decision
    return (
        name,
        f"{100 * found.second_accuracy:.1f} %",
        d.first_only,
        d.second_only,
        100 * d.difference,
        100 * d.score_low,
        100 * d.score_high,
        found.verdict,
    )


def diagram(graded: Graded) -> Series:
    """How often answers of like confidence are right."""
    bins = reliability(graded.confidence, graded.correct, bins=10)
    x = [100 * b.confidence for b in bins]
    return Series(
        "exam.reliability",
        "Right answers by confidence",
        x,
        {"right": [100 * b.accuracy for b in bins], "as it should be": x},
        lo={"right": [100 * b.low for b in bins]},
        hi={"right": [100 * b.high for b in bins]},
        x_label="mean confidence, %",
        y_label="right, % (numbers: answers)",
        dots=("right",),
        notes={"right": [f"{b.answers}" for b in bins]},
    )


def question(exam: ContinuationExam, graded: Graded) -> Table:
    """Show a question, the surest that was answered wrong; the least sure one, were none wrong."""
    whole = bool(graded.correct.all())
    at = int(np.argmin(graded.confidence) if whole else np.argmax(np.where(graded.correct, -1.0, graded.confidence)))
    word, sure = "Right" if whole else "Wrong", graded.confidence[at]
    item, answer = exam.items[at], graded.answers[at]
    rows = [("the passage", f"... {item.context} ...")]
    for letter, option in zip("ABCD", item.options, strict=True):
        marks = [("the real one", letter == "ABCD"[item.answer]), ("chosen", letter == answer.response)]
        said = ", ".join(word for word, holds in marks if holds)
        rows.append((letter + (f" ({said})" if said else ""), f"...{option}"))
    return Table("exam.question", f"{word} with {100 * sure:.0f} % of confidence, of {item.book}", ["", "text"], rows)
