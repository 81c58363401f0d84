"""What new tokens of many shapes take on a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
        ``ms``, ``ms_low``, ``ms_high`` and ``joules`` a new token, ``first_ms`` until the first one, ``outside``; none
        where there is no profile.
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
    asked: dict[str, Any] = {"batch": wish.batch, "prompt": wish.prompt, "new_tokens": wish.new_tokens}
    sizes, each = shapes.columns(), wish.new_tokens
    found = profile.latencies(sizes, **asked)
    columns = {"ms": found.ms / each, "ms_low": found.low / each, "ms_high": found.high / each}
    columns |= {"first_ms": found.first_ms, "outside": found.outside.astype(np.float64)}
    if profile.joules is not None:
        columns["joules"] = profile.energies(sizes, **asked) / (each * wish.batch)
    source = "" if profile.joules is None else profile.joules.source
    return Serving(columns, f"{profile.device['name']}, {profile.backend}, {profile.dtype}", source, profile.notes)
