"""Where a training is, in memory and as a file."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch
from thrifty.errors import ModelError, ResumeMismatch

if TYPE_CHECKING:
    from thrifty.models.trainer import TrainSettings

torch: Any = require_torch()

__all__ = ["State"]


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
        loss = self.mean()
        self.part.clear()
        self.seconds = time.monotonic() - begun
        each = self.settings.context * self.settings.batch
        self.rows.append({"step": self.step, "tokens": self.step * each, "loss": loss, "seconds": self.seconds})
        if path is not None:
            with Path(path).open("a") as file:
                file.write(json.dumps(self.rows[-1]) + "\n")

    def mean(self) -> float:
        """Return the mean loss of the steps since the last row."""
        loss = float(torch.stack(self.part).mean())
        if not np.isfinite(loss):
            raise ModelError(f"the loss is {loss} at step {self.step}; try a smaller learning rate")
        return loss

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
        self.part = [torch.tensor(x, device=self.model.embed.weight.device) for x in content["part"]]
        first, *cards = content["random"]
        torch.set_rng_state(first.cpu())
        if cards:
            torch.cuda.set_rng_state_all([c.cpu() for c in cards])
