"""Scaling laws that know a model's shape and what it costs to serve: fit, predict, plan (arXiv 2501.18107)."""

from thrifty.scaling.optimal import Optimum, optimal
from thrifty.scaling.runs import Runs, Source
from thrifty.scaling.shapes import Shapes, shapes

__all__ = ["Optimum", "Runs", "Shapes", "Source", "optimal", "shapes"]
