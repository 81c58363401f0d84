"""Scaling laws that know a model's shape and what it costs to serve: fit, predict, plan (arXiv 2501.18107)."""

from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import NAMED, Form, Power, Quadratic, Term, named
from thrifty.scaling.reading import read_runs
from thrifty.scaling.runs import Runs, Source

__all__ = ["NAMED", "Form", "Power", "Quadratic", "Runs", "ScalingLaw", "Source", "Term", "named", "read_runs"]
