"""Scaling laws that know a model's shape and what it costs to serve: fit, predict, plan (arXiv 2501.18107)."""

from thrifty.scaling.climb import climb, table_of
from thrifty.scaling.draws import Draws
from thrifty.scaling.fitting.certificate import Certificate
from thrifty.scaling.ladder import Rung, ladder, rungs_of, shape_of
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import NAMED, Form, Power, Quadratic, Term, named
from thrifty.scaling.runs import Runs, Source
from thrifty.scaling.study import Candidate, Study, study
from thrifty.scaling.table import RunTable

__all__ = [
    "NAMED",
    "Candidate",
    "Certificate",
    "Draws",
    "Form",
    "Power",
    "Quadratic",
    "RunTable",
    "Rung",
    "Runs",
    "ScalingLaw",
    "Source",
    "Study",
    "Term",
    "climb",
    "ladder",
    "named",
    "rungs_of",
    "shape_of",
    "study",
    "table_of",
]
