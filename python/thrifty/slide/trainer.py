"""Training a network with a sparse input, one hidden layer and a wide output, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty.slide.data import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], object]

__all__ = ["Epoch", "LSHConfig", "Trainer"]


@dataclass(frozen=True, slots=True)
class LSHConfig:
    """How the neurons of the output layer are hashed and chosen.

    Attributes
    ----------
    k : int
        Bins of eight coordinates whose winners make a table's code, three bits each (K). More of them return fewer,
        closer neurons.
    tables : int
        Hash tables (L).
    bucket : int
        Neurons of a bucket that a query takes at most.
    active : int
        Neurons that a batch trains, its labels among them.
    each : int
        Neurons that a row asks of its tables at most: those that most of them return.
    rehash : int
        Steps after which all neurons are hashed again.
    """

    k: int = 4
    tables: int = 50
    bucket: int = 128
    active: int = 1024
    each: int = 8
    rehash: int = 50


@dataclass(frozen=True, slots=True)
class Epoch:
    """What a pass over the rows did.

    Attributes
    ----------
    loss : float
        Mean cross entropy of rows with labels, over the active neurons of their batch.
    rows : int
        Rows with labels.
    returned : float
        Mean number of neurons that the tables returned for a row.
    recall : float
        Mean share of a row's labels among the ``each`` best of them.
    active : float
        Mean number of active neurons of a batch.
    """

    loss: float
    rows: int
    returned: float
    recall: float
    active: float


class Trainer:
    """A network whose output layer costs what its active neurons cost.

    Hidden units are rectified; the loss is the cross entropy of a softmax over the active neurons of a batch, with the
    labels of a row as equal shares. Adam steps touch active rows only (as torch.optim.SparseAdam). The weights depend
    on data, settings and seed, not on the number of threads.

    Parameters
    ----------
    features, labels : int
        Columns of inputs and targets.
    hidden : int
        Units of the hidden layer.
    head : LSHConfig
        How active neurons are chosen.
    lr : float
        Learning rate of Adam.
    batch : int
        Rows a step.
    seed : int
        Of weights, hashes, samples and the order of rows.
    threads : int
        0 for all cores.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_matrix
    >>> from thrifty.slide import Trainer
    >>> inputs = csr_matrix(np.eye(40, dtype=np.float32))
    >>> trainer = Trainer(features=40, labels=40, hidden=32)
    >>> trainer.fit(inputs, inputs)[0].rows
    40
    """

    def __init__(
        self,
        features: int,
        labels: int,
        *,
        hidden: int = 128,
        head: LSHConfig | None = None,
        lr: float = 0.01,
        batch: int = 128,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        self.features, self.labels, self.batch, self.threads = features, labels, batch, threads
        head = head or LSHConfig()
        sampling = (head.k, head.tables, head.bucket, head.active, head.each, head.rehash)
        self._core = _core.SlideTrainer(features, hidden, labels, sampling, lr, seed)
        self._epochs = 0

    def fit(
        self,
        inputs: Any,
        targets: Any,
        *,
        epochs: int = 1,
        on_epoch: Callable[[Epoch], object] | None = None,
        progress: Progress | None = None,
    ) -> list[Epoch]:
        """Train for some more epochs.

        Parameters
        ----------
        inputs : scipy sparse matrix, shape (rows, features)
        targets : scipy sparse matrix, shape (rows, labels)
            The labels of each row; values do not matter.
        epochs : int
            Passes over the rows; rows without labels are left out.
        on_epoch : callable, optional
            Called with each epoch's figures when it is done.
        progress : callable, optional
            Called as ``progress(phase, done, total)``; an exception from it stops the training between steps.

        Returns
        -------
        list of Epoch

        Raises
        ------
        ModelError
            When the loss is no longer a number; the weights are as the step before left them.
        """
        x = rows(inputs, "inputs", self.features)
        y = rows(targets, "targets", self.labels)[:2]
        done = []
        for _ in range(epochs):
            epoch = Epoch(*self._core.epoch(x, y, self.batch, self._epochs, self.threads, progress))
            self._epochs += 1
            done.append(epoch)
            if on_epoch is not None:
                on_epoch(epoch)
        return done

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of the weights.

        Returns
        -------
        dict
            ``input`` of shape (features, hidden), ``input_bias`` (hidden,), ``output`` (labels, hidden) and
            ``output_bias`` (labels,).
        """
        return dict(self._core.weights())

    def predict(
        self, inputs: Any, k: int = 5, *, progress: Progress | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the best labels of each row, by the whole output layer.

        Parameters
        ----------
        inputs : scipy sparse matrix, shape (rows, features)
        k : int
            How many.
        progress : callable, optional
            As for :meth:`fit`.

        Returns
        -------
        labels : int64 array of shape (rows, k)
            Best first.
        scores : float32 array of shape (rows, k)
            Logits.
        """
        x = rows(inputs, "inputs", self.features)
        ids, scores = self._core.predict(x, k, self.threads, progress)
        shape = (len(x[0]), min(k, self.labels))
        return ids.astype(np.int64).reshape(shape), scores.reshape(shape)

    def evaluate(self, inputs: Any, targets: Any, *, progress: Progress | None = None) -> dict[str, float]:
        """Return the shares of right labels among the best 1, 3 and 5, over rows with labels.

        Parameters
        ----------
        inputs, targets : scipy sparse matrices
            As for :meth:`fit`.
        """
        ends, labels, _ = rows(targets, "targets", self.labels)
        bounds = np.append(0, ends).astype(np.int64)
        counts = bounds[1:] - bounds[:-1]
        told = counts > 0
        best = self.predict(inputs, 5, progress=progress)[0]
        owners = np.repeat(np.arange(len(ends)), counts)
        known = set(zip(owners.tolist(), labels.tolist(), strict=True))
        right = np.array([[(i, label) in known for label in row] for i, row in enumerate(best.tolist())], bool)
        right = right.reshape(best.shape)[told]
        result: dict[str, float] = {"rows": int(told.sum())}
        for k in (1, 3, 5):
            result[f"p_at_{k}"] = float(right[:, :k].sum() / (k * max(len(right), 1)))
        return result
