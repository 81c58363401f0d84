r"""Grading by rules: the final answer of a response, compared with what is right.

>>> from thrifty.exam.grading import grade_answer
>>> grade_answer("Answer: 1.5 km\nConfidence: 80%", "1500 m").verdict
'equal'
"""

from thrifty.exam.grading.confidence import parse_confidence
from thrifty.exam.grading.grade import GRADER, grade_answer

__all__ = ["GRADER", "grade_answer", "parse_confidence"]
