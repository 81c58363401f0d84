"""Ids a second of drafting and verifying, from milliseconds and acceptance (arXiv 2402.01528, section 3).

One step of B sequences drafts gamma ids each, one after the other, and verifies all in one call:

    T(gamma) = B tau(gamma) / (gamma t_d + t_v(gamma + 1) + t_host),    T(0) = B / t_v(1)

with tau(gamma) = 1 + alpha + ... + alpha^gamma ids that a verification yields when each draft is accepted with chance
alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thrifty.specdec.latency import expected_tau

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Clock"]


@dataclass(frozen=True)
class Clock:
    """Milliseconds of a target and of what waits for it.

    Attributes
    ----------
    verify_ms : sequence of float
        Of calls of one token a sequence, of two, and so on: t_v(1), t_v(2), ...
    batch : int
        Sequences in each.
    host_ms : float
        What a step that speculates takes besides.
    """

    verify_ms: Sequence[float]
    batch: int = 1
    host_ms: float = 0.0

    @property
    def plain(self) -> float:
        """Ids a second without a draft."""
        return 1e3 * self.batch / self.verify_ms[0]

    @property
    def longest(self) -> int:
        """The largest gamma that the times reach."""
        return len(self.verify_ms) - 1

    def step_ms(self, draft_ms: float, gamma: int) -> float:
        """Return milliseconds of a step."""
        return gamma * draft_ms + self.verify_ms[gamma] + (self.host_ms if gamma else 0.0)

    def throughput(self, draft_ms: float, alpha: float, gamma: int) -> float:
        """Return ids a second, over the batch."""
        return 1e3 * self.batch * expected_tau(alpha, gamma) / self.step_ms(draft_ms, gamma)

    def best(self, draft_ms: float, alpha: float) -> tuple[int, float]:
        """Return the gamma of most ids a second, the least of equal ones, and that many; 0 where no draft pays."""
        every = [self.throughput(draft_ms, alpha, gamma) for gamma in range(self.longest + 1)]
        most = max(every)
        return every.index(most), most

    def tau_needed(self, draft_ms: float, gamma: int, goal: float) -> float:
        """Return ids that a verification must yield for so many ids a second."""
        return goal * self.step_ms(draft_ms, gamma) / (1e3 * self.batch)

    def alpha_needed(self, draft_ms: float, goal: float) -> tuple[float, int] | None:
        """Return the least acceptance that yields so many ids a second with some gamma of at least 1, and that gamma.

        None where even a draft that is always right does not.
        """

        def best(alpha: float) -> tuple[float, int]:
            return max((self.throughput(draft_ms, alpha, g), -g) for g in range(1, self.longest + 1))

        if best(1.0)[0] < goal:
            return None
        low, high = 0.0, 1.0
        if best(low)[0] >= goal:
            high = low
        while high - low > 1e-9:
            middle = (low + high) / 2
            low, high = (low, middle) if best(middle)[0] >= goal else (middle, high)
        return high, -best(high)[1]
