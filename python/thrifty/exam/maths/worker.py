"""What runs in a worker process: pairs of trees come in by lines of JSON, verdicts go out by lines."""

from __future__ import annotations

import json
import math
import sys
import time
from fractions import Fraction
from typing import Any

from thrifty.exam.maths.symbolic import equal
from thrifty.exam.maths.tree import Node

__all__ = ["CPU_SECONDS", "MEMORY", "main", "packed", "unpacked"]

#: What one pair may take.
CPU_SECONDS, MEMORY = 2, 1 << 30
MAX_LINE = 1 << 20


def packed(node: Node) -> list[Any]:
    """Give a tree as lists, for JSON."""
    number = None if node.number is None else [str(node.number.numerator), str(node.number.denominator)]
    return [node.kind, [packed(part) for part in node.args], node.name, number]


def unpacked(data: list[Any]) -> Node:
    """Give the tree of :func:`packed`; places after the decimal point do not matter to algebra."""
    kind, args, name, number = data
    value = None if number is None else Fraction(int(number[0]), int(number[1]))
    return Node(kind, tuple(unpacked(part) for part in args), name, value)


def limit() -> None:
    """Bind this process: memory, no files, no cores."""
    try:
        import resource
    except ImportError:  # only POSIX has it; the wall clock of the parent holds everywhere
        return
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def allow_seconds() -> None:
    """Let the kernel end this process when the next pair takes more processor time than it may."""
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + CPU_SECONDS, hard))


def main() -> None:
    """Answer until the input ends."""
    out = sys.stdout
    import sympy  # type: ignore[import-untyped]

    limit()
    print("ready", file=out, flush=True)
    while line := sys.stdin.readline(MAX_LINE):
        allow_seconds()
        try:
            gold, answer, whole = json.loads(line)
            found = equal(unpacked(gold), unpacked(answer), frozenset(whole), sympy)
        except Exception:
            found = None
        print("unknown" if found is None else "equal" if found else "different", file=out, flush=True)


if __name__ == "__main__":
    main()
