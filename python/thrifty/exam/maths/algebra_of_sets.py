"""Sets by their names: unions, intersections, differences and complements, compared by their members."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["same_members"]

OPERATIONS = frozenset({"union", "meet", "minus"})
COMPLEMENTS = frozenset({"c", "C", "complement"})
MAX_NAMES = 8


def same_members(gold: Node, answer: Node) -> bool | None:
    """Whether expressions of named sets have the same members, whatever the sets; None where there is more in them."""
    if gold.kind not in OPERATIONS and answer.kind not in OPERATIONS:
        return None
    names: set[str] = set()
    if not (_named(gold, names) and _named(answer, names)) or len(names) > MAX_NAMES:
        return None
    ordered = sorted(names)
    for inside in itertools.product((False, True), repeat=len(ordered)):
        where = dict(zip(ordered, inside, strict=True))
        if _holds(gold, where) != _holds(answer, where):
            return False
    return True


def _complemented(node: Node) -> bool:
    """Whether this is a complement: a bar, a raised c, a prime."""
    if node.kind == "call":
        return node.name == "bar"
    return node.kind in {"pow", "index"} and node.args[1].name in (COMPLEMENTS if node.kind == "pow" else {"'"})


def _named(node: Node, names: set[str]) -> bool:
    """Collect names; False where something else is in the expression."""
    if node.kind == "symbol":
        names.add(node.name)
        return node.name.isupper()
    if node.kind in OPERATIONS:
        return all(_named(part, names) for part in node.args)
    return _complemented(node) and _named(node.args[0], names)


def _holds(node: Node, where: dict[str, bool]) -> bool:
    if node.kind == "symbol":
        return where[node.name]
    if node.kind == "union":
        return any(_holds(part, where) for part in node.args)
    if node.kind == "meet":
        return all(_holds(part, where) for part in node.args)
    if node.kind == "minus":
        return _holds(node.args[0], where) and not any(_holds(part, where) for part in node.args[1:])
    return not _holds(node.args[0], where)
