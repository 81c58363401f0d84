"""What new tokens of many shapes take on a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from thrifty.errors import MismatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.device import DeviceProfile
    from thrifty.scaling.shapes import Shapes
    from thrifty.scaling.wish import Wish

    Values = NDArray[np.float64]

__all__ = ["Serving", "serve"]


@dataclass(frozen=True, eq=False)
class Serving:
    """Milliseconds, and joules where the device's profile has them, a new token of each sequence.

    Attributes
    ----------
    columns : dict of str to float64[n]
        ``ms``, ``ms_low``, ``ms_high``, ``outside`` and ``joules``; none where there is no profile.
    device, joules_source : str
    notes : tuple of str
    """

    columns: dict[str, Values] = field(default_factory=dict)
    device: str = ""
    joules_source: str = ""
    notes: tuple[str, ...] = ()


def serve(profile: DeviceProfile, shapes: Shapes, wish: Wish) -> Serving:
    """Return what generation takes on a device, divided by the new tokens of a sequence.

    Raises
    ------
    MismatchError
        When the shapes are of another dtype than the profile.
    """
    if shapes.dtype_bytes != profile.dtype_bytes:
        raise MismatchError(
            f"dtype_bytes: the shapes have {shapes.dtype_bytes:g} and the profile is of {profile.dtype}, "
            f"{profile.dtype_bytes:g}; calibrate in that dtype, or ask for shapes.with_(dtype_bytes=…)"
        )
    found = []
    for shape in shapes:
        start = profile.latency(shape, batch=wish.batch, tokens=wish.prompt or 1)
        step = profile.latency(shape, batch=wish.batch, context=wish.prompt + wish.new_tokens // 2)
        found.append((start, step))
    ms, low, high = (
        np.array([getattr(a, name) / wish.new_tokens + getattr(b, name) for a, b in found])
        for name in ("ms", "low", "high")
    )
    outside = np.array([float(bool(a.outside or b.outside)) for a, b in found])
    return Serving({"ms": ms, "ms_low": low, "ms_high": high, "outside": outside}, profile.device["name"])
