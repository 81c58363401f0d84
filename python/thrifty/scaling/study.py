"""The method of arXiv 2501.18107 end to end: small runs, a law, the best shapes under a limit, trained and compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from thrifty.errors import Infeasible, NotIdentifiable
from thrifty.scaling.ahead import check_ladder, planned
from thrifty.scaling.climb import check_rows, climb
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.runs import Runs, Source
from thrifty.scaling.scores import hopeless

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from thrifty.device import ModelShape
    from thrifty.scaling.climb import Trainer
    from thrifty.scaling.ladder import Rung
    from thrifty.scaling.table import RunTable

__all__ = ["Finalist", "Study", "candidates", "fit_ladder", "runs_of", "study"]

#: Rows that saw their text more often stay out of fits: what is seen again teaches less (Muennighoff et al. 2023,
#: arXiv 2305.16264).
EPOCHS = 4.0


@dataclass(frozen=True)
class Finalist:
    """A shape of the target size: what the law tells of it, what it costs, and what came of it.

    Attributes
    ----------
    rung : Rung
        With one length.
    loss, low, high : float
        Predicted, with its interval; nats a token.
    ms : float
        Milliseconds a token; NaN where nobody measured.
    kept : bool
        Whether it was among the best under the limit.
    measured, score : float
        Once trained; NaN before, or where there is none.
    """

    rung: Rung
    loss: float
    low: float
    high: float
    ms: float = math.nan
    kept: bool = False
    measured: float = math.nan
    score: float = math.nan


@dataclass(frozen=True)
class Study:
    """What came of it.

    Attributes
    ----------
    law : ScalingLaw or None
        Fitted to the ladder; None where the ladder is not done.
    candidates : tuple of Finalist
        The least predicted loss first.
    chosen : Finalist or None
        The best score of those kept, or the least loss where there are no scores; None where not all are trained.
    notes : tuple of str
    """

    law: ScalingLaw | None = None
    candidates: tuple[Finalist, ...] = ()
    chosen: Finalist | None = None
    notes: tuple[str, ...] = ()


def runs_of(table: RunTable, rungs: Sequence[Rung]) -> tuple[Runs, tuple[str, ...]]:
    """Return what was trained of some rungs, but for rows of more than four epochs, and notes on what is left out.

    Raises
    ------
    NotIdentifiable
        When no row is left.
    """
    names = {rung.name for rung in rungs}
    mine = [row for row in table.rows if row["run"] in names]
    rows = [row for row in mine if not float(row["epochs"] or 0) > EPOCHS]
    if not rows:
        raise NotIdentifiable(f"{table.path}: no row of the ladder saw its text {EPOCHS:g} times or less")

    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([float(row[name]) for row in rows])

    runs = Runs(
        column("n_params_non_embedding"),
        column("n_tokens"),
        loss=column("loss"),
        d_model=column("d_model"),
        n_layers=column("n_layers"),
        names=tuple(row["run"] for row in rows),
        columns={name: tuple(row[name] for row in rows) for name in table.columns},
        counted="non_embedding",
        source=Source(path=str(table.path)),
    )
    left = len(mine) - len(rows)
    return runs, (f"{left} rows of more than {EPOCHS:g} epochs are not fitted",) if left else ()


def fit_ladder(table: RunTable, rungs: Sequence[Rung], law: str = "auto") -> tuple[ScalingLaw, tuple[str, ...]]:
    """Fit a law to what was trained of a ladder; rows of a trunk count as hanging together.

    Notes are those of :func:`runs_of`, and what the fit says of itself.
    """
    runs, notes = runs_of(table, rungs)
    fitted = ScalingLaw(law).fit(runs, groups="run")
    return fitted, tuple(dict.fromkeys((*notes, *fitted.advice_, *fitted.certificate_.notes, *hopeless(fitted))))


def candidates(
    law: ScalingLaw, targets: Sequence[Rung], latency: Callable[[ModelShape], float] | None = None
) -> tuple[Finalist, ...]:
    """Return what a law tells of shapes, the least loss first.

    Parameters
    ----------
    law : ScalingLaw
        Fitted to parameters without embeddings.
    targets : sequence of Rung
        Of one length each.
    latency : callable, optional
        Milliseconds a token of a shape.
    """
    told = law.predict(planned(targets), interval=0.95)
    found = [
        Finalist(rung, float(loss), float(low), float(high), math.nan if latency is None else latency(rung.shape))
        for rung, loss, low, high in zip(targets, told.loss, told.lo, told.hi, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: one.loss))


def under(found: Sequence[Finalist], keep: int, slo_ms: float | None) -> tuple[Finalist, ...]:
    """Return the same with the best of those that meet the limit marked as kept.

    Raises
    ------
    Infeasible
        When none meets it.
    """
    fits = [one for one in found if slo_ms is None or one.ms <= slo_ms]
    if not fits:
        fastest = min(found, key=lambda one: one.ms)
        raise Infeasible(
            f"no shape meets {slo_ms:g} ms a token; the fastest, {fastest.rung.shape}, takes {fastest.ms:.4g} ms"
        )
    names = {one.rung.name for one in fits[:keep]}
    return tuple(replace(one, kept=one.rung.name in names) for one in found)


def study(
    rungs: Sequence[Rung],
    targets: Sequence[Rung],
    trainer: Trainer,
    table: RunTable,
    *,
    law: str = "auto",
    latency: Callable[[ModelShape], float] | None = None,
    slo_ms: float | None = None,
    keep: int = 3,
    together: int = 1,
    predicted: Callable[[Study], object] | None = None,
    tell: Callable[[Rung, int, Mapping[str, float]], object] | None = None,
) -> Study:
    """Train a ladder, fit, predict shapes of the target size, train the best under a limit, and choose.

    Parameters
    ----------
    rungs : sequence of Rung
        The ladder.
    targets : sequence of Rung
        Shapes of the target size, one length each.
    trainer : callable
        Yields rows, see :func:`~thrifty.scaling.climb`; a ``score`` in a target's row, higher is better, decides.
    table : RunTable
        Where rows come as they are made, and are found again.
    law : str
        As for :class:`~thrifty.scaling.ScalingLaw`.
    latency : callable, optional
        Milliseconds a token of a shape; needed with ``slo_ms``.
    slo_ms : float, optional
        The limit.
    keep : int
        How many shapes are trained.
    together : int
        As for :func:`~thrifty.scaling.climb`.
    predicted : callable, optional
        Called before any target is trained, so that what was predicted can be written down.
    tell : callable, optional
        As for :func:`~thrifty.scaling.climb`.

    Raises
    ------
    Infeasible
        When no target meets the limit; before anything is trained.
    NotIdentifiable
        When the ladder can't tell what the law asks; where runs are too few or too much alike, before they are trained.
    ResumeMismatch
        When the table has rows of these rungs that were trained in another way.
    """
    if slo_ms is not None and latency is None:
        raise ValueError("latency: is needed where slo_ms is a limit")
    if keep < 1 or not targets:
        raise ValueError("keep, targets: at least one shape must be trained")
    check_ladder(rungs, law)
    if latency is not None:
        # What the law will not change is asked before hours of training: times, and whether a shape meets the limit.
        nobody = math.nan
        under([Finalist(rung, nobody, nobody, nobody, latency(rung.shape)) for rung in targets], keep, slo_ms)
    for rung in targets:
        check_rows(rung, table)
    if not climb(rungs, trainer, table, together=together, tell=tell):
        return Study(notes=("stopped before the ladder was done",))
    fitted, notes = fit_ladder(table, rungs, law)
    found = under(candidates(fitted, targets, latency), keep, slo_ms)
    so_far = Study(fitted, found, notes=notes)
    if predicted is not None:
        predicted(so_far)
    done = climb([one.rung for one in found if one.kept], trainer, table, together=together, tell=tell)
    rows = {(row["run"], float(row["n_tokens"])): row for row in table.rows}
    after = tuple(_measured(one, rows.get((one.rung.name, float(one.rung.lengths[-1])))) for one in found)
    if not done:
        return replace(so_far, candidates=after, notes=(*notes, "stopped before all shapes were trained"))
    return replace(so_far, candidates=after, chosen=_best([one for one in after if one.kept]))


def _measured(one: Finalist, row: Mapping[str, str] | None) -> Finalist:
    if row is None:
        return one
    return replace(one, measured=float(row["loss"]), score=float(row["score"] or "nan"))


def _best(kept: Sequence[Finalist]) -> Finalist:
    """Return that of the highest score, of equal ones of the least loss."""
    return min(kept, key=lambda one: (0.0 if math.isnan(one.score) else -one.score, one.measured))
