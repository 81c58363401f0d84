"""Pair tables: lookups of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty._torch import like, to_numpy
from thrifty.pairconnect.spec import PairSpec
from thrifty.pairconnect.stats import pair_stats

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], object]

__all__ = ["PairTable"]


class PairTable:
    """Rows of pairs, and what positions look up in them.

    Parameters
    ----------
    spec : PairSpec
        Sizes.
    max_bytes : int, optional
        Refuse to be larger.

    Raises
    ------
    CapacityError
        When the rows would take more than ``max_bytes``, or than there is.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.pairconnect import PairSpec, PairTable
    >>> table = PairTable(PairSpec(vocab=10, rows=100, heads=2, head_dim=16, window=2))
    >>> values = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    >>> table.set_rows(0, values)
    (0.0, 0.0)
    >>> table.lookup([3, 1, 4]).shape
    (3, 32)
    >>> bool((table.lookup([3, 1, 4])[0] == 0).all())  # the first id has none before it
    True
    """

    def __init__(self, spec: PairSpec, *, max_bytes: int | None = None) -> None:
        self._core = _core.PairTable(spec.to_json(), max_bytes)
        self.spec = spec

    @classmethod
    def load(cls, path: str | PathLike[str], *, verify: bool = False, progress: Progress | None = None) -> PairTable:
        """Open a file that :meth:`save` wrote.

        It is mapped: a table of any size opens at once, and processes share its pages. It can't be changed.

        Parameters
        ----------
        path : path
            The file.
        verify : bool
            Compare all rows with their checksum first.
        progress : callable, optional
            Called as ``progress(phase, done, total)``; an exception from it stops the work.

        Raises
        ------
        FormatError
            When it is not such a file, or damaged.
        MismatchError
            When its rows are those of another version of the hash.
        """
        table = cls.__new__(cls)
        table._core = _core.PairTable.open(path, verify, progress)
        table.spec = PairSpec.from_json(table._core.spec)
        return table

    def save(self, path: str | PathLike[str], *, progress: Progress | None = None) -> None:
        """Write a file (docs/formats.md); the old one stays until the new one is complete."""
        self._core.save(path, progress)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows."""
        return self._core.nbytes

    def lookup(
        self,
        ids: Any,
        *,
        weights: Any = None,
        threads: int = 0,
        out: NDArray[np.float32] | None = None,
    ) -> Any:
        """Return what the positions of sequences look up.

        Parameters
        ----------
        ids : integer array or tensor of shape (tokens,) or (sequences, tokens)
            Below ``vocab``.
        weights : float32 array of shape (heads, window), optional
            Rows are multiplied by the weight of their distance, nearest first; with softmax it is added to the logits.
        threads : int
            0 for all cores. The result does not depend on it.
        out : float32 array, optional
            Contiguous and of the shape of the result, which is written there.

        Returns
        -------
        float32 array or tensor of shape (tokens, heads * head_dim) or (sequences, tokens, heads * head_dim)

        Raises
        ------
        ValueError
            For an id that is not below ``vocab``, or a shape that does not fit.
        """
        given = ids
        ids = _ids(ids)
        shape = (*ids.shape, self.spec.width)
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape:
            raise ValueError(f"out: shape {shape} is needed, got {out.shape}")
        if not out.flags.c_contiguous:
            raise ValueError("out: a contiguous array is needed")
        flat = np.ascontiguousarray(ids).reshape(-1)
        self._core.lookup(flat, ids.shape[-1], _weights(self.spec, weights), threads, out.reshape(-1))
        return like(out, given)

    def state(self, *, weights: Any = None) -> _core.PairState:
        """Return a sequence without ids, to append to position by position.

        Its ``append(ids)`` returns what they look up, ``truncate(length)`` takes positions back, ``fork()`` copies it.
        """
        return _core.PairState(self._core, _weights(self.spec, weights))

    def backward(
        self, ids: Any, grad: Any, *, weights: Any = None, threads: int = 0
    ) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]:
        """Return gradients of the rows that a batch looked up.

        Parameters
        ----------
        ids : integer array of shape (tokens,) or (sequences, tokens)
            What was looked up.
        grad : float32 array of shape (tokens, heads * head_dim) or (sequences, tokens, heads * head_dim)
            The gradient of what :meth:`lookup` returned.
        weights : float32 array of shape (heads, window), optional
            Those of the lookup.
        threads : int
            0 for all cores. The result does not depend on it.

        Returns
        -------
        rows : uint64 array of shape (M,)
            Rows touched, ascending, each once; counted over all heads.
        grads : float32 array of shape (M, head_dim)
            Gradients of their values. Terms are summed 64 at a time in single precision and such sums in double, so
            that ten million terms of one row lose no more than a few do.
        logit_grads : float32 array of shape (M,) or None
            With softmax, those of their logits.
        weight_grads : float32 array of shape (heads, window) or None
            With ``weights``, their gradient.

        Raises
        ------
        ValueError
            For a table of another dtype than f32, an id that is not below ``vocab``, or a shape that does not fit.
        CapacityError
            For more than 2**32 pairs at once.
        """
        flat, tokens, factors, gradient = of_training(self.spec, ids, grad, weights)
        rows, values, logits, found = self._core.backward(flat, tokens, factors, gradient, threads)
        found = None if found is None else found.reshape(self.spec.heads, -1)
        return rows, values.reshape(-1, self.spec.head_dim), logits, found

    def rows(self, ids: Any) -> NDArray[np.uint64]:
        """Return the rows that the last of ``ids`` looks up: an array of shape (heads, pairs), nearest pairs first.

        Rows are counted over all heads: head h has those from ``h * rows`` on.
        """
        return self._core.rows(np.ascontiguousarray(to_numpy(ids, "ids"))).reshape(self.spec.heads, -1)

    def set_rows(self, first: int, values: Any, logits: Any = None) -> tuple[float, float]:
        """Set rows from ``first`` on.

        Parameters
        ----------
        first : int
            Counted over all heads.
        values : float32 array of shape (rows, head_dim)
            Rounded to the table's dtype.
        logits : float32 array of shape (rows,)
            Where rows are pooled by softmax.

        Returns
        -------
        tuple of float
            What rounding changed: a number at most, and all of them relative to their norm.
        """
        values = np.ascontiguousarray(to_numpy(values, "values"), np.float32)
        if values.ndim != 2 or values.shape[1] != self.spec.head_dim:
            raise ValueError(f"values: shape (rows, {self.spec.head_dim}) is needed, got {values.shape}")
        if logits is not None:
            logits = np.ascontiguousarray(to_numpy(logits, "logits"), np.float32)
        return self._core.set_rows(first, values.reshape(-1), logits)

    def get_rows(self, first: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return rows from ``first`` on: values of shape (count, head_dim), and logits where rows have some."""
        values, logits = self._core.get_rows(first, count)
        return values.reshape(count, self.spec.head_dim), logits

    def stats(self, ids: Any, *, threads: int = 0, progress: Progress | None = None) -> dict[str, Any]:
        """Return how ids load the rows: those touched, collisions, bytes a token (:func:`.stats.pair_stats`).

        Examples
        --------
        >>> from thrifty.pairconnect import PairSpec, PairTable
        >>> PairTable(PairSpec(vocab=10, rows=100, heads=2)).stats([3, 1, 4])["distinct_pairs"]
        3
        """
        return pair_stats(self.spec, ids, threads=threads, progress=progress)


def of_training(spec: PairSpec, ids: Any, grad: Any, weights: Any) -> tuple[Any, int, Any, Any]:
    """Return ids, how many a sequence has, weights and gradients as the core takes them."""
    ids = _ids(ids)
    grad = np.asarray(to_numpy(grad, "grad"))
    if grad.dtype != np.float32:
        raise TypeError(f"grad: float32 is needed, got {grad.dtype}")
    if grad.shape != (*ids.shape, spec.width):
        raise ValueError(f"grad: shape {(*ids.shape, spec.width)} is needed, got {grad.shape}")
    flat = np.ascontiguousarray(ids).reshape(-1)
    return flat, ids.shape[-1], _weights(spec, weights), np.ascontiguousarray(grad).reshape(-1)


def _ids(ids: Any) -> Any:
    ids = np.asarray(to_numpy(ids, "ids"))
    if ids.ndim not in (1, 2):
        raise ValueError(f"ids: one or two dimensions are needed, got shape {ids.shape}")
    # What is empty has a dtype of its own.
    return ids.astype(np.uint32) if ids.size == 0 else ids


def _weights(spec: PairSpec, weights: Any) -> Any:
    """Return weights of distances as the core takes them."""
    if weights is None:
        return None
    weights = np.asarray(to_numpy(weights, "weights"), np.float32)
    if weights.shape != (spec.heads, spec.window):
        raise ValueError(f"weights: shape (heads, window) = {(spec.heads, spec.window)} is needed, got {weights.shape}")
    return np.ascontiguousarray(weights).reshape(-1)
