"""Propositions: what is joined by and, or, not and arrows, compared by truth tables."""

from __future__ import annotations

import itertools
from itertools import pairwise
from typing import TYPE_CHECKING

from thrifty.exam.maths.tree import symbols

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["ARROWS", "is_proposition", "same_propositions"]

ARROWS = frozenset({"=>", "<=>", "->"})
MAX_NAMES = 8


def is_proposition(node: Node) -> bool:
    """Whether this is true or false, as far as one can see: a letter, or letters joined by logic."""
    if node.kind == "symbol":
        return node.name not in {"pi", "infinity", "..."}
    if node.kind == "chain" and not set(node.name.split()) <= ARROWS:
        return False
    joined = node.kind in {"logic", "chain"} or (node.kind == "call" and node.name == "not")
    return joined and all(is_proposition(part) for part in node.args)


def same_propositions(gold: Node, answer: Node) -> bool | None:
    """Whether two propositions are true in the same cases; None where neither has a sign of logic in it."""
    if not any(one.kind == "logic" or (one.kind == "call" and one.name == "not") for one in (gold, answer)):
        return None
    if not (is_proposition(gold) and is_proposition(answer)):
        return False
    names = sorted(symbols(gold) | symbols(answer))
    if len(names) > MAX_NAMES:
        return None if gold != answer else True
    cases = (dict(zip(names, case, strict=True)) for case in itertools.product((False, True), repeat=len(names)))
    return all(_holds(gold, case) == _holds(answer, case) for case in cases)


def _holds(node: Node, case: dict[str, bool]) -> bool:
    if node.kind == "symbol":
        return case.get(node.name, True)
    parts = [_holds(part, case) for part in node.args]
    if node.kind == "call":
        return not parts[0]
    if node.name in {"land", "lor"}:
        return all(parts) if node.name == "land" else any(parts)
    steps = zip(node.name.split(), pairwise(parts), strict=True)
    return all(a == b if arrow == "<=>" else b or not a for arrow, (a, b) in steps)
