"""Where a training is, in memory and as a file."""

from __future__ import annotations

import io
import json
import os
import pickle
import time
import warnings
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch
from thrifty.errors import FormatError, ModelError, ResumeMismatch

if TYPE_CHECKING:
    from thrifty.models.trainer import TrainSettings

torch: Any = require_torch()

__all__ = ["State"]

#: What reading a file raises that was cut, changed, or made by something else.
DAMAGE = (
    *(pickle.UnpicklingError, EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError),
    *(AssertionError, OverflowError, RecursionError, OSError, zipfile.BadZipFile, NotImplementedError, zlib.error),
)


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
        """Go on from a file.

        Raises
        ------
        ResumeMismatch
            When it is of another training.
        FormatError
            When it is no such file, or is damaged.
        """
        whole = io.BytesIO(path.read_bytes())
        try:
            # Weights that were changed are told by their checksums, which torch does not look at.
            if damaged := zipfile.ZipFile(whole).testzip():
                raise ValueError(f"{damaged} is not what its checksum says")
            whole.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                content = torch.load(whole, map_location=self.model.embed.weight.device, weights_only=True)
            if content["says"] != self.says:
                raise ResumeMismatch(f"{path}: is of another training; give the same settings, or another file")
            self._become(content)
        except torch.cuda.OutOfMemoryError:
            raise
        except DAMAGE as error:
            why = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
            raise FormatError(f"{path}: can't be gone on from ({why}); remove it, and it is trained again") from None

    def _become(self, content: dict[str, Any]) -> None:
        if missing := {"model", "optimizers", "step", "seconds", "rows", "part", "random"} - set(content):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        step, seconds, rows = content["step"], content["seconds"], content["rows"]
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= self.settings.steps:
            raise ValueError(f"step is no whole number of 0 to {self.settings.steps}")
        if not isinstance(seconds, float) or not isinstance(rows, list):
            raise TypeError("seconds, rows: no number and no list")
        self.model.load_state_dict(content["model"])
        for optimizer, saved in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds, self.rows = step, seconds, rows
        self.part = [torch.tensor(x, device=self.model.embed.weight.device) for x in content["part"]]
        first, *cards = content["random"]
        torch.set_rng_state(first.cpu())
        if cards:
            torch.cuda.set_rng_state_all([c.cpu() for c in cards])
