"""``thrifty scaling fit``: a law fitted to runs, with intervals, as a file."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.cli.scaling_runs import Columns, Counted, RunsPath, Target, Where, runs_from
from thrifty.errors import DatasetError, FormatError, NotIdentifiable

if TYPE_CHECKING:
    from thrifty.scaling import Form, Runs, ScalingLaw

__all__ = ["fit"]

#: Bytes of a form of own terms, and laws tried that people are shown.
MOST_FORM, LAWS = 1 << 16, 4


def fit(
    runs: RunsPath,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FIT.json", help="File to write.")],
    law: Annotated[
        str,
        typer.Option(
            "--law",
            metavar="NAME|auto|FORM.json",
            help="chinchilla, chinchilla_tied, morph, morph_free, u_shape, u_shape_drift, width_depth, gemstones; "
            "auto: what predicts the largest runs best from the smaller; or a file of own terms (docs/formats.md).",
        ),
    ] = "auto",
    loss: Annotated[
        str, typer.Option("--loss", metavar="huber_log|lsq", help="Huber's of log residuals, or squares.")
    ] = "huber_log",
    delta: Annotated[
        float | None,
        typer.Option("--delta", min=1e-9, max=1e3, help="Huber's.  [default: 0.001; auto: what suits the residuals]"),
    ] = None,
    tie: Annotated[
        list[str] | None, typer.Option("--tie", metavar="NAME=NAME", help="Exponents that are one; may repeat.")
    ] = None,
    where: Where = None,
    groups: Annotated[
        str | None,
        typer.Option("--groups", metavar="COLUMN", help="Rows with one value here hang together, as checkpoints do."),
    ] = None,
    target: Target = None,
    columns: Columns = None,
    params: Counted = None,
    bootstraps: Annotated[
        int, typer.Option("--bootstraps", min=0, max=100_000, help="Refits to resampled rows or groups; 0: none.")
    ] = 1000,
    seed: common.Seed = 0,
    threads: common.Threads = 0,
    json_: common.Json = False,
) -> None:
    """Fit a law of loss to training runs: coefficients with intervals, and a certificate of the optimum."""
    from thrifty.scaling import influence, save_fit
    from thrifty.scaling.reading import no_loss
    from thrifty.scaling.scores import hopeless

    common.writable(out, "the fit", inputs=(runs, Path(law) if law.endswith(".json") else None))
    common.one_of("--loss", loss, ("huber_log", "lsq"))
    given = runs_from(runs, where=where, columns=columns, target=target, counted=params)
    if given.loss is None:
        raise no_loss(given)
    options: dict[str, Any] = {"loss": loss, "delta": delta, "tie": tied(tie)}
    fitted = fit_to(given, law, options, groups)
    if bootstraps:
        kind: Any = "case" if fitted.groups_ is None else "cluster"
        fitted.draws_ = fitted.bootstrap(bootstraps, seed=seed, kind=kind, threads=threads)
    save_fit(fitted, out)
    notes = [
        *fitted.advice_,
        *fitted.certificate_.notes,
        *influence(fitted).notes,
        *repeated(fitted),
        *hopeless(fitted),
    ]
    notes = [as_options(text) for text in dict.fromkeys(notes)]
    for text in notes:
        common.note(text)
    if json_:
        common.emit(told(fitted) | {"fit": str(out), "notes": [*given.notes, *notes]})
    else:
        show(fitted, out)


def fit_to(runs: Runs, law: str, options: dict[str, Any], groups: str | None) -> ScalingLaw:
    """Fit; what the runs do not allow is told with their file."""
    from thrifty.scaling import NAMED, ScalingLaw

    form: str | Form = law
    if law.endswith(".json"):
        form = form_from(Path(law))
    elif law not in (*NAMED, "auto"):
        common.one_of("--law", law, (*NAMED, "auto"))
    if groups is not None and groups not in runs.columns:
        raise DatasetError(
            f"{runs.source.path}: no column is called {groups} (--groups); there are {', '.join(runs.columns)}"
        )
    try:
        with common.progress() as callback:
            return ScalingLaw(form, **options).fit(runs, groups=groups, progress=callback)
    except NotIdentifiable as error:
        raise NotIdentifiable(f"{runs.source.path}: {as_options(str(error))}") from None
    except ValueError as error:
        if str(error).startswith("runs: "):
            raise DatasetError(f"{runs.source.path}: {str(error).removeprefix('runs: ')}") from None
        raise typer.BadParameter(str(error)) from None


def as_options(text: str) -> str:
    """Say arguments of the library as options of the command line."""
    return re.sub(r'tie=\("(\w+)", "(\w+)"\)', r"--tie \1=\2", text)


def form_from(path: Path) -> Form:
    """Read a form of own terms."""
    from thrifty.scaling import Form

    with path.open("rb") as file:
        data = file.read(MOST_FORM + 1)
    try:
        if len(data) > MOST_FORM:
            raise ValueError(f"it has more than {MOST_FORM:,} bytes")
        return Form.of(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: no law: {' '.join(str(error).split())[:300]}") from None


def tied(texts: list[str] | None) -> list[str] | None:
    """Read exponents that are one: alpha=beta."""
    names: list[str] = []
    for text in texts or []:
        names += [name for name in text.split("=") if name not in names]
        if "=" not in text or "" in names:
            raise typer.BadParameter(f"--tie '{text}'; names of exponents, as alpha=beta")
    return names or None


def repeated(law: ScalingLaw) -> list[str]:
    """Say that rows hang together, where several have one name and nobody said so."""
    names, rows = set(law.runs_.names), len(law.runs_)
    if law.groups_ is not None or len(names) < 2 or 2 * len(names) > rows:
        return []
    column = dict(law.runs_.source.columns).get("run", "run")
    return [
        f"{rows} rows are of {len(names)} runs: --groups {column} takes those of one run together; without it "
        "intervals are too narrow"
    ]


def told(law: ScalingLaw) -> dict[str, Any]:
    """Return a fit as JSON has it."""
    runs, source = law.runs_, law.runs_.source
    data = {
        "path": source.path,
        "sha256": source.sha256,
        "rows": len(runs),
        "where": dict(source.where),
        "columns": dict(source.columns),
        "params": runs.counted,
        "unit": source.unit,
    }
    values: dict[str, Any] = common.finite(
        {
            "law": law.name_,
            "loss": law.loss,
            "delta": law.delta_,
            "tie": list(law.tie or ()),
            "objective": law.objective_,
            "coefficients": law.coef_,
            "level": 0.95,
            "intervals": {name: law.interval(name) for name in law.coef_},
            "bootstrap": bootstrap_told(law),
            "certificate": asdict(law.certificate_),
            "score": law.score(runs),
            "choice": [asdict(candidate) for candidate in law.choice_],
            "groups": None if law.groups_ is None else len(set(law.groups_)),
            "data": data,
        }
    )
    return values


def bootstrap_told(law: ScalingLaw) -> dict[str, Any] | None:
    """Return what refits to other draws gave, where there were some."""
    draws = law.draws_
    if draws is None:
        return None
    intervals = {name: draws.interval(name) for name in draws.names}
    return {"kind": draws.kind, "draws": len(draws.values), "units": draws.units, "intervals": intervals}


def show(law: ScalingLaw, out: Path) -> None:
    """Print a fit for people."""
    runs, score, sound = law.runs_, law.score(law.runs_), law.certificate_
    picked = "".join(f", {name} = {value}" for name, value in runs.source.where)
    kind = "all" if runs.counted == "total" else "non-embedding"
    rows = [("runs", f"{len(runs):,} of {runs.source.path}{picked}; {kind} parameters, loss in {runs.source.unit}")]
    rows.append(("", f"{'':14}95 % by derivatives" + ("" if law.draws_ is None else f"{'':12}95 % of refits")))
    for name, value in law.coef_.items():
        low, high = law.interval(name)
        line = f"{value:<14.6g}{between(low, high):<31}"
        rows.append((name, line if law.draws_ is None else line + between(*law.draws_.interval(name))))
    if law.draws_ is not None:
        rows.append(("refits", f"{len(law.draws_.values):,}, {KINDS[law.draws_.kind]}"))
    rows.append(
        (
            "fits",
            f"mean squared error {score['mse']:.4g}, R2 {score['r2']:.5f}, rank correlation {score['spearman']:.3f}",
        )
    )
    rows.append(
        (
            "optimum",
            f"objective {law.objective_:.8g}; {sound.reached} of {sound.basins} starts ended there; condition "
            f"{sound.condition:.3g}",
        )
    )
    for i, tried in enumerate(law.choice_[:LAWS]):
        rows.append(
            (
                "tried" if i == 0 else "",
                f"{tried.law}: " + (tried.why or f"{100 * tried.error:.3g} % off runs left out"),
            )
        )
    rows.append(("fit", str(out)))
    common.table(f"law {law.name_}", rows)


def between(low: float, high: float) -> str:
    """Write an interval."""
    return f"{low:.5g} to {high:.5g}"


KINDS = {"case": "rows drawn anew", "cluster": "whole groups drawn anew", "residual": "residuals drawn anew"}
