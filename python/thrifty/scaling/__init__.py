"""Scaling laws that know a model's shape and what it costs to serve: fit, predict, plan (arXiv 2501.18107)."""

from thrifty.scaling.ladder import Rung, ladder, rungs_of, shape_of
from thrifty.scaling.runs import Runs, Source

__all__ = ["Rung", "Runs", "Source", "ladder", "rungs_of", "shape_of"]
