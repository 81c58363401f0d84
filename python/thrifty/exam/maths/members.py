"""What lists, sets and tuples have in them, and whether their order counts."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from thrifty.exam.maths.shapes import expanded
from thrifty.exam.maths.tree import Node, number

__all__ = ["Members", "composite", "members"]

DOTS = Node("symbol", name="...")
MAX_DOTS = 1000
COMPOSITE = frozenset({"tuple", "list", "set", "relation", "equation", "union", "matrix"})


class Members(NamedTuple):
    """Values in the order in which they stand.

    Attributes
    ----------
    values : list of Node
    names : list of Node
        What they are values of, as far as that is said.
    ordered : bool
        Whether their order counts: that of bare numbers with commas does, that of solutions for one name does not.
    unique : bool
        Whether a value that is given twice counts once.
    """

    values: list[Node]
    names: list[Node]
    ordered: bool
    unique: bool = False


def composite(node: Node) -> bool:
    """Whether members are made of members themselves."""
    return any((part.args[1] if part.kind == "named" else part).kind in COMPOSITE for part in node.args)


def continued(values: list[Node]) -> list[Node]:
    """Integers with dots between them, one by one: 1, 3, ..., 9."""
    if DOTS not in values:
        return values
    at = values.index(DOTS)
    before, after = values[:at], values[at + 1 :]
    given = [value.number for value in (*before, *after)]
    if not before or any(value is None or value.denominator != 1 for value in given):
        return values
    whole = [int(value) for value in given if value is not None]
    step = whole[at - 1] - whole[at - 2] if at > 1 else 1
    if not step or any(b - a != step for a, b in pairwise(whole[:at])):
        return values
    if not after:  # without an end: the first and the step tell it
        return [number(whole[0]), number(whole[0] + step), DOTS]
    if len(after) > 1 or (whole[-1] - whole[at - 1]) % step or not 0 < (whole[-1] - whole[at - 1]) // step < MAX_DOTS:
        return values
    return [number(x) for x in range(whole[0], whole[-1] + (1 if step > 0 else -1), step)]


def members(node: Node) -> Members:
    """Members of an answer; one value is a list of itself, or of both its values where it has a plus or minus sign."""
    if node.kind == "matrix":
        flat = [cell for row in node.args for cell in row.args]
        vector = len(node.args) == 1 or all(len(row.args) == 1 for row in node.args)
        return Members(flat if vector else list(node.args), [], True)
    if node.kind == "named":
        inner = members(node.args[1])
        return inner._replace(names=[node.args[0]], ordered=False)
    if node.kind == "tuple":
        return Members(list(node.args), [], True)
    if node.kind not in {"list", "set"}:
        both = expanded(node)
        return Members(both, [], len(both) == 1, len(both) > 1)
    values: list[Node] = []
    names: list[Node] = []
    signs = False
    for part in node.args:
        value = part
        if part.kind == "named":
            names.append(part.args[0])
            value = part.args[1]
        both = expanded(value)
        signs |= len(both) > 1
        names.extend(names[-1:] * (len(both) - 1) if part.kind == "named" else [])
        values.extend(both)
    values = continued(values)
    solutions = bool(names) and (len(set(names)) == 1 and node.args[0].kind == "named")
    ordered = node.kind == "list" and node.name == "," and not composite(node) and not solutions and not signs
    return Members(values, names, ordered, signs)
