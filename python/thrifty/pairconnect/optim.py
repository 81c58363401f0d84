"""Optimisers of pair tables: the gradients of a batch and the step of its rows in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from thrifty import _core
from thrifty.pairconnect.table import of_training

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.pairconnect.table import PairTable

__all__ = ["SGD", "LazyAdam", "RowAdagrad"]


class RowOptimizer:
    """What the optimisers share. A step costs what the rows touched do; the others stand still."""

    _rule: ClassVar[str]
    _names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, table: PairTable, lr: float, betas: tuple[float, float] = (0.0, 0.0), eps: float = 0.0) -> None:
        self.table = table
        self.lr = lr
        self._core = _core.PairOptimizer(table._core, self._rule, betas, eps)

    @property
    def steps(self) -> int:
        """Steps so far."""
        return self._core.steps

    def step(self, ids: Any, grad: Any, *, weights: Any = None, threads: int = 0) -> NDArray[np.float32] | None:
        """Update the rows that a batch looked up.

        Parameters
        ----------
        ids : integer array of shape (tokens,) or (sequences, tokens)
            What was looked up.
        grad : float32 array of shape (tokens, heads * head_dim) or (sequences, tokens, heads * head_dim)
            The gradient of what :meth:`PairTable.lookup` returned.
        weights : float32 array of shape (heads, window), optional
            Those of the lookup.
        threads : int
            0 for all cores. The result does not depend on it.

        Returns
        -------
        float32 array of shape (heads, window) or None
            The gradient of ``weights``, as they were.

        Raises
        ------
        ValueError
            For a table in a file or of another dtype than f32, an id that is not below ``vocab``, or a shape that does
            not fit. No row has changed then.
        """
        flat, tokens, factors, gradient = of_training(self.table.spec, ids, grad, weights)
        found = self._core.step(self.table._core, flat, tokens, factors, gradient, self.lr, threads)
        return None if found is None else found.reshape(self.table.spec.heads, -1)

    def apply(self, rows: Any, grads: Any, logit_grads: Any = None, *, threads: int = 0) -> None:
        """Update rows by gradients that :meth:`PairTable.backward` returned, perhaps changed since.

        Parameters
        ----------
        rows : uint64 array of shape (M,)
            Ascending, none twice; counted over all heads.
        grads : float32 array of shape (M, head_dim)
        logit_grads : float32 array of shape (M,), optional
            Where rows are pooled by softmax.
        threads : int
            0 for all cores. The result does not depend on it.

        Raises
        ------
        ValueError
            For rows that are not there or not in order, or a shape that does not fit.
        """
        rows = np.ascontiguousarray(rows, np.uint64)
        grads = np.ascontiguousarray(grads, np.float32)
        if grads.shape != (*rows.shape, self.table.spec.head_dim):
            raise ValueError(f"grads: shape {(*rows.shape, self.table.spec.head_dim)} is needed, got {grads.shape}")
        logits = None if logit_grads is None else np.ascontiguousarray(logit_grads, np.float32)
        self._core.apply(self.table._core, rows, grads.reshape(-1), logits, self.lr, threads)

    def state(self) -> dict[str, Any]:
        """Return all that later steps depend on beside the table: ``rule``, ``step``, and what is remembered of rows.

        Names are torch's: ``sum`` of shape (heads * rows,), or ``exp_avg`` and ``exp_avg_sq`` of shape (heads * rows,
        head_dim); with softmax the same of logits, named ``logit_...``. The arrays are copies.
        """
        values, logits = self._core.state()
        out: dict[str, Any] = {"rule": self._rule, "step": self.steps}
        for name, i, numbers, shape in self._parts(values, logits):
            out[name] = numbers.reshape(shape[0], len(self._names), -1)[:, i].reshape(shape)
        return out

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` returned.

        Raises
        ------
        ValueError
            When it is of another rule, or of a table of another size.
        """
        if state.get("rule") != self._rule:
            raise ValueError(f"state: is of the rule {state.get('rule')!r}, this one is {self._rule!r}")
        values, logits = (np.empty_like(numbers) for numbers in self._core.state())
        for name, i, numbers, shape in self._parts(values, logits):
            given = np.asarray(state.get(name, ()), np.float32)
            if given.shape != shape:
                raise ValueError(f"state: {name!r} of shape {shape} is needed, got {given.shape}")
            numbers.reshape(shape[0], len(self._names), -1)[:, i] = given.reshape(shape[0], -1)
        self._core.load(int(state["step"]), values, logits)

    def _parts(self, values: Any, logits: Any) -> list[tuple[str, int, Any, tuple[int, ...]]]:
        """Return name, number, array and shape of each part of the state."""
        spec = self.table.spec
        rows = spec.heads * spec.rows
        wide = (rows,) if self._rule == "adagrad" else (rows, spec.head_dim)
        out: list[tuple[str, int, Any, tuple[int, ...]]] = []
        for i, name in enumerate(self._names):
            out.append((name, i, values, wide))
            if len(logits):
                out.append((f"logit_{name}", i, logits, (rows,)))
        return out


class SGD(RowOptimizer):
    """``row -= lr * gradient``.

    Parameters
    ----------
    table : PairTable
        Of f32, in memory.
    lr : float
        Learning rate, which may be set between steps.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.pairconnect import PairSpec, PairTable
    >>> from thrifty.pairconnect.optim import SGD
    >>> table = PairTable(PairSpec(vocab=10, rows=100, heads=1, window=1))
    >>> SGD(table, lr=0.5).step([3, 1], np.ones((2, 32), np.float32))
    >>> float(table.lookup([3, 1])[1, 0])
    -0.5
    """

    _rule = "sgd"

    def __init__(self, table: PairTable, lr: float) -> None:
        super().__init__(table, lr)


class RowAdagrad(RowOptimizer):
    """Adagrad with one sum a row: of the mean squares of its gradients (row-wise Adagrad of recommendation models).

    ``sum += mean(gradient ** 2)``, ``row -= lr * gradient / (sqrt(sum) + eps)``; a logit has a sum of its own.

    Parameters
    ----------
    table : PairTable
        Of f32, in memory.
    lr : float
        Learning rate, which may be set between steps.
    eps : float
        Added to the root.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.pairconnect import PairSpec, PairTable
    >>> from thrifty.pairconnect.optim import RowAdagrad
    >>> table = PairTable(PairSpec(vocab=10, rows=100, heads=1, window=1))
    >>> RowAdagrad(table, lr=0.5).step([3, 1], np.full((2, 32), 3, np.float32))
    >>> float(table.lookup([3, 1])[1, 0])
    -0.5
    """

    _rule = "adagrad"
    _names = ("sum",)

    def __init__(self, table: PairTable, lr: float = 1e-2, eps: float = 1e-10) -> None:
        super().__init__(table, lr, eps=eps)


class LazyAdam(RowOptimizer):
    """Adam of the rows that have a gradient: the update of ``torch.optim.SparseAdam``.

    Moments change with their row alone; the corrections for their bias count all steps of the table, so that a row that
    is first touched late begins with small steps.

    Parameters
    ----------
    table : PairTable
        Of f32, in memory.
    lr : float
        Learning rate, which may be set between steps.
    betas : tuple of float
        Decays of the mean of gradients and of their squares.
    eps : float
        Added to the root of the latter.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.pairconnect import PairSpec, PairTable
    >>> from thrifty.pairconnect.optim import LazyAdam
    >>> table = PairTable(PairSpec(vocab=10, rows=100, heads=1, window=1))
    >>> optimizer = LazyAdam(table, lr=0.5)
    >>> optimizer.step([3, 1], np.full((2, 32), 3, np.float32))
    >>> round(float(table.lookup([3, 1])[1, 0]), 6)
    -0.5
    >>> sorted(optimizer.state())
    ['exp_avg', 'exp_avg_sq', 'rule', 'step']
    """

    _rule = "adam"
    _names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self, table: PairTable, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(table, lr, betas, eps)
