"""A planted fault of two goals: the law of a device forgets that a layer costs anything beside its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thrifty.device import law as laws

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from thrifty.device.columns import Calls

__all__ = ["forget_layers"]

FORGOTTEN = ("layers", "launches", "cold", "masked", "heads", "rows")


def forget_layers() -> None:
    """Make the columns of layers nothing."""
    whole = laws.columns

    def without(calls: Calls, names: Sequence[str], **options: bool) -> np.ndarray:
        found = whole(calls, names, **options)
        found[:, [name.partition("@")[0] in FORGOTTEN for name in names]] = 0.0
        return found

    laws.columns = without  # type: ignore[assignment]
