"""``thrifty exam``: exams of models, graded, scored and compared."""

from __future__ import annotations

import typer

from thrifty.cli import exam_compare, exam_contamination, exam_grade, exam_report, exam_run, exam_score

__all__ = ["app"]

app = typer.Typer(help="Give a model an exam, grade it, tell whether another one does as well.", no_args_is_help=True)


@app.callback()
def exam() -> None:
    """Give a model an exam, grade it, tell whether another one does as well."""


app.command()(exam_run.run)
app.command()(exam_grade.grade)
app.command()(exam_score.score)
app.command()(exam_compare.compare)
app.command()(exam_contamination.contamination)
app.command()(exam_report.report)
