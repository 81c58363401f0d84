"""Exams as Humanity's Last Exam is scored, and whether a cheaper system lost anything (2501.14249).

>>> from thrifty.exam import Question
>>> Question("q1", "How many legs has a spider?", "8", "exactMatch").answer
'8'
"""

from thrifty.exam.graded import Graded, GradedAnswer
from thrifty.exam.grading import grade_answer, parse_confidence
from thrifty.exam.question import Dataset, Question, Remark
from thrifty.exam.verdict import Verdict

__all__ = ["Dataset", "Graded", "GradedAnswer", "Question", "Remark", "Verdict", "grade_answer", "parse_confidence"]
