"""One page from records: static HTML with everything inline, and the same numbers as JSON beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.report.escape import escape
from thrifty.report.records import Bars, Figure, Grid, Section, Series, Table
from thrifty.report.svg import bars, chart, grid, number

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["FILES", "write"]

#: What a report is, in its folder.
FILES = ("report.html", "results.json")


def write(folder: str | os.PathLike[str], title: str, sections: Sequence[Section], *, note: str = "") -> Path:
    """Write report.html and results.json into a folder and return the page's path.

    Everything that comes from records is escaped. The page asks for nothing from elsewhere and runs no script: its
    content security policy allows its own style sheet only.

    Parameters
    ----------
    folder : path
        Made when it is not there.
    title : str
        Heading of the page.
    sections : sequence of Section
        In the order of the page.
    note : str
        What the figures were measured on.

    Raises
    ------
    ValueError
        When two records of the report share an id.
    """
    names = [record.id for section in sections for record in section.records]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"records: ids must be unique, these are not: {', '.join(sorted(twice))}")
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    results = {"title": title, "note": note, "sections": [asdict(section) for section in sections]}
    _replace(out / FILES[1], json.dumps(_plain(results), indent=1) + "\n")
    page = out / FILES[0]
    _replace(page, _html(title, sections, note))
    return page


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _plain(value: Any) -> Any:
    """Values that JSON has: numpy numbers as Python's, what is not finite as null."""
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _html(title: str, sections: Sequence[Section], note: str) -> str:
    style = (files("thrifty.report") / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(_section(section) for section in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="note">{escape(note)}</p>
{body}
</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    figures = [record for record in section.records if isinstance(record, Figure)]
    others = [record for record in section.records if not isinstance(record, Figure)]
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in section.text.split("\n\n") if text)
    cards = f'<div class="figures">{"".join(_figure(f) for f in figures)}</div>' if figures else ""
    rest = "".join(_other(record) for record in others)
    head = f'<section id="{escape(section.id, quote=True)}"><h2>{escape(section.title)}</h2>'
    return f"{head}{paragraphs}{cards}{rest}</section>"


def _other(record: Series | Bars | Grid | Table) -> str:
    if isinstance(record, Series):
        return chart(record)
    if isinstance(record, Grid):
        return grid(record)
    return bars(record) if isinstance(record, Bars) else _table(record)


def _figure(figure: Figure) -> str:
    lines = [f'<div class="title">{escape(figure.title)}</div>']
    unit = f' <span class="unit">{escape(figure.unit)}</span>' if figure.unit else ""
    lines.append(f'<div class="value">{number(figure.value)}{unit}</div>')
    if figure.interval is not None:
        low, high = figure.interval
        lines.append(f'<div class="aside">{number(low)} to {number(high)}</div>')
    if figure.baseline is not None:
        ratio = f", {_times(figure.ratio)}" if figure.ratio is not None else ""
        lines.append(f'<div class="aside">beside {number(figure.baseline)} {escape(figure.unit)}{ratio}</div>')
    if figure.source:
        lines.append(f'<div class="source">{escape(figure.source)}</div>')
    return f'<div class="figure">{"".join(lines)}</div>'


def _times(ratio: float) -> str:
    return f"{number(1 / ratio)}x worse" if 0 < ratio < 1 else f"{number(ratio)}x better"


def _table(table: Table) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"<td>{escape(str(value))}</td>"
        return f'<td class="number">{number(value)}</td>'

    head = "".join(f"<th>{escape(str(column))}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in table.rows)
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<figure><figcaption>{escape(table.title)}</figcaption><div class="scroll">{body}</div></figure>'
