"""Answers that are mathematics against what a careful examiner says of them."""

from __future__ import annotations

import pytest

from tests.exam.maths_pairs import DIFFERENT, EQUAL
from thrifty.exam.maths import compare

ALL_EQUAL = [pair for pairs in EQUAL.values() for pair in pairs]
ALL_DIFFERENT = [pair for pairs in DIFFERENT.values() for pair in pairs]


@pytest.mark.parametrize(("gold", "answer"), ALL_EQUAL)
def test_equal(gold: str, answer: str) -> None:
    assert compare(gold, answer) == "equal"


@pytest.mark.parametrize(("gold", "answer"), ALL_DIFFERENT)
def test_different(gold: str, answer: str) -> None:
    assert compare(gold, answer) == "different"


@pytest.mark.parametrize("text", sorted({text for pair in (*ALL_EQUAL, *ALL_DIFFERENT) for text in pair}))
def test_an_answer_is_itself(text: str) -> None:
    assert compare(text, text) == "equal"
    assert compare(text, f" {text} ") == "equal"


def test_the_same_without_sympy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few answers need algebra that only sympy knows."""
    from thrifty.exam.maths.workers import WORKERS

    monkeypatch.setattr(WORKERS, "_there", False)
    wrong = [pair for pair in ALL_EQUAL if compare(*pair) != "equal"]
    wrong += [pair for pair in ALL_DIFFERENT if compare(*pair) != "different"]
    assert wrong == []


def test_words_are_not_mathematics() -> None:
    for text in ("a spider has eight legs", "", "   ", "It is Paris.", "\\unknown{x}", "2 +", "((1)", "\\frac{1}{}"):
        assert compare(text, "3") is None
        assert compare("3", text) is None


def test_the_last_boxes_count() -> None:
    assert compare(r"so \boxed{1} no, really \boxed{2}", "2") == "equal"
    assert compare(r"\boxed{1} papers and \boxed{2} bins", "1, 2") == "equal"
    assert compare(r"\boxed{1}. Wait. \boxed{2}", "1, 2") == "different"
