"""Trees as sympy expressions: built node by node, never from text. Runs in workers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty.exam.maths.tree import Node

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["buildable", "built", "equal"]

#: Functions by the names that sympy has for them, where they differ.
NAMES = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arccot": "acot",
    "arcsec": "asec",
    "arccsc": "acsc",
    "arsinh": "asinh",
    "arcosh": "acosh",
    "artanh": "atanh",
    "abs": "Abs",
    "ceil": "ceiling",
    "ln": "log",
    "max": "Max",
    "min": "Min",
    "sgn": "sign",
    "bar": "conjugate",
    "binom": "binomial",
}
SAME = frozenset(
    [
        "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch", "sqrt", "log",
        "floor", "factorial", "factorial2", "re", "im",
    ]
)  # fmt: skip
KINDS = frozenset({"number", "symbol", "add", "mul", "div", "pow", "call", "big", "percent", "degree"})
BIG = frozenset({"sum", "prod", "int", "lim"})
DIGITS = 40


def buildable(node: Node) -> bool:
    """Whether all of a tree has a counterpart."""
    if node.kind not in KINDS or (node.kind == "symbol" and node.name == "..."):
        return False
    if node.kind == "call" and node.name not in NAMES and node.name not in SAME and node.name != "root":
        return False
    if node.kind == "big":
        if node.name not in BIG or node.args[0].kind != "symbol":
            return False
        limits = [limit for limit in node.args[1:3] if limit != Node("text")]
        return all(buildable(part) for part in (*limits, node.args[3]))
    return all(buildable(part) for part in node.args)


def built(node: Node, sympy: Any, whole: frozenset[str]) -> Any:  # noqa: PLR0911 - one a kind
    """Make the sympy expression of a tree."""
    kind = node.kind
    if kind == "number":
        assert node.number is not None
        return sympy.Rational(node.number.numerator, node.number.denominator)
    if kind == "symbol":
        return _symbol(node.name, sympy, whole)
    if kind == "big":
        return _big(node, sympy, whole)
    parts = [built(part, sympy, whole) for part in node.args]
    if kind == "add":
        return sympy.Add(*parts)
    if kind == "mul":
        return sympy.Mul(*parts)
    if kind == "div":
        return parts[0] / parts[1]
    if kind == "pow":
        return sympy.Pow(*parts)
    if kind == "percent":
        return parts[0] / 100
    if kind == "degree":
        return parts[0] * sympy.pi / 180
    if node.name == "root":
        return sympy.real_root(*parts) if parts[0].is_real else sympy.root(*parts)
    function: Callable[..., Any] = getattr(sympy, NAMES.get(node.name, node.name))
    return function(*parts)


def _symbol(name: str, sympy: Any, whole: frozenset[str]) -> Any:
    constants = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infinity": sympy.oo}
    if name in constants and name not in whole:
        return constants[name]
    if name in whole:
        return sympy.Symbol(f"whole {name}", integer=True, positive=True)
    return sympy.Symbol(name, real=True)


def _big(node: Node, sympy: Any, whole: frozenset[str]) -> Any:
    variable, below, above, body = node.args
    bound = whole | {variable.name} if node.name in {"sum", "prod"} else whole - {variable.name}
    name = _symbol(variable.name, sympy, bound)
    inside = built(body, sympy, bound)
    if node.name == "lim":
        return sympy.limit(inside, name, built(below, sympy, whole))
    if Node("text") in {below, above}:
        return sympy.integrate(inside, name)
    limits = (name, built(below, sympy, whole), built(above, sympy, whole))
    kind = {"sum": sympy.Sum, "prod": sympy.Product, "int": sympy.Integral}[node.name]
    return kind(inside, limits).doit()


def equal(gold: Node, answer: Node, whole: frozenset[str], sympy: Any) -> bool | None:
    """Whether two expressions are equal; None where sympy can't tell."""
    difference = built(gold, sympy, whole) - built(answer, sympy, whole)
    if difference.has(sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.nan, sympy.zoo):
        return None
    simple = sympy.simplify(difference)
    if simple == 0:
        return True
    if not simple.free_symbols:
        return bool(abs(sympy.N(simple, DIGITS)) < sympy.Float(10) ** (10 - DIGITS))
    verdict = simple.equals(0)
    return None if verdict is None else bool(verdict)
