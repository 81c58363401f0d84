"""A law and a device for tests of plans: what they tell can be worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.device.h100 import h100_profile
from thrifty.device import DeviceProfile
from thrifty.scaling import Runs, named

__all__ = ["PROFILE", "Told", "told_loss"]

PROFILE: DeviceProfile = h100_profile()
HALF = 0.02


def told_loss(n: Any, d: Any, ratio: Any) -> Any:
    """(E + A / N^a + B / D^b)(1 + g (ln R - m)^2)."""
    return (1.8 + 480 * n**-0.35 + 2000 * d**-0.366) * (1 + 0.008 * (np.log(ratio) - 3.7) ** 2)


class Told:
    """A law that is known, with runs of 1e7 to 1e9 parameters and aspects of 20 to 200."""

    advice_: tuple[str, ...] = ()
    by_shape_ = True

    def __init__(self, counted: str = "total") -> None:
        n = np.array([1e7, 1e8, 1e9])
        self.form_ = named("u_shape")
        self.runs_ = Runs(
            n, 20 * n, d_model=np.array([400.0, 800, 1600]), n_layers=np.array([20.0, 10, 8]), counted=counted
        )

    def told_at(self, runs: Runs) -> Any:
        assert runs.counted == self.runs_.counted
        assert runs.d_model is not None
        return told_loss(runs.n_params, runs.n_tokens, runs.d_model / runs.n_layers)

    def predict(self, runs: Runs, interval: float = 0.95) -> Any:
        loss = self.told_at(runs)
        beyond = np.maximum(np.log10(6 * runs.n_params * runs.n_tokens / 1.2e20), 0)
        notes = ("far beyond the data",) if (beyond > 2).any() else ()
        return SimpleNamespace(
            loss=loss, lo=loss * (1 - HALF), hi=loss * (1 + HALF), decades_beyond=beyond, notes=notes
        )
