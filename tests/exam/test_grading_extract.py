"""Which part of a response is its answer, and how sure it says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.exam import grade_answer, parse_confidence
from thrifty.exam.grading.clean import CAP, characters, plain
from thrifty.exam.grading.extract import final_answer
from thrifty.exam.grading.reasoning import strip_reasoning


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Answer: 42", "42"),
        ("Answer: 41\nOn second thought:\nAnswer: 42\nConfidence: 10%", "42"),
        ("**Final Answer:** `42`.", "42"),
        ("Explanation: it is 41 + 1.\nExact Answer: 42\nConfidence: 42%", "42"),
        (r"so we get \boxed{41}. No: \boxed{42}", "42"),
        (r"\boxed{1} and \boxed{2}", "1 and 2"),
        (r"thus \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        ("#### 42", "42"),
        ("so 6 * 7 = <<6*7=42>>42\nA: 42", "42"),
        ("After all, the answer is 42. It could not be less.", "42"),
        ('{"answer": "42", "confidence": 80}', "42"),
        ("<answer>42</answer>", "42"),
        ("### Answer\n\n42\n\nBecause 6 * 7 = 42.", "42"),
        ("Answer:\n```\n42\n```", "42"),
        ("Answer:\n- red\n- green", "red, green"),
        ("Answer: The value is\n\n42\n\nConfidence: 90%", "The value is 42"),
        ("Answer: It is:\n\n$$\n42\n$$\n", "It is: $$ 42 $$"),
        ("Final Answer: The final answer is $42$. I hope it is correct.", "42"),
        ("Answer:", ""),
        ("", ""),
    ],
)
def test_the_last_marked_answer_counts(response: str, answer: str) -> None:
    assert final_answer(response).text == answer


@pytest.mark.parametrize(
    ("response", "left"),
    [
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("b<think>a", "b"),
        ("b <THINK>a</THINK>", "b "),
        ("<think>a</think>b<think>c</think>d", "bd"),
        ("[THINK]a[/THINK]b", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b", "b"),
        ("a < b, and b > c", "a < b, and b > c"),
    ],
)
def test_reasoning_is_no_part_of_an_answer(response: str, left: str) -> None:
    assert strip_reasoning(response) == left


def test_a_letter_of_a_choice_is_no_mark() -> None:
    assert grade_answer("A: Paris", "A", "multipleChoice").verdict == "equal"
    assert final_answer("A: Paris", letters=True).text == "A: Paris"


def test_choices_may_be_answered_by_their_text() -> None:
    question = "Where is it?\nA. Rome\nB. Paris\nC. Oslo"
    assert grade_answer("Answer: Paris", "B", "multipleChoice", question=question).verdict == "equal"
    assert grade_answer("Answer: Oslo", "B", "multipleChoice", question=question).verdict == "different"
    assert grade_answer("Answer: Paris", "B", "multipleChoice").verdict == "different"


def test_unknown_answer_types_are_named() -> None:
    with pytest.raises(ValueError, match="answer_type is 'essay'"):
        grade_answer("Answer: 1", "1", "essay")


@pytest.mark.parametrize(
    ("response", "percent"),
    [
        ("Confidence: 85%", 85.0),
        ("Confidence: 0.85", 85.0),
        ("Confidence: 1", 1.0),
        ("Confidence: 1.0", 100.0),
        ("Confidence: 0", 0.0),
        ("**Confidence:** 90 %", 90.0),
        ("Confidence: 80-90%", 85.0),
        ("Confidence: 8/10", 80.0),
        ("Confidence: 150%", None),
        ("Confidence: high", None),
        ("Answer: 3", None),
        ("Confidence: 10%\n...\nConfidence: 70%", 70.0),
        ("<think>Confidence: 10%</think>Answer: 3", None),
        ('{"answer": "3", "confidence": 62}', 62.0),
        ("I am 75% confident.", 75.0),
        ("Confidence score: ９５%", 95.0),
        ("Confidence: {40%}", 40.0),
    ],
)
def test_confidence_as_it_is_stated(response: str, percent: float | None) -> None:
    assert parse_confidence(response) == percent
    assert grade_answer(response, "3").confidence_percent == percent


@given(st.text(max_size=200))
def test_characters_once_are_characters_twice(text: str) -> None:
    once = characters(text)
    assert characters(once) == once


@given(st.text(alphabet="a1$\\{}^_ ()frac,.%-", max_size=60))
def test_plain_text_of_markup_never_fails(text: str) -> None:
    assert isinstance(plain(text), str)


@given(st.text(max_size=400), st.text(max_size=60))
def test_no_text_fails(response: str, gold: str) -> None:
    for answer_type in ("exactMatch", "multipleChoice"):
        verdict = grade_answer(response, gold, answer_type)
        assert verdict.verdict in ("equal", "different", "abstain")
        assert len(verdict.answer_normalised) <= 4 * CAP


MARKS = (
    "Answer: ",
    "\\boxed{",
    "}",
    "$",
    "**",
    "<think>",
    "</think>",
    "or",
    "not",
    "\n",
    "Confidence: 50%",
    "=",
    "%",
    "",
)
THINGS = ("5", "7 km", "Paris", "(C)", "1,000", "x^2", "{1, 2}", "H2O", "July 4")
PIECES = st.sampled_from((*MARKS, *THINGS))
GOLDS = st.sampled_from(("5", "Paris", "C", "7 km", "{1, 2}", "H2O", "x^2"))


@given(st.lists(PIECES, max_size=12).map(" ".join), GOLDS)
def test_no_arrangement_of_marks_fails(response: str, gold: str) -> None:
    grade_answer(response, gold)
    grade_answer(response, gold, "multipleChoice")


@given(st.text(min_size=1, max_size=40))
def test_an_answer_is_equal_to_itself(text: str) -> None:
    answer = final_answer(f"Answer: {text}\nConfidence: 5%").text
    if answer and final_answer(f"Answer: {answer}").text == answer:
        assert grade_answer(f"Answer: {answer}", answer).verdict == "equal"
