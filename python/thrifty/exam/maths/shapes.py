"""What a chain of relations says: a value with its name, an equation, a region."""

from __future__ import annotations

from thrifty.exam.maths.logic import ARROWS, is_proposition
from thrifty.exam.maths.tree import Node, number, pieces, symbols

__all__ = ["expanded", "is_name", "shaped", "spread"]

ORDERS = frozenset({"<", "<=", ">", ">="})
SYMMETRIC = frozenset({"parallel", "perp", "sim", "asymp"})
MAX_SPREAD = 16
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def is_name(node: Node) -> bool:
    """Whether this stands for a quantity that is asked for: x, a_3, f(x), |AB|, sin x, NO/BO, (p, q)."""
    if node.kind in {"symbol", "index", "apply", "text"}:
        return not (node.kind == "symbol" and node.name in {"e", "i", "pi", "infinity"})
    if node.kind == "call":
        return bool(symbols(node)) and all(is_name(part) for part in node.args[:1])
    if node.kind in {"mul", "div", "ratio", "tuple"}:
        return all(is_name(part) for part in node.args)
    return False


def shaped(node: Node) -> Node:
    """Give the tree with its chains told apart.

    ``named`` has a name and a value, ``equation`` two sides, ``relation`` sides with operators between that are all
    ``<`` or ``<=``, or one ``!=``. Of ``x = 5 + 6 = 11`` the last value counts, and what is only near to it does not.
    """
    if node.kind == "chain" and is_proposition(node):
        return node._replace(kind="logic")
    if node.kind == "chain":
        return _chain(node.name.split(), [shaped(part) for part in node.args])
    if node.kind in {"list", "set", "tuple", "builder", "union", "meet", "minus"}:
        return node._replace(args=tuple(shaped(part) for part in node.args))
    if node.kind == "mod":
        return node._replace(args=(shaped(node.args[0]), node.args[1]))
    return node


def _chain(operators: list[str], sides: list[Node]) -> Node:  # noqa: PLR0911, PLR0912 - one a kind
    while any(op in ARROWS for op in operators):
        at = next(i for i, op in enumerate(operators) if op in ARROWS)
        operators, sides = operators[at + 1 :], sides[at + 1 :]
        if not operators:
            return sides[0]
    if "~" in operators:
        at = operators.index("~")
        if at or not is_name(sides[0]):
            operators, sides = operators[:at], sides[: at + 1]
        else:
            operators = ["=" if op == "~" else op for op in operators]
        if not operators:
            return sides[0]
    if all(op in {"=", "=="} for op in operators):
        return _equal(sides)
    if operators == ["in"]:
        return Node("named", (sides[0], sides[1]), "in")
    if len(operators) > 1 and operators[-1] == "in" and operators[:-1] == ["="] * (len(operators) - 1):
        return Node("named", (sides[0], sides[-1]), "in")
    if all(op in ORDERS for op in operators):
        if operators[0] in {">", ">="}:
            operators, sides = [FLIPPED[op] for op in reversed(operators)], sides[::-1]
        return Node("relation", tuple(sides), " ".join(operators))
    if len(operators) == 1 and operators[0] in SYMMETRIC:
        return Node("chain", tuple(sorted(sides, key=repr)), operators[0])
    if operators == ["!="]:
        return Node("relation", tuple(sides), "!=")
    return Node("chain", tuple(sides), " ".join(operators))


def _equal(sides: list[Node]) -> Node:
    first, last = sides[0], sides[-1]
    if is_name(first):
        return Node("named", (first, last), "=")
    if len(sides) > 2 and not symbols(last):
        return last
    if is_name(last) and not symbols(first):
        return Node("named", (last, first), "=")
    if not symbols(first) and not symbols(last) and first.kind != "text":
        return last
    return Node("equation", (first, last))


def expanded(node: Node) -> list[Node]:
    """Both values of an expression with plus or minus signs; itself where it has none."""
    if not any(part.kind == "pm" for part in pieces(node)):
        return [node]
    return list(dict.fromkeys(_signed(node, sign) for sign in (1, -1)))


def _signed(node: Node, sign: int) -> Node:
    if node.kind == "pm":
        inner = _signed(node.args[0], sign)
        return Node("mul", (number(sign if node.name == "+-" else -sign), inner))
    return node._replace(args=tuple(_signed(part, sign) for part in node.args)) if node.args else node


def spread(node: Node) -> Node:
    """Give a tuple with plus or minus signs as the list of the tuples that it stands for."""
    if node.kind != "tuple" or not any(part.kind == "pm" for part in pieces(node)):
        return node
    found: list[tuple[Node, ...]] = [()]
    for part in node.args:
        found = [(*before, one) for before in found for one in expanded(part)]
        if len(found) > MAX_SPREAD:
            return node
    return Node("list", tuple(node._replace(args=args) for args in found), "and")
