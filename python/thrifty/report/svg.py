"""Line charts, bars and grids as inline SVG: no script, colours from the page's style sheet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thrifty.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thrifty.report.records import Bars, Grid, Series

__all__ = ["bars", "chart", "grid", "number"]

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 48
#: Of what is drawn, free at each end of an axis that spans it.
ROOM = 0.04
#: Between whole powers of ten, at most so many.
TICKS = 7
BAR_LEFT, BAR_RIGHT, BAR_STEP = 300, 96, 28
GRID_LEFT = 88


def number(value: float) -> str:
    """Write a number in at most four significant digits."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if value == int(value) and size < 1e6:
        return f"{int(value):,}"
    if 1e-3 <= size < 1e6:
        return f"{value:,.4g}" if size < 9999.5 else f"{value:,.0f}"
    return f"{value:.3g}"


class _Axis:
    """Maps values to pixels and chooses ticks."""

    def __init__(self, values: Sequence[float], low: float, high: float, *, log: bool, close: bool = False) -> None:
        fine = [v for v in values if math.isfinite(v) and (v > 1e-300 or not log)]
        least, most = (min(fine), max(fine)) if fine else (1.0, 10.0)
        if close and log and (1 + 1e-9) * least < most < 1e300:
            room = (most / least) ** ROOM
            least, most = max(least / room, 1e-300), min(most * room, 1e300)
        elif close and most - least > 1e-9 * abs(least) + 1e-300:
            room = ROOM * (most - least)
            least, most = least - room, most + room
        elif log:
            least, most = 10 ** math.floor(math.log10(least)), 10 ** math.ceil(math.log10(most))
            most = most if most > least else 10 * least
        else:
            least = min(least, 0.0)
            most = most if most - least > 1e-9 * abs(least) + 1e-300 else least + max(1.0, 1e-3 * abs(least))
        self.log, self.least, self.most, self.low, self.high = log, least, most, low, high

    def at(self, value: float) -> float:
        if self.log:
            low, high = math.log(self.least), math.log(self.most)
            share = (math.log(max(value, self.least)) - low) / (high - low)
        else:
            share = (value - self.least) / (self.most - self.least)
        return self.low + share * (self.high - self.low)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = (math.log10(v) for v in (self.least, self.most))
            whole = range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)
            if len(whole) > 2:
                return [10.0**i for i in whole][:: max(1, (len(whole) - 1) // 6)]
            for steps in ((1, 2, 3, 5, 10), (1, 3, 10)):
                parts = [m * 10.0**i for i in range(math.floor(first), math.ceil(last)) for m in steps]
                inside = [
                    v for v in dict.fromkeys(parts) if self.least <= v * (1 + 1e-9) and v <= self.most * (1 + 1e-9)
                ]
                if len(inside) <= TICKS:
                    break
            if len(whole) == 2 or len(inside) > 2:
                return inside
        step = 10 ** math.floor(math.log10((self.most - self.least) / 4))
        step *= next(m for m in (1, 2, 5, 10) if (self.most - self.least) / (m * step) <= 6)
        first = math.ceil(self.least / step)
        return [i * step for i in range(first, math.floor(self.most / step) + 1)]


def chart(series: Series) -> str:
    """Draw a series with axes, bands and a legend."""
    every = [v for curves in (series.y, series.lo, series.hi) for ys in curves.values() for v in ys]
    x = _Axis(series.x, LEFT, WIDTH - RIGHT, log=series.log_x, close=series.close)
    y = _Axis(every, HEIGHT - BOTTOM, TOP, log=series.log_y, close=series.close)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(series.title, quote=True)}">',
        f"<title>{escape(series.title)}</title>",
    ]
    for tick in y.ticks():
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{at + 4:.1f}">{number(tick)}</text>')
    for tick in x.ticks():
        at = x.at(tick)
        parts.append(f'<text class="tick middle" x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}">{number(tick)}</text>')
    parts.append(
        f'<text class="label middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}">{escape(series.x_label)}</text>'
    )
    parts.append(f'<text class="label" x="{LEFT}" y="{TOP - 4}">{escape(series.y_label)}</text>')
    for i, label in enumerate(series.y):
        parts += _curve(series, label, f"c{i % 6}", x, y)
    parts.append("</svg>")
    legend = "".join(f'<li class="c{i % 6}">{escape(label)}</li>' for i, label in enumerate(series.y))
    caption = f"<figcaption>{escape(series.title)}</figcaption>"
    return f'<figure>{caption}{"".join(parts)}<ul class="legend">{legend}</ul></figure>'


def _curve(series: Series, label: str, colour: str, x: _Axis, y: _Axis) -> list[str]:
    """Draw one curve: its band, or bars where it is points; its line; its points and what is noted at them."""
    parts, alone = [], label in series.dots
    fine = [i for i, value in enumerate(series.y[label]) if math.isfinite(value)]
    points = [(x.at(series.x[i]), y.at(series.y[label][i])) for i in fine]
    if label in series.lo and label in series.hi:
        lo, hi = series.lo[label], series.hi[label]
        if alone:
            ends = [(a, y.at(lo[i]), y.at(hi[i])) for i, (a, _) in zip(fine, points, strict=True)]
            parts += [
                f'<line class="error {colour}" x1="{a:.1f}" x2="{a:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
                for a, low, high in ends
                if math.isfinite(low) and math.isfinite(high)
            ]
        else:
            whole = [i for i in range(len(series.x)) if math.isfinite(lo[i]) and math.isfinite(hi[i])]
            upper = [(x.at(series.x[i]), y.at(hi[i])) for i in whole]
            lower = [(x.at(series.x[i]), y.at(lo[i])) for i in whole]
            outline = " ".join(f"{a:.1f},{b:.1f}" for a, b in upper + lower[::-1])
            parts.append(f'<polygon class="band {colour}" points="{outline}"/>')
    if not alone:
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline class="curve {colour}" points="{line}"/>')
    parts.extend(f'<circle class="dot {colour}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in points)
    notes = series.notes.get(label)
    if notes is not None:
        parts.extend(
            f'<text class="tick end" x="{a - 6:.1f}" y="{b + 4:.1f}">{escape(notes[i])}</text>'
            for i, (a, b) in zip(fine, points, strict=True)
        )
    return parts


def bars(record: Bars) -> str:
    """Draw bars from the left, each with its label before it and its number behind it."""
    values = record.values
    most = max((value for value in values.values() if math.isfinite(value)), default=0.0)
    room = WIDTH - BAR_LEFT - BAR_RIGHT
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {BAR_STEP * max(len(values), 1)}" role="img" '
        f'aria-label="{escape(record.title, quote=True)}">',
        f"<title>{escape(record.title)}</title>",
    ]
    for i, (label, value) in enumerate(values.items()):
        width = room * value / most if math.isfinite(value) and most > 0 else 0.0
        top, colour = BAR_STEP * i, "c0" if label == record.ours else "c1"
        text = f"{number(value)} {record.unit}".strip()
        parts.append(f'<text class="label end" x="{BAR_LEFT - 8}" y="{top + 18}">{escape(label)}</text>')
        parts.append(
            f'<rect class="bar {colour}" x="{BAR_LEFT}" y="{top + 4}" width="{max(width, 0.0):.1f}" '
            f'height="{BAR_STEP - 8}"/>'
        )
        parts.append(
            f'<text class="label" x="{BAR_LEFT + max(width, 0.0) + 8:.1f}" y="{top + 18}">{escape(text)}</text>'
        )
    parts.append("</svg>")
    return f"<figure><figcaption>{escape(record.title)}</figcaption>{''.join(parts)}</figure>"


def grid(record: Grid) -> str:
    """Draw cells in shades, the darker the lower, with each number in its cell."""
    fine = [value for row in record.values for value in row if math.isfinite(value)]
    least, most = (min(fine), max(fine)) if fine else (0.0, 1.0)
    width, step = (WIDTH - GRID_LEFT - RIGHT) / max(len(record.x), 1), BAR_STEP
    bottom = step * len(record.y) + TOP
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {bottom + BOTTOM}" role="img" aria-label="{escape(record.title, quote=True)}">',
        f"<title>{escape(record.title)}</title>",
        f'<text class="label" x="8" y="{TOP - 4}">{escape(record.y_label)}</text>',
    ]
    for j, (label, row) in enumerate(zip(record.y, record.values, strict=True)):
        top = bottom - step * (j + 1)
        parts.append(f'<text class="tick end" x="{GRID_LEFT - 8}" y="{top + 18}">{escape(label)}</text>')
        for i, value in enumerate(row):
            if not math.isfinite(value):
                continue
            shade = 0.7 * (most - value) / (most - least) if most > least else 0.0
            left, text = GRID_LEFT + width * i, record.marks.get((i, j), number(value))
            parts.append(
                f'<rect class="shade" x="{left:.1f}" y="{top}" width="{width - 1:.1f}" height="{step - 1}"'
                f' opacity="{shade:.2f}"/>'
            )
            parts.append(f'<text class="cell middle" x="{left + width / 2:.1f}" y="{top + 18}">{escape(text)}</text>')
            if (i, j) in record.struck:
                ends = f'x1="{left:.1f}" y1="{top + step - 1}" x2="{left + width - 1:.1f}" y2="{top}"'
                parts.append(f'<line class="struck" {ends}/>')
    for i, label in enumerate(record.x):
        at = GRID_LEFT + width * (i + 0.5)
        parts.append(f'<text class="tick middle" x="{at:.1f}" y="{bottom + 18}">{escape(label)}</text>')
    middle = (GRID_LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="label middle" x="{middle}" y="{bottom + 38}">{escape(record.x_label)}</text></svg>')
    return f"<figure><figcaption>{escape(record.title)}</figcaption>{''.join(parts)}</figure>"
