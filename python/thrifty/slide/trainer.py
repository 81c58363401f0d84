"""Training a network with a sparse input, one hidden layer and a wide output, without torch."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty.errors import FormatError
from thrifty.slide.config import LSHConfig
from thrifty.slide.data import rows
from thrifty.slide.metrics import scores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from thrifty.slide.shards import Shards

    Progress = Callable[[str, int, int], object]

__all__ = ["Epoch", "Trainer"]


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

    Hidden units are rectified. The weights depend on
    data, settings and seed, not on the number of threads.

    Parameters
    ----------
    features, labels : int
        Columns of inputs and targets.
    hidden : int
        Units of the hidden layer.
    head : LSHConfig
        How active neurons are chosen.
    loss : str
        ``"softmax"``: cross entropy of a softmax over the active neurons of a batch, the labels of a row as equal
        shares. ``"sigmoid"``: binary cross entropy of each active neuron, for rows with many labels.
    precision : str
        Of the output layer's weights: ``"f32"``; ``"bf16"``, with f32 beside it from which it is rounded;
        ``"bf16-stochastic"``, bf16 alone and rounded at random, for layers that would not fit.
    adam : str
        ``"sparse"``: a step touches active rows and the features of its batch only, and moments of the others stand
        still (as torch.optim.SparseAdam). ``"dense"``: all rows move on by their moments, which decay (as
        torch.optim.Adam, but for epsilon, which is added as in SparseAdam). A row is brought up to date when it is next
        needed, so a step costs little more. Whatever needs all rows (:meth:`predict`, :meth:`save`, a checkpoint)
        brings all up to date, which rounds: training goes on within the last digits of one where nobody asked.
    lr : float
        Learning rate of Adam.
    batch : int
        Rows a step.
    seed : int
        Of weights, hashes, samples and the order of rows.
    threads : int
        0 for all cores.
    process_group : torch.distributed.ProcessGroup or mpi4py.MPI.Comm, optional
        Of ranks that train one network together (D-SLIDE, arXiv 2201.12667): each has some hidden units and some
        labels, with their weights, moments and tables. All ranks make the same calls with the same data.
    deterministic : bool
        Ranks choose the neurons that one rank with all of them would, so that losses do not depend on their number;
        takes more messages, and ``random="uniform"``; possible without ranks as well. Otherwise each chooses its share
        by its own tables.
    messages : str, optional
        How hidden values and gradients travel: ``"bf16"``, ``"i8"`` (127 steps of the largest number of a row), or
        ``"f32"``, as with ``deterministic``.
    shares : str or sequence of float
        How much of the network each rank has: ``"equal"``, ``"measured"`` by how fast it is, or a number for each.

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
        loss: str = "softmax",
        precision: str = "f32",
        adam: str = "sparse",
        lr: float = 0.01,
        batch: int = 128,
        seed: int = 0,
        threads: int = 0,
        process_group: Any = None,
        deterministic: bool = False,
        messages: str | None = None,
        shares: str | Sequence[float] = "equal",
    ) -> None:
        shape = (features, hidden, labels)
        self.threads = threads
        head = head or LSHConfig()
        self._core: _core.SlideTrainer | Shards
        if process_group is None and not deterministic:
            self._core = _core.SlideTrainer(shape, head, loss, precision, adam, lr, batch, seed)
        else:
            from thrifty.slide.shards import Shards

            network = (shape, head, loss, precision, adam, lr, batch, seed)
            ranks = {"group": process_group, "deterministic": deterministic, "messages": messages, "shares": shares}
            self._core = Shards(*network, threads=threads, **ranks)
        self._history: list[Epoch] = []
        self._unsaved = False  # an epoch is complete that has no checkpoint yet

    @staticmethod
    def memory(
        features: int,
        labels: int,
        *,
        hidden: int = 128,
        head: LSHConfig | None = None,
        precision: str = "f32",
        adam: str = "sparse",
    ) -> dict[str, int]:
        """Return the bytes that a trainer takes, without making one.

        Parameters
        ----------
        features, labels, hidden, head, precision, adam
            As for :class:`Trainer`.

        Returns
        -------
        dict
            ``weights``; ``moments``, with copies in f32 of weights in bf16; ``tables``; ``total``.
        """
        parts = _core.SlideTrainer.memory((features, hidden, labels), head or LSHConfig(), precision, adam)
        return {**dict(zip(("weights", "moments", "tables"), parts, strict=True)), "total": sum(parts)}

    @property
    def features(self) -> int:
        """Columns of inputs."""
        return self._core.spec()[0][0]

    @property
    def hidden(self) -> int:
        """Hidden units."""
        return self._core.spec()[0][1]

    @property
    def labels(self) -> int:
        """Columns of targets."""
        return self._core.spec()[0][2]

    @property
    def lr(self) -> float:
        """Learning rate of the steps to come; may be set, and goes with checkpoints."""
        return self._core.spec()[2]

    @lr.setter
    def lr(self, rate: float) -> None:
        self._core.set_rate(rate)

    def choose(self, head: LSHConfig) -> None:
        """Choose neurons in another way from now on: more tables to predict with, for one, than to train with.

        Parameters
        ----------
        head : LSHConfig
            The new settings; tables are built when they are next needed.
        """
        self._core.set_head(head)

    @property
    def history(self) -> list[Epoch]:
        """Figures of all complete epochs."""
        return list(self._history)

    def fit(
        self,
        inputs: Any,
        targets: Any,
        *,
        epochs: int = 1,
        checkpoint: str | PathLike[str] | None = None,
        every: int = 1000,
        on_epoch: Callable[[Epoch], object] | None = None,
        progress: Progress | None = None,
    ) -> list[Epoch]:
        """Train for some more epochs, or with ``checkpoint`` until so many are complete in all.

        After an interruption the next call goes on with the batch that comes next. With ``checkpoint``, so does the
        same call in another process: a new trainer with the same settings takes the state that it finds there, and
        its weights are in the end those of a training that nothing interrupted, byte for byte.

        Parameters
        ----------
        inputs : scipy sparse matrix, shape (rows, features)
        targets : scipy sparse matrix, shape (rows, labels)
            The labels of each row; values do not matter.
        epochs : int
            Passes over the rows; rows without labels are left out.
        checkpoint : path, optional
            Folder for checkpoints.
        every : int
            Steps between two checkpoints; there is one after each epoch as well.
        on_epoch : callable, optional
            Called with each epoch's figures when it is done, before its checkpoint: it may set :attr:`lr`.
        progress : callable, optional
            Called as ``progress(phase, done, total)``; an exception from it stops the training between steps.

        Returns
        -------
        list of Epoch
            Those that this call completed.

        Raises
        ------
        ModelError
            When the loss is no longer a number; the weights are as the step before left them.
        ResumeMismatch
            When the checkpoint is of a training with other settings or data; the message names what differs.
        """
        x = rows(inputs, "inputs", self.features)
        y = rows(targets, "targets", self.labels)[:2]
        file = None if checkpoint is None else self._checkpoint(Path(checkpoint), x, y, progress)
        last = len(self._history) + epochs if file is None else epochs
        done = []
        if file is not None and self._unsaved:
            self._keep(file)
        while len(self._history) < last:
            place = None if file is None else (file, max(every, 1), self._note())
            try:
                self._core.epoch(x, y, self.threads, place, progress)
            finally:
                self._unsaved = self._remember() and file is not None
            epoch = self._history[-1]
            done.append(epoch)
            if on_epoch is not None:
                on_epoch(epoch)  # before the checkpoint: what it changes goes with it
            if file is not None:
                self._keep(file)
        return done

    def _remember(self) -> bool:
        """Take down the epoch that the core completed, if it did: an interruption may come just then."""
        figures = self._core.last()
        if figures is None or self._core.spec()[3] == len(self._history):
            return False
        self._history.append(Epoch(*figures))
        return True

    def _keep(self, file: Path) -> None:
        """Write the checkpoint after an epoch."""
        self._core.save(file, self._note(), True, self.threads, None)
        self._unsaved = False

    def _note(self) -> str:
        return json.dumps({"history": [astuple(epoch) for epoch in self._history]})

    def _recall(self, note: str, path: Path) -> None:
        try:
            self._history = [Epoch(*figures) for figures in json.loads(note)["history"]]
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(f"{path}: the note in its metadata is not a list of epochs: {error}") from None

    def _checkpoint(self, folder: Path, x: Any, y: Any, progress: Progress | None) -> Path:
        """Make the folder; take the state that is there, unless this trainer has begun already."""
        folder.mkdir(parents=True, exist_ok=True)
        if not isinstance(self._core, _core.SlideTrainer):
            note = self._core.resume(folder, x, y) if self._core.spec()[4] == 0 else None
            if note is not None:
                self._recall(note, folder)
            return folder
        file = folder / "checkpoint.safetensors"
        if file.exists() and self._core.spec()[4] == 0:
            there, note = _core.SlideTrainer.open(file, progress)
            self._core.expect(there, file, x, y)
            self._recall(note, file)
            self._core = there
        return file

    def save(self, path: str | PathLike[str], *, progress: Progress | None = None) -> None:
        """Write the weights and settings as a safetensors file (docs/formats.md).

        Parameters
        ----------
        path : path
            Replaced when the new file is complete.
        progress : callable, optional
            As for :meth:`fit`.
        """
        self._core.save(path, self._note(), False, self.threads, progress)

    @classmethod
    def load(cls, path: str | PathLike[str], *, threads: int = 0, progress: Progress | None = None) -> Trainer:
        """Return the trainer that was saved: it predicts as before, and trains on with new moments.

        Parameters
        ----------
        path : path
            A file of :meth:`save`, or a checkpoint; from a checkpoint training goes on where it was.
        threads : int
            0 for all cores.
        progress : callable, optional
            As for :meth:`fit`.

        Raises
        ------
        FormatError
            When the file is no such model, or is damaged.
        CapacityError
            When the model does not fit into memory.
        """
        trainer = cls.__new__(cls)
        trainer.threads = threads
        trainer._unsaved = False
        trainer._core, note = _core.SlideTrainer.open(path, progress)
        trainer._recall(note, Path(path))
        return trainer

    def check_tables(self, *, drain: bool = True) -> tuple[int, int]:
        """Build new hash tables of the weights and compare the present ones with them.

        Parameters
        ----------
        drain : bool
            Hash the rows that wait first; the tables are then those of a full rebuild.

        Returns
        -------
        differing, buckets : int
            Buckets that have not the same neurons in the same order, of all.
        """
        return self._core.check_tables(drain, self.threads)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of the weights; with ranks, of those that this one has.

        Returns
        -------
        dict
            ``input`` of shape (features, hidden), ``input_bias`` (hidden,), ``output`` (labels, hidden) and
            ``output_bias`` (labels,).
        """
        return dict(self._core.weights(self.threads))

    def traffic(self) -> dict[str, float]:
        """Return what messages between ranks came to, as this rank sees it; empty without ranks.

        Returns
        -------
        dict
            ``ranks``; ``bytes_on_the_wire``, of messages that this rank sent, and ``bytes_a_step``; ``compute``,
            ``collectives`` and ``waiting`` (for ranks that were not yet there), shares of its time.
        """
        return {} if isinstance(self._core, _core.SlideTrainer) else self._core.report()

    def stats(self) -> dict[str, int]:
        """Return figures of the hash tables.

        Returns
        -------
        dict
            ``steps``; ``k``, ``range`` and ``tables`` as chosen; ``table_bytes``; ``queue``, rows that wait to be
            hashed again; ``oldest_stale_steps``, for how many steps the first of them does.
        """
        return dict(self._core.stats())

    def predict(
        self, inputs: Any, k: int = 5, *, candidates: int | None = None, progress: Progress | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the best labels of each row.

        Parameters
        ----------
        inputs : scipy sparse matrix, shape (rows, features)
        k : int
            How many.
        candidates : int, optional
            Score only so many neurons a row, those that most tables return. By default all.
        progress : callable, optional
            As for :meth:`fit`.

        Returns
        -------
        labels : int64 array of shape (rows, k)
            Best first; -1 where fewer neurons were scored.
        scores : float32 array of shape (rows, k)
            Logits; minus infinity where there is no label.
        """
        labels, values, _ = self._best(inputs, k, candidates, progress)
        return labels, values

    def _best(
        self, inputs: Any, k: int, candidates: int | None, progress: Progress | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], int]:
        x = rows(inputs, "inputs", self.features)
        ids, values, scored = self._core.predict(x, k, candidates, self.threads, progress)
        shape = (len(x[0]), min(k, self.labels))
        return ids.view(np.int32).astype(np.int64).reshape(shape), values.reshape(shape), scored

    def evaluate(
        self,
        inputs: Any,
        targets: Any,
        *,
        candidates: int | None = None,
        propensity: NDArray[np.float64] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, float]:
        """Return how good the best 1, 3 and 5 labels are, over rows with labels.

        Parameters
        ----------
        inputs, targets : scipy sparse matrices
            As for :meth:`fit`.
        candidates : int, optional
            As for :meth:`predict`.
        propensity : array of shape (labels,), optional
            Of each label, from :func:`propensities`, for the propensity-scored precision.
        progress : callable, optional
            As for :meth:`fit`.

        Returns
        -------
        dict
            As :func:`scores`, and ``scored_share``: the mean share of neurons that were scored for a row.
        """
        best, _, scored = self._best(inputs, min(5, self.labels), candidates, progress)
        return {
            **scores(best, targets, propensity),
            "scored_share": scored / (self.labels * max(len(best), 1)),
        }
