"""``thrifty scaling``: laws of loss fitted to runs, and models planned by them."""

from __future__ import annotations

import typer

from thrifty.cli import scaling_design, scaling_fit, scaling_plan, scaling_predict, scaling_report, scaling_train
from thrifty.cli.calibrate import calibrate_to

__all__ = ["app"]

app = typer.Typer(
    help="Fit laws of loss to training runs, predict larger ones, plan what to build.", no_args_is_help=True
)


@app.callback()
def scaling() -> None:
    """Fit laws of loss to training runs, predict larger ones, plan what to build."""


app.command()(scaling_fit.fit)
app.command()(scaling_predict.predict)
app.command()(scaling_report.compare)
app.command()(scaling_report.report)
app.command()(scaling_plan.plan)
app.command()(scaling_design.design)
app.command("calibrate")(calibrate_to)
app.command("train")(scaling_train.train)
