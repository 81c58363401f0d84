"""Limits that a plan must keep, what to say where nothing keeps them, and fronts of what does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

__all__ = ["Limit", "front", "kept", "unmet"]


@dataclass(frozen=True, eq=False, slots=True)
class Limit:
    """At most so much of something.

    Attributes
    ----------
    name : str
        The argument that set it.
    values : float64[n]
        What each candidate has of it; infinite where it can't have any.
    most : float
    """

    name: str
    values: Values
    most: float

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which candidates keep it."""
        mask: NDArray[np.bool_] = self.values <= self.most
        return mask


def kept(limits: Sequence[Limit], n: int) -> NDArray[np.bool_]:
    """Return which of ``n`` candidates keep all limits."""
    mask: NDArray[np.bool_] = np.logical_and.reduce([limit.kept for limit in limits], axis=0)
    return mask if limits else np.ones(n, bool)


def unmet(limits: Sequence[Limit], name: Callable[[int], str]) -> str:
    """Say which limit binds where no candidate keeps all, and the nearest value of it that can be had.

    A limit binds when candidates keep all others. Where each alone is not enough, the candidate is named that passes
    its worst limit by the least factor.
    """
    n = len(limits[0].values)
    said = []
    for limit in limits:
        others = kept([other for other in limits if other is not limit], n)
        nearest = np.where(others, limit.values, np.inf)
        if np.isfinite(nearest).any():
            at = int(nearest.argmin())
            said.append(
                f"{limit.name} {limit.most:.4g}: the least that keeps the rest is {nearest[at]:.4g}, {name(at)}"
            )
    if said:
        return "no shape keeps all limits; " + "; or ".join(said)
    over = np.max([limit.values / limit.most for limit in limits], axis=0)
    names = ", ".join(f"{limit.name} {limit.most:.4g}" for limit in limits)
    if not np.isfinite(over).any():
        never = [limit.name for limit in limits if not np.isfinite(limit.values).any()]
        return f"no shape keeps {names}; {', '.join(never or names.split())} can't be had with any shape here"
    at = int(over.argmin())
    values = ", ".join(f"{limit.name} {limit.values[at]:.4g}" for limit in limits)
    return f"no shape keeps {names}, nor all but one of them; nearest is {name(at)}, with {values}"


def front(first: Any, second: Any, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Return the candidates that none betters in one of two without losing in the other, by the first.

    Parameters
    ----------
    first, second : float64[n]
        The less the better; what is not finite is on no front.
    among : bool[n], optional
        Which count.

    Returns
    -------
    int64[k]
        Their numbers; of equal ones the first.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    mask = np.isfinite(first) & np.isfinite(second)
    at = np.flatnonzero(mask if among is None else mask & among)
    if not len(at):
        return at
    # What is worse in one than the best of the other can't be on it; the rest is few.
    at = at[(first[at] <= first[at[second[at].argmin()]]) & (second[at] <= second[at[first[at].argmin()]])]
    at = _falling(second, at[np.argsort(first[at], kind="stable")])
    return _falling(second, at[np.lexsort((at, second[at], first[at]))])


def _falling(values: Values, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those that are below all before them."""
    falling = values[order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(falling)[:-1]])
    below: NDArray[np.int64] = order[falling < before]
    return below
