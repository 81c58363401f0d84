"""Speculative decoding: a draft proposes, the target verifies, and the law stays the target's (arXiv 2402.01528).

>>> import numpy as np
>>> from thrifty.specdec import verify
>>> p = np.full((1, 3, 4), 0.25, np.float32)
>>> verify(p, p[:, :2], [[0, 3]], uid=[0], position=[5]).accepted.tolist()
[2]
"""

from thrifty.specdec.params import SamplingParams
from thrifty.specdec.tree import VerifiedTree, ancestor_masks, verify_tree
from thrifty.specdec.verify import SparseProbs, Verified, verify

__all__ = [
    "SamplingParams",
    "SparseProbs",
    "Verified",
    "VerifiedTree",
    "ancestor_masks",
    "verify",
    "verify_tree",
]
