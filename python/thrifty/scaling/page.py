"""A fitted law as a report: what it says of its runs, how sure it is, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.report import Figure, Section, Table, write
from thrifty.scaling.page_curves import curve_section, residual_section, residuals

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from thrifty.scaling.law import ScalingLaw

__all__ = ["fit_sections", "write_report"]

KINDS = {
    "case": "other draws of the rows",
    "cluster": "other draws of whole groups",
    "residual": "other draws of the residuals",
}


def write_report(folder: str | os.PathLike[str], law: ScalingLaw) -> Path:
    """Write report.html and results.json of a fit; return the page's path.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    law : ScalingLaw
        Fitted, or read by :func:`thrifty.scaling.load_fit`.
    """
    source = law.runs_.source
    where = "".join(f", {name} = {value}" for name, value in source.where)
    note = f"{len(law.runs_):,} runs of {source.path or 'this process'}{where}"
    return write(folder, f"Scaling law: {law.name_}", fit_sections(law), note=note)


def fit_sections(law: ScalingLaw) -> list[Section]:
    """Return the records of a fit: the law, its residuals, what it tells of other runs, where it comes from."""
    every = [_law_section(law), _choice_section(law), residual_section(law), curve_section(law), _origin_section(law)]
    return [section for section in every if section is not None]


def _law_section(law: ScalingLaw) -> Section:
    runs, score = law.runs_, law.score(law.runs_)
    away = residuals(law)
    figures = [
        Figure("runs", "Runs", len(runs), source=_counted(law)),
        Figure(
            "error", "Typical error", 100 * float(np.median(np.abs(away))), "%", source="median over the fitted runs"
        ),
        Figure("r2", "Share of variance explained", score["r2"], source="of the fitted runs"),
    ]
    if "E" in law.coef_:
        unit = "" if runs.source.unit == "nats a token" else runs.source.unit
        figures.append(
            Figure("E", "Loss that no run gets below (E)", law.coef_["E"], unit or "nats", interval=law.interval("E"),
                   source="95 %")
        )  # fmt: skip
    rows: list[list[Any]] = []
    for name, value in law.coef_.items():
        refits = () if law.draws_ is None else law.draws_.interval(name)
        rows.append([name, value, *law.interval(name), *refits])
    columns = ["", "value", "95 % from", "to", *(() if law.draws_ is None else ("95 % of refits from", "to"))]
    sound = law.certificate_
    checks: list[list[Any]] = [
        ["starts that ended at the lowest sum", f"{sound.reached} of {sound.basins}"],
        ["largest derivative there", sound.gradient],
        ["condition of the derivatives", sound.condition],
        ["least curvature", sound.curvature],
        ["at a bound", ", ".join(sound.at_bounds) or "none"],
        ["objective", law.objective_],
    ]
    text = f"{formula(law)}\n\nFitted by {_how(law)}."
    text += "".join(f"\n\n{note[0].upper()}{note[1:]}." for note in (*runs.notes, *sound.notes))
    return Section("law", "The law", text, [
        *figures,
        Table("coefficients", "Coefficients" + (f"; {_refits(law)}" if law.draws_ is not None else ""), columns, rows),
        Table("certificate", "How the fit ended", ["", ""], checks),
    ])  # fmt: skip


def formula(law: ScalingLaw) -> str:
    """Write a law as a formula."""
    form = law.form_
    columns = {"n_params": "N", "n_tokens": "D", "d_model": "width", "n_layers": "depth", "ratio": "R"}
    terms = []
    for term in form.terms:
        powers = " ".join(f"{columns[column]}^-{exponent}" for column, exponent in term.powers)
        terms.append(f"{term.coefficient} {powers}".strip())
    whole, shape = " + ".join(terms), form.shape
    if shape is not None:
        given: dict[str, str] = vars(shape)
        if "centre" in given:
            drift = f" - {given['drift']} ln(N / 1e8)" if given["drift"] else ""
            factor = f"1 + {given['coefficient']} (ln R - {given['centre']}{drift})^2"
        else:
            factor = f"1 + {given['coefficient']} {columns[given['column']]}^{given['exponent']}"
        whole = f"({whole}) ({factor})"
    used = [f"{short} {what}" for short, what in (("N", "parameters"), ("D", "tokens")) if short in whole]
    used += ["R width over depth"] if " R" in whole else []
    return f"loss = {whole}" + (f", with {', '.join(used)}" if used else "")


def _how(law: ScalingLaw) -> str:
    if law.loss == "lsq":
        return "least squares of the losses"
    return f"Huber's loss of log residuals (delta {law.delta_:g}), summed"


def _counted(law: ScalingLaw) -> str:
    return "all parameters counted" if law.runs_.counted == "total" else "non-embedding parameters counted"


def _refits(law: ScalingLaw) -> str:
    assert law.draws_ is not None
    return f"{len(law.draws_.values):,} refits to {KINDS[law.draws_.kind]}"


def _choice_section(law: ScalingLaw) -> Section | None:
    """Return the laws that were tried, where one was chosen."""
    table = law.choice_
    if not table:
        return None
    cuts = list(dict.fromkeys(cut for candidate in table for cut in candidate.largest))
    rows: list[list[Any]] = [
        [
            c.law,
            c.coefficients,
            100 * c.error if c.largest else "",
            *(100 * c.largest[k] if k in c.largest else "" for k in cuts),
            c.why,
        ]
        for c in table
    ]
    text = "The law that predicts larger runs best from the smaller, not the one that fits best."
    text += "".join(f"\n\n{line[0].upper()}{line[1:]}." for line in law.advice_)
    columns = ["law", "coefficients", "errors left out, %", *(f"{cut}, %" for cut in cuts), ""]
    return Section("choice", "Why this law", text, [Table("candidates", "Laws that were tried", columns, rows)])


def _origin_section(law: ScalingLaw) -> Section:
    runs, source = law.runs_, law.runs_.source
    rows: list[list[Any]] = [
        ["file", source.path or "none"],
        ["SHA-256", source.sha256 or "none"],
        ["rows", len(runs)],
        ["rows picked by", ", ".join(f"{name} = {value}" for name, value in source.where) or "all"],
        ["columns", ", ".join(f"{field}: {name}" for field, name in source.columns) or "as named"],
        ["parameters", _counted(law)],
        ["unit of the loss", source.unit],
        ["groups", "none" if law.groups_ is None else len(set(law.groups_))],
    ]
    return Section("origin", "Where it comes from", "", [Table("origin_table", "Runs", ["", ""], rows)])
