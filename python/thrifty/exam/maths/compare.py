"""Whether two answers are the same mathematics."""

from __future__ import annotations

from typing import Literal

__all__ = ["compare"]


def compare(gold: str, answer: str) -> Literal["equal", "different"] | None:
    """Tell nothing yet."""
    return "equal" if gold == answer else None
