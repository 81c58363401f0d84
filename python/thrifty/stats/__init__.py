"""Intervals and tests with their assumptions stated.

>>> from thrifty.stats import wilson
>>> low, high = wilson(8, 10)
>>> round(low, 3), round(high, 3)
(0.49, 0.943)
"""

from thrifty.stats.agreement import Kappa, cohen_kappa, rogan_gladen
from thrifty.stats.bootstrap import bca_interval, bootstrap, jackknife, norm_interval, percentile_interval
from thrifty.stats.clustered import ClusteredMean, clustered_mean, clustered_proportion
from thrifty.stats.multiple import holm
from thrifty.stats.paired import Equivalence, equivalence, mcnemar, paired_difference, paired_score
from thrifty.stats.power import equivalence_trials, paired_power, paired_trials
from thrifty.stats.proportion import clopper_pearson, wald, wilson
from thrifty.stats.random import philox

__all__ = [
    "ClusteredMean",
    "Equivalence",
    "Kappa",
    "bca_interval",
    "bootstrap",
    "clopper_pearson",
    "clustered_mean",
    "clustered_proportion",
    "cohen_kappa",
    "equivalence",
    "equivalence_trials",
    "holm",
    "jackknife",
    "mcnemar",
    "norm_interval",
    "paired_difference",
    "paired_power",
    "paired_score",
    "paired_trials",
    "percentile_interval",
    "philox",
    "rogan_gladen",
    "wald",
    "wilson",
]
