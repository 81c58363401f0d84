"""Whether two answers are the same, whatever they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thrifty.exam.maths.algebra_of_sets import same_members
from thrifty.exam.maths.equations import difference, proportional, same_equation
from thrifty.exam.maths.families import same_antiderivative, same_constants, same_family, without_conditions
from thrifty.exam.maths.leaves import same_leaf
from thrifty.exam.maths.logic import same_propositions
from thrifty.exam.maths.members import composite, members
from thrifty.exam.maths.regions import listed, region
from thrifty.exam.maths.shapes import expanded, spread
from thrifty.exam.maths.tree import Node, number, pieces, replaced, symbols
from thrifty.exam.maths.values import same_value
from thrifty.exam.maths.vectors import as_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thrifty.exam.maths.intervals import Interval

__all__ = ["same"]

REGIONS = frozenset({"relation", "union", "meet", "minus", "builder", "domain"})
COLLECTIONS = frozenset({"list", "set", "tuple", "matrix"})
#: Members of lists without an order that are matched against each other at most.
MAX_MATCHED, MAX_ALIKE = 48, 8


def same(gold: Node, answer: Node) -> bool | None:  # noqa: PLR0911, PLR0912 - one a kind
    """Whether two trees are the same answer; None where nothing here can tell."""
    if gold == answer:
        return True
    if (bare := without_conditions(gold, answer)) is not None:
        agreed = same(bare.gold, bare.answer)
        return every((bare.conditions, agreed or same_family(bare.gold, bare.answer) or agreed))
    if (members_agree := same_members(gold, answer)) is not None:
        return members_agree
    if (propositions_agree := same_propositions(gold, answer)) is not None:
        return propositions_agree
    gold, answer = (listed(spread(one)) for one in (gold, answer))
    if (vectors := as_vectors(gold, answer)) is not None:
        return same(*vectors)
    gold, answer = _domain(gold, answer), _domain(answer, gold)
    kinds = {gold.kind, answer.kind}
    if "text" in kinds:
        return False  # words that are the same were found equal
    if kinds & REGIONS or _has_region(gold) or _has_region(answer):
        found = _same_region(gold, answer)
        if found is not None or kinds & REGIONS:
            return found
    if kinds == {"mod", "named"} and "named" in {gold.args[0].kind, answer.args[0].kind}:
        return False  # x is one of a class, and x is one number
    if "named" in kinds or "equation" in kinds:
        return _same_statement(gold, answer)
    if "mod" in kinds:
        return _same_residue(gold, answer)
    if "ratio" in kinds:
        return _same_ratio(gold, answer)
    if kinds & COLLECTIONS:
        return _same_collection(gold, answer)
    if kinds & {"chain"}:
        if kinds == {"chain"} and gold.name == answer.name and len(gold.args) == len(answer.args):
            return every(same(g, a) for g, a in zip(gold.args, answer.args, strict=True))
        return False
    first, second = expanded(gold), expanded(answer)
    if len(first) > 1 or len(second) > 1:
        return _matched(first, second, unique=True)
    verdict = same_leaf(gold, answer)
    if verdict or any(alike(gold, answer) for alike in (same_antiderivative, same_family, same_constants)):
        return True
    return verdict


def _domain(node: Node, other: Node) -> Node:
    """Take the letter R beside a set of real numbers for all of them."""
    if node == Node("symbol", name="R") and (other.kind in REGIONS or (other.kind == "tuple" and len(other.args) == 2)):
        return Node("domain", name="R")
    return node


def _has_region(node: Node) -> bool:
    """Whether a list has inequalities, or a name is said to be in a set."""
    if node.kind == "list":
        return any(part.kind in REGIONS for part in node.args)
    return node.kind == "named" and node.name == "in"


def every(verdicts: Iterable[bool | None]) -> bool | None:
    """Give false where one is, None where one is and no other is False."""
    unknown = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unknown |= verdict is None
    return None if unknown else True


def _matched(gold: Sequence[Node], answer: Sequence[Node], *, unique: bool = False) -> bool | None:
    """Whether two collections have the same members, whatever their order."""
    if unique:
        gold, answer = _unique(gold), _unique(answer)
        if len(gold) != len(answer) and max(len(gold), len(answer)) <= MAX_ALIKE:
            gold, answer = _unlike(gold), _unlike(answer)
    if len(gold) != len(answer):
        return False
    if len(gold) > MAX_MATCHED:
        return every(same(g, a) for g, a in zip(gold, answer, strict=True)) or None
    left, unknown = list(answer), False
    for one in gold:
        for i, other in enumerate(left):
            verdict = same(one, other)
            if verdict:
                del left[i]
                break
            unknown |= verdict is None
        else:
            return None if unknown else False
    return True


def _unlike(nodes: Sequence[Node]) -> list[Node]:
    """Leave out values that are the same as one before: 7/2 or 3.5."""
    found: list[Node] = []
    for node in nodes:
        if not any(same(other, node) for other in found):
            found.append(node)
    return found


def _unique(nodes: Sequence[Node]) -> list[Node]:
    found: list[Node] = []
    for node in dict.fromkeys(nodes):
        if len(found) > MAX_MATCHED or not any(
            node.kind == other.kind == "number" and node.number == other.number for other in found
        ):
            found.append(node)
    return found


def _same_region(gold: Node, answer: Node) -> bool | None:  # noqa: PLR0911 - one a kind
    first, second = region(gold), region(answer)
    if first is not None and second is not None:
        if first.name is not None and second.name is not None and same(first.name, second.name) is False:
            return False
        if len(first.intervals) != len(second.intervals):
            return False
        return every(_same_interval(g, a) for g, a in zip(first.intervals, second.intervals, strict=True))
    if gold.kind == answer.kind == "relation":
        return _same_relation(gold, answer)
    if gold.kind == answer.kind and gold.kind in {"union", "meet"}:
        return _matched(gold.args, answer.args)
    if gold.kind == answer.kind == "domain":
        return gold.name == answer.name
    if gold.kind == answer.kind and len(gold.args) == len(answer.args):
        return every(same(g, a) for g, a in zip(gold.args, answer.args, strict=True))
    if any(one.kind == "named" and one.name == "in" and one.args[1].kind == "tuple" for one in (gold, answer)):
        return False  # an interval, and what is none
    if gold.kind == "named" and answer.kind == "named":
        return None
    return False if first is None and second is None else None if "list" in {gold.kind, answer.kind} else False


def _same_interval(gold: Interval, answer: Interval) -> bool | None:
    if (gold.low_closed, gold.high_closed) != (answer.low_closed, answer.high_closed):
        return False
    return every((same(gold.low, answer.low), same(gold.high, answer.high)))


def _same_relation(gold: Node, answer: Node) -> bool | None:
    if gold.name != answer.name:
        return False
    pairs = list(zip(gold.args, answer.args, strict=True))
    if every(same(g, a) for g, a in pairs):
        return True
    if len(pairs) > 2:
        return False
    return proportional(difference(*gold.args), difference(*answer.args), positive=gold.name != "!=")


def _same_statement(gold: Node, answer: Node) -> bool | None:
    """Equations, and values with names."""
    if gold.kind == answer.kind == "named":
        return _same_named(gold, answer)
    if "equation" in {gold.kind, answer.kind}:
        if not {gold.kind, answer.kind} <= {"equation", "named"} or any(
            part.kind in COLLECTIONS for side in (gold, answer) for part in side.args
        ):
            return False
        return same_equation(gold, answer)
    if gold.kind == "named":
        return same(gold.args[1], answer)
    return same(gold, answer.args[1])


def _same_named(gold: Node, answer: Node) -> bool | None:
    (name, value), (other_name, other_value) = gold.args, answer.args
    if same_name(name, other_name):
        own, other = _argument(name), _argument(other_name)
        if own is not None and other is not None and own != other:
            other_value = replaced(other_value, other, own)
        return same(value, other_value)
    if (symbols(value) or symbols(other_value)) and not {value.kind, other_value.kind} & COLLECTIONS:
        if same_equation(gold, answer):
            return True
        if {name.kind, other_name.kind} == {"symbol", "apply"}:
            return same(value, other_value)
    if not _alike(name, other_name):
        return False
    if "index" in {name.kind, other_name.kind} and other_name.kind in {"symbol", "index"}:
        return False
    return same(value, other_value)


def _alike(name: Node, other: Node) -> bool:
    """Whether two names may be of one thing: x and X, |AB| and AB, a word and a letter."""
    if {name.kind, other.kind} == {"symbol"}:
        return name.name.casefold() == other.name.casefold()
    if "text" in {name.kind, other.kind}:
        return name.kind != other.kind
    if name.kind == other.kind == "call" and name.name != other.name:
        return False
    first, second = symbols(name), symbols(other)
    angles = all(one.kind == "call" and one.name == "angle" for one in (name, other))
    return first == second or (angles and (first < second or second < first))


def _argument(name: Node) -> Node | None:
    """Give the bound variable of f(x); W(x) is read as a product."""
    if (
        name.kind in {"apply", "mul"}
        and len(name.args) == 2
        and name.args[1].kind == "symbol"
        and name.args[1].name.islower()
    ):
        return name.args[1]
    return None


def same_name(gold: Node, answer: Node) -> bool:
    """Whether two names are one, but for the name of a bound variable."""
    if gold == answer or (gold.kind != "text" and answer.kind != "text" and same_value(gold, answer)):
        return True
    own, other = _argument(gold), _argument(answer)
    return own is not None and other is not None and gold.kind == answer.kind and gold.args[0] == answer.args[0]


def _same_residue(gold: Node, answer: Node) -> bool | None:
    """3 mod 5; of what is written without a modulus only the value is compared."""
    first, second = (one.args[0] if one.kind == "mod" else one for one in (gold, answer))
    if gold.kind != answer.kind and symbols(first) and symbols(second):
        return False  # n mod 3, and n
    first, second = (one.args[1] if one.kind in {"named", "equation"} else one for one in (first, second))
    if gold.kind == answer.kind:
        if same(gold.args[1], answer.args[1]) is not True:
            return False
        m, g, a = gold.args[1].number, first.number, second.number
        if m and g is not None and a is not None and m.denominator == g.denominator == a.denominator == 1:
            return (g - a) % m == 0
    m, whole = (gold if gold.kind == "mod" else answer).args[1].number, (first.number, second.number)
    if m and None not in whole and {first.kind, second.kind} == {"number"}:
        bare = second.number if gold.kind == "mod" else first.number
        return bare is not None and 0 <= bare < m and (first.number - second.number) % m == 0  # type: ignore[operator]
    return same(first, second)


def _same_ratio(gold: Node, answer: Node) -> bool | None:
    """Ratios may be extended; one of two parts is a fraction as well."""
    first, second = (one.args if one.kind == "ratio" else _fraction(one) for one in (gold, answer))
    if len(first) != len(second):
        return False
    if any(part.number == 0 for part in (*first, *second)):
        return every(same(g, a) for g, a in zip(first, second, strict=True))
    crossed = (
        same(Node("mul", (first[0], second[i])), Node("mul", (first[i], second[0]))) for i in range(1, len(first))
    )
    return every(crossed)


def _fraction(node: Node) -> tuple[Node, ...]:
    return node.args if node.kind == "div" else (node, number(1))


def _same_collection(gold: Node, answer: Node) -> bool | None:  # noqa: PLR0911, PLR0912 - one a kind
    """Compare lists, sets, tuples and matrices."""
    kinds, names = {gold.kind, answer.kind}, {gold.name, answer.name}
    if kinds == {"matrix"} and [len(row.args) for row in gold.args] == [len(row.args) for row in answer.args]:
        rows = zip(gold.args, answer.args, strict=True)
        return every(same(g, a) for one, other in rows for g, a in zip(one.args, other.args, strict=True))
    if (
        "set" in kinds
        and not kinds <= COLLECTIONS
        and not any(part.kind == "pm" for part in (*pieces(gold), *pieces(answer)))
    ):
        return False
    if kinds == {"tuple"} and len(gold.args) == 2 and len(names) == 2 and "<>" not in names:
        return False
    if kinds == {"tuple", "set"} and "hard" in names:
        return False
    if kinds == {"tuple", "list"}:
        edges = gold.name if gold.kind == "tuple" else answer.name
        if edges in {"[)", "(]", "[]"} and len(gold.args) == 2:
            return False
    first, second = members(gold), members(answer)
    if (
        first.names
        and second.names
        and len(first.names) == len(first.values)
        and len(second.names) == len(second.values)
    ):
        if len(set(first.names)) == len(first.names) > 1 and len(set(second.names)) == len(second.names):
            return _by_name(first.names, first.values, second.names, second.values)
        if len(set(first.names)) == len(set(second.names)) == 1 and not same_name(first.names[0], second.names[0]):
            return False
    if first.ordered and second.ordered:
        if len(first.values) != len(second.values):
            return False
        return every(same(g, a) for g, a in zip(first.values, second.values, strict=True))
    if "tuple" in kinds and not composite(gold) and not composite(answer):
        if len(first.values) != len(second.values):
            return False
        return every(same(g, a) for g, a in zip(first.values, second.values, strict=True))
    unique = "set" in kinds or "or" in names or first.unique or second.unique or composite(gold)
    return _matched(first.values, second.values, unique=unique)


def _by_name(names: list[Node], values: list[Node], others: list[Node], other_values: list[Node]) -> bool | None:
    given = dict(zip(others, other_values, strict=True))
    if set(given) != set(names):
        return False
    return every(same(value, given[name]) for name, value in zip(names, values, strict=True))
