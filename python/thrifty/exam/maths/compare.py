"""Whether two answers are the same mathematics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from thrifty.exam.maths.allowance import budget
from thrifty.exam.maths.boxes import unboxed
from thrifty.exam.maths.matrices import computed
from thrifty.exam.maths.operators import in_order
from thrifty.exam.maths.parser import parse
from thrifty.exam.maths.shapes import shaped
from thrifty.exam.maths.structure import same
from thrifty.exam.maths.tree import symbols

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["compare"]

_VECTOR = re.compile(r"\\(?:vec|mathbf|boldsymbol|bm)\s?\{?([A-Za-z])(?![A-Za-z])")


def compare(gold: str, answer: str) -> Literal["equal", "different"] | None:
    r"""Compare two answers as mathematics, in LaTeX or as plain text.

    Parameters
    ----------
    gold, answer : str
        At most 4,096 characters each are read.

    Returns
    -------
    str or None
        ``"equal"``, ``"different"``, or None where one of them is no mathematics, or nobody can tell.

    Examples
    --------
    >>> compare(r"\frac{\sqrt{2}}{2}", "1/sqrt(2)")
    'equal'
    >>> compare("(1, 2]", "1 < x < 2")
    'different'
    """
    try:
        with budget():
            vectors = frozenset(_VECTOR.findall(gold)) | frozenset(_VECTOR.findall(answer))  # one may write no arrows
            first, second = _read(gold, vectors), _read(answer, vectors)
            words = "text" in {first.kind, second.kind} and first != second
            verdict = None if words else same(first, second)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return None if verdict is None else "equal" if verdict else "different"


def _read(text: str, vectors: frozenset[str]) -> Node:
    found = in_order(shaped(computed(parse(unboxed(text), vectors))))
    while found.kind in {"set", "list"} and len(found.args) == 1:
        inner = found.args[0]
        if inner.kind in {"set", "list"} and (found.name == "hard" or not inner.args):
            break  # a set that has a set in it
        if found.name == "hard" and inner.kind != "named" and symbols(inner):
            break  # the fractional part of x, or a set of it
        found = inner
    return found
