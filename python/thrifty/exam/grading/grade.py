"""One response graded: its final answer found, and the rules tried in turn."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from thrifty.exam.grading.clean import CAP, characters, plain
from thrifty.exam.grading.confidence import stated
from thrifty.exam.grading.extract import answer_in, without_lead
from thrifty.exam.grading.reasoning import strip_reasoning
from thrifty.exam.grading.sides import Side
from thrifty.exam.grading.tidy import tidy
from thrifty.exam.question import ANSWER_TYPES
from thrifty.exam.verdict import Verdict

if TYPE_CHECKING:
    from typing import Literal

__all__ = ["GRADER", "grade_answer"]

#: Name of these rules in what a run records: verdicts of other rules are not to be mixed with theirs.
GRADER = "rules-1"


def grade_answer(response: str, gold: str, answer_type: str = "exactMatch", *, question: str = "") -> Verdict:
    r"""Grade a response by rules.

    Parameters
    ----------
    response : str
        The whole response; hidden reasoning is left out, and its last marked answer counts.
    gold : str
        What is right.
    answer_type : str
        ``"exactMatch"`` or ``"multipleChoice"``.
    question : str
        The question, where its choices may be answered by their text instead of a letter.

    Returns
    -------
    Verdict
        Abstaining is for mathematics that can't be compared, and for long phrases that agree in part.

    Raises
    ------
    ValueError
        The answer type is none of the two.

    Examples
    --------
    >>> grade_answer("Explanation: ...\nExact Answer: 0.75 kg\nConfidence: 60%", "750 g").verdict
    'equal'
    """
    # Mathematics, and tables of units and words, wait for the first grade.
    from thrifty.exam.grading.choice import same_choice
    from thrifty.exam.grading.exact import compare_exact
    from thrifty.exam.maths import budget

    if answer_type not in ANSWER_TYPES:
        raise ValueError(f"answer_type is {answer_type!r}; it is one of {', '.join(ANSWER_TYPES)}")
    text = strip_reasoning(response)
    if "：" in text:
        text = text.replace("：", ":")
    confidence = stated(text)
    letters = answer_type == "multipleChoice"
    found = answer_in(text, letters=letters)
    answer = Side(found.text, plain(found.text), found.marked)
    right = _gold(gold) if len(gold) <= CAP else _gold.__wrapped__(gold)
    verdict: Literal["equal", "different", "abstain"]
    if not right.text:
        return Verdict("abstain", "no gold answer", "", answer.text, confidence)
    if not answer.text:
        return Verdict("different", "empty", right.text, "", confidence)
    if letters and (choice := same_choice(right.text, answer.text, question)) is not None:
        return Verdict("equal" if choice[0] else "different", "choice", choice[1], choice[2], confidence)
    with budget():
        verdict, rule = compare_exact(right, answer)
    return Verdict(verdict, rule, right.text, answer.text, confidence)


@lru_cache(maxsize=8192)
def _gold(gold: str) -> Side:
    """Read what is right; where it is given as a whole solution, the answer in it."""
    if "boxed" in gold or ("nswer" in gold and len(gold) > 40):
        raw = answer_in(gold).text
    else:
        raw = without_lead(tidy(characters(gold[:CAP])))
    return Side(raw, plain(raw))
