"""Matrices computed: sums, products and powers of them."""

from __future__ import annotations

from thrifty.exam.maths.exact import rational
from thrifty.exam.maths.tree import MAX_NODES, Node, NotMathsError, number, pieces

__all__ = ["computed"]

MAX_CELLS, MAX_POWER = 100, 16
Rows = list[list[Node]]


def computed(node: Node) -> Node:  # noqa: PLR0911 - one a kind
    """Give the tree with its sums, products and powers of matrices carried out.

    Raises
    ------
    NotMathsError
        For shapes that do not fit.
    """
    if not any(part.kind in {"matrix", "tuple"} for part in pieces(node)):
        return node
    found = node._replace(args=tuple(computed(part) for part in node.args))
    if found.kind in {"add", "mul", "div"} and any(part.kind == "tuple" for part in found.args):
        return _vector(found)
    if not any(part.kind == "matrix" for part in found.args):
        return found
    if sum(len(row.args) for part in found.args if part.kind == "matrix" for row in part.args) > MAX_CELLS:
        return found
    if found.kind == "add":
        return _made(_sum([_rows(part) for part in found.args]))
    if found.kind == "mul":
        return _multiplied(found.args)
    if found.kind == "div":
        if found.args[1].kind == "matrix":
            raise NotMathsError("division by a matrix")
        return _multiplied((found.args[0], Node("div", (number(1), found.args[1]))))
    if found.kind == "pow":
        if found.args[1].name in {"T", "top"}:
            return _made([list(column) for column in zip(*_rows(found.args[0]), strict=True)])
        power = found.args[1].number
        if power is None or power.denominator != 1 or not 1 <= power <= MAX_POWER:
            return found
        return _multiplied(found.args[:1] * int(power))
    return found


def _vector(node: Node) -> Node:
    """Compute with tuples: (1, 2) + t (3, 4)."""
    tuples = [part for part in node.args if part.kind == "tuple"]
    sizes = {len(part.args) for part in tuples}
    if len(sizes) > 1 or (node.kind == "add") != (len(tuples) == len(node.args)) or node.args[-1].kind == "unit":
        raise NotMathsError("tuples that can't be computed with")
    if node.kind == "add":
        return tuples[0]._replace(
            args=tuple(Node("add", parts) for parts in zip(*(t.args for t in tuples), strict=True))
        )
    if len(tuples) > 1 or (node.kind == "div" and node.args[1].kind == "tuple"):
        raise NotMathsError("products of tuples")
    return tuples[0]._replace(
        args=tuple(
            node._replace(args=tuple(x if part.kind == "tuple" else part for part in node.args)) for x in tuples[0].args
        )
    )


def _rows(node: Node) -> Rows:
    if node.kind != "matrix":
        raise NotMathsError("a matrix and a number added")
    return [list(row.args) for row in node.args]


def _made(rows: Rows) -> Node:
    """Give a matrix of cells, those that are numbers as such."""
    filled = []
    nodes = 0
    for row in rows:
        cells = [cell if (value := rational(cell)) is None else number(value) for cell in row]
        nodes += sum(sum(1 for _ in pieces(cell)) for cell in cells)
        if nodes > MAX_NODES:
            raise NotMathsError("too many parts")
        filled.append(Node("list", tuple(cells), ","))
    return Node("matrix", tuple(filled))


def _sum(terms: list[Rows]) -> Rows:
    first = terms[0]
    if any([len(row) for row in term] != [len(row) for row in first] for term in terms):
        raise NotMathsError("matrices of unlike shapes added")
    return [[Node("add", tuple(term[i][j] for term in terms)) for j in range(len(first[i]))] for i in range(len(first))]


def _multiplied(factors: tuple[Node, ...]) -> Node:
    scalars = tuple(factor for factor in factors if factor.kind != "matrix")
    product: Rows | None = None
    for factor in factors:
        if factor.kind == "matrix":
            rows = _rows(factor)
            product = rows if product is None else _rows(_made(_product(product, rows)))
    assert product is not None
    return _made([[Node("mul", (*scalars, cell)) if scalars else cell for cell in row] for row in product])


def _product(left: Rows, right: Rows) -> Rows:
    if len(left[0]) != len(right):
        raise NotMathsError("matrices of unlike shapes multiplied")
    columns = range(len(right[0]))
    return [
        [Node("add", tuple(Node("mul", (row[k], right[k][j])) for k in range(len(right)))) for j in columns]
        for row in left
    ]
