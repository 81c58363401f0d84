"""Intervals and tests with their assumptions stated.

>>> from thrifty.stats import wilson
>>> low, high = wilson(8, 10)
>>> round(low, 3), round(high, 3)
(0.49, 0.943)
"""

from thrifty.stats.proportion import clopper_pearson, wilson

__all__ = ["clopper_pearson", "wilson"]
