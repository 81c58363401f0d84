"""Whether something that is read again and again is still what it was.

Page's test with the mean of all readings so far (Page 1954, Hinkley 1971), both ways, on logarithms. Its threshold
follows from how seldom it may cry wolf, by Siegmund's approximation of the average run length (1985, section 2.6).
"""

from __future__ import annotations

import math

__all__ = ["PageHinkley", "threshold"]

#: How far a sum of normal steps overshoots a boundary, twice, in their standard deviations: 2 x 0.583.
OVERSHOOT = 1.166


def threshold(slack: float, run: float) -> float:
    """Return where sums of normal values less ``slack``, both ways, cross once in ``run`` readings that are steady.

    One way crosses once in ``(exp(2 k b) - 1 - 2 k b) / (2 k^2)`` readings, with k the slack and b the threshold plus
    1.166; two ways twice as often.

    Examples
    --------
    >>> round(threshold(0.5, 465), 1)  # tables of cusum charts have 5 for k = 1/2 and a run of 465
    5.0
    """
    if not slack > 0:
        raise ValueError(f"slack: {slack} is not above 0")
    if not 1 <= run < math.inf:
        raise ValueError(f"run: {run}; at least one reading, and not for ever")
    low, high = 0.0, 350.0 / slack
    for _ in range(100):
        b = (low + high) / 2
        if (math.expm1(2 * slack * b) - 2 * slack * b) / (2 * slack * slack) < 2 * run:
            low = b
        else:
            high = b
    return max(high - OVERSHOOT, 0.0)


class PageHinkley:
    """An alarm for a shift of readings, up or down.

    Differences from the mean of all readings so far, this one counted in, are independent and vary by less than one
    standard deviation however few there are, so the run length that is asked for holds from the first reading on.

    Parameters
    ----------
    sd : float
        Standard deviation of the logarithms of readings: 0.02 for noise of 2 %.
    expected : float, optional
        What is expected, above 0; by default it is learned from the readings.
    weight : float
        How many readings ``expected`` is worth; its own error must be that of the mean of so many.
    slack : float
        Half of the shift, in ``sd``, that is to be found fastest.
    run : float
        Readings between false alarms, on average.

    Attributes
    ----------
    level : float
        The larger of both sums, over the threshold: at 1 there is an alarm.

    Raises
    ------
    ValueError
        For a parameter that is not above 0.

    Examples
    --------
    >>> test = PageHinkley(0.02, expected=0.050)
    >>> [test.add(seconds) for seconds in (0.0502, 0.0497, 0.067, 0.0655)]
    [False, False, True, True]
    """

    def __init__(
        self, sd: float, *, expected: float | None = None, weight: float = 30.0, slack: float = 0.5, run: float = 1e6
    ) -> None:
        for name, value in (("sd", sd), ("expected", expected), ("weight", weight)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: {value} is not above 0")
        self.sd, self.slack, self.limit = sd, slack, threshold(slack, run)
        self._mean = 0.0 if expected is None else math.log(expected)
        self._weight = 0.0 if expected is None else weight
        self.restart()

    @property
    def expected(self) -> float | None:
        """What is expected by now; None before anything was read."""
        return math.exp(self._mean) if self._weight else None

    @property
    def level(self) -> float:
        """How far the sums are."""
        return max(self._up, self._down) / self.limit

    def restart(self) -> None:
        """Forget the sums and keep what is expected."""
        self._up = self._down = 0.0

    def add(self, value: float) -> bool:
        """Take in a reading above 0; return whether there is an alarm."""
        if not 0 < value < math.inf:
            raise ValueError(f"value: {value} is not finite and above 0")
        log = math.log(value)
        self._weight += 1
        self._mean += (log - self._mean) / self._weight
        away = (log - self._mean) / self.sd
        self._up = max(0.0, self._up + away - self.slack)
        self._down = max(0.0, self._down - away - self.slack)
        return self.level >= 1
