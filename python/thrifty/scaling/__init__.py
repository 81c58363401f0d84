"""Scaling laws that know a model's shape and what it costs to serve: fit, predict, plan (arXiv 2501.18107)."""

from thrifty.scaling.choosing import Candidate, Choice, choose
from thrifty.scaling.climb import climb, table_of
from thrifty.scaling.comparing import Beside, FitComparison, compare_fits
from thrifty.scaling.design import Design, design
from thrifty.scaling.downstream import Downstream, accuracy_column
from thrifty.scaling.draws import Draws
from thrifty.scaling.fit_file import load_fit, save_fit
from thrifty.scaling.fitting.certificate import Certificate
from thrifty.scaling.influence import Influence, influence
from thrifty.scaling.intervals import Prediction
from thrifty.scaling.ladder import Rung, ladder, rungs_of, shape_of
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import NAMED, Form, Power, Quadratic, Term, named
from thrifty.scaling.optimal import Optimum, optimal
from thrifty.scaling.planner import Plan, plan
from thrifty.scaling.reading import read_runs
from thrifty.scaling.runs import Runs, Source
from thrifty.scaling.shapes import Shapes, shapes
from thrifty.scaling.study import Finalist, Study, study
from thrifty.scaling.table import RunTable

__all__ = [
    "NAMED",
    "Beside",
    "Candidate",
    "Certificate",
    "Choice",
    "Design",
    "Downstream",
    "Draws",
    "Finalist",
    "FitComparison",
    "Form",
    "Influence",
    "Optimum",
    "Plan",
    "Power",
    "Prediction",
    "Quadratic",
    "RunTable",
    "Rung",
    "Runs",
    "ScalingLaw",
    "Shapes",
    "Source",
    "Study",
    "Term",
    "accuracy_column",
    "choose",
    "climb",
    "compare_fits",
    "design",
    "influence",
    "ladder",
    "load_fit",
    "named",
    "optimal",
    "plan",
    "read_runs",
    "rungs_of",
    "save_fit",
    "shape_of",
    "shapes",
    "study",
    "table_of",
]
