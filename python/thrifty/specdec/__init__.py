"""Speculative decoding: a draft proposes, the target verifies, and the law stays the target's (arXiv 2402.01528).

>>> import numpy as np
>>> from thrifty.specdec import LatencyCurve, best_gamma, verify
>>> p = np.full((1, 3, 4), 0.25, np.float32)
>>> verify(p, p[:, :2], [[0, 3]], uid=[0], position=[5]).accepted.tolist()
[2]
>>> curve = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
>>> best_gamma(0.8, batch=1, latency=curve).gamma, best_gamma(0.8, batch=128, latency=curve).gamma
(8, 0)
"""

from thrifty.specdec.advise import Advice, Candidate, advise, rank
from thrifty.specdec.cached import CachedDraft, CachedTarget
from thrifty.specdec.drafters import CascadeDraft, CountsDraft, LookupDraft, RecycledDraft
from thrifty.specdec.drafts import Drafts, TreeDraft
from thrifty.specdec.draw import draw
from thrifty.specdec.engine import Engine, Result
from thrifty.specdec.latency import (
    BestGamma,
    LatencyCurve,
    best_gamma,
    break_even_alpha,
    break_even_tau,
    expected_tau,
    needed_tau,
)
from thrifty.specdec.params import SamplingParams
from thrifty.specdec.simulate import Replay, SimulatedDevice, Simulator
from thrifty.specdec.step import Step
from thrifty.specdec.targets import PairTarget
from thrifty.specdec.trace import Trace
from thrifty.specdec.tree import VerifiedTree, ancestor_masks, verify_tree
from thrifty.specdec.trial import Trial, try_draft
from thrifty.specdec.verify import SparseProbs, Verified, verify

__all__ = [
    "Advice",
    "BestGamma",
    "CachedDraft",
    "CachedTarget",
    "Candidate",
    "CascadeDraft",
    "CountsDraft",
    "Drafts",
    "Engine",
    "LatencyCurve",
    "LookupDraft",
    "PairTarget",
    "RecycledDraft",
    "Replay",
    "Result",
    "SamplingParams",
    "SimulatedDevice",
    "Simulator",
    "SparseProbs",
    "Step",
    "Trace",
    "TreeDraft",
    "Trial",
    "Verified",
    "VerifiedTree",
    "advise",
    "ancestor_masks",
    "best_gamma",
    "break_even_alpha",
    "break_even_tau",
    "draw",
    "expected_tau",
    "needed_tau",
    "rank",
    "try_draft",
    "verify",
    "verify_tree",
]
