"""The learning rate of a step, as a part of the highest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrifty.models.trainer import TrainSettings

__all__ = ["falls_at", "rate_of"]


def falls_at(settings: TrainSettings) -> int:
    """Return the step with which the fall of schedule ``"wsd"`` begins."""
    return settings.steps - max(1, round(settings.fall * settings.steps))


def rate_of(step: int, settings: TrainSettings) -> float:
    """Return the part of the highest learning rate that a step has.

    ``"cosine"`` falls to a tenth; ``"wsd"`` stays at the highest and falls at the end as 1 - sqrt (Hägele et al. 2024,
    arXiv 2405.18392), so that until then it does not depend on how long the training will be.
    """
    warm = max(1, settings.warmup_tokens // settings.ids_a_step or int(settings.warmup * settings.steps))
    if settings.schedule == "wsd":
        begin = falls_at(settings)
        left = 1 - math.sqrt((step + 1 - begin) / (settings.steps + 1 - begin)) if step >= begin else 1.0
        return min(left, (step + 1) / warm)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, settings.steps - warm)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, done)))
