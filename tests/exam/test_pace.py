"""How fast an endpoint is asked, by clocks of the tests alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thrifty.exam.asking.pace import Bucket, Window
from thrifty.exam.asking.retry import Failed, delay, retry_after


@given(st.floats(1, 400), st.lists(st.floats(0, 2) | st.just(0.0), min_size=2, max_size=60), st.floats(1, 1.5))
@example(200.0, [0.0] * 500, 1.0)
@example(59.9, [0.0] * 130, 1.0)
@example(90.0, [1.0, *[0.0] * 200], 1.01)
def test_no_minute_has_more_than_it_may(per_minute: float, pauses: list[float], late: float) -> None:
    bucket, now, sent = Bucket(per_minute), 1000.0, []
    for pause in pauses:
        now += pause
        while (wait := bucket.take(1, now)) > 0:
            now += wait * late
        sent.append(now)
    for first, begin in enumerate(sent):
        assert sum(time < begin + 60 for time in sent[first:]) <= per_minute


def test_a_bucket_is_used_up_and_filled() -> None:
    bucket = Bucket(600)
    # A second's worth at once, then what makes 600 with the rest of a minute.
    assert [round(bucket.take(1, 50.0), 4) for _ in range(12)] == [0.0] * 10 + [0.1015, 0.1015]
    bucket.correct(-1)
    assert [round(bucket.take(1, 50.0), 4) for _ in range(2)] == [0.0, 0.1015]
    assert bucket.take(1, 90.0) == 0.0
    assert [Bucket(0.5).take(1, 0.0), round(Bucket(0.5).each)] == [0.0, 120]


def test_a_window_shrinks_once_for_refusals_that_belong_together() -> None:
    window = Window(20)
    assert window.size == 20
    for _ in range(5):
        window.too_many()
    assert window.size == 16
    for _ in range(20):
        window.good()
    window.too_many()
    assert window.size == 13
    for _ in range(1000):
        window.good()
    assert window.size == 20
    for _ in range(500):
        window.too_many()
        for _ in range(window.size):
            window.good()
    assert 1 <= window.size <= 10


def test_retry_after() -> None:
    now = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after("7", now) == 7.0
    assert retry_after(" 0.5 ", now) == 0.5
    assert retry_after("Fri, 01 May 2026 12:00:09 GMT", now) == 9.0
    assert retry_after("Fri, 01 May 2026 11:00:00 GMT", now) == 0.0
    assert retry_after("Fri, 01 May 2126 12:00:00 GMT", now) == 300.0
    assert retry_after("9" * 12, now) == 300.0
    for text in (None, "", "soon", "-1", "nan", "inf", "1e3", "٣", "9" * 500, "Fri, 99 May 2026 12:00:00 GMT"):
        assert retry_after(text, now) is None


DATES = "Fri, 01 31 May Feb 0001 9999 2026 12:00:00 24:61:61 23:59:59.9 GMT EST JAN -2359 +9999 -0000 1 -1 0 - , : ( )"
pieces = st.sampled_from([*DATES.split(), "9" * 20])


@given(st.text(max_size=70) | st.lists(pieces, max_size=8).map(" ".join))
@example("Fri, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Fri, 01 May 99999999999999999999 12:00:00 GMT")
@example("Fri, 01 May 2026 12:00:00 +99999999999999999999")
def test_retry_after_anything(text: str) -> None:
    found = retry_after(text)
    assert found is None or 0 <= found <= 300


def test_delays() -> None:
    for attempt, most in ((1, 0.5), (2, 1.0), (5, 8.0), (8, 60.0), (1000, 60.0)):
        found = [delay(attempt, None) for _ in range(200)]
        assert 0 <= min(found) < most * 0.2 < most * 0.8 < max(found) <= most
    assert all(3.0 <= delay(4, 3.0) <= 3.3 for _ in range(50))


@pytest.mark.parametrize(
    ("status", "again", "everywhere", "slower"),
    [
        (400, False, False, False),
        (401, False, True, False),
        (403, False, True, False),
        (404, False, True, False),
        (302, False, True, False),
        (405, False, True, False),
        (408, True, True, False),
        (409, True, True, False),
        (422, False, False, False),
        (425, True, True, False),
        (429, True, True, True),
        (500, True, True, False),
        (503, True, True, True),
        (529, True, True, True),
    ],
)
def test_what_a_status_means(status: int, again: bool, everywhere: bool, slower: bool) -> None:
    failed = Failed.status(status, "detail", "4")
    assert (failed.again, failed.everywhere, failed.slower) == (again, everywhere, slower)
    assert failed.after == (4.0 if again else None)
    assert failed.reason == f"HTTP {status}"
