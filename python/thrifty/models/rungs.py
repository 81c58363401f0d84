"""Rungs of a ladder (:mod:`thrifty.scaling`) as decoders that are trained, and judged on text that was held back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from thrifty._torch import require_torch
from thrifty.models.branches import branch_steps
from thrifty.models.decoder import Decoder, DecoderConfig
from thrifty.models.evaluate import losses
from thrifty.models.trainer import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from thrifty.device import ModelShape
    from thrifty.scaling import Rung

torch: Any = require_torch()

__all__ = ["RungTrainer", "decoder_for"]

#: Ids of windows that are judged together, on a card and elsewhere: there an interrupt waits until they are.
ON_CARD, ELSEWHERE = 65_536, 8_192


def decoder_for(shape: ModelShape, *, seed: int = 0) -> Decoder:
    """Return a decoder of attention layers of a shape, with random weights."""
    if not shape.tied or shape.keys != shape.heads or shape.width * shape.heads != shape.dim:
        raise ValueError(f"shape: {shape} is none of a Decoder, which ties embeddings and has heads of dim / heads")
    torch.manual_seed(seed)
    mixers = ("attention",) * shape.layers
    return Decoder(
        DecoderConfig(vocab=shape.vocab, dim=shape.dim, mixers=mixers, hidden=shape.hidden, heads=shape.heads)
    )


@dataclass
class RungTrainer:
    """Trains rungs: what :func:`thrifty.scaling.climb` calls.

    Attributes
    ----------
    text : integer array of shape (tokens,)
        To be trained on.
    held : integer array of shape (tokens,)
        Held back.
    stride : int
        Ids at the end of each window that are judged; 0: all of the window.
    device : str
    graph : bool
        Whether a step is one graph.
    precision : str
    settings : dict
        Of :class:`~thrifty.models.TrainSettings`, for all rungs.
    folder : path, optional
        Where trunks are kept that a stop or a kill ends, to be gone on from.
    every : int
        Steps of a trunk between two times that it is kept, beside where its branches begin.
    stop : callable, optional
        Whether training shall end.
    progress : callable, optional
    after : callable, optional
        Called with each trained model and its rung; what it returns is added to the row.
    """

    text: NDArray[Any]
    held: NDArray[Any]
    stride: int = 0
    device: str = "cpu"
    graph: bool = False
    precision: Literal["f32", "bf16"] = "f32"
    settings: dict[str, Any] | None = None
    folder: Path | None = None
    every: int = 0
    stop: Callable[[], bool] | None = None
    progress: Callable[[str, int, int], object] | None = None
    after: Callable[[Decoder, Rung], dict[str, float]] | None = None

    def __call__(self, rung: Rung, lengths: Sequence[int]) -> Iterator[dict[str, float] | None]:
        """Yield a row for each length: what was trained, what it came to, how long it took; and None between steps.

        On a card each call has a stream of its own, so that calls that are gone through by turns run side by side.
        """
        card = self.device.startswith("cuda")
        stream = torch.cuda.Stream(self.device) if card else None
        rows = self._rows(rung, lengths)
        while True:
            with torch.cuda.stream(stream):
                try:
                    found = next(rows)
                except StopIteration:
                    return
            yield found

    def _rows(self, rung: Rung, lengths: Sequence[int]) -> Iterator[dict[str, float] | None]:
        model = decoder_for(rung.shape, seed=rung.seed).to(self.device)
        settings = TrainSettings(
            context=rung.context,
            batch=rung.batch,
            tokens=rung.lengths[-1],
            lr=rung.lr,
            warmup_tokens=rung.warmup,
            seed=rung.seed,
            schedule="wsd",
            precision=self.precision,
            **(self.settings or {}),
        )
        kept = None if self.folder is None else self.folder / f"{rung.name}.trunk"
        begun = time.perf_counter()
        for branch in branch_steps(
            model,
            self.text,
            settings,
            lengths,
            checkpoint=kept,
            every=self.every,
            graph=self.graph,
            stop=self.stop,
            progress=self.progress,
        ):
            if branch is None:
                yield None
                continue
            row = {
                "n_tokens": float(branch.tokens),
                "loss": self.loss(model, rung.context),
                "train_loss": branch.loss,
                "epochs": branch.tokens / len(self.text),
                "steps": float(branch.steps),
            }
            if self.after is not None:
                row |= self.after(model, rung)
            yield row | {"seconds": time.perf_counter() - begun}
            begun = time.perf_counter()

    def loss(self, model: Decoder, window: int) -> float:
        """Return the mean loss of the text that was held back, nats an id."""
        stride = self.stride or window
        batch = max(1, (ON_CARD if self.device.startswith("cuda") else ELSEWHERE) // window)
        _, found = losses(model, self.held, window=window, stride=stride, batch=batch, precision=self.precision)
        return float(found.mean())
