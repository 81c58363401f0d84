"""``thrifty exam report``: a page of one run, or of two and their comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thrifty.cli import common
from thrifty.cli.exam_compare import Delta  # noqa: TC001 - the parser reads annotations
from thrifty.cli.exam_score import Grader, Questions, Resamples, RunPath, read

__all__ = ["report"]


def report(
    run: RunPath,
    second: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="To be compared with the first one.")] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the page.")] = Path("exam-report"),
    delta: Delta = 0.01,
    resamples: Resamples = 10_000,
    grader: Grader = None,
    dataset: Questions = None,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Write a page of a graded run: calibration, subjects, what could not be graded; with a second run, what it lost.

    Where the data set has a canary, the page has ids and verdicts, and no text of a question or an answer.
    """
    from thrifty.exam.page import write_report

    common.writable(out, "the report", folder=True)
    runs = read([path for path in (run, second) if path is not None], grader, dataset)
    page = write_report(out, *runs, delta=delta, resamples=resamples, seed=seed)
    if json_:
        common.emit({"report": str(page), "results": str(page.with_name("results.json"))})
    else:
        common.table("exam report", [("page", str(page))])
