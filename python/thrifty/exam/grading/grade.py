"""One response graded: its final answer found, and the rules tried in turn."""

from __future__ import annotations

from thrifty.exam.grading.clean import characters, plain
from thrifty.exam.grading.confidence import stated
from thrifty.exam.grading.extract import answer_in, strip_reasoning
from thrifty.exam.grading.number import read_number, same_number
from thrifty.exam.maths import compare
from thrifty.exam.verdict import Verdict

__all__ = ["GRADER", "grade_answer"]

GRADER = "rules-1"


def grade_answer(response: str, gold: str, answer_type: str = "exactMatch") -> Verdict:
    text = strip_reasoning(response)
    confidence = stated(text)
    answer = answer_in(text, letters=answer_type == "multipleChoice").text
    g, a = plain(characters(gold)), plain(answer)
    if not a:
        return Verdict("different", "empty", g, a, confidence)
    if g == a:
        return Verdict("equal", "same", g, a, confidence)
    gn, an = read_number(g), read_number(a)
    if gn is not None and an is not None:
        return Verdict("equal" if same_number(gn, an) else "different", "number", g, a, confidence)
    found = compare(gold, answer)
    if found is not None:
        return Verdict(found, "maths", g, a, confidence)
    return Verdict("abstain", "none", g, a, confidence)
