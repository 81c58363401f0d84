"""What is asked of a plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["OBJECTIVES", "Objective", "Wish"]

Objective = Literal["loss", "flops", "latency", "energy", "memory"]

#: Column that each objective makes least.
OBJECTIVES = {"loss": "loss", "flops": "flops", "latency": "ms", "energy": "joules", "memory": "memory_gb"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """Budget, limits and objective, as :func:`thrifty.scaling.plan` takes them.

    Raises
    ------
    ValueError
        When a value is not possible, or they do not say how long each shape is trained.
    """

    train_flops: float | None = None
    max_loss: float | None = None
    lifetime_tokens: float = 0.0
    max_tokens: float | None = None
    slo_ms: float | None = None
    memory_gb: float | None = None
    objective: Objective = "loss"
    batch: int = 1
    prompt: int = 128
    new_tokens: int = 128
    interval: float = 0.95
    sure: bool = False
    slack: float = 0.0

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective: {self.objective!r} is none of {', '.join(OBJECTIVES)}")
        for name in ("train_flops", "max_loss", "max_tokens", "slo_ms", "memory_gb"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: {value!r} is not possible; a number above 0 is needed")
        if not 0 <= self.lifetime_tokens < math.inf:
            raise ValueError(f"lifetime_tokens: {self.lifetime_tokens!r} is not possible; at least 0 is needed")
        if not 0 <= self.slack < math.inf:
            raise ValueError(f"slack: {self.slack!r} is not possible; at least 0 is needed")
        if not 0 < self.interval < 1:
            raise ValueError(f"interval: {self.interval!r} is not possible; between 0 and 1")
        for name, least in (("batch", 1), ("prompt", 1), ("new_tokens", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not possible; at least {least} is needed")
        if self.train_flops is None and self.max_loss is None:
            raise ValueError("train_flops, max_loss: one of them is needed, a budget or what is to be reached")
        if self.objective == "flops" and self.max_loss is None:
            raise ValueError("max_loss: objective flops needs the loss that is to be reached")

    @property
    def pays(self) -> bool:
        """Whether each shape gets the tokens that the budget pays for, not those that reach the loss."""
        return self.train_flops is not None and self.objective != "flops"
