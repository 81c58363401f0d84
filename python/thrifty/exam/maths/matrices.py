"""Matrices computed: sums, products and powers of them."""

from __future__ import annotations

from thrifty.exam.maths.tree import Node, NotMathsError, number, pieces

__all__ = ["computed"]

MAX_CELLS, MAX_POWER = 100, 16
Rows = list[list[Node]]


def computed(node: Node) -> Node:
    """The tree with its sums, products and powers of matrices carried out.

    Raises
    ------
    NotMathsError
        For shapes that do not fit.
    """
    if not any(part.kind == "matrix" for part in pieces(node)):
        return node
    found = node._replace(args=tuple(computed(part) for part in node.args))
    if not any(part.kind == "matrix" for part in found.args):
        return found
    if sum(len(row.args) for part in found.args if part.kind == "matrix" for row in part.args) > MAX_CELLS:
        return found
    if found.kind == "add":
        return _made(_sum([_rows(part) for part in found.args]))
    if found.kind == "mul":
        return _multiplied(found.args)
    if found.kind == "div":
        return _multiplied((found.args[0], Node("div", (number(1), found.args[1]))))
    if found.kind == "pow":
        power = found.args[1].number
        if power is None or power.denominator != 1 or not 1 <= power <= MAX_POWER:
            return found
        return _multiplied(found.args[:1] * int(power))
    return found


def _rows(node: Node) -> Rows:
    if node.kind != "matrix":
        raise NotMathsError("a matrix and a number added")
    return [list(row.args) for row in node.args]


def _made(rows: Rows) -> Node:
    return Node("matrix", tuple(Node("list", tuple(row), ",") for row in rows))


def _sum(terms: list[Rows]) -> Rows:
    first = terms[0]
    if any([len(row) for row in term] != [len(row) for row in first] for term in terms):
        raise NotMathsError("matrices of unlike shapes added")
    return [[Node("add", tuple(term[i][j] for term in terms)) for j in range(len(first[i]))] for i in range(len(first))]


def _multiplied(factors: tuple[Node, ...]) -> Node:
    scalars = [factor for factor in factors if factor.kind != "matrix"]
    product: Rows | None = None
    for factor in factors:
        if factor.kind != "matrix":
            continue
        rows = _rows(factor)
        if product is None:
            product = rows
            continue
        if len(product[0]) != len(rows):
            raise NotMathsError("matrices of unlike shapes multiplied")
        product = [
            [
                Node("add", tuple(Node("mul", (row[k], rows[k][j])) for k in range(len(rows))))
                for j in range(len(rows[0]))
            ]
            for row in product
        ]
    assert product is not None
    return _made([[Node("mul", (*scalars, cell)) if scalars else cell for cell in row] for row in product])
