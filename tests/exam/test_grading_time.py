"""Twice the text takes about twice the time, however one expression may try to read it again."""

import time

import pytest

from thrifty.exam import grade_answer

PIECES = (
    "A and ", "A / ", "A, and ", "A B ", "(A) ", "$x$ ", "A or ", "not A ", "a=b, ", "A -> ", "J. ", ", ", "(",
    "A is ", "and ", "1 and ", "\\text{a} ", "- ", "x_1 ", "A's ",
)  # fmt: skip
GOLDS = (
    ("multipleChoice", "B"),
    ("multipleChoice", "A, C"),
    ("exactMatch", "5"),
    ("exactMatch", "red, green and blue"),
)


def seconds(response: str, gold: str, answer_type: str) -> float:
    """Processor time of this process for one grade, the least of three."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        grade_answer(response, gold, answer_type)
        taken.append(time.process_time() - begun)
    return min(taken)


@pytest.mark.parametrize("piece", PIECES)
def test_time_grows_as_the_text_does(piece: str) -> None:
    for answer_type, gold in GOLDS:
        # Short enough that an exponential one ends, too.
        for size in (15, 60, 450, 900):
            one, two = (seconds(f"Answer: {piece * (k * size // len(piece))}!x", gold, answer_type) for k in (1, 2))
            assert two <= 5 * one + 2e-3, (answer_type, gold, size, one, two)
