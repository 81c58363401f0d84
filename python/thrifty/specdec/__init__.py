"""Speculative decoding: a draft proposes, the target verifies, and the law stays the target's (arXiv 2402.01528)."""

from thrifty.specdec.advise import Advice, Candidate, advise, rank

__all__ = ["Advice", "Candidate", "advise", "rank"]
