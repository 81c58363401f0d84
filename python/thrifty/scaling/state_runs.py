"""Runs as numbers and texts, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.scaling.checked import positive, text, texts, whole
from thrifty.scaling.runs import Runs, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_RUNS", "runs_in", "runs_out"]

MOST_RUNS = 1_000_000
ARRAYS = ("n_params", "n_tokens", "loss", "d_model", "n_layers")


def runs_out(runs: Runs) -> dict[str, Any]:
    """Return what :func:`runs_in` makes the same runs of, less the columns that laws do not know."""
    return {
        "source": asdict(runs.source),
        "rows": len(runs),
        "counted": runs.counted,
        "columns": {name: getattr(runs, name) for name in ARRAYS},
        "sizes": dict(runs.sizes),
        "names": list(runs.names),
        "lines": runs.lines,
        "notes": list(runs.notes),
    }


def runs_in(given: Mapping[str, Any]) -> Runs:
    """Return checked runs; a ValueError, KeyError or TypeError where they are none."""
    rows = whole(given["rows"], "runs.rows", MOST_RUNS, least=1)
    if given["counted"] not in ("total", "non_embedding"):
        raise ValueError("runs.counted is neither total nor non_embedding")
    columns: dict[str, Any] = {}
    for name in ARRAYS:
        values = given["columns"][name]
        columns[name] = None if values is None and name not in ARRAYS[:3] else positive(values, name, rows)
    sizes = {text(kind, "runs.sizes"): positive(values, "runs.sizes", rows) for kind, values in given["sizes"].items()}
    if set(sizes) - {"total", "non_embedding"}:
        raise ValueError("runs.sizes are neither total nor non_embedding")
    names = texts(given["names"], "runs.names", rows) if given["names"] else ()
    lines = given["lines"]
    if lines is not None and not (isinstance(lines, np.ndarray) and lines.dtype == np.int64 and lines.shape == (rows,)):
        raise ValueError("runs.lines are no whole numbers of all runs")
    source = given["source"]
    return Runs(
        **columns,
        names=names,
        columns={"run": names} if names else {},
        lines=lines,
        counted=given["counted"],
        source=Source(
            text(source["path"], "source.path"),
            text(source["sha256"], "source.sha256"),
            _pairs(source["where"]),
            _pairs(source["columns"]),
            text(source["unit"], "source.unit"),
        ),
        sizes=sizes,
        notes=tuple(text(note, "runs.notes") for note in given["notes"]),
    )


def _pairs(given: Any) -> tuple[tuple[str, str], ...]:
    return tuple((text(first, "source"), text(second, "source")) for first, second in given)
