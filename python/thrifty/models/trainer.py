"""One trainer of decoders: cross entropy, or a teacher's distribution; goes on where it was interrupted."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from thrifty._torch import require_torch
from thrifty.models.schedule import rate_of
from thrifty.models.state import State
from thrifty.models.steps import EagerStep, GraphStep, optimizers_of
from thrifty.models.windows import evenly

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thrifty.models.decoder import Decoder

torch: Any = require_torch()

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
        Learning rate of dense weights, the highest: it rises over ``warmup`` of the steps, then follows ``schedule``.
    table_lr : float
        Learning rate of tables.
    table_falls : bool
        Whether it falls as that of dense weights does. In one pass it should not, since a row that is first seen late
        has as much to learn; in many passes it may.
    schedule : str
        ``"cosine"``: falls to a tenth; ``"wsd"``: stays, and falls to nothing over the last ``fall`` of the steps.
    fall : float
        Part of the steps.
    warmup : float
        Part of the steps.
    warmup_tokens : int
        Ids instead of a part, where not 0: so the beginning does not depend on ``tokens``.
    weight_decay : float
        Of dense matrices.
    beta2 : float
        How long Adam remembers squares.
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
    schedule: Literal["cosine", "wsd"] = "cosine"
    fall: float = 0.2
    warmup: float = 0.03
    warmup_tokens: int = 0
    weight_decay: float = 0.01
    beta2: float = 0.999
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
        if self.schedule not in ("cosine", "wsd"):
            raise ValueError(f"schedule: '{self.schedule}' is not cosine or wsd")
        if not 0 < self.fall <= 1:
            raise ValueError(f"fall: {self.fall} is no part of the steps; above 0 and at most 1")

    @property
    def ids_a_step(self) -> int:
        """Ids of a step."""
        return self.context * self.batch

    @property
    def steps(self) -> int:
        """How many steps ``tokens`` are."""
        return max(1, self.tokens // self.ids_a_step)


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
    graph: bool = False,
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
    graph : bool
        On a card, whether a step is one CUDA graph: for small models several times as fast. Not with a teacher, tables
        or dropout.

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
    FormatError
        When it is no checkpoint, or is damaged.
    """
    if len(ids) < settings.context + 2:
        raise ValueError(f"ids: {len(ids)} are no window of {settings.context} and what follows it")
    if graph and teacher is not None:
        raise ValueError("graph: not with a teacher")
    dense, tables = model.parameters_of()
    optimizers = optimizers_of(model, dense, tables, settings, graph=graph)
    state = State(model, optimizers, settings, len(ids), teacher is not None)
    torch.manual_seed(settings.seed)
    if checkpoint is not None and Path(checkpoint).exists():
        state.load(Path(checkpoint))
    if rows is not None:
        # Rows of steps behind the checkpoint come again.
        Path(rows).write_text("".join(json.dumps(row) + "\n" for row in state.rows))
    model.train()
    take: Any = (
        GraphStep(model, ids, settings, optimizers) if graph else EagerStep(model, ids, settings, optimizers, teacher)
    )
    begun, part, found = time.monotonic() - state.seconds, state.part, state.rows
    while state.step < settings.steps:
        state.seconds = time.monotonic() - begun
        if max_seconds is not None and state.seconds >= max_seconds:
            break
        # Of two clocks, steps and seconds, the one that is farther says how far training is.
        late = 0 if max_seconds is None else int(settings.steps * state.seconds / max_seconds)
        rate = rate_of(max(state.step, late if late > settings.warmup * settings.steps else 0), settings)
        part.append(take(state.step, rate))
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
