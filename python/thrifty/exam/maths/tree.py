"""The small trees that answers are read into."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "MAX_NODES", "Node", "NotMathsError", "number", "pieces", "replaced", "symbols"]

#: Limits of what is read at all.
MAX_LENGTH, MAX_NODES, MAX_DEPTH = 4096, 2000, 64


class NotMathsError(ValueError):
    """The text is no mathematics that these rules read."""


class Node(NamedTuple):
    """One node; equal trees are equal tuples.

    Attributes
    ----------
    kind : str
        Expressions: ``number``, ``symbol``, ``index`` (a_3), ``apply`` (f(x): the function, then its arguments),
        ``call`` (sin x), ``add``, ``mul``, ``div``, ``pow``, ``pm``, ``big`` (sums, integrals, limits: variable, from,
        to, body), ``degree``, ``percent``, ``unit``. Answers made of them: ``list``, ``tuple``, ``set``, ``builder``,
        ``matrix``, ``ratio``, ``mod``, ``union``, ``meet``, ``minus``, ``chain`` (relations), ``domain``, ``text``;
        a chain that was told apart is ``named``, ``equation`` or ``relation``.
    args : tuple of Node
    name : str
        Of a symbol, a function, an operator; the brackets of a tuple.
    number : Fraction or None
        Of a number.
    places : int
        Digits after the decimal point as written; -1 where there was none.
    """

    kind: str
    args: tuple[Node, ...] = ()
    name: str = ""
    number: Fraction | None = None
    places: int = -1


def number(value: Fraction | int, places: int = -1) -> Node:
    """Make a number."""
    return Node("number", number=Fraction(value), places=places)


def pieces(node: Node) -> Iterator[Node]:
    """All nodes of a tree, the root first."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(one.args)


def symbols(node: Node, bound: frozenset[str] = frozenset()) -> set[str]:
    """Names of the free symbols; ``e``, ``i`` and ``pi`` are constants and none."""
    if node.kind == "symbol":
        return set() if node.name in bound or node.name in {"e", "i", "pi", "infinity"} else {node.name}
    if node.kind == "big" and node.args[0].kind == "symbol":
        inner = bound | {node.args[0].name}
        free = [symbols(part, inner if i == 3 else bound) for i, part in enumerate(node.args) if i]
        return set().union(*free)
    return set().union(*(symbols(part, bound) for part in node.args)) if node.args else set()


def replaced(node: Node, old: Node, new: Node) -> Node:
    """Give a copy in which one subtree stands for another."""
    if node == old:
        return new
    if not node.args:
        return node
    return node._replace(args=tuple(replaced(part, old, new) for part in node.args))
