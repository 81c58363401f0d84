"""Scaling laws that know a model's shape and what it costs to serve: fit, predict, plan (arXiv 2501.18107)."""

from thrifty.scaling.choosing import Candidate, Choice, choose
from thrifty.scaling.comparing import Beside, FitComparison, compare_fits
from thrifty.scaling.design import Design, design
from thrifty.scaling.downstream import Downstream, accuracy_column
from thrifty.scaling.draws import Draws
from thrifty.scaling.fit_file import load_fit, save_fit
from thrifty.scaling.fitting.certificate import Certificate
from thrifty.scaling.influence import Influence, influence
from thrifty.scaling.intervals import Prediction
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import NAMED, Form, Power, Quadratic, Term, named
from thrifty.scaling.optimal import Optimum, optimal
from thrifty.scaling.planner import Plan, plan
from thrifty.scaling.reading import read_runs
from thrifty.scaling.runs import Runs, Source
from thrifty.scaling.shapes import Shapes, shapes

__all__ = [
    "NAMED",
    "Beside",
    "Candidate",
    "Certificate",
    "Choice",
    "Design",
    "Downstream",
    "Draws",
    "FitComparison",
    "Form",
    "Influence",
    "Optimum",
    "Plan",
    "Power",
    "Prediction",
    "Quadratic",
    "Runs",
    "ScalingLaw",
    "Shapes",
    "Source",
    "Term",
    "accuracy_column",
    "choose",
    "compare_fits",
    "design",
    "influence",
    "load_fit",
    "named",
    "optimal",
    "plan",
    "read_runs",
    "save_fit",
    "shapes",
]
