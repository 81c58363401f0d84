"""Vectors written as sums of unit vectors."""

from __future__ import annotations

from thrifty.exam.maths.tree import Node, number, pieces, replaced

__all__ = ["as_vectors"]

STYLED = tuple(Node("symbol", name=f"unit vector {letter}") for letter in "ijk")
PLAIN = tuple(Node("symbol", name=letter) for letter in "ijk")


def as_vectors(gold: Node, answer: Node) -> tuple[Node, Node] | None:
    """Both as tuples, where one is a tuple and the other one a sum of unit vectors; else None."""
    for one, other in ((gold, answer), (answer, gold)):
        if one.kind not in {"tuple", "matrix"} or other.kind not in {"add", "mul", "symbol", "div"}:
            continue
        components = len(one.args) if one.kind == "tuple" else max(len(one.args), len(one.args[0].args))
        found = _components(other, components)
        if found is not None:
            return (one, found) if one is gold else (found, one)
    return None


def _components(node: Node, components: int) -> Node | None:
    letters = {part for part in pieces(node) if part in STYLED or part in PLAIN}
    if not letters or not 2 <= components <= len(PLAIN):
        return None
    units = STYLED if letters & set(STYLED) else PLAIN
    if not letters <= set(units[:components]) or (units is PLAIN and PLAIN[1] not in letters):
        return None
    zero = node
    for unit in units:
        zero = replaced(zero, unit, number(0))
    found = []
    for unit in units[:components]:
        one = replaced(node, unit, number(1))
        for other in units:
            one = replaced(one, other, number(0))
        found.append(Node("add", (one, Node("mul", (number(-1), zero)))))
    return Node("tuple", tuple(found), "<>")
