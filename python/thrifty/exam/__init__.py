"""Exams as Humanity's Last Exam is scored, and whether a cheaper system lost anything (2501.14249).

>>> from thrifty.exam import Question
>>> Question("q1", "How many legs has a spider?", "8", "exactMatch").answer
'8'
"""

from thrifty.exam.endpoint import Endpoint, Reply
from thrifty.exam.graded import Graded, GradedAnswer
from thrifty.exam.images import Image
from thrifty.exam.load import load
from thrifty.exam.prompt import Prompt, prompt
from thrifty.exam.question import Dataset, Question, Remark
from thrifty.exam.results import Answer, Run, open_run
from thrifty.exam.run import Progress, run
from thrifty.exam.verdict import Verdict

__all__ = [
    "Answer",
    "Dataset",
    "Endpoint",
    "Graded",
    "GradedAnswer",
    "Image",
    "Progress",
    "Prompt",
    "Question",
    "Remark",
    "Reply",
    "Run",
    "Verdict",
    "load",
    "open_run",
    "prompt",
    "run",
]
