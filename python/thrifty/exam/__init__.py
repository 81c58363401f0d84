"""Exams as Humanity's Last Exam is scored, and whether a cheaper system lost anything (2501.14249).

>>> from thrifty.exam import Question
>>> Question("q1", "How many legs has a spider?", "8", "exactMatch").answer
'8'
"""

from thrifty.exam.asking.endpoint import Endpoint, Reply
from thrifty.exam.asking.prompt import Prompt, prompt
from thrifty.exam.asking.results import Answer, Run, open_run
from thrifty.exam.asking.run import Progress, run
from thrifty.exam.contamination import Contamination, contamination
from thrifty.exam.continuations import Continuation, ContinuationExam, continuations
from thrifty.exam.graded import Graded, GradedAnswer
from thrifty.exam.graders import grade
from thrifty.exam.grades import read_grades
from thrifty.exam.grading import grade_answer, parse_confidence
from thrifty.exam.judging import Judge
from thrifty.exam.outside import read_graded
from thrifty.exam.question import Dataset, Question, Remark
from thrifty.exam.reading.images import Image
from thrifty.exam.reading.load import load
from thrifty.exam.scoring.calibration import CalibrationError, calibration_error
from thrifty.exam.scoring.compare import Comparison, compare
from thrifty.exam.scoring.curves import ReliabilityBin, isotonic, isotonic_band, reliability, risk_coverage
from thrifty.exam.scoring.metrics import Metrics, metrics
from thrifty.exam.scoring.paired import Decision, decide
from thrifty.exam.scoring.score import Score, score
from thrifty.exam.verdict import Verdict

__all__ = [
    "Answer",
    "CalibrationError",
    "Comparison",
    "Contamination",
    "Continuation",
    "ContinuationExam",
    "Dataset",
    "Decision",
    "Endpoint",
    "Graded",
    "GradedAnswer",
    "Image",
    "Judge",
    "Metrics",
    "Progress",
    "Prompt",
    "Question",
    "ReliabilityBin",
    "Remark",
    "Reply",
    "Run",
    "Score",
    "Verdict",
    "calibration_error",
    "compare",
    "contamination",
    "continuations",
    "decide",
    "grade",
    "grade_answer",
    "isotonic",
    "isotonic_band",
    "load",
    "metrics",
    "open_run",
    "parse_confidence",
    "prompt",
    "read_graded",
    "read_grades",
    "reliability",
    "risk_coverage",
    "run",
    "score",
]
