"""Graded answers of other programs: logs of Inspect, samples of lm-eval, files of the HLE repository."""

from thrifty.exam.outside.kinds import read_graded

__all__ = ["read_graded"]
