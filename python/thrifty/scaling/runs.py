"""Training runs as columns: what laws are fitted to, and what they are asked about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]

__all__ = ["Runs", "Source"]

#: Columns of numbers that laws know.
KNOWN = ("n_params", "n_tokens", "loss", "d_model", "n_layers")


@dataclass(frozen=True, slots=True)
class Source:
    """Where runs are from.

    Attributes
    ----------
    path : str
        File, or empty.
    sha256 : str
        Of the file's bytes.
    where : tuple of (str, str)
        Column and value that rows were picked by.
    columns : tuple of (str, str)
        Field, as ``loss``, and the column that it was read from.
    unit : str
        Of the loss.
    """

    path: str = ""
    sha256: str = ""
    where: tuple[tuple[str, str], ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    unit: str = "nats a token"


@dataclass(frozen=True, eq=False)
class Runs:
    """Rows of training runs, or of runs to come.

    Attributes
    ----------
    n_params : float64[n]
        Parameters, of the kind that ``counted`` says.
    n_tokens : float64[n]
        Tokens trained on.
    loss : float64[n], optional
        Nats a token; None where they are asked for.
    d_model, n_layers : float64[n], optional
        Width and depth.
    names : tuple of str
        The ``run`` of each row; empty texts where the file names none.
    columns : dict of str to tuple
        All columns of the file as they stand there, by their names: what ``groups`` and ``where`` pick from.
    lines : int64[n], optional
        Line of each row in its file, from 1, the header being the first.
    counted : str
        What ``n_params`` counts: ``"total"`` or ``"non_embedding"``.
    source : Source
    sizes : dict of str to float64[n]
        Parameters of each kind that the file has, ``"total"`` and ``"non_embedding"``.
    notes : tuple of str
        What is odd about the rows, for people.
    """

    n_params: Values
    n_tokens: Values
    loss: Values | None = None
    d_model: Values | None = None
    n_layers: Values | None = None
    names: tuple[str, ...] = ()
    columns: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    lines: NDArray[np.int64] | None = None
    counted: Literal["total", "non_embedding"] = "total"
    source: Source = field(default_factory=Source)
    sizes: dict[str, Values] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Runs | Mapping[str, ArrayLike] | Any) -> Runs:
        """Return runs from what has columns: a mapping, a data frame, or runs themselves.

        Parameters
        ----------
        columns : Runs, mapping or data frame
            ``n_params``, ``n_tokens``, and, where a law needs them, ``loss``, ``d_model``, ``n_layers``; ``run`` and
            others are carried along.

        Raises
        ------
        ValueError
            Where n_params or n_tokens is missing, a number is none, or columns are of other lengths.

        Examples
        --------
        >>> from thrifty.scaling import Runs
        >>> len(Runs.of({"n_params": [1e8, 2e8], "n_tokens": [2e9, 4e9], "loss": [3.1, 2.9]}))
        2
        """
        if isinstance(columns, Runs):
            return columns
        given = {name: np.asarray(columns[name]) for name in columns}
        if missing := [name for name in KNOWN[:2] if name not in given]:
            raise ValueError(f"runs: the column {missing[0]} is missing")
        for name, values in given.items():
            if values.ndim != 1 or len(values) != len(given["n_params"]):
                raise ValueError(
                    f"runs: columns have a value for each run, got {name} of shape {values.shape} beside n_params of"
                    f" {given['n_params'].shape}"
                )
        known: dict[str, Any] = {name: _numbers(name, given[name]) for name in KNOWN if name in given}
        names = tuple(map(str, given["run"])) if "run" in given else ()
        carried = {name: tuple(values.tolist()) for name, values in given.items()}
        return cls(**known, names=names, columns=carried)

    def __len__(self) -> int:
        return len(self.n_params)

    def counting(self, counted: Literal["total", "non_embedding"]) -> Runs:
        """Return the same runs with their other number of parameters; a ValueError where there is none."""
        if counted == self.counted:
            return self
        if counted not in self.sizes:
            raise ValueError(f"counted: these runs have no {counted} parameters, only {self.counted} ones")
        return replace(self, n_params=self.sizes[counted], counted=counted)

    def take(self, rows: ArrayLike) -> Runs:
        """Return some rows, by a mask or by their numbers."""
        at = np.arange(len(self))[np.asarray(rows)]

        def some(values: Any) -> Any:
            return None if values is None else values[at]

        return replace(
            self,
            **{name: some(getattr(self, name)) for name in KNOWN},
            names=tuple(self.names[i] for i in at) if self.names else (),
            columns={name: tuple(values[i] for i in at) for name, values in self.columns.items()},
            lines=some(self.lines),
            sizes={kind: values[at] for kind, values in self.sizes.items()},
        )


def _numbers(name: str, values: NDArray[Any]) -> Values:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"runs: {name} has what is no number: {error}") from None
