"""Climbing a ladder: what is trained becomes rows, and what has its row is not trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from thrifty.scaling.table import RunTable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from thrifty.scaling.ladder import Rung

__all__ = ["COLUMNS", "climb", "table_of"]

#: What is known of a rung, and what a trainer tells of a length of it.
OF_RUNG = (
    *("run", "n_params", "n_params_non_embedding", "n_tokens", "d_model", "n_layers", "loss"),
    *("heads", "hidden", "context", "batch", "lr", "seed"),
)
COLUMNS = (*OF_RUNG, "train_loss", "epochs", "steps", "seconds", "score")


class Trainer(Protocol):
    """Trains a rung to lengths, and yields a row for each as it comes: ``n_tokens``, ``loss``, and what else it has."""

    def __call__(self, rung: Rung, lengths: Sequence[int]) -> Iterator[Mapping[str, float]]:
        """Yield rows, the shortest length first; end without the rest where it must stop."""


def table_of(path: str | os.PathLike[str], about: Mapping[str, str]) -> RunTable:
    """Open the table of a ladder, or make one; ``about`` is what all of its rows share."""
    return RunTable(path, COLUMNS, about)


def climb(
    rungs: Sequence[Rung],
    trainer: Trainer,
    table: RunTable,
    *,
    tell: Callable[[Rung, int, Mapping[str, float]], object] | None = None,
) -> bool:
    """Train what has no row yet, rung by rung; whether all of it has one.

    Parameters
    ----------
    rungs : sequence of Rung
        In the order in which they are trained.
    trainer : callable
        See :class:`Trainer`.
    table : RunTable
        Gets each row as it comes.
    tell : callable, optional
        Called with the rung, how many rungs are behind it, and the row.
    """
    there = {(row["run"], float(row["n_tokens"])) for row in table.rows}
    for i, rung in enumerate(rungs):
        missing = [n for n in rung.lengths if (rung.name, float(n)) not in there]
        if not missing:
            continue
        for found in trainer(rung, missing):
            table.add(_row(rung) | dict(found))
            there.add((rung.name, float(found["n_tokens"])))
            if tell is not None:
                tell(rung, i, found)
        if any((rung.name, float(n)) not in there for n in missing):
            return False
    return True


def _row(rung: Rung) -> dict[str, object]:
    shape = rung.shape
    return {
        "run": rung.name,
        "n_params": shape.parameters,
        "n_params_non_embedding": rung.n_params,
        "d_model": shape.dim,
        "n_layers": shape.layers,
        "heads": shape.heads,
        "hidden": shape.hidden,
        "context": rung.context,
        "batch": rung.batch,
        "lr": rung.lr,
        "seed": rung.seed,
    }
