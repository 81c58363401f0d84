"""What can be said of a ladder before it is trained: whether its runs will tell a law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thrifty.errors import NotIdentifiable
from thrifty.scaling.fitting.identify import check_runs
from thrifty.scaling.laws.named import NAMED, named
from thrifty.scaling.laws.scale import logs
from thrifty.scaling.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thrifty.scaling.ladder import Rung

__all__ = ["check_ladder", "planned"]


def planned(rungs: Sequence[Rung]) -> Runs:
    """Return the runs that rungs come to, a run for each length, without losses."""
    each = [(rung.n_params, length, rung.shape.dim, rung.shape.layers) for rung in rungs for length in rung.lengths]
    n_params, n_tokens, d_model, n_layers = np.array(each, np.float64).T
    return Runs(n_params, n_tokens, d_model=d_model, n_layers=n_layers, counted="non_embedding")


def check_ladder(rungs: Sequence[Rung], law: str) -> None:
    """Refuse a ladder that is too small for a law.

    Parameters
    ----------
    rungs : sequence of Rung
    law : str
        A name, or ``"auto"``: then one of the laws that have names must be told.

    Raises
    ------
    ValueError
        When no law is called so.
    NotIdentifiable
        When runs are too few or too much alike, whatever their losses are.
    """
    runs, why = planned(rungs), []
    forms = NAMED.values() if law == "auto" else (named(law),)
    for form in forms:
        try:
            check_runs(form, logs(form, runs))
        except NotIdentifiable as error:
            why.append(str(error))
    if len(why) == len(forms):
        raise NotIdentifiable(f"the ladder is too small: {why[0]}")
