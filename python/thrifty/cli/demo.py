"""``thrifty demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
