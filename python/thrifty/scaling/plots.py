"""Series as PNG and SVG files, by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from thrifty.report import Section, Series

__all__ = ["KINDS", "write_plots"]

#: Endings of files that can be written.
KINDS = ("png", "svg", "pdf")
#: Colours, as the pages have them.
COLOURS = ("#1b6ca8", "#c2571a", "#2d7d46", "#8a3f97", "#a87b00", "#7a4a3a")


def write_plots(folder: str | PathLike[str], sections: Iterable[Section], kind: str = "png") -> list[Path]:
    """Write every series of a report as a file of its own, called by its id.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    sections : iterable of Section
        Of the report.
    kind : str
        One of :data:`KINDS`.

    Raises
    ------
    MissingExtra
        Without matplotlib.
    """
    from thrifty.report import Series

    if kind not in KINDS:
        raise ValueError(f"kind: '{kind}' is none of {', '.join(KINDS)}")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("plots need matplotlib: pip install 'thrifty[scaling]'") from None
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    # The same records give the same bytes.
    with mpl.rc_context(
        {"svg.hashsalt": "thrifty", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    ):
        for section in sections:
            for record in section.records:
                if isinstance(record, Series):
                    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
                    _draw(figure.subplots(), record)
                    paths.append(_saved(figure, out / f"{record.id}.{kind}", kind))
    return paths


def _draw(axes: Any, series: Series) -> None:
    """Draw curves with their bands, and dots with their bars."""
    for i, (label, y) in enumerate(series.y.items()):
        colour = COLOURS[i % len(COLOURS)]
        lo, hi = series.lo.get(label), series.hi.get(label)
        if label in series.dots:
            axes.plot(series.x, y, "o", ms=3.5, alpha=0.7, color=colour, label=_plain(label), mew=0)
            if lo is not None and hi is not None:
                axes.vlines(series.x, lo, hi, color=colour, lw=1, alpha=0.5)
            continue
        axes.plot(series.x, y, color=colour, lw=1.8, label=_plain(label))
        if lo is not None and hi is not None:
            axes.fill_between(series.x, lo, hi, color=colour, alpha=0.15, lw=0)
    if series.log_x:
        axes.set_xscale("log")
    if series.log_y:
        axes.set_yscale("log")
    axes.set(xlabel=_plain(series.x_label), ylabel=_plain(series.y_label))
    axes.set_title(_plain(series.title), loc="left", fontsize=10, wrap=True)
    axes.grid(alpha=0.3, lw=0.5)
    if len(series.y) > 1:
        axes.legend(frameon=False, fontsize=8)


def _plain(text: str) -> str:
    """Keep matplotlib from reading formulas, and from hiding labels that begin with a line."""
    escaped = text.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def _saved(figure: Any, path: Path, kind: str) -> Path:
    partial = path.with_name(path.name + ".partial")
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    try:
        figure.savefig(partial, format=kind, metadata=metadata)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path
