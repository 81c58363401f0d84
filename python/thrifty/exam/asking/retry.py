"""When a request is made again, and how long that waits."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["AGAIN", "LONGEST", "REFUSED", "Failed", "delay", "retry_after"]

#: Statuses after which the same request may well be answered; all of 500 and above are such too.
AGAIN = frozenset({408, 409, 425, 429})
#: Statuses that every request of a run would meet, as all below 400 are.
REFUSED = frozenset({401, 402, 403, 404, 405})
#: Seconds to wait at first, at most between attempts, and at most where a server says how long.
FIRST, LONGEST, LONGEST_TOLD = 0.5, 60.0, 300.0


class Failed(Exception):  # noqa: N818 - says what a request did
    """A request that brought no answer.

    Attributes
    ----------
    reason : str
        The same whenever the same thing happens: no times, no counts.
    detail : str
        What the server said of it.
    again : bool
        Whether it is worth another attempt.
    silent : bool
        Whether nothing was heard at all: nobody is there, or nobody answers.
    everywhere : bool
        Whether other questions would fail the same way: the key, the address or the server is at fault.
    slower : bool
        Whether the server says that it is asked too much.
    after : float or None
        Seconds to wait, where the server says so.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        again: bool = False,
        everywhere: bool = False,
        silent: bool = False,
        slower: bool = False,
        after: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail, self.again, self.everywhere = reason, detail, again, everywhere
        self.slower, self.after, self.silent = slower, after, silent

    @classmethod
    def status(cls, status: int, detail: str, after: str | None) -> Failed:
        """Make one of an HTTP status."""
        again = status in AGAIN or status >= 500
        return cls(
            f"HTTP {status}",
            detail,
            again=again,
            everywhere=again or status in REFUSED or status < 400,
            slower=status in (429, 503, 529),
            after=retry_after(after) if again else None,
        )


def retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header, in seconds or as a date (RFC 9110, 10.2.3); None for none.

    Examples
    --------
    >>> retry_after("1.5"), retry_after("86400"), retry_after("soon")
    (1.5, 300.0, None)
    """
    if text is None:
        return None
    text = text.strip()[:64]
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{0,12})?", text, re.ASCII):
        return min(float(text), LONGEST_TOLD)
    try:
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    except (ValueError, OverflowError, TypeError, IndexError):  # what the standard library makes of odd dates
        return None
    return min(max(seconds, 0.0), LONGEST_TOLD)


def delay(attempt: int, after: float | None) -> float:
    """Return the seconds to wait after attempt number ``attempt``, from 1: full jitter, doubling, as servers ask."""
    jitter = random.uniform(0.0, min(FIRST * 2.0 ** min(attempt - 1, 20), LONGEST))
    # All that were told the same time would come at once.
    return jitter if after is None else after + min(jitter, 0.1 * after)
