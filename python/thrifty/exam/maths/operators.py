"""Factors whose order counts: operators of quantum mechanics, and whatever has a dagger."""

from __future__ import annotations

from thrifty.exam.maths.tree import Node, pieces

__all__ = ["in_order"]

HEADS = frozenset({"ket", "bra", "dagger"})


def in_order(node: Node) -> Node:
    """Give the tree with products of operators as wholes, that no other order is equal to."""
    if not any(_is_head(part) for part in pieces(node)):
        return node
    daggered = (part.args[0] for part in pieces(node) if part.kind == "call" and part.name == "dagger")
    return _ordered(node, {part.name for under in daggered for part in pieces(under) if part.kind == "symbol"})


def _is_head(node: Node) -> bool:
    if node.kind == "symbol":
        return node.name.startswith("hat ")
    return node.kind == "call" and node.name in HEADS


def _ordered(node: Node, names: set[str]) -> Node:
    if node.args:
        node = node._replace(args=tuple(_ordered(part, names) for part in node.args))
    if node.kind != "mul":
        return node
    commuting: list[Node] = []
    operators: list[Node] = []
    for factor in _factors(node):
        acts = any(_is_head(part) or part.name in names for part in pieces(factor))
        (operators if acts else commuting).append(factor)
    if len(operators) < 2:
        return node
    return Node("mul", (*commuting, Node("apply", tuple(operators), "in order")))


def _factors(node: Node) -> list[Node]:
    if node.kind == "apply" and node.name == "in order":
        return list(node.args)
    return [factor for part in node.args for factor in _factors(part)] if node.kind == "mul" else [node]
