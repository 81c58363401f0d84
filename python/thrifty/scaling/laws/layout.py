"""How derivatives of a form are made of sums over runs: which products of columns, and where their sums go."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.scaling.laws.form import Form, Power, Quadratic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.laws.form import Term

    Values = NDArray[np.float64]

__all__ = ["Layout", "Polynomial", "layout", "places"]

#: A sum of products of columns: factors by the sorted names of the columns.
Polynomial = dict[tuple[str, ...], float]
#: Such sums by the places of coefficients, and of two of them.
Vector = dict[int, Polynomial]
Matrix = dict[tuple[int, int], Polynomial]


@dataclass(frozen=True)
class Layout:
    """What derivatives of a form are made of, whatever its runs.

    Attributes
    ----------
    vectors : list of dict
        Of the slope: columns by the places of their coefficients. The first is that of the first term, and those of
        other terms are less that.
    pairs : list of (int, int, bool)
        Two vectors, and whether they are of one logarithm.
    monomials : list of tuple of str
        Products of columns that sums over runs are of.
    to_slope, to_bend : float64[q c, p], float64[q c, p p]
        What sums of q weights times c products are of.
    """

    vectors: list[Vector]
    pairs: list[tuple[int, int, bool]]
    monomials: list[tuple[str, ...]]
    to_slope: Values
    to_bend: Values


def places(
    terms: tuple[Term, ...], shape: Power | Quadratic | None
) -> tuple[list[tuple[int, list[tuple[int, str]]]], list[int]]:
    """Return where the coefficients of terms and of the shape are."""
    at = {name: i for i, name in enumerate(Form("law", terms, shape).names)}
    of_terms = [(at[t.coefficient], [(at[e], c) for c, e in t.powers]) for t in terms]
    return of_terms, [] if shape is None else [at[name] for name in vars(shape).values() if name in at]


@lru_cache(maxsize=64)
def layout(terms: tuple[Term, ...], shape: Power | Quadratic | None) -> Layout:
    """Return the layout of a form."""
    of_terms, shape_at = places(terms, shape)
    own: list[Vector] = []
    for constant, powers in of_terms:
        vector: Vector = {constant: {(): 1.0}}
        for e, column in powers:
            vector.setdefault(e, {})[(column,)] = -1.0
        own.append(vector)
    vectors = [own[0], *(_sum(vector, own[0], -1.0) for vector in own[1:])]
    # Second derivatives that go with shares alone: what a term's square has beyond the first's.
    first = _product(own[0], own[0])
    bends = [first, *(_sum(_product(vector, vector), first, -1.0) for vector in own[1:])]
    groups = [0] * len(own)
    if isinstance(shape, Power):
        vectors.append({shape_at[0]: {(): 1.0}, shape_at[1]: {(shape.column,): 1.0}})
        bends.append(_product(vectors[-1], vectors[-1]))
        groups.append(1)
    elif isinstance(shape, Quadratic):
        height: Vector = {shape_at[0]: {(): 1.0}}
        moved: Vector = {shape_at[1]: {(): 1.0}}
        if shape.drift:
            moved[shape_at[2]] = {("drift",): 1.0}
        vectors += [height, moved]
        both = _sum(_product(height, moved), _product(moved, height), 1.0)
        bends += [_product(height, height), both, _product(moved, moved)]
        groups += [1, 1]
    each = range(len(vectors))
    pairs = [(a, b, groups[a] == groups[b]) for a, b in itertools.combinations_with_replacement(each, 2)]
    for a, b, _ in pairs:
        product = _product(vectors[a], vectors[b])
        bends.append(product if a == b else _sum(product, _product(vectors[b], vectors[a]), 1.0))

    polynomials = [p for each in (*vectors, *bends) for p in each.values()]
    known = {monomial: 0 for polynomial in polynomials for monomial in polynomial}
    known = {monomial: i for i, monomial in enumerate(known)}
    size = len(Form("law", terms, shape).names)
    slope, bend = np.zeros((len(bends), len(known), size)), np.zeros((len(bends), len(known), size, size))
    for line, vector in enumerate(vectors):
        for i, polynomial in vector.items():
            for monomial, factor in polynomial.items():
                slope[line, known[monomial], i] = factor
    for line, matrix in enumerate(bends):
        for (i, j), polynomial in matrix.items():
            for monomial, factor in polynomial.items():
                bend[line, known[monomial], i, j] = factor
    return Layout(vectors, pairs, list(known), slope.reshape(-1, size), bend.reshape(-1, size * size))


def _product(a: Vector, b: Vector) -> Matrix:
    """Multiply two vectors of sums of products of columns: a matrix of such sums."""
    out: Matrix = {}
    for (i, x), (j, y) in itertools.product(a.items(), b.items()):
        to = out.setdefault((i, j), {})
        for (m, f), (n, g) in itertools.product(x.items(), y.items()):
            key = tuple(sorted((*m, *n)))
            to[key] = to.get(key, 0.0) + f * g
    return out


def _sum(a: dict[Any, Polynomial], b: dict[Any, Polynomial], factor: float) -> dict[Any, Polynomial]:
    """Add vectors or matrices, the second times a factor."""
    out = {at: dict(polynomial) for at, polynomial in a.items()}
    for at, polynomial in b.items():
        to = out.setdefault(at, {})
        for monomial, value in polynomial.items():
            to[monomial] = to.get(monomial, 0.0) + factor * value
    return out
