"""A search as records of a report: how it converged, what trades for what, and what is believed of the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thrifty.report import Bars, Figure, Grid, Section, Series, Table

if TYPE_CHECKING:
    from thrifty.throttle.evaluation import Evaluation
    from thrifty.throttle.tuner import Tuner

__all__ = ["section"]

#: Rows and columns of a surface at most.
MOST = 16


def section(tuner: Tuner, source: str = "") -> Section:
    """Return the records of a search; ``source`` says what counted its objective."""
    tried = [evaluation for evaluation in tuner.evaluations if not evaluation.failed]
    best = tuner.recommend()
    lost = len(tuner) - len(tried)
    text = f"{len(tuner)} of {len(tuner.space):,} settings were measured, {tuner.violations} broke a limit or failed."
    if lost:
        text += f" {lost} could not be measured."
    if not tried:
        return Section("tune", "Settings", text, [_tried(tuner)])
    if best is None:
        text += " None keeps the limits."
    elif best is not tuner.best:
        text += " With the noise of the measurements, another setting than the best one seen is the one to keep."
    records: list[Figure | Series | Bars | Grid | Table] = [*_figures(tuner, best, source), _converged(tuner, tried)]
    records += [_traded(tuner, tried, limit.name) for limit in tuner.constraints if limit.name != tuner.objective]
    surface = _surface(tuner, best or tried[0])
    records += [surface] if surface else []
    return Section("tune", "Settings", text, [*records, _tried(tuner)])


def _figures(tuner: Tuner, best: Evaluation | None, source: str) -> list[Figure]:
    if best is None:
        return []
    first, name = tuner.evaluations[0], tuner.objective
    value, before = best.measured[name], first.measured.get(name)
    names = ", ".join(f"{knob} {value}" for knob, value in best.setting.items())
    figures = [
        Figure(
            "objective",
            f"{name} with {names}",
            value,
            baseline=before,
            ratio=None if before is None else before / value,
            source=source,
        )
    ]
    return figures + [
        Figure(f"limit_{limit.name}", f"{limit.name}, at most {limit.upper:g}", best.measured[limit.name])
        for limit in tuner.constraints
    ]


def _converged(tuner: Tuner, tried: list[Evaluation]) -> Series:
    least, curve = math.nan, []
    for evaluation in tuner.evaluations:
        if evaluation.feasible:
            value = evaluation.measured[tuner.objective]
            least = value if math.isnan(least) else min(least, value)
        curve.append(least)
    measured = {id(e): e.measured[tuner.objective] for e in tried}
    kept = [measured[id(e)] if e.feasible else math.nan for e in tuner.evaluations]
    over = [math.nan if e.feasible else measured.get(id(e), math.nan) for e in tuner.evaluations]
    return Series(
        "convergence",
        "Least so far within the limits",
        list(range(1, len(tuner) + 1)),
        {"least so far": curve, "measured": kept, "over a limit": over},
        x_label="evaluation",
        y_label=tuner.objective,
        dots=("measured", "over a limit"),
    )


def _traded(tuner: Tuner, tried: list[Evaluation], other: str) -> Series:
    """Draw the front that nothing beats in both, among what was measured."""
    front = {id(evaluation) for evaluation in tuner.pareto(other)}
    rows = sorted(tried, key=lambda evaluation: evaluation.measured[other])
    every = [evaluation.measured[tuner.objective] for evaluation in rows]
    nothing_beats = [v if id(e) in front else math.nan for v, e in zip(every, rows, strict=True)]
    return Series(
        f"pareto_{other}",
        f"{tuner.objective} against {other}",
        [evaluation.measured[other] for evaluation in rows],
        {"nothing beats": nothing_beats, "measured": every},
        x_label=other,
        y_label=tuner.objective,
        dots=("measured",),
    )


def _surface(tuner: Tuner, best: Evaluation) -> Grid | None:
    """Draw what is believed of the objective over the two knobs of most values, the others as they are best."""
    knobs = sorted(tuner.space.knobs, key=lambda knob: -len(knob.values))[:2]
    if len(knobs) < 2 or len(knobs[1].values) < 2:
        return None
    columns, rows = ([*knob.values] for knob in knobs)
    columns, rows = (v[:: math.ceil(len(v) / MOST)] for v in (columns, rows))
    values, struck = [], []
    measured = {tuple(e.setting.values()): e for e in tuner.evaluations}
    marks = {}
    for j, y in enumerate(rows):
        line = []
        for i, x in enumerate(columns):
            setting = best.setting | {knobs[0].name: x, knobs[1].name: y}
            there = measured.get(tuple(setting.values()))
            if not tuner.space.has(setting) or (there is not None and there.failed):
                line.append(math.nan)
                continue
            believed = tuner.posterior(setting)
            line.append(believed[tuner.objective][0])
            if any(believed[limit.name][0] > limit.upper for limit in tuner.constraints if limit.name in believed):
                struck.append((i, j))
            if there is not None:
                marks[i, j] = f"[{there.measured[tuner.objective]:.3g}]"
        values.append(line)
    rest = [f"{name} {value}" for name, value in best.setting.items() if name not in {knob.name for knob in knobs}]
    title = f"What is believed of {tuner.objective}{', with ' if rest else ''}{', '.join(rest)}"
    return Grid(
        "surface",
        title + "; in brackets what was measured, crossed out what is believed to break a limit",
        [str(value) for value in columns],
        [str(value) for value in rows],
        values,
        x_label=knobs[0].name,
        y_label=knobs[1].name,
        marks=marks,
        struck=struck,
    )


def _tried(tuner: Tuner) -> Table:
    names = [tuner.objective, *(limit.name for limit in tuner.constraints if limit.name != tuner.objective)]
    knobs = [knob.name for knob in tuner.space.knobs]
    rows = [
        [
            number,
            *(evaluation.setting[knob] for knob in knobs),
            *(evaluation.measured.get(name, "-") for name in names),
            evaluation.failed or ("kept" if evaluation.feasible else "over a limit"),
        ]
        for number, evaluation in enumerate(tuner.evaluations, 1)
    ]
    return Table("tried", "Settings in the order of the search", ["", *knobs, *names, "limits"], rows)
