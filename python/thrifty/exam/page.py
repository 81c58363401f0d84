"""Exams as a report, and the records of a score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.exam.page_compare import comparison_section
from thrifty.exam.scoring.compare import compare
from thrifty.exam.scoring.curves import isotonic, isotonic_band, reliability, risk_coverage
from thrifty.exam.scoring.score import clusters_of, score
from thrifty.report import Figure, Section, Series, Table, write

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from thrifty.exam.graded import Graded
    from thrifty.exam.scoring.score import Score
    from thrifty.report import Bars, Grid

    Record = Figure | Series | Bars | Grid | Table

__all__ = ["score_section", "write_report"]

#: Points of a curve, and rows of a list, at most.
POINTS, ROWS = 60, 200
#: Letters of a response.
LETTERS = 200


def write_report(
    folder: str | os.PathLike[str],
    first: Graded,
    second: Graded | None = None,
    *,
    delta: float = 0.01,
    resamples: int = 10_000,
    seed: int = 0,
) -> Path:
    """Write report.html and results.json of a run, or of two and what the second one lost; return the page's path.

    Where one has a canary, ids and verdicts are all that is written of questions and answers, and the canary with them.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    first, second : Graded
        Runs on the same questions.
    delta, resamples, seed
        As of :func:`thrifty.exam.compare`.

    Raises
    ------
    MismatchError
        When two runs can't be compared.
    """
    runs = [first] if second is None else [first, second]
    canary = next((run.canary for run in runs if run.canary), "")
    runs = [replace(run, canary=run.canary or canary) for run in runs]
    sections = []
    if second is not None:
        sections.append(comparison_section(compare(*runs, delta=delta, resamples=resamples, seed=seed)))
    for key, run in zip(("first", "second"), runs, strict=False):
        sections.append(score_section(run, score(run, resamples=resamples, seed=seed), key))
    names = " and ".join(run.name or "a run" for run in runs)
    return write(folder, f"Exam: {names}", sections, note=canary)


def score_section(graded: Graded, found: Score, key: str = "run") -> Section:
    """Return the records of one run; ``key`` begins their ids.

    With a canary there are ids and verdicts alone: no text of an answer.
    """
    m = found.metrics
    text = f"{m.right:,} of {m.answers:,} answers to {found.questions:,} questions are right."
    if found.epochs > 1:
        text += f" Each was asked up to {found.epochs} times; intervals take questions, not answers, as independent."
    if found.unscored:
        text += f" {len(found.unscored):,} could not be graded and count as wrong."
    if m.not_stated:
        text += f" {m.not_stated:,} state no confidence: measures of calibration leave them out."
    if found.undefined:
        text += f"\n\n{found.undefined[0].upper()}{found.undefined[1:]}."
    records: list[Record] = [*_figures(found, key), *_diagrams(graded, key)]
    records.append(
        Table(
            f"{key}_subjects",
            "Subjects",
            ["subject", "answers", "right", "accuracy", "95 % from", "to", ""],
            [
                [s.name or "-", s.answers, s.right, s.accuracy, s.low, s.high, "few answers" if s.few else ""]
                for s in found.subjects
            ],
        )
    )
    records += _lists(graded, found, key)
    return Section(key, graded.name or "Run", text, records)


def _figures(found: Score, key: str) -> list[Figure]:
    m = found.metrics
    clustered = found.clustered
    wide = m.wilson if clustered is None else (clustered.low, clustered.high)
    kind = "Wilson, 95 %" if clustered is None else f"score interval over {clustered.clusters:,} clusters, 95 %"
    figures = [Figure(f"{key}_accuracy", "Accuracy", m.accuracy, interval=wide, source=kind)]
    for name, title, error in (
        ("rmsce", "Calibration error, all bins", found.rmsce),
        ("rmsce_hle", "Calibration error as published", found.rmsce_hle),
    ):
        if error is not None:
            between = found.intervals.get(name)
            source = "bootstrap, 95 %; " if between else ""
            source += f"{error.low:.4f} to {error.high:.4f} in all orders of equal confidences"
            if error.not_stated:
                source += f"; {error.as_certain:.4f} where not stated is taken as 100 %"
            figures.append(Figure(f"{key}_{name}", title, error.value, interval=between, source=source))
    titles = {
        "brier": "Brier score",
        "ece": "Expected calibration error, 15 bins",
        "auroc": "Right above wrong in confidence (AUROC)",
        "aurc": "Mean risk over coverage (AURC)",
        "mean_confidence": "Mean confidence",
    }
    for name, title in titles.items():
        value = getattr(m, name)
        if not math.isnan(value):
            between = found.intervals.get(name)
            source = "bootstrap, 95 %" if between else ""
            figures.append(Figure(f"{key}_{name}", title, value, interval=between, source=source))
    for name, rate, unit in (
        ("per_second", found.per_second, "right answers a second"),
        ("per_kilojoule", found.per_kilojoule, "right answers a kilojoule"),
    ):
        if rate is not None:
            figures.append(
                Figure(f"{key}_{name}", unit[0].upper() + unit[1:], rate.value, interval=(rate.low, rate.high),
                       source=rate.source)
            )  # fmt: skip
    return figures


def _diagrams(graded: Graded, key: str) -> list[Series]:
    confidence, correct = graded.confidence, graded.correct
    bins = reliability(confidence, correct)
    if not bins:
        return []
    values, fit = (_thinned(v) for v in isotonic(confidence, correct))
    clusters = clusters_of(graded.answers)
    low, high = (_thinned(v) for v in isotonic_band(confidence, correct, clusters=clusters))
    x = np.unique(np.concatenate([[0.0, 1.0], [b.confidence for b in bins], values]))

    def over(at: Sequence[float], y: Sequence[float]) -> list[float]:
        known = dict(zip(map(float, at), map(float, y), strict=True))
        return [known.get(float(place), math.nan) for place in x]

    means = [b.confidence for b in bins]
    label = "share that is right"
    counts = dict(zip(means, (f"{b.answers:,}" for b in bins), strict=True))
    diagram = Series(
        f"{key}_reliability",
        "Share that is right by stated confidence: numbers of answers, Wilson intervals, 95 % of resampled fits",
        x.tolist(),
        {
            label: over(means, [b.accuracy for b in bins]),
            "isotonic fit": over(values.tolist(), fit.tolist()),
            "as stated": over([0.0, 1.0], [0.0, 1.0]),
        },
        lo={label: over(means, [b.low for b in bins]), "isotonic fit": over(values.tolist(), low.tolist())},
        hi={label: over(means, [b.high for b in bins]), "isotonic fit": over(values.tolist(), high.tolist())},
        x_label="confidence",
        y_label="share right",
        dots=(label,),
        notes={label: [counts.get(float(place), "") for place in x]},
    )
    coverage, risk = (_thinned(v) for v in risk_coverage(confidence, correct))
    curve = Series(
        f"{key}_risk",
        "Share that is wrong among the most confident answers",
        coverage.tolist(),
        {"wrong": risk.tolist()},
        x_label="share of answers given",
        y_label="share wrong",
    )
    return [diagram, curve]


def _thinned(values: np.ndarray) -> np.ndarray:
    """Keep so many points at most, the first and the last among them."""
    if len(values) <= POINTS:
        return values
    kept: np.ndarray = values[np.linspace(0, len(values) - 1, POINTS).round().astype(int)]
    return kept


def _lists(graded: Graded, found: Score, key: str) -> list[Table]:
    """List what became of answers, those that are not right first with a text, and where the run comes from."""
    tables = [
        Table(f"{key}_statuses", "What became of the requests", ["status", "answers"], list(found.statuses.items()))
    ]
    if found.unscored:
        rows = [list(pair) for pair in found.unscored[:ROWS]]
        title = f"Answers that nobody could grade{_of(len(found.unscored))}"
        tables.append(Table(f"{key}_unscored", title, ["id", "repeat"], rows))
    wrong = [answer for answer in graded.answers if answer.correct is not True]
    shown = [
        [a.id, a.epoch, "unscored" if a.correct is None else "wrong", a.rule, _percent(a.confidence)]
        + ([] if graded.canary else [a.response[-LETTERS:]])
        for a in wrong[:ROWS]
    ]
    columns = ["id", "repeat", "verdict", "by", "confidence"] + ([] if graded.canary else ["end of the response"])
    tables.append(Table(f"{key}_wrong", f"Answers that are not right{_of(len(wrong))}", columns, shown))
    known: dict[str, Any] = graded.provenance | graded.usage
    if graded.joules is not None:
        known |= {"joules": graded.joules, "joules_source": graded.joules_source}
    rows = [[name, _value(value)] for name, value in known.items()]
    tables.append(Table(f"{key}_provenance", "Where it comes from", ["", ""], rows))
    return tables


def _of(count: int) -> str:
    return f": the first {ROWS} of {count:,}" if count > ROWS else ""


def _percent(confidence: float | None) -> str:
    return "not stated" if confidence is None else f"{100 * confidence:g} %"


def _value(value: Any) -> Any:
    """Show numbers as numbers, all else as short text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return str(value)[:LETTERS]
