"""Tables of n-grams: lookups of positions, now or while other work goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from thrifty import _core
from thrifty._torch import is_tensor, like, require_torch, to_numpy
from thrifty.pairconnect.engram_spec import EngramSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], object]

__all__ = ["EngramFuture", "EngramTable"]


class EngramTable:
    """Rows of n-grams, and what positions look up in them.

    Parameters
    ----------
    spec : EngramSpec
        Sizes.
    remap : uint32 array of shape (ids,), optional
        The canonical id of each id; without it ids are canonical.
    max_bytes : int, optional
        Refuse to be larger.

    Raises
    ------
    CapacityError
        When the rows would take more than ``max_bytes``, or than there is.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.pairconnect import EngramSpec, EngramTable
    >>> table = EngramTable(EngramSpec(vocab=10, heads=2, head_dim=16, sizes=100))
    >>> table.sizes  # rows of each head of each order: primes, so that two n-grams seldom agree in all
    array([[101, 103],
           [107, 109]], dtype=uint64)
    >>> values = np.random.default_rng(0).normal(size=(420, 16)).astype(np.float32)
    >>> table.set_rows(0, values)
    (0.0, 0.0)
    >>> table.lookup([3, 1, 4]).shape
    (3, 64)
    >>> future = table.prefetch([3, 1, 4])  # goes on meanwhile
    >>> bool((future.result() == table.lookup([3, 1, 4])).all())
    True
    """

    def __init__(self, spec: EngramSpec, *, remap: Any = None, max_bytes: int | None = None) -> None:
        if remap is not None:
            remap = np.asarray(to_numpy(remap, "remap"))
            if remap.dtype.kind not in "iu" or (remap.size and (remap.min() < 0 or remap.max() >= 2**32)):
                raise ValueError(f"remap: ids are needed, got {remap.dtype}" + " with others" * (remap.size > 0))
            remap = np.ascontiguousarray(remap, np.uint32)
        self._take(_core.EngramTable(spec.to_json(), remap, max_bytes), spec)

    def _take(self, core: _core.EngramTable, spec: EngramSpec) -> None:
        self._core = core
        self.spec = spec

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        mmap: bool = True,
        verify: bool = False,
        max_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> EngramTable:
        """Open a file that :meth:`save` wrote.

        Parameters
        ----------
        path : path
            The file.
        mmap : bool
            Map it: a table of any size opens at once, and processes share its pages; it can't be changed. Or copy it
            to memory on huge pages, which random rows come from faster where the system maps files in small ones.
        verify : bool
            Compare all data with their checksums first.
        max_bytes : int, optional
            Refuse to copy more.
        progress : callable, optional
            Called as ``progress(phase, done, total)``; an exception from it stops the work.

        Raises
        ------
        FormatError
            When it is not such a file, or damaged.
        MismatchError
            When its rows are those of another version of the hash.
        CapacityError
            When a copy would take more than ``max_bytes``, or than there is.
        """
        table = cls.__new__(cls)
        core = _core.EngramTable.open(path, not mmap, verify, max_bytes, progress)
        table._take(core, EngramSpec.from_json(core.spec))
        return table

    def save(self, path: str | PathLike[str], *, progress: Progress | None = None) -> None:
        """Write a file (docs/formats.md); the old one stays until the new one is complete."""
        self._core.save(path, progress)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows."""
        return self._core.nbytes

    @property
    def sizes(self) -> NDArray[np.uint64]:
        """Rows of each head: an array of shape (orders, heads)."""
        return self._core.sizes.reshape(len(self.spec.orders), self.spec.heads)

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """First row of each head, counted over all: an array of shape (orders, heads)."""
        ends = np.cumsum(self._core.sizes, dtype=np.uint64)
        return (ends - self._core.sizes).reshape(len(self.spec.orders), self.spec.heads)

    @property
    def remap(self) -> NDArray[np.uint32] | None:
        """The canonical id of each id; None where ids are canonical."""
        return self._core.remap

    def lookup(self, ids: Any, *, start: int = 0, raw: bool = False, threads: int = 0, out: Any = None) -> Any:
        """Return what the positions of sequences look up.

        Parameters
        ----------
        ids : integer array or tensor of shape (..., tokens)
            One sequence or more.
        start : int
            Positions before it are not looked up; they are what n-grams of later ones begin with.
        raw : bool
            Rows of bf16 as they are, for what works with them as well.
        threads : int
            0 for all cores. The result does not depend on it.
        out : array or tensor, optional
            Contiguous and of the shape and dtype of the result, which is written there.

        Returns
        -------
        array or tensor of shape (..., tokens - start, len(orders) * heads * head_dim)
            float32; with ``raw`` uint16, or a tensor of bfloat16.

        Raises
        ------
        ValueError
            For an id that there is not, or a shape that does not fit.
        """
        if out is None and type(ids) is ndarray:  # the way of a token: no more than a look
            return self._core.lookup(ids, start, raw, threads, None)
        if out is not None:
            self._core.lookup(_array(ids), start, raw, threads, _memory(out))
            return out
        return _like(self._core.lookup(_array(ids), start, raw, threads, None), ids)

    def prefetch(self, ids: Any, *, start: int = 0, raw: bool = False, threads: int = 1) -> EngramFuture:
        """Begin a lookup that goes on while the caller does, without the interpreter.

        Takes what :meth:`lookup` takes. Threads are ours, and one by default, which leaves the others to the caller's
        work; lookups with the same number wait for each other. What is wrong with ids comes out of the future.
        """
        return EngramFuture(self._core.prefetch(_array(ids), start, raw, threads), ids)

    def rows(self, ids: Any, *, start: int = 0) -> NDArray[np.int64]:
        """Return the rows that positions look up: an array of shape (..., tokens - start, len(orders) * heads).

        Rows are counted over all heads; ``rows(ids) - offsets.reshape(-1)`` are those within each.
        """
        return self._core.rows(_array(ids), start).view(np.int64)

    def set_rows(self, first: int, values: Any, *, head: tuple[int, int] | None = None) -> tuple[float, float]:
        """Set rows from ``first`` on.

        Parameters
        ----------
        first : int
            Counted over all heads, or within ``head``. The weight of a released table begins at 0.
        values : float32 array of shape (rows, head_dim)
            Rounded to the table's dtype.
        head : tuple of int, optional
            Numbers of an order and a head; the rows must be its own.

        Returns
        -------
        tuple of float
            What rounding changed: a number at most, and all of them relative to their norm.
        """
        values = np.ascontiguousarray(to_numpy(values, "values"), np.float32)
        if values.ndim != 2 or values.shape[1] != self.spec.head_dim:
            raise ValueError(f"values: shape (rows, {self.spec.head_dim}) is needed, got {values.shape}")
        return self._core.set_rows(self._row(first, len(values), head), values.reshape(-1))

    def get_rows(self, first: int, count: int, *, head: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Return rows from ``first`` on, counted over all heads or within ``head``: shape (count, head_dim)."""
        return self._core.get_rows(self._row(first, count, head), count).reshape(count, self.spec.head_dim)

    def _row(self, first: int, count: int, head: tuple[int, int] | None) -> int:
        """Return the number over all heads of a row of a head."""
        if head is None:
            return first
        order, number = head
        if not (0 <= order < len(self.spec.orders) and 0 <= number < self.spec.heads):
            raise ValueError(f"head: {head} is none of {len(self.spec.orders)} orders x {self.spec.heads} heads")
        size = int(self.sizes[order, number])
        if not 0 <= first <= size or count > size - first:
            raise ValueError(f"rows: {first}..{first + count} of the {size} of head {head}")
        return int(self.offsets[order, number]) + first


class EngramFuture:
    """What :meth:`EngramTable.prefetch` began; when nobody holds it any more, the lookup stops."""

    def __init__(self, core: _core.EngramFuture, ids: Any) -> None:
        self._core = core
        self._example = ids if is_tensor(ids) else None

    def done(self) -> bool:
        """Whether :meth:`result` would not wait."""
        return self._core.done()

    def result(self, timeout: float | None = None) -> Any:
        """Return what :meth:`EngramTable.lookup` returns, the same object each time, or raise what it raises.

        Waits for it, at most ``timeout`` seconds; then it raises TimeoutError. A process that was forked meanwhile does
        the lookup again.
        """
        return _like(self._core.result(timeout), self._example)


def _array(ids: Any) -> NDArray[Any]:
    """Return ids as an array; an empty list is one of integers."""
    found: NDArray[Any] = np.asarray(to_numpy(ids, "ids"))
    return found if found.size else found.astype(np.int64)


def _like(found: NDArray[Any], ids: object) -> Any:
    """Return a result as a tensor when ids are one; bf16 is a dtype there."""
    if found.dtype == np.uint16 and is_tensor(ids):
        torch = require_torch()
        return torch.from_numpy(found.view(np.int16)).view(torch.bfloat16)
    return like(found, ids)


def _memory(out: Any) -> Any:
    """Return the memory of an array or tensor as an array of the dtype that is written."""
    if is_tensor(out) and out.dtype == require_torch().bfloat16:
        return to_numpy(out.view(require_torch().int16), "out").view(np.uint16)
    return to_numpy(out, "out")
