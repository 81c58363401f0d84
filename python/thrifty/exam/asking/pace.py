"""How fast an endpoint is asked: requests and tokens a minute, and how many requests at once."""

from __future__ import annotations

__all__ = ["Bucket", "Window"]


class Bucket:
    """A token bucket: so much a minute, of which a second's worth may come at once.

    Parameters
    ----------
    per_minute : float
        Requests, or tokens.

    Examples
    --------
    >>> bucket = Bucket(60)
    >>> [bucket.take(1, now=100.0) for _ in range(3)]
    [0.0, 1.0, 2.0]
    """

    def __init__(self, per_minute: float) -> None:
        self.each = 60.0 / per_minute
        self._next = 0.0

    def take(self, amount: float, now: float) -> float:
        """Take something out, and return how many seconds to wait before it is used."""
        # What was not used of the last second is there still.
        self._next = max(self._next, now - 1.0 + min(self.each, 1.0))
        wait = max(self._next - now, 0.0)
        self._next += amount * self.each
        return wait

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
