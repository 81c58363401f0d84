"""``thrifty exam score``: what a graded run comes to."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common

if TYPE_CHECKING:
    from thrifty.exam import Graded, Score

__all__ = ["SUBJECTS", "Grader", "Questions", "Resamples", "RunPath", "read", "score"]

#: Subjects that people are shown.
SUBJECTS = 15

RunPath = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of a graded run, or a file of Inspect, lm-eval or the HLE repository."),
]
Grader = Annotated[
    str | None,
    typer.Option("--grader", metavar="NAME", help="Whose grades, where a file of others has several; a run has one."),
]
Questions = Annotated[
    Path | None,
    typer.Option(
        "--dataset",
        metavar="DATASET",
        help="Questions of a file of others: rules grade what was not graded, and what was not answered is wrong. "
        "Of a run: it must be its data set.",
    ),
]
Resamples = Annotated[int, typer.Option("--resamples", min=0, max=1_000_000, help="Of the bootstrap; 0: none.")]


def score(
    run: RunPath,
    resamples: Resamples = 10_000,
    label_noise: Annotated[
        float, typer.Option("--label-noise", min=0, max=1, help="Share of reference answers that may be wrong.")
    ] = 0.0,
    grader: Grader = None,
    dataset: Questions = None,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Tell accuracy and calibration of a graded run, with intervals, by subject, per second and per kilojoule."""
    from thrifty.exam import score as scored

    (graded,) = read([run], grader, dataset)
    if not graded.answers:
        raise typer.BadParameter(f"{run} has no answers")
    found = scored(graded, resamples=resamples, seed=seed, label_noise=label_noise)
    if json_:
        common.emit(told(graded, found))
    else:
        show(found)


def read(runs: list[Path], grader: str | None, dataset: Path | None) -> list[Graded]:
    """Read graded runs, and files of others with the data set that they are to."""
    from thrifty.exam import load, read_graded

    if grader is not None and all(path.is_dir() for path in runs):
        raise typer.BadParameter("--grader chooses among the grades of a file of others; a run's folder has one")
    questions = None if dataset is None else load(dataset)
    # Beside a file of others, a run's folder is read as it is.
    return [read_graded(path, grader=None if path.is_dir() else grader, dataset=questions) for path in runs]


def told(graded: Graded, found: Score) -> dict[str, Any]:
    """Return a score as JSON has it: measures side by side, null where one is undefined."""
    values = asdict(found)
    measures = values.pop("metrics")
    rest = {
        "rejected": graded.provenance.get("rejected"),
        "usage": graded.usage,
        "joules": graded.joules,
        "joules_source": graded.joules_source,
    }
    whole: dict[str, Any] = common.finite(measures | values | rest | {"provenance": graded.provenance})
    return whole


def show(found: Score) -> None:
    """Print it for people."""
    m = found.metrics
    rows = [
        ("answers", f"{m.answers:,} to {found.questions:,} questions, {m.right:,} right"),
        ("accuracy", f"{100 * m.accuracy:.2f} %, {between(m.wilson)} (Wilson)"),
    ]
    if found.clustered is not None:
        c = found.clustered
        rows.append(("", f"{between((c.low, c.high))} (over {c.clusters:,} clusters)"))
    for key, name, error in (
        ("rmsce", "calibration error", found.rmsce),
        ("rmsce_hle", "as published", found.rmsce_hle),
    ):
        if error is not None:
            ends = found.intervals.get(key)
            spread = "" if ends is None else f", {ends[0]:.4f} to {ends[1]:.4f}"
            orders = f" ({error.low:.4f} to {error.high:.4f} in all orders of ties)" if error.low < error.high else ""
            rows.append((name, f"{error.value:.4f}{spread}{orders}"))
    if found.undefined:
        rows.append(("", found.undefined))
    for name in ("ece", "brier", "log_loss", "auroc", "aurc"):
        value, interval = getattr(m, name), found.intervals.get(name)
        if not math.isnan(value):
            spread = "" if interval is None else f", {interval[0]:.4f} to {interval[1]:.4f}"
            rows.append((name, f"{value:.4f}{spread}"))
    for name, rate in (("right a second", found.per_second), ("right a kilojoule", found.per_kilojoule)):
        if rate is not None:
            rows.append((name, f"{rate.value:.4g}, {rate.low:.4g} to {rate.high:.4g} ({rate.source})"))
    if found.label_bounds is not None:
        rows.append(("were labels wrong", f"{between(found.label_bounds)}"))
    rows += [(f"status {name}", f"{count:,}") for name, count in found.statuses.items()]
    common.table(found.name or "score", rows + subjects(found))
    if len(found.subjects) > SUBJECTS:
        common.note(f"the {SUBJECTS} worst of {len(found.subjects):,} subjects; --json has all")
    if found.unscored:
        common.note(f"{len(found.unscored):,} answers that nobody could grade count as wrong")
    if m.not_stated:
        common.note(f"{m.not_stated:,} answers state no confidence and are left out of calibration")


def subjects(found: Score) -> list[tuple[str, str]]:
    """Return rows of the worst subjects: those surely bad, by the upper end of the interval, not by few answers."""
    if len(found.subjects) < 2:
        return []
    worst = sorted(found.subjects, key=lambda subject: (subject.high, subject.name))[:SUBJECTS]
    return [
        (
            one.name or "-",
            f"{one.right:,} of {one.answers:,}, {between((one.low, one.high))}{', few answers' if one.few else ''}",
        )
        for one in worst
    ]


def between(interval: tuple[float, float]) -> str:
    """Write an interval of shares in percent."""
    return f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f} %"
