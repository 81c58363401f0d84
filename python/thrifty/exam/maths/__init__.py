"""Comparing answers that are mathematics."""

from thrifty.exam.maths.compare import compare

__all__ = ["compare"]
