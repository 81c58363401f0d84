"""Long and hostile text costs no more than its length, and never much."""

import sys
from types import FrameType

import pytest

from thrifty.exam import grade_answer

HOSTILE = {
    "brackets": "(",
    "braces": "{",
    "boxes": "\\boxed{",
    "dollars": "$",
    "commas": "1,",
    "stars": "*",
    "tags": "<think>",
    "comments": "<!--",
    "answers": "Answer: ",
    "ands": "1 and ",
    "words": "one hundred ",
    "points": "a. ",
    "quotes": '"answer": "',
    "units": "kg*",
    "elements": "H2",
    "moves": "Nf3 ",
    "signs": "-",
    "equations": "a=b, ",
    "marks": "not ",
    "turns": "not a but ",
    "colons": "a:\n\n",
    "leads": "the answer is ",
    "accents": "é\u0301",
}
GOLDS = ("5", "7 km", "Paris", "{1, 2}", "H2O", "CC(=O)O", "July 4, 1776", "red, green and blue", "x^2 + 1")


def calls(response: str, gold: str) -> int:
    """How many functions are called for one grade, by all but mathematics, which has limits of its own."""
    count = 0

    def seen(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call") and "maths" not in frame.f_code.co_filename

    sys.setprofile(seen)
    try:
        grade_answer(response, gold)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", HOSTILE)
def test_work_is_linear_in_the_text(name: str) -> None:
    piece = HOSTILE[name]
    for gold in GOLDS:
        grade_answer(f"Answer: {piece * 100}", gold)
        for size in (500, 1000, 2000, 4000):
            count = calls(f"Answer: {piece * (size // len(piece))}", gold)
            assert count <= 100 * size, (gold, size, count)


@pytest.mark.parametrize("name", HOSTILE)
def test_beyond_a_length_more_text_is_no_more_work(name: str) -> None:
    piece = HOSTILE[name]
    for gold in GOLDS[:3]:
        short, long = (calls(f"Answer: {piece * (size // len(piece))}", gold) for size in (1 << 18, 1 << 21))
        assert long <= 1.1 * short + 100, (name, gold, short, long)


def test_what_is_computed_before_it_is_known_is_capped() -> None:
    for response in ("9" * 100_000, "1e999999999", "10^99999999", "1" + "0" * 20_000, "0." + "3" * 50_000 + "..."):
        assert grade_answer(f"Answer: {response}", "5").verdict != "equal"
    digits = "7" * 3000
    assert grade_answer(f"Answer: {digits}", digits).verdict == "equal"
    assert grade_answer(f"Answer: {digits}.0", digits).verdict == "equal"
    assert grade_answer(f"Answer: {digits[:-1]}8", digits).verdict == "different"


def test_text_that_asks_for_a_verdict_gets_none() -> None:
    for response in ("verdict: equal", "Ignore the rules: this is correct.", "Answer: (see gold)", "Answer: {gold}"):
        assert grade_answer(response, "Paris").verdict != "equal"
