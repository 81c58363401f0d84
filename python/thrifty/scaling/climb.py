"""Climbing a ladder: what is trained becomes rows, and what has its row is not trained again."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Protocol

from thrifty.errors import ResumeMismatch
from thrifty.scaling.table import RunTable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from thrifty.scaling.ladder import Rung

__all__ = ["COLUMNS", "check_rows", "climb", "table_of"]

#: What is known of a rung, and what a trainer tells of a length of it.
OF_RUNG = (
    *("run", "n_params", "n_params_non_embedding", "n_tokens", "d_model", "n_layers", "loss"),
    *("heads", "hidden", "context", "batch", "lr", "seed"),
)
COLUMNS = (*OF_RUNG, "train_loss", "epochs", "steps", "seconds", "score")
#: Numbers are the same within it: a root may end otherwise on another machine.
SAME = 1e-9


class Trainer(Protocol):
    """Trains a rung to lengths, and yields a row for each as it comes: ``n_tokens``, ``loss``, and what else it has."""

    def __call__(self, rung: Rung, lengths: Sequence[int]) -> Iterator[Mapping[str, float] | None]:
        """Yield rows, the shortest length first, and None where others may go on; end early where it must stop."""


def table_of(path: str | os.PathLike[str], about: Mapping[str, str]) -> RunTable:
    """Open the table of a ladder, or make one; ``about`` is what all of its rows share."""
    return RunTable(path, COLUMNS, about)


def climb(
    rungs: Sequence[Rung],
    trainer: Trainer,
    table: RunTable,
    *,
    together: int = 1,
    tell: Callable[[Rung, int, Mapping[str, float]], object] | None = None,
) -> bool:
    """Train what has no row yet; whether all of it has one.

    Parameters
    ----------
    rungs : sequence of Rung
        In the order in which they are begun.
    trainer : callable
        See :class:`Trainer`.
    table : RunTable
        Gets each row as it comes.
    together : int
        Rungs that are trained side by side, by turns: small models leave most of a card idle.
    tell : callable, optional
        Called with the rung, how many rungs are behind it, and the row.

    Raises
    ------
    ResumeMismatch
        When a rung was trained in another way: rows of the table have another learning rate, batch or context.
    """
    for rung in rungs:
        check_rows(rung, table)
    there = {(row["run"], float(row["n_tokens"])) for row in table.rows}

    def missing(rung: Rung) -> list[int]:
        return [n for n in rung.lengths if (rung.name, float(n)) not in there]

    waiting = deque((i, rung) for i, rung in enumerate(rungs) if missing(rung))
    begun: list[tuple[int, Rung, Iterator[Mapping[str, float] | None]]] = []
    stopped = False
    while begun or (waiting and not stopped):
        while waiting and not stopped and len(begun) < together:
            i, rung = waiting.popleft()
            begun.append((i, rung, trainer(rung, missing(rung))))
        for one in tuple(begun):
            i, rung, rows = one
            for found in rows:
                if found is None:
                    break
                table.add(_row(rung) | dict(found))
                there.add((rung.name, float(found["n_tokens"])))
                if tell is not None:
                    tell(rung, i, found)
            else:
                begun.remove(one)
                stopped |= bool(missing(rung))
    return not stopped and not waiting


def check_rows(rung: Rung, table: RunTable) -> None:
    """Refuse to go on with a rung whose rows are of another training.

    Raises
    ------
    ResumeMismatch
        When the shape, or how it is trained, differs.
    """
    mine = _row(rung)
    for number, row in enumerate(table.rows, 2):
        if row["run"] != rung.name:
            continue
        for name, value in mine.items():
            if name != "run" and not math.isclose(float(row[name]), float(value), rel_tol=SAME):  # type: ignore[arg-type]
                raise ResumeMismatch(
                    f"{table.path}, line {number}: {name} of {rung.name} is {row[name]} there and {value} here; give "
                    "the same settings, or another file for another study"
                )


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
