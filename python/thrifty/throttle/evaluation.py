"""Limits, and settings that were tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrifty.throttle.space import Value

__all__ = ["Constraint", "Evaluation"]


@dataclass(frozen=True)
class Constraint:
    """A limit: what is measured as ``name`` is at most ``upper``, both above 0.

    Parameters
    ----------
    name : str
        The quantity.
    upper : float
        The most that it may be; infinity is no limit.
    prob : float
        The chance of keeping it that a recommended setting has at least.

    Raises
    ------
    ValueError
        For a limit that is not above 0, or a chance that is not between 0 and 1.
    """

    name: str
    upper: float
    prob: float = 0.9

    def __post_init__(self) -> None:
        if not self.upper > 0:
            raise ValueError(f"constraint {self.name}: upper is {self.upper}; it must be above 0")
        if not 0 < self.prob < 1:
            raise ValueError(f"constraint {self.name}: prob is {self.prob}; it must be between 0 and 1")


@dataclass(frozen=True)
class Evaluation:
    """A setting that was tried: its values by knob, what was measured, and whether that keeps all limits.

    ``effective`` are values that the device really took, where they were told; ``failed`` says why nothing could be
    measured, and is empty where something was.
    """

    setting: dict[str, Value]
    measured: dict[str, float]
    feasible: bool
    effective: dict[str, Value] = field(default_factory=dict)
    failed: str = ""
