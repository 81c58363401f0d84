"""Whether two SMILES lines are one molecule: their graphs are refined and matched."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["is_molecule", "same_molecule"]

_LONGEST, _ATOMS, _STEPS = 400, 80, 20_000
_TOKEN = re.compile(
    r"(?P<bracket>\[[^\[\]]{1,24}\])|(?P<atom>Cl|Br|[BCNOPSFI]|[bcnops])|(?P<bond>[-=#$:/\\])|(?P<open>\()|(?P<close>\))|(?P<ring>%\d\d|\d)|(?P<dot>\.)"
)
_STRIPPED = re.compile(r"\[([A-Z][a-z]?)\]")


class _Graph(NamedTuple):
    atoms: list[str]
    bonds: dict[tuple[int, int], str]


class _Reader:
    """Reads a line token by token."""

    def __init__(self) -> None:
        self.atoms: list[str] = []
        self.bonds: dict[tuple[int, int], str] = {}
        self.rings: dict[str, tuple[int, str]] = {}
        self.stack: list[int] = []
        self.last, self.bond = -1, ""

    def read(self, token: re.Match[str]) -> bool:
        """Take one token; whether it may stand there."""
        if token["bond"]:
            self.bond = token["bond"]
        elif token["dot"]:
            self.last = -1
        elif token["open"]:
            self.stack.append(self.last)
        elif token["close"]:
            if not self.stack:
                return False
            self.last = self.stack.pop()
        elif token["ring"]:
            self.ring(token["ring"])
        else:
            self.atoms.append(token["bracket"] or token["atom"])
            if self.last >= 0:
                self.bonds[self.last, len(self.atoms) - 1] = self.bond
            self.last, self.bond = len(self.atoms) - 1, ""
        return len(self.atoms) <= _ATOMS

    def ring(self, name: str) -> None:
        """Open a ring, or close the one of this name."""
        if name in self.rings:
            other, bond = self.rings.pop(name)
            self.bonds[min(other, self.last), max(other, self.last)] = self.bond or bond
        else:
            self.rings[name] = (self.last, self.bond)
        self.bond = ""


def _parse(text: str) -> _Graph | None:
    """Atoms and bonds; None where the text is no SMILES."""
    reader, position = _Reader(), 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or not reader.read(token):
            return None
        position = token.end()
    if reader.stack or reader.rings or not reader.atoms:
        return None
    return _Graph(reader.atoms, {ends: "" if bond == "-" else bond for ends, bond in reader.bonds.items()})


def is_molecule(text: str) -> bool:
    """Whether a line can be read: rings are closed, brackets match."""
    return len(text) <= _LONGEST and _parse(text) is not None


def same_molecule(one: str, other: str) -> bool:
    """Whether two lines without marks of stereochemistry have the same graph; with them only equal lines are safe.

    >>> same_molecule("CCO", "OCC"), same_molecule("c1ccccc1", "C1CCCCC1")
    (True, False)
    """
    if one == other:
        return True
    if any(mark in one + other for mark in "@/\\") or max(len(one), len(other)) > _LONGEST:
        return False
    a, b = _parse(one), _parse(other)
    if a is None or b is None or len(a.atoms) != len(b.atoms) or len(a.bonds) != len(b.bonds):
        return False
    colours = _colours(a), _colours(b)
    if sorted(colours[0]) != sorted(colours[1]):
        return False
    return _match(a, b, *colours)


def _neighbours(graph: _Graph) -> list[list[tuple[str, int]]]:
    near: list[list[tuple[str, int]]] = [[] for _ in graph.atoms]
    for (i, j), bond in graph.bonds.items():
        near[i].append((bond, j))
        near[j].append((bond, i))
    return near


def _colours(graph: _Graph) -> list[str]:
    """Names of atoms that tell apart all that differ in their surroundings."""
    near, names = _neighbours(graph), list(graph.atoms)
    for _ in range(8):
        told = [f"{names[i]}({','.join(sorted(bond + names[j] for bond, j in near[i]))})" for i in range(len(names))]
        short = {name: f"{graph.atoms[told.index(name)]}{hash_of(name)}" for name in set(told)}
        names = [short[name] for name in told]
    return names


def hash_of(name: str) -> str:
    """Short and the same in every process."""
    from hashlib import blake2b

    return blake2b(name.encode(), digest_size=8).hexdigest()


def _match(a: _Graph, b: _Graph, left: list[str], right: list[str]) -> bool:
    """Find a mapping that keeps atoms and bonds, trying no more than so many steps."""
    near_a, near_b = _neighbours(a), [{j: bond for bond, j in row} for row in _neighbours(b)]
    order = sorted(range(len(left)), key=lambda i: right.count(left[i]))
    mapping: dict[int, int] = {}
    used: set[int] = set()
    steps = 0

    def place(k: int) -> bool:
        nonlocal steps
        if k == len(order):
            return True
        i = order[k]
        for j, colour in enumerate(right):
            steps += 1
            if steps > _STEPS:
                return False
            if colour != left[i] or j in used:
                continue
            if all(near_b[j].get(mapping[n]) == bond for bond, n in near_a[i] if n in mapping):
                mapping[i] = j
                used.add(j)
                if place(k + 1):
                    return True
                used.discard(mapping.pop(i))
        return False

    return place(0)
