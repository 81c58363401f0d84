"""Scaling laws that know a model's shape and what it costs to serve: fit, predict, plan (arXiv 2501.18107)."""

from thrifty.scaling.choosing import Candidate, Choice, choose
from thrifty.scaling.comparing import Beside, FitComparison, compare_fits
from thrifty.scaling.draws import Draws
from thrifty.scaling.fit_file import load_fit, save_fit
from thrifty.scaling.fitting.certificate import Certificate
from thrifty.scaling.influence import Influence, influence
from thrifty.scaling.intervals import Prediction
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import NAMED, Form, Power, Quadratic, Term, named
from thrifty.scaling.reading import read_runs
from thrifty.scaling.runs import Runs, Source

__all__ = [
    "NAMED",
    "Beside",
    "Candidate",
    "Certificate",
    "Choice",
    "Draws",
    "FitComparison",
    "Form",
    "Influence",
    "Power",
    "Prediction",
    "Quadratic",
    "Runs",
    "ScalingLaw",
    "Source",
    "Term",
    "choose",
    "compare_fits",
    "influence",
    "load_fit",
    "named",
    "read_runs",
    "save_fit",
]
