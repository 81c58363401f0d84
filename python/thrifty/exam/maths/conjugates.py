"""Conjugates, real and imaginary parts: what they are of is no real number."""

from __future__ import annotations

from thrifty.exam.maths.tree import Node, pieces, replaced, symbols

__all__ = ["split"]

PARTS = frozenset({"bar", "re", "im"})


def split(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Give both with complex symbols as sums of a real and an imaginary part, as far as one says that they are."""
    said = [part for tree in (gold, answer) for part in pieces(tree) if part.kind == "call" and part.name in PARTS]
    names: set[str] = set().union(*map(symbols, said)) if said else set()
    for name in sorted(names):
        whole = Node("symbol", name=name)
        imaginary = Node("mul", (Node("symbol", name="i"), Node("symbol", name=f"imaginary {name}")))
        both = Node("add", (whole, imaginary))
        gold, answer = replaced(gold, whole, both), replaced(answer, whole, both)
    return gold, answer
