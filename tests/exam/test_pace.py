"""How fast an endpoint is asked, by clocks of the tests alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.exam.asking.pace import Bucket, Window
from thrifty.exam.asking.retry import Failed, delay, retry_after


@given(st.floats(1, 10_000), st.lists(st.floats(0, 2), min_size=2, max_size=60))
def test_no_minute_has_more_than_it_may(per_minute: float, pauses: list[float]) -> None:
    bucket, now, sent = Bucket(per_minute), 1000.0, []
    for pause in pauses:
        now += pause
        sent.append(now + bucket.take(1, now))
    sent.sort()
    for first, begin in enumerate(sent):
        within = sum(time < begin + 60 for time in sent[first:])
        assert within <= per_minute + max(per_minute / 60, 1) + 1e-6


def test_a_bucket_is_used_up_and_filled() -> None:
    bucket = Bucket(600)
    assert [round(bucket.take(1, 50.0), 6) for _ in range(12)] == [0.0] * 10 + [0.1, 0.2]
    bucket.correct(-2)
    assert bucket.take(1, 50.0) == pytest.approx(0.1)
    assert bucket.take(1, 90.0) == 0.0


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


@given(st.text(max_size=70))
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
