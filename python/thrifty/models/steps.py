"""One step of a training: windows, loss, gradients, weights; called from Python each time, or one graph of a card."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch
from thrifty.models.windows import starts, windows_at
from thrifty.pairconnect.nn import PairLookup
from thrifty.pairconnect.torch_optim import LazyAdam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from thrifty.models.trainer import TrainSettings

torch: Any = require_torch()
functional: Any = torch.nn.functional

__all__ = ["EagerStep", "GraphStep", "kept", "optimizers_of", "put_back"]

#: Steps before a graph is captured, in which libraries take their memory.
WARM = 3
#: Steps whose windows are drawn together.
BLOCK = 256


class EagerStep:
    """A step as Python runs it."""

    def __init__(
        self,
        model: Any,
        ids: NDArray[Any],
        settings: TrainSettings,
        optimizers: list[Any],
        teacher: Callable[[Any], Any] | None,
    ) -> None:
        self.model, self.ids, self.settings, self.optimizers = model, ids, settings, optimizers
        self.teacher, self.dense = teacher, model.parameters_of()[0]
        self.device = model.embed.weight.device
        self._first, self._begin = -1, np.empty((0, 0), np.int64)

    def _windows(self, step: int) -> NDArray[np.int64]:
        # An order of all windows of a text is drawn for many steps at a time: it takes as long as the text is.
        if self._first != step // BLOCK:
            self._first = step // BLOCK
            self._begin = starts(len(self.ids), self.settings, self._first * BLOCK, (self._first + 1) * BLOCK)
        return windows_at(self.ids, self._begin[step % BLOCK], self.settings.context)

    def __call__(self, step: int, rate: float) -> Any:
        """Take it with a part of the highest learning rate; returns the loss before it."""
        set_rate(self.optimizers, rate)
        batch = torch.from_numpy(self._windows(step))
        if self.device.type == "cuda":
            # From other memory the copy would wait for the step before.
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        return learn(self.model, batch, self.settings, self.optimizers, self.dense, self.teacher)


class GraphStep:
    """A step whose work, from the drawing of windows to the new weights, is one graph that a card is told to run.

    Small models wait for Python otherwise: a step of 4 layers is hundreds of kernels of microseconds. Elsewhere than on
    a card the same work is called, so that it can be tried there. Weights, moments and learning rates stay where they
    are in memory: what is restored is copied into them.

    Parameters
    ----------
    model : Decoder
        Without tables and dropout.
    ids, settings
        As :func:`thrifty.models.train` has them; the text must fit on the device.
    optimizers : list
        Of :func:`optimizers_of` with ``graph``.
    """

    def __init__(self, model: Any, ids: NDArray[Any], settings: TrainSettings, optimizers: list[Any]) -> None:
        if model.parameters_of()[1] or model.config.dropout:
            raise ValueError("graph: a model of tables or with dropout is trained without")
        self.optimizers = optimizers
        dense, device = model.parameters_of()[0], model.embed.weight.device
        narrow = ids if ids.dtype == np.uint8 else ids.astype(np.int32)
        text = torch.tensor(narrow, device=device)
        begin = torch.from_numpy(starts(len(ids), settings, 0, settings.steps)).to(device)
        reach = torch.arange(settings.context + 1, device=device)
        self.at = torch.zeros(1, dtype=torch.int64, device=device)
        self.loss = torch.zeros((), device=device)

        def work() -> None:
            batch = text[begin.index_select(0, self.at)[0][:, None] + reach].long()
            self.loss.copy_(learn(model, batch, settings, optimizers, dense, None))

        # A graph keeps no tensor that it reads: what work reads lives as long as it does.
        self._work = work
        self._replay = captured(work, model, optimizers) if device.type == "cuda" else work

    def __call__(self, step: int, rate: float) -> Any:
        """Take it with a part of the highest learning rate; returns the loss before it."""
        set_rate(self.optimizers, rate)
        self.at.fill_(step)
        self._replay()
        return self.loss.clone()


def captured(work: Callable[[], None], model: Any, optimizers: list[Any]) -> Callable[[], None]:
    """Return a call that runs again what ``work`` did on the card; weights and moments are as they were before."""
    fresh = not any(one.state for one in optimizers)
    before = kept(model, optimizers)
    # Graphs that run side by side must not share a stream: products of matrices keep room to work in for each.
    own = torch.cuda.current_stream() != torch.cuda.default_stream()
    stream = torch.cuda.current_stream() if own else torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with deterministic():
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            work()
    if fresh:
        before += [torch.zeros_like(moment) for moment in moments_of(optimizers)]
    put_back(model, optimizers, before)
    replay: Callable[[], None] = graph.replay
    return replay


@contextmanager
def deterministic() -> Iterator[None]:
    """Have kernels chosen that give the same bits each time, where there are such."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled


def learn(
    model: Any,
    batch: Any,
    settings: TrainSettings,
    optimizers: list[Any],
    dense: list[Any],
    teacher: Callable[[Any], Any] | None,
) -> Any:
    """Change a model's weights by windows; returns their loss before."""
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        loss = loss_of(model, batch, teacher, settings)
    model.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(dense, settings.clip)
    for optimizer in optimizers:
        optimizer.step()
    return loss.detach()


def loss_of(model: Any, batch: Any, teacher: Callable[[Any], Any] | None, settings: TrainSettings) -> Any:
    """Return the loss of windows, a mean over their positions."""
    inputs, targets = batch[:, :-1], batch[:, 1:]
    if settings.noise and teacher is not None:
        others = inputs.flatten()[torch.randperm(inputs.numel(), device=inputs.device)].view_as(inputs)
        inputs = torch.where(torch.rand(inputs.shape, device=inputs.device) < settings.noise, others, inputs)
    scores = model(inputs).float().flatten(0, 1)
    share = 0.0 if teacher is None else settings.teacher_share
    loss = functional.cross_entropy(scores, targets.flatten()) if share < 1 else 0.0
    if teacher is None:
        return loss
    heat = settings.teacher_temperature
    with torch.no_grad():
        wanted = torch.softmax(teacher(inputs).float().flatten(0, 1) / heat, -1)
    soft = -(wanted * torch.log_softmax(scores / heat, -1)).sum(-1).mean()
    return share * soft * heat**2 + (1 - share) * loss


def optimizers_of(
    model: Any, dense: list[Any], tables: list[Any], settings: TrainSettings, *, graph: bool = False
) -> list[Any]:
    """Return AdamW, and beside it that of lazy tables; tells tables which gradients to give.

    With ``graph`` learning rates are numbers on the device, which a graph reads.
    """
    if settings.table_update not in ("auto", "dense", "lazy"):
        raise ValueError(f"table_update: '{settings.table_update}' is not auto, dense or lazy")
    possible = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in tables)
    if settings.table_update == "lazy" and not possible:
        raise ValueError("table_update: 'lazy' is for tables of float32 on the CPU; use 'dense' or 'auto'")
    lazy = possible and settings.table_update != "dense"
    for module in model.modules():
        if isinstance(module, PairLookup):
            module.sparse = lazy
    matrices, vectors = [p for p in dense if p.ndim > 1], [p for p in dense if p.ndim < 2]
    rest: dict[str, Any] = {"peak": settings.lr, "falls": True}
    of_tables = {"params": tables, "peak": settings.table_lr, "weight_decay": 0.0, "falls": settings.table_falls}
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay, **rest},
        {"params": vectors, "weight_decay": 0.0, **rest},
        *([] if lazy else [of_tables]),
    ]
    betas = (0.9, settings.beta2)
    groups = [g for g in groups if g["params"]]
    if graph:
        for group in groups:
            group["lr"] = torch.tensor(settings.lr, device=dense[0].device)
    optimizers = [torch.optim.AdamW(groups, lr=settings.lr, betas=betas, fused=True, capturable=graph)]
    if lazy and tables:
        # Without a mean of gradients: dense Adam moves a row on for steps after its gradient, here it moves at once.
        optimizers.append(LazyAdam([of_tables], lr=settings.table_lr, betas=(0.0, betas[1])))
    return optimizers


def moments_of(optimizers: list[Any]) -> list[Any]:
    """Return all that optimizers keep of weights, in an order that stays."""
    states = [one.state[p] for one in optimizers for g in one.param_groups for p in g["params"] if p in one.state]
    return [value for state in states for _, value in sorted(state.items())]


def kept(model: Any, optimizers: list[Any]) -> list[Any]:
    """Return copies of weights and moments."""
    return [x.detach().clone() for x in [*model.parameters(), *moments_of(optimizers)]]


def put_back(model: Any, optimizers: list[Any], copies: list[Any]) -> None:
    """Copy into weights and moments what :func:`kept` returned: their memory stays, as a graph needs it."""
    with torch.no_grad():
        for x, old in zip([*model.parameters(), *moments_of(optimizers)], copies, strict=True):
            x.copy_(old)


def set_rate(optimizers: list[Any], rate: float) -> None:
    """Set learning rates to a part of the highest, where they fall."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            value = group["peak"] * (rate if group["falls"] else 1.0)
            if torch.is_tensor(group["lr"]):
                group["lr"].fill_(value)
            else:
                group["lr"] = value
