"""How fast an endpoint is asked: requests and tokens a minute, and how many requests at once."""

from __future__ import annotations

import math

__all__ = ["Bucket", "Window"]


#: Seconds, the first with what adding many of the second may lose.
MINUTE, ROUNDING = 60.00001, 1e-9


class Bucket:
    """A leaky bucket: in any 60 seconds no more than so much, of which a second's worth may come at once.

    That holds of what is taken when it is used, in single units; of units beyond whole ones nothing is used.

    Parameters
    ----------
    per_minute : float
        Requests, or tokens.

    Examples
    --------
    >>> bucket = Bucket(60)
    >>> [round(bucket.take(1, now=100.0), 3) for _ in range(3)], bucket.take(1, now=101.1)
    ([0.0, 1.0, 1.0], 0.0)
    """

    def __init__(self, per_minute: float) -> None:
        whole = math.floor(per_minute) if per_minute >= 1 else per_minute
        burst = max(whole / 60, 1.0)
        # A burst and what flows in 60 seconds after it come to the whole (the bound of a generic cell rate algorithm).
        self.each = MINUTE / (whole - burst + 1) if whole >= 1 else MINUTE / whole
        self._slack = (burst - 1) * self.each
        self._next = -math.inf

    def take(self, amount: float, now: float) -> float:
        """Take something out and return 0; or nothing, and the seconds after which to try again."""
        if self._next - now > ROUNDING:
            return self._next - now
        self._next = max(self._next, now - self._slack) + amount * self.each
        return 0.0

    def correct(self, amount: float) -> None:
        """Take out more, or give back, where what was taken was not what it came to."""
        self._next += amount * self.each


class Window:
    """How many requests run at once: one more after as many good answers, fewer when an endpoint says it is too many.

    Additive increase, multiplicative decrease (Chiu and Jain 1989); of refusals that belong to one window, one counts.

    Parameters
    ----------
    most : int
        Where it begins, and never more.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._size = float(most)
        self._quiet = 0

    @property
    def size(self) -> int:
        """Requests at once, by now."""
        return int(self._size)

    def good(self) -> None:
        """Count a request that was answered."""
        self._quiet = max(self._quiet - 1, 0)
        self._size = min(self._size + 1.0 / self._size, self.most)

    def too_many(self) -> None:
        """Count a request that was refused for being too much."""
        if self._quiet == 0:
            self._quiet = self.size
            self._size = max(self._size * 0.8, 1.0)
