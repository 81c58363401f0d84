"""Speculative decoding: a draft proposes, the target verifies, and the law stays the target's (arXiv 2402.01528).

>>> from thrifty.specdec import LatencyCurve, best_gamma
>>> curve = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
>>> best_gamma(0.8, batch=1, latency=curve).gamma, best_gamma(0.8, batch=128, latency=curve).gamma
(8, 0)
"""

from thrifty.specdec.latency import (
    BestGamma,
    LatencyCurve,
    best_gamma,
    break_even_alpha,
    break_even_tau,
    expected_tau,
    needed_tau,
)

__all__ = [
    "BestGamma",
    "LatencyCurve",
    "best_gamma",
    "break_even_alpha",
    "break_even_tau",
    "expected_tau",
    "needed_tau",
]
