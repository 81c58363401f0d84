"""Trainings of several lengths that share their beginning: one trunk at the highest learning rate, branches that fall.

A ladder of lengths costs little more than its longest training (Hägele et al. 2024, arXiv 2405.18392).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty._torch import require_torch
from thrifty.models.schedule import falls_at, rate_of
from thrifty.models.state import State
from thrifty.models.steps import EagerStep, GraphStep, kept, optimizers_of, put_back

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from thrifty.models.decoder import Decoder
    from thrifty.models.trainer import TrainSettings

torch: Any = require_torch()

__all__ = ["Branch", "branch_steps", "train_branches"]

#: Steps between looks at the loss, and at whether to stop; the latter comes after so many seconds, too.
LOOK, SECONDS = 50, 0.25


@dataclass(frozen=True)
class Branch:
    """The end of a branch; the model has its weights until the next one is asked for.

    Attributes
    ----------
    tokens : int
        Ids trained on.
    loss : float
        Mean of its last steps, natural logarithms.
    steps : int
        Taken in all since the last branch, those of the trunk among them.
    """

    tokens: int
    loss: float
    steps: int


def train_branches(
    model: Decoder,
    ids: NDArray[Any],
    settings: TrainSettings,
    lengths: Sequence[int],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 0,
    graph: bool = False,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Iterator[Branch]:
    """Train to each of several lengths, the shortest first; each branch ends as :func:`train` of its length would.

    :func:`branch_steps` does it step by step, so that others can be trained beside.

    Parameters
    ----------
    model : Decoder
        On any device.
    ids : integer array of shape (tokens,)
    settings : TrainSettings
        Of schedule ``"wsd"`` with ``warmup_tokens``; its ``tokens`` is the longest length.
    lengths : sequence of int
        Tokens of each branch.
    checkpoint : path, optional
        A file of the trunk, written where a branch begins, each ``every`` steps where that is not 0, and on a stop. The
        same call goes on from it to the same bits, and may ask for fewer lengths where the shortest are done. It stays
        until the last branch was taken.
    graph : bool
        As for :func:`train`.
    stop : callable, optional
        Asked now and then; training ends where it says so, without the branch.
    progress : callable, optional
        Called as ``progress("train", step, steps)``.

    Raises
    ------
    ValueError
        When the schedule depends on how long a training is, or a branch is too short to warm up.
    ModelError
        When the loss is no number.
    ResumeMismatch
        When the checkpoint is of another training, or lies behind the first branch.
    FormatError
        When it is no checkpoint, or is damaged.
    """
    steps = branch_steps(
        model,
        ids,
        settings,
        lengths,
        checkpoint=checkpoint,
        every=every,
        graph=graph,
        stop=stop,
        progress=progress,
    )
    return (found for found in steps if found is not None)


def branch_steps(
    model: Decoder,
    ids: NDArray[Any],
    settings: TrainSettings,
    lengths: Sequence[int],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = 0,
    graph: bool = False,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Iterator[Branch | None]:
    """Do what :func:`train_branches` does; None says that a step was taken, and others may go on."""
    ways = [replace(settings, tokens=int(n)) for n in sorted(set(lengths))]
    _checked(settings, ways)
    dense, tables = model.parameters_of()
    optimizers = optimizers_of(model, dense, tables, settings, graph=graph)
    state = State(model, optimizers, settings, len(ids), False)
    torch.manual_seed(settings.seed)
    if checkpoint is not None and Path(checkpoint).exists():
        state.load(Path(checkpoint))
    model.train()
    take: Any = (
        GraphStep(model, ids, settings, optimizers) if graph else EagerStep(model, ids, settings, optimizers, None)
    )

    def run(way: TrainSettings, until: int, trunk: bool) -> Generator[None, None, bool]:
        """Take steps; whether they were all taken."""
        looked = time.monotonic()
        while state.step < until:
            loss = take(state.step, rate_of(state.step, way))
            state.part = [*state.part[-LOOK + 1 :], loss]
            state.step += 1
            if progress is not None:
                progress("train", state.step, settings.steps)
            if trunk and checkpoint is not None and every and state.step % every == 0:
                state.save(Path(checkpoint))
            if state.step % LOOK == 0:
                state.mean()
            if stop is not None and (state.step % LOOK == 0 or time.monotonic() - looked > SECONDS):
                looked = time.monotonic()
                if stop():
                    return state.step >= until
            yield
        return True

    for way in ways:
        begun, begin = state.step, falls_at(way)
        if begin < state.step:
            raise ValueError(
                f"lengths: a branch of {way.tokens} ids begins at step {begin}, the trunk is at step {state.step} "
                f"already; ask for longer ones, or remove {checkpoint}"
            )
        ran = yield from run(settings, begin, True)
        if checkpoint is not None:
            state.save(Path(checkpoint))
        if not ran:
            return
        copies, part = kept(model, optimizers), list(state.part)
        if not (yield from run(way, way.steps, False)):
            return
        loss = state.mean()
        model.eval()
        yield Branch(way.steps * way.ids_a_step, loss, way.steps - begun)
        model.train()
        put_back(model, optimizers, copies)
        state.step, state.part = begin, part
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)


def _checked(settings: TrainSettings, ways: list[TrainSettings]) -> None:
    if settings.schedule != "wsd" or not settings.warmup_tokens:
        raise ValueError("settings: branches share a trunk with schedule 'wsd' and warmup_tokens alone")
    if not ways or ways[-1].tokens > settings.tokens or ways[0].tokens < settings.ids_a_step:
        raise ValueError(f"lengths: are from a step's {settings.ids_a_step} ids to the settings' {settings.tokens}")
    if falls_at(ways[0]) * settings.ids_a_step < settings.warmup_tokens:
        raise ValueError(f"warmup_tokens: {settings.warmup_tokens} are not over when {ways[0].tokens} ids fall")
