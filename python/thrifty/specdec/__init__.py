"""Speculative decoding: a draft proposes, the target verifies, and the law stays the target's (arXiv 2402.01528)."""

__all__: list[str] = []
