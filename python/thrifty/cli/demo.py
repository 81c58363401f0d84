"""``thrifty demo``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from thrifty.cli import common

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html and results.json.")] = Path("demo-out"),
    part: Annotated[str | None, typer.Option("--part", help="Only this part.")] = None,
    full: Annotated[bool, typer.Option("--full", help="With what takes longer or needs extras.")] = False,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Run the parts on real data that ships in the package; writes OUT/report.html and results.json."""
    from thrifty.pipeline.demo import run

    with common.progress() as callback:
        results = run(out, part=part, full=full, threads=threads, seed=seed, progress=callback)
    if json_:
        common.emit(results)
    else:
        show(json.loads((out / "results.json").read_text(encoding="utf-8")), results["report"])


def show(results: dict[str, Any], page: str) -> None:
    """Print the figures of each part, and where the page is."""
    from rich.console import Console
    from rich.table import Table

    from thrifty.report.svg import number

    grid = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "value", "baseline", "better"):
        grid.add_column(column, justify="right" if column else "left", overflow="fold")
    for section in results["sections"]:
        grid.add_row(section["id"], style="bold")
        for record in section["records"]:
            if "value" in record:
                value, baseline, ratio = (
                    "" if record[name] is None else number(record[name]) for name in ("value", "baseline", "ratio")
                )
                grid.add_row(
                    f"  {record['title']}", f"{value} {record['unit']}".strip(), baseline, f"{ratio}x" if ratio else ""
                )
    Console(highlight=False, markup=False).print(grid)
    sys.stdout.write(f"\nreport: {page}\n")
