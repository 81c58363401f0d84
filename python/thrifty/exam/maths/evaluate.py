"""One walk over a tree for all kinds of numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Protocol, TypeVar

from thrifty.exam.maths.exact import rational

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["Field", "UndefinedError", "evaluate"]


class UndefinedError(ArithmeticError):
    """The expression has no value here."""


T = TypeVar("T")


class Field(Protocol[T]):
    """What a kind of numbers can do; every method may raise ArithmeticError."""

    def rational(self, value: Fraction) -> T:
        """Give a rational number."""

    def symbol(self, name: str) -> T:
        """Give the value of a name."""

    def atom(self, *key: object) -> T:
        """Give the value of what is not computed, by what it is made of."""

    def add(self, terms: list[T]) -> T:
        """Add."""

    def mul(self, factors: list[T]) -> T:
        """Multiply."""

    def div(self, above: T, below: T) -> T:
        """Divide."""

    def power(self, base: T, exponent: T, exact: Fraction | None) -> T:
        """Raise to a power, whose exact value is given where it has one."""

    def call(self, name: str, arguments: list[T], exact: list[Fraction | None]) -> T:
        """Apply a function, with the exact values of its arguments where they have one."""


def evaluate(node: Node, field: Field[T], bound: tuple[str, ...] = ()) -> T:  # noqa: PLR0911 - one a kind
    """Value of an expression.

    Raises
    ------
    ArithmeticError
        Where there is none.
    """
    kind, args = node.kind, node.args
    if kind == "number":
        assert node.number is not None
        return field.rational(node.number)
    if kind == "symbol":
        if node.name in bound:  # by its place, so that names of bound variables do not matter
            return field.atom("bound", len(bound) - 1 - bound[::-1].index(node.name))
        return field.symbol(node.name)
    if kind == "add":
        return field.add([evaluate(part, field, bound) for part in args])
    if kind == "mul":
        return field.mul([evaluate(part, field, bound) for part in args])
    if kind == "div":
        return field.div(evaluate(args[0], field, bound), evaluate(args[1], field, bound))
    if kind in {"pow", "call"} and (exact := rational(node)) is not None:
        return field.rational(exact)
    if kind == "pow":
        base = evaluate(args[0], field, bound)
        exact = rational(args[1])
        return field.power(base, base if exact is not None else evaluate(args[1], field, bound), exact)
    if kind == "call":
        values = [evaluate(part, field, bound) for part in args]
        return field.call(node.name, values, [rational(part) for part in args])
    if kind in {"percent", "degree"}:
        scale = field.rational(Fraction(1, 100 if kind == "percent" else 180))
        factors = [evaluate(args[0], field, bound), scale]
        return field.mul(factors if kind == "percent" else [*factors, field.symbol("pi")])
    if kind in {"text", "domain"}:
        return field.atom(kind, node.name)
    if kind in {"index", "apply", "big", "unit", "tuple", "list", "ratio", "chain"}:
        return field.atom(*opaque(node, bound))
    raise UndefinedError(f"{kind} has no value")


def opaque(node: Node, bound: tuple[str, ...]) -> tuple[object, ...]:
    """Tell what tells an expression that is not computed from others: its kind and the residues of its parts."""
    from thrifty.exam.maths.residues import Residues

    field, parts, inner = Residues(), node.args, bound
    if node.kind == "big":
        if parts[0].kind == "symbol":
            inner = (*bound, parts[0].name)
        parts = parts[1:]
    values = [evaluate(part, field, inner if node.kind == "big" and i == 2 else bound) for i, part in enumerate(parts)]
    return (node.kind, node.name, *values)
