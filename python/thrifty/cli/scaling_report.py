"""``thrifty scaling compare`` and ``report``: two fits side by side; a page and plots of one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.cli.scaling_runs import FitPath, fit_from

if TYPE_CHECKING:
    from thrifty.scaling import FitComparison

__all__ = ["compare", "report"]


def compare(first: FitPath, second: FitPath, json_: common.Json = False) -> None:
    """Tell whether two fits agree: coefficients side by side, and predictions over the range that both cover."""
    from thrifty.scaling import compare_fits

    found = compare_fits(fit_from(first), fit_from(second))
    if json_:
        coefficients = [asdict(one) | {"agree": one.agree} for one in found.coefficients]
        values: dict[str, Any] = common.finite(asdict(found) | {"coefficients": coefficients})
        common.emit(values)
    else:
        show(found, str(first), str(second))


def show(found: FitComparison, first: str, second: str) -> None:
    """Print a comparison for people."""
    rows = [("first", first), ("second", second)]
    rows += [("differs" if i == 0 else "", text) for i, text in enumerate(found.differences)]
    for one in found.coefficients:
        agree = {None: "", True: "", False: "   apart"}[one.agree]
        rows.append(
            (one.name, f"{value(one.first, one.first_interval)}; {value(one.second, one.second_interval)}{agree}")
        )
    if found.runs:
        n, d = found.worst_at
        rows.append(
            (
                "predictions",
                f"{100 * found.mean:.3g} % apart on average, {100 * found.worst:.3g} % at most (at {n:.3g} parameters, "
                f"{d:.3g} tokens), over {found.runs} runs in the range of both",
            )
        )
        verdict = "they agree" if found.agree else "they do not agree"
        rows.append(("verdict", f"{verdict}: {100 * found.within:.0f} % of those lie within the other's 95 % interval"))
    else:
        rows.append(("verdict", "nobody can tell: the fits have no range, unit or count of parameters in common"))
    common.table("scaling compare", rows)


def value(number: float | None, interval: tuple[float, float] | None) -> str:
    """Write a coefficient with its interval."""
    if number is None or interval is None:
        return "none"
    return f"{number:.5g} ({interval[0]:.4g} to {interval[1]:.4g})"


def report(
    fit: FitPath,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the page.")] = Path("scaling-report"),
    html: Annotated[bool, typer.Option("--html/--no-html", help="Write report.html and results.json.")] = True,
    plots: Annotated[
        str | None, typer.Option("--plots", metavar="png|svg|pdf", help="Write every plot as a file, too.")
    ] = None,
    json_: common.Json = False,
) -> None:
    """Write a page of a fit: the law and its intervals, residuals, curves of equal compute, influence of runs."""
    from thrifty.report import FILES
    from thrifty.scaling.page import fit_sections, write_report
    from thrifty.scaling.plots import KINDS, write_plots

    if plots is not None:
        common.one_of("--plots", plots, KINDS)
    elif not html:
        raise typer.BadParameter("--no-html without --plots: nothing is left to write")
    common.writable(out, "the report", folder=True)
    for name in FILES:
        common.apart(out / name, "the report", (fit,))
    law = fit_from(fit)
    page = write_report(out, law) if html else None
    files = [] if plots is None else write_plots(out, fit_sections(law), plots)
    if json_:
        results = None if page is None else str(page.with_name("results.json"))
        common.emit(
            {"report": None if page is None else str(page), "results": results, "plots": [str(file) for file in files]}
        )
    else:
        rows = [] if page is None else [("page", str(page))]
        common.table("scaling report", rows + [("plot", str(file)) for file in files])
