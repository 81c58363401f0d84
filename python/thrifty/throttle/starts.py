"""What is measured first, before anything is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from thrifty.throttle.space import Space

__all__ = ["starts"]

#: One further evaluation with a knob set to the middle, for so many settings there are; and where the middle is,
#: between the least value and the default.
SETTINGS_A_START, MIDDLE = 10, (0.4, 0.6)


def starts(space: Space, rng: np.random.Generator) -> list[int]:
    """Return the first settings: the default, and some that have one knob in the middle instead.

    Knobs of most values come first, whatever order they are given in.
    """
    default = space.default()
    found = [default]
    orders = [k for k, knob in enumerate(space.knobs) if knob.kind != "category" and len(knob.values) > 1]
    orders.sort(key=lambda k: (-len(space.knobs[k].values), space.knobs[k].coordinates()[:, 0].tolist()))
    for k in orders[: max(1, len(space) // SETTINGS_A_START)]:
        others = np.delete(space.levels, k, axis=1)
        line = np.flatnonzero((others == others[default]).all(axis=1) & (np.arange(len(space)) != default))
        if len(line):
            places = space.knobs[k].coordinates()[:, 0][space.levels[:, k]]
            middle = (places[default] or 1.0) * rng.uniform(*MIDDLE)
            found.append(int(line[np.argmin(np.abs(places[line] - middle))]))
    return found
