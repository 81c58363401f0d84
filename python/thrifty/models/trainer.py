"""One trainer of decoders: cross entropy, or a teacher's distribution; goes on where it was interrupted."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty._torch import require_torch
from thrifty.errors import ModelError, ResumeMismatch
from thrifty.pairconnect.nn import PairLookup
from thrifty.pairconnect.torch_optim import LazyAdam

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thrifty.models.decoder import Decoder

torch: Any = require_torch()
functional: Any = torch.nn.functional

__all__ = ["TrainSettings", "evenly", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a decoder is trained.

    Parameters
    ----------
    context, batch : int
        Ids of a window, and windows of a step.
    tokens : int
        Ids to train on; the text is passed over as often as that takes, each time in another order.
    lr : float
        Learning rate of dense weights, the highest: it rises over ``warmup`` of the steps, and falls to a tenth along a
        cosine.
    table_lr : float
        Learning rate of tables.
    table_falls : bool
        Whether it falls as that of dense weights does. In one pass it should not, since a row that is first seen late
        has as much to learn; in many passes it may.
    warmup : float
        Part of the steps.
    weight_decay : float
        Of dense matrices.
    clip : float
        The largest norm of the gradient of dense weights.
    teacher_share, teacher_temperature : float
        With a teacher: the share of its distribution in the loss (the rest is cross entropy), and what scores of both
        are divided by.
    noise : float
        With a teacher: the share of ids that are replaced by others of the batch before both see them. A teacher may
        know the text by heart, and a student would learn that in many passes; so some of what they see is new to both.
    teacher : str
        What it is called, so that a checkpoint of another teacher is not gone on from.
    precision : str
        ``"f32"``, or ``"bf16"``: products in bf16 (torch.autocast), weights and their updates in f32.
    seed : int
        Order of windows, dropout.
    table_update : str
        ``"dense"``: Adam over whole tables, where rows without a gradient move on by their moments. ``"lazy"``: over
        the rows of a step alone, at a cost that does not grow with the table; each moves at once, by a mean of squares
        without a mean of gradients. ``"auto"``: lazy for tables of float32 on the CPU, else dense.
    """

    context: int = 64
    batch: int = 16
    tokens: int = 600_000
    lr: float = 6e-3
    table_lr: float = 1e-2
    table_falls: bool = False
    warmup: float = 0.03
    weight_decay: float = 0.01
    clip: float = 1.0
    teacher_share: float = 1.0
    teacher_temperature: float = 1.0
    noise: float = 0.0
    teacher: str = ""
    precision: Literal["f32", "bf16"] = "f32"
    seed: int = 0
    table_update: Literal["auto", "dense", "lazy"] = "auto"

    def __post_init__(self) -> None:
        if self.precision not in ("f32", "bf16"):
            raise ValueError(f"precision: '{self.precision}' is not f32 or bf16")

    @property
    def steps(self) -> int:
        """How many steps ``tokens`` are."""
        return max(1, self.tokens // (self.context * self.batch))


def evenly(ids: NDArray[Any], tokens: int, piece: int = 10_000) -> NDArray[Any]:
    """Return pieces of a text, evenly spread over it, of so many ids in all; a text that is no longer as it is."""
    if len(ids) <= tokens:
        return ids
    pieces = max(1, tokens // piece)
    starts = np.linspace(0, len(ids) - tokens // pieces, pieces).astype(np.int64)
    return np.concatenate([ids[start : start + tokens // pieces] for start in starts])


def windows(ids: NDArray[Any], settings: TrainSettings, step: int) -> NDArray[np.int64]:
    """Return the windows of a step, of one id more than the context: a function of the seed and the step alone."""
    width, each = settings.context, settings.batch
    count = (len(ids) - 1) // width
    wanted = np.arange(step * each, (step + 1) * each)
    rows = np.empty((each, width + 1), np.int64)
    for epoch in np.unique(wanted // count):
        rng = np.random.default_rng((settings.seed, int(epoch)))
        # Windows of another pass begin elsewhere.
        shift = int(rng.integers(0, len(ids) - count * width)) if epoch else 0
        order = rng.permutation(count)
        for i in np.flatnonzero(wanted // count == epoch):
            begin = shift + order[wanted[i] % count] * width
            rows[i] = ids[begin : begin + width + 1]
    return rows


def rate_of(step: int, settings: TrainSettings) -> float:
    """Return the part of the highest learning rate that a step has."""
    warm = max(1, int(settings.warmup * settings.steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, settings.steps - warm)
    return float(0.1 + 0.45 * (1 + np.cos(np.pi * min(1.0, done))))


def train(
    model: Decoder,
    ids: NDArray[Any],
    settings: TrainSettings,
    *,
    teacher: Callable[[Any], Any] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 500,
    max_seconds: float | None = None,
    rows: str | os.PathLike[str] | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> list[dict[str, float]]:
    """Train a decoder, in place.

    Parameters
    ----------
    model : Decoder
        On any device.
    ids : integer array of shape (tokens,)
        The text.
    settings : TrainSettings
    teacher : callable, optional
        Takes int64 ids of shape (sequences, tokens) and returns scores of shape (sequences, tokens, vocab).
    checkpoint : path, optional
        A file from which the same call goes on, to the same bits on the same machine; written each ``every`` steps.
    max_seconds : float, optional
        Stop, and be at the end of the learning rate, after so long: the schedule follows the clock as well.
    rows : path, optional
        A file that gets a JSON line each hundred steps.
    progress : callable, optional
        Called as ``progress("train", step, steps)``; an exception from it stops the training.

    Returns
    -------
    list of dict
        ``step``, ``tokens``, ``loss`` (mean of the steps since the last row, natural logarithms), ``seconds``.

    Raises
    ------
    ValueError
        When the text is shorter than a window.
    ModelError
        When the loss is no number.
    ResumeMismatch
        When the checkpoint is of another training.
    """
    if len(ids) < settings.context + 2:
        raise ValueError(f"ids: {len(ids)} are no window of {settings.context} and what follows it")
    device = model.embed.weight.device
    dense, tables = model.parameters_of()
    optimizers = optimizers_of(model, dense, tables, settings)
    state = State(model, optimizers, settings, len(ids), teacher is not None)
    torch.manual_seed(settings.seed)
    if checkpoint is not None and Path(checkpoint).exists():
        state.load(Path(checkpoint))
    if rows is not None:
        # Rows of steps behind the checkpoint come again.
        Path(rows).write_text("".join(json.dumps(row) + "\n" for row in state.rows))
    model.train()
    begun, part, found = time.monotonic() - state.seconds, state.part, state.rows
    while state.step < settings.steps:
        state.seconds = time.monotonic() - begun
        if max_seconds is not None and state.seconds >= max_seconds:
            break
        # Of two clocks, steps and seconds, the one that is farther says how far training is.
        late = 0 if max_seconds is None else int(settings.steps * state.seconds / max_seconds)
        rate = rate_of(max(state.step, late if late > settings.warmup * settings.steps else 0), settings)
        set_rate(optimizers, rate)
        batch = torch.from_numpy(windows(ids, settings, state.step))
        if device.type == "cuda":
            # From other memory the copy would wait for the step before.
            batch = batch.pin_memory().to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            loss = loss_of(model, batch, teacher, settings)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(dense, settings.clip)
        for optimizer in optimizers:
            optimizer.step()
        part.append(loss.detach())
        state.step += 1
        if state.step % 100 == 0 or state.step == settings.steps:
            state.row(rows, begun)
        if checkpoint is not None and state.step % every == 0 and state.step < settings.steps:
            state.save(Path(checkpoint))
        if progress is not None:
            progress("train", state.step, settings.steps)
    if part:
        state.row(rows, begun)
    model.eval()
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    return found


def optimizers_of(model: Any, dense: list[Any], tables: list[Any], settings: TrainSettings) -> list[Any]:
    """Return AdamW, and beside it that of lazy tables; tells tables which gradients to give."""
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
    betas = (0.9, 0.999)
    optimizers = [torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.lr, betas=betas, fused=True)]
    if lazy and tables:
        # Without a mean of gradients: dense Adam moves a row on for steps after its gradient, here it moves at once.
        optimizers.append(LazyAdam([of_tables], lr=settings.table_lr, betas=(0.0, betas[1])))
    return optimizers


def set_rate(optimizers: list[Any], rate: float) -> None:
    """Set learning rates to a part of the highest, where they fall."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * (rate if group["falls"] else 1.0)


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


class State:
    """Where a training is."""

    def __init__(self, model: Any, optimizers: list[Any], settings: TrainSettings, length: int, taught: bool) -> None:
        self.model, self.optimizers = model, optimizers
        self.step, self.seconds = 0, 0.0
        self.part: list[Any] = []
        self.rows: list[dict[str, float]] = []
        self.settings = settings
        self.says = json.dumps(
            {"settings": asdict(settings), "model": repr(model.config), "ids": length, "taught": taught}
        )

    def row(self, path: Any, begun: float) -> None:
        """Tell of the steps since the last row."""
        loss = float(torch.stack(self.part).mean())
        if not np.isfinite(loss):
            raise ModelError(f"the loss is {loss} at step {self.step}; try a smaller learning rate")
        self.part.clear()
        self.seconds = time.monotonic() - begun
        each = self.settings.context * self.settings.batch
        self.rows.append({"step": self.step, "tokens": self.step * each, "loss": loss, "seconds": self.seconds})
        if path is not None:
            with Path(path).open("a") as file:
                file.write(json.dumps(self.rows[-1]) + "\n")

    def save(self, path: Path) -> None:
        """Write all that the rest of the training depends on; the old file stays until the new one is complete."""
        content = {
            "says": self.says,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
            "rows": self.rows,
            "part": [float(x) for x in self.part],
            "random": [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])],
        }
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a file."""
        content = torch.load(path, map_location=self.model.embed.weight.device, weights_only=True)
        if content["says"] != self.says:
            raise ResumeMismatch(f"{path}: is of another training; give the same settings, or another file")
        self.model.load_state_dict(content["model"])
        for optimizer, saved in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds, self.rows = content["step"], content["seconds"], content["rows"]
        self.part = [torch.tensor(x) for x in content["part"]]
        first, *cards = content["random"]
        torch.set_rng_state(first.cpu())
        if cards:
            torch.cuda.set_rng_state_all([c.cpu() for c in cards])
