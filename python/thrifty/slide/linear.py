"""A wide output layer for networks in torch, at the cost of its active neurons."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty._torch import require_torch
from thrifty.slide import operators
from thrifty.slide.config import LSHConfig
from thrifty.slide.engine import PRECISIONS, RANDOM, Engine
from thrifty.slide.ranks import bounds, ranks_of
from thrifty.slide.targets import tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from thrifty.slide.engine import Memory
else:
    torch = require_torch()

__all__ = ["LSHLinear"]


class LSHLinear(torch.nn.Module):
    """Drop-in for the ``torch.nn.Linear`` that ends a network with very many outputs.

    ``head(h)`` are all logits, as ``Linear`` has them. :meth:`loss` trains with few of them: the softmax is taken
    over the labels of the batch, the neurons that hash tables return for its hidden vectors, and random ones.

    With ``fused`` the backward pass of a loss is also the step of the optimizer: active rows of weight and bias, and
    no others, are updated in place as torch.optim.SparseAdam does. So weight and bias belong into no optimizer,
    gradients are not accumulated or scaled, and of two losses before one ``backward`` the second sees the update of
    the first. Without ``fused``, weight and bias get sparse gradients, for torch.optim.SparseAdam.

    Hash tables follow the weights. Rows that a step changed are hashed again from a queue, some a step. Any other
    change (``load_state_dict``, operators in place, other optimizers) is seen by the version that torch counts for a
    tensor and by where its memory lies: all rows are then hashed again by the next call that asks the tables. After
    the step of a SparseAdam, Adagrad or plain SGD with a sparse gradient, and nothing else, only the rows of that
    gradient are. Writing to the memory past torch (``weight.data.numpy()``, ``weight.data.add_``) is what can't be
    seen; say :meth:`refresh`.

    Parameters
    ----------
    in_features, out_features : int
        Hidden values of a row (at least 8) and neurons.
    bias : bool
        Whether neurons have one; trained with the weight, and frozen with it.
    config : LSHConfig
        How active neurons are chosen. ``correction="logq"`` makes scores log-probabilities of the full softmax.
    loss : str
        ``"softmax"``: cross entropy over active neurons, the labels of a row as equal shares. ``"sigmoid"``: sum of the
        binary cross entropies of active neurons.
    precision : str
        Of the weight: ``"f32"``; ``"bf16"``, with f32 beside it in the fused optimizer; ``"bf16-stochastic"``, bf16
        alone and rounded at random. The bias is float32.
    fused : bool
        See above.
    adam : str
        Of the fused optimizer. ``"sparse"``: rows that are not active stand still, and their moments. ``"dense"``: they
        move on by their moments, which decay, as with torch.optim.Adam; a row is brought up to date when it is next
        needed. :attr:`weight` and :attr:`bias` then lack steps until :meth:`settle`, which all methods here and
        ``state_dict`` call first.
    lr : float
        Learning rate of the fused optimizer; :attr:`lr` may be set between steps.
    seed : int
        Of hashes, samples and rounding. The initial weight comes from torch's generator, as that of ``Linear``.
    threads : int
        0 for all cores. Results do not depend on it.
    process_group : torch.distributed.ProcessGroup, optional
        Of ranks that share out the neurons (D-SLIDE, arXiv 2201.12667): ``weight`` and ``bias`` are this rank's, rows
        ``first`` to ``last`` of the layer. Each rank brings rows of its own; losses are means over these, and gradients
        those of the mean over all rows where DistributedDataParallel averages them. All ranks make the same calls.

    Attributes
    ----------
    weight : Parameter of shape (out_features, in_features)
    bias : Parameter of shape (out_features,), or None
        Named as in ``torch.nn.Linear``, so state dicts go both ways. They hold no moments; copies and pickles do.

    Raises
    ------
    ValueError, TypeError
        When an argument is out of its range; the message names it.
    CapacityError
        When weights and moments do not fit into the memory that is free.

    Notes
    -----
    SLIDE, Chen et al., MLSys 2020; log Q correction: Bengio and Senecal, 2008, as in sampled softmax.

    Examples
    --------
    >>> import torch
    >>> from thrifty.slide import LSHConfig, LSHLinear
    >>> head = LSHLinear(32, 1000, config=LSHConfig(active=128), lr=0.05)
    >>> h, labels = torch.randn(64, 32, requires_grad=True), torch.arange(64)
    >>> losses = []
    >>> for _ in range(20):
    ...     loss = head.loss(h, labels)
    ...     loss.backward()
    ...     losses.append(loss.item())
    >>> losses[-1] < losses[0] / 2, h.grad.shape
    (True, torch.Size([64, 32]))
    >>> ids, scores = head.predict(h, k=3)
    >>> ids.shape, head(h).shape
    (torch.Size([64, 3]), torch.Size([64, 1000]))
    """

    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        config: LSHConfig | None = None,
        *,
        loss: Literal["softmax", "sigmoid"] = "softmax",
        precision: Literal["f32", "bf16", "bf16-stochastic"] = "f32",
        fused: bool = True,
        adam: Literal["sparse", "dense"] = "sparse",
        lr: float = 1e-3,
        seed: int = 0,
        threads: int = 0,
        process_group: Any = None,
    ) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"precision: {precision!r} is none of {', '.join(map(repr, PRECISIONS))}")
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if value < 1:
                raise ValueError(f"{name}: {value} is not possible; a number above 0")
        self.in_features, self.out_features = in_features, out_features
        self.config = LSHConfig() if config is None else config
        if loss == "sigmoid" and self.config.correction != "none":
            raise ValueError("correction: 'logq' is for the softmax; the sigmoid needs 'none'")
        if adam == "dense" and not fused:
            raise ValueError("adam: 'dense' is for the fused optimizer; fused=False leaves steps to others")
        self.precision: str = precision
        self.fused, self.seed, self.threads = fused, seed, threads
        self._loss, self._adam, self._lr = loss, adam, lr
        self._ranks = None if process_group is None else ranks_of(process_group)
        self.first, self.last = 0, out_features
        if self._ranks is not None:
            if not fused:
                raise ValueError("process_group: ranks need the fused optimizer")
            ends = bounds(out_features, [1.0] * self._ranks.size)
            self.first, self.last = ends[self._ranks.rank], ends[self._ranks.rank + 1]
        here = self.last - self.first
        self.weight = torch.nn.Parameter(torch.empty(here, in_features, dtype=PRECISIONS[precision]))
        self.bias = torch.nn.Parameter(torch.empty(here)) if bias else None
        self._clock: torch.Tensor
        self.register_buffer("_clock", torch.zeros((), dtype=torch.int64), persistent=False)
        self.reset_parameters()
        self._begin()

    def reset_parameters(self) -> None:
        """Draw the weights anew, as ``torch.nn.Linear`` does."""
        bound = 1 / math.sqrt(self.in_features)
        with torch.no_grad():
            for parameter in (self.weight, self.bias):
                if parameter is not None:
                    parameter.uniform_(-bound, bound)

    def _begin(self, memory: Memory | None = None) -> None:
        """Make what is neither a tensor nor a setting."""
        shape = self.last - self.first, self.in_features
        options: dict[str, Any] = {"adam": self._adam, "bias": self.bias is not None, "fused": self.fused}
        settings = self._loss, self.precision, self.seed, self.threads
        self._engine: Engine
        if self._ranks is None:
            self._engine = Engine(shape, self.config, *settings, **options)
        else:
            from thrifty.slide.ranked_engine import RankedEngine

            options |= {"first": self.first, "outputs": self.out_features}
            share = shape[0] / self.out_features
            self._engine = RankedEngine(self._ranks, shape, self.config.part(share), *settings, **options)
        if memory is not None:
            self._engine.refresh(self.weight)
            self._engine.core.remember(memory)
        self.lr = self._lr
        self._handle = operators.register(self)

    def settle(self) -> None:
        """Bring all rows up to date, with ``adam="dense"``: before weight or bias are read past the methods here."""
        self._engine.settle(self.weight, self.bias)

    def _save_to_state_dict(self, *args: Any, **options: Any) -> None:
        self.settle()
        super()._save_to_state_dict(*args, **options)

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        self.settle()  # what rows lack is not for the weights that come
        super()._load_from_state_dict(*args, **options)

    def __getstate__(self) -> dict[str, Any]:
        if self._ranks is not None:
            raise TypeError("a head over ranks can't be copied; save its state_dict, which is this rank's part")
        self.settle()
        left = {name: value for name, value in self.__dict__.items() if name not in ("_engine", "_handle")}
        return {**left, "_memory": self._engine.core.memory()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        memory = state.pop("_memory")
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._begin(memory)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> LSHLinear:
        """Move or convert the weights: float32 and bf16 on the CPU are possible; the bias stays in float32."""
        probe = fn(self.weight.detach()[:0])
        if probe.device.type != "cpu":
            raise ValueError(f"device: {probe.device} is not possible; LSHLinear works on the CPU")
        if probe.dtype not in PRECISIONS.values():
            raise TypeError(f"dtype: {probe.dtype} is not possible; float32 or bfloat16 (see precision)")
        self.settle()
        bias = None if self.bias is None else self.bias.detach()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.bias is not None and bias is not None and self.bias.dtype != bias.dtype:
            self.bias.data = bias
        if probe.dtype != PRECISIONS[self.precision]:
            self.precision = "bf16" if probe.dtype == torch.bfloat16 else "f32"
            self._begin((*self._engine.core.memory()[:3], None))
        return self

    @classmethod
    def from_linear(cls, linear: torch.nn.Linear, config: LSHConfig | None = None, **options: Any) -> LSHLinear:
        """Make a head with copies of a layer's weights.

        Parameters
        ----------
        linear : torch.nn.Linear
        config : LSHConfig, optional
        **options
            As for the class.

        Returns
        -------
        LSHLinear
        """
        head = cls(linear.in_features, linear.out_features, linear.bias is not None, config, **options)
        head.load_state_dict({name: value[head.first : head.last] for name, value in linear.state_dict().items()})
        return head

    def to_linear(self) -> torch.nn.Linear:
        """Return a ``torch.nn.Linear`` with float32 copies of the weights."""
        linear = torch.nn.Linear(self.in_features, self.out_features, self.bias is not None)
        parts = [self.state_dict()] if self._ranks is None else self._ranks.objects(self.state_dict())
        linear.load_state_dict({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
        return linear

    def extra_repr(self) -> str:
        """Return the settings, for ``print``."""
        changed = {k: v for k, v in asdict(self.config).items() if v != getattr(LSHConfig(), k)}
        options = {"precision": self.precision, "fused": self.fused, "loss": self._loss, "adam": self._adam, **changed}
        text = ", ".join(f"{name}={value}" for name, value in options.items())
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, {text}"

    @property
    def lr(self) -> float:
        """Learning rate of the fused optimizer."""
        return self._lr

    @lr.setter
    def lr(self, rate: float) -> None:
        self._engine.core.set_rate(rate)
        self._lr = float(rate)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Return all logits, as ``torch.nn.Linear``; their gradient is dense.

        Parameters
        ----------
        h : tensor of shape (..., in_features)

        Returns
        -------
        tensor of shape (..., out_features)
        """
        if self._ranks is not None:
            raise ValueError("forward: a rank has a part of the logits; use loss and predict, or to_linear")
        if self._adam == "dense":
            torch.compiler.disable(self.settle)()  # type: ignore[no-untyped-call]
        bias = None if self.bias is None else self.bias.to(h.dtype)
        return torch.nn.functional.linear(h, self.weight.to(h.dtype), bias)

    def loss(self, h: torch.Tensor, labels: Any, reduction: Literal["mean", "sum"] = "mean") -> torch.Tensor:
        """Return the loss over the active neurons of a batch.

        Its backward pass gives ``h`` its gradient and, with ``fused``, makes a step. Without gradients
        (``torch.no_grad``) nothing is kept. Works under ``torch.compile(fullgraph=True)`` with ``fused`` and labels
        that are tensors.

        Parameters
        ----------
        h : tensor of shape (..., in_features), on the CPU
        labels : int tensor of shape (...)
            One label a row; or for several labels a row a pair ``(indptr, ids)`` of int tensors with ``rows + 1`` and
            so many numbers as there are labels, a scipy sparse matrix, or a list of lists.
        reduction : str
            ``"mean"`` or ``"sum"`` over rows.

        Returns
        -------
        float32 tensor of shape ()

        Raises
        ------
        ValueError, TypeError
            For a label out of range, a row without labels or a value that is no number, naming the row; and for shapes
            that do not fit.
        ModelError
            When the loss is not a number: the weights are none any more.
        """
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction: {reduction!r} is none of 'mean', 'sum'")
        if self.bias is not None and self.bias.requires_grad != self.weight.requires_grad:
            raise ValueError("bias: frozen without the weight, or the weight without it; freeze both or none")
        hidden = self._flat(h)
        ids, indptr = tensors(labels, h.shape[:-1])
        if self.fused:
            mean = self._mean(hidden, ids, indptr)
        else:
            mean = torch.compiler.disable(self._mean)(hidden, ids, indptr)  # type: ignore[no-untyped-call]
        return mean if reduction == "mean" else mean * hidden.shape[0]

    def _mean(self, hidden: torch.Tensor, ids: torch.Tensor, indptr: torch.Tensor | None) -> torch.Tensor:
        mean: torch.Tensor = operators.loss(hidden, self.weight, self.bias, self._clock, ids, indptr, self._handle)[0]
        return mean

    def _flat(self, h: torch.Tensor) -> torch.Tensor:
        """Rows of float32 hidden values."""
        if not isinstance(h, torch.Tensor):
            raise TypeError(f"h: a torch tensor is needed, got {type(h).__name__}")
        if h.device.type != "cpu":
            raise ValueError(f"h: a tensor on {h.device}; LSHLinear works on the CPU, move it with h.cpu()")
        if not h.is_floating_point():
            raise TypeError(f"h: a floating-point tensor is needed, got {h.dtype}")
        if h.dim() == 0 or h.shape[-1] != self.in_features:
            raise ValueError(f"h: the last dimension must be {self.in_features}, got shape {tuple(h.shape)}")
        if h.numel() == 0:
            raise ValueError(f"h: no rows, shape {tuple(h.shape)}")
        return h.reshape(-1, self.in_features).to(torch.float32)

    def predict(
        self, h: torch.Tensor, k: int = 5, sparse: bool = False, candidates: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the best neurons of each row.

        Parameters
        ----------
        h : tensor of shape (..., in_features), on the CPU
        k : int
            How many.
        sparse : bool
            Score only neurons that the row's tables return.
        candidates : int, optional
            Of those only so many, the ones that most tables return; implies ``sparse``. By default all.

        Returns
        -------
        ids : int64 tensor of shape (..., k)
            Best first; -1 where fewer were scored.
        scores : float32 tensor of shape (..., k)
            Logits; minus infinity where there is no neuron.
        """
        most = self._candidates(candidates) if sparse or candidates is not None else None
        ids, scores = self._engine.best(self.weight, self.bias, self._flat(h), k, most)
        shape = (*h.shape[:-1], k)
        found = torch.from_numpy(ids.view(np.int32).astype(np.int64)).view(shape)
        return found, torch.from_numpy(scores).view(shape)

    def recall(self, h: torch.Tensor, k: int = 5, candidates: int | None = None) -> float:
        """Return which share of the exact ``k`` best neurons is among those that the tables return.

        Parameters
        ----------
        h : tensor of shape (..., in_features), on the CPU
        k : int
            How many.
        candidates : int, optional
            Of the returned neurons only so many a row, the ones that most tables return. By default all.

        Returns
        -------
        float
            0 to 1, over all rows.
        """
        if self._ranks is not None:
            raise ValueError("recall: not over ranks; ask the head of to_linear")
        return self._engine.recall(self.weight, self.bias, self._flat(h), k, self._candidates(candidates))

    def _candidates(self, candidates: int | None) -> int:
        if self.config.family in RANDOM:
            raise ValueError(f"family: {self.config.family!r} has no tables that return candidates")
        if candidates is not None and candidates < 1:
            raise ValueError(f"candidates: {candidates} is not possible; a number above 0")
        return self.out_features if candidates is None else min(candidates, self.out_features)

    def stats(self) -> dict[str, float]:
        """Return figures of the tables and of the last batch.

        Returns
        -------
        dict
            ``steps``; ``k``, ``range`` and ``tables`` as chosen; ``table_bytes``; ``queue``, rows that wait to be
            hashed again; ``oldest_stale_steps``, for how many steps the first of them does; ``pending``, losses whose
            backward pass may come. Of the last batch: ``active`` neurons; ``returned``, how many the tables returned
            for all its rows; ``found``, the share of its labels among the ``each`` best of them.
        """
        active, returned, found, labels = self._engine.last
        return {
            **self._engine.core.stats(),
            "active": active,
            "returned": returned,
            "found": found / labels if labels else 0.0,
        }

    def refresh(self) -> None:
        """Hash all rows again: only needed after writes to the memory of the weight that torch does not see."""
        self._engine.refresh(self.weight)
