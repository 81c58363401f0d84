"""Where descents begin: a grid over what is not linear, with the linear coefficients in closed form for each cell.

Variable projection (Golub and Pereyra 1973): given exponents and shape, a law is linear in its coefficients, whose best
values of at least 0 follow from sums of products over the runs.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.laws.form import Power, Quadratic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["starts"]

#: Levels of an exponent by how many there are, so that cells stay few.
LEVELS = {0: 0, 1: 40, 2: 24, 3: 12, 4: 8}
#: The most cells, and the most runs that they are judged by.
CELLS, RUNS = 50_000, 1_000
SHAPES = (0.003, 0.01, 0.03, 0.1, 0.3)


def _levels(surface: Surface) -> dict[str, Values]:
    form = surface.form
    terms = list(dict.fromkeys(e for t in form.terms for _, e in t.powers))
    out: dict[str, Values] = {}
    shape = form.shape
    if shape is not None:
        out[shape.coefficient] = np.array(SHAPES)
    if isinstance(shape, Power) and shape.exponent not in terms:
        out[shape.exponent] = np.array([-1.0, -0.4, 0.2, 0.5, 1.0])
    if isinstance(shape, Quadratic):
        ratio = surface.logs["ratio"]
        out[shape.centre] = np.linspace(ratio.min(), ratio.max(), 5)
        if shape.drift:
            out[shape.drift] = np.array([-0.5, 0.0, 0.5])
    left = CELLS / math.prod(len(values) for values in out.values())
    count = min(LEVELS.get(len(terms), LEVELS[4]), max(int(left ** (1 / max(len(terms), 1))), 2))
    return {name: np.geomspace(0.04, 2.0, count) for name in terms} | out


def starts(surface: Surface, losses: Values, weights: Values, bounds: tuple[Values, Values], count: int = 8) -> Values:
    """Return the fitted coefficients of the best cells that are no neighbours, (at most count, p), best first.

    Of many runs cells are judged by every so many-th.

    Parameters
    ----------
    surface : Surface
    losses, weights : float64[n]
    bounds : (float64[p], float64[p])
        Levels of the grid are moved between them.
    count : int
    """
    form = surface.form
    if surface.rows > RUNS:
        some = np.linspace(0, surface.rows - 1, RUNS).astype(np.int64)
        surface, losses, weights = surface.take(some), losses[some], weights[some]
    at = {name: i for i, name in enumerate(form.names)}
    levels = _levels(surface)
    for name, values in levels.items():
        low, high = bounds[0][at[name]], bounds[1][at[name]]
        inside = np.clip(np.log(values) if name in form.linear else values, low, high)
        levels[name] = np.unique(np.exp(inside) if name in form.linear else inside)
    names = list(levels)
    letters = {name: chr(ord("a") + i) for i, name in enumerate(names)}
    root = np.sqrt(weights) / losses

    factor, of_factor = _factor(surface, levels)
    tables: list[tuple[str, Values]] = []
    for term in form.terms:
        used = [name for name in names if name in of_factor or name in {e for _, e in term.powers}]
        z = np.zeros((*(len(levels[name]) for name in used), surface.rows))
        for column, exponent in term.powers:
            z = z - _along(levels[exponent], used.index(exponent), len(used)) * surface.logs[column]
        table = np.exp(z) * root
        if factor is not None:
            missing = tuple(i for i, name in enumerate(used) if name not in of_factor)
            table = table * np.expand_dims(factor, missing)
        tables.append(("".join(letters[name] for name in used), table))

    whole = tuple(len(levels[name]) for name in names)
    order = "".join(letters[name] for name in names)
    k = len(tables)
    gram, right = np.empty((*whole, k, k)), np.empty((*whole, k))
    target = losses * root
    for i, (a, x) in enumerate(tables):
        right[..., i] = _spread(x @ target, a, order)
        for j, (b, y) in enumerate(tables[: i + 1]):
            union = "".join(c for c in order if c in a or c in b)
            product = _products(x, a, y, b, union)
            gram[..., i, j] = gram[..., j, i] = _spread(product, union, order)
    coefficients, left = _nonnegative(gram.reshape(-1, k, k), right.reshape(-1, k))
    cells = _basins(left.reshape(whole), count)

    out = np.empty((len(cells), surface.size))
    flat = np.ravel_multi_index(tuple(cells.T), whole) if names else np.zeros(1, np.int64)
    found = coefficients[flat]
    least = 1e-3 * np.abs(found).max(1, keepdims=True)
    out[:, [at[t.coefficient] for t in form.terms]] = np.log(np.maximum(found, least))
    for i, name in enumerate(names):
        values = levels[name][cells[:, i]]
        out[:, at[name]] = np.log(values) if name in form.linear else values
    return np.clip(out, *bounds)


def _along(values: Values, axis: int, axes: int) -> Values:
    return values.reshape([-1 if i == axis else 1 for i in range(axes)] + [1])


def _factor(surface: Surface, levels: dict[str, Values]) -> tuple[Values | None, list[str]]:
    """Factors of the shape at the levels of its coefficients, and their names in the order of axes."""
    shape = surface.form.shape
    if shape is None:
        return None, []
    each = [shape.exponent] if isinstance(shape, Power) else [n for n in (shape.centre, shape.drift) if n]
    used = [name for name in levels if name == shape.coefficient or name in each]
    axis = {name: _along(levels[name], i, len(used)) for i, name in enumerate(used)}
    if isinstance(shape, Power):
        return 1.0 + axis[shape.coefficient] * np.exp(axis[shape.exponent] * surface.logs[shape.column]), used
    q = surface.logs["ratio"] - axis[shape.centre]
    if shape.drift:
        q = q - axis[shape.drift] * surface.logs["drift"]
    return 1.0 + axis[shape.coefficient] * q * q, used


def _products(x: Values, a: str, y: Values, b: str, union: str) -> Values:
    """Return sums over the last axis of products, for all levels of both."""
    shared = [c for c in a if c in b]
    only_a, only_b = [c for c in a if c not in b], [c for c in b if c not in a]
    left = np.moveaxis(x, [a.index(c) for c in shared + only_a], range(len(a)))
    right = np.moveaxis(y, [b.index(c) for c in shared + only_b], range(len(b)))
    sizes = left.shape[: len(shared)]
    left = left.reshape((*sizes, -1, x.shape[-1]))
    right = right.reshape((*sizes, -1, y.shape[-1]))
    out = left @ np.swapaxes(right, -1, -2)
    out = out.reshape((*sizes, *(x.shape[a.index(c)] for c in only_a), *(y.shape[b.index(c)] for c in only_b)))
    now = shared + only_a + only_b
    return out.transpose([now.index(c) for c in union])


def _spread(values: Values, have: str, order: str) -> Values:
    return values.reshape([values.shape[have.index(c)] if c in have else 1 for c in order])


def _nonnegative(gram: Values, right: Values) -> tuple[Values, Values]:
    """Least squares with coefficients of at least 0 by trying all sets that may be above 0; and what is left.

    What is left lacks the sum of squares of the target, which is the same for all.
    """
    cells, k = right.shape
    scale = np.sqrt(gram[:, range(k), range(k)])
    gram = gram / (scale[:, :, None] * scale[:, None, :])
    gram[:, range(k), range(k)] += 1e-11
    right = right / scale
    best, least = np.zeros((cells, k)), np.zeros(cells)
    todo = np.arange(cells)
    for size in range(k, 0, -1):
        for chosen in itertools.combinations(range(k), size):
            if not len(todo):
                break
            some = np.array(chosen)
            sub = gram[todo[:, None, None], some[:, None], some]
            x = np.linalg.solve(sub, right[todo[:, None], some][:, :, None])[:, :, 0]
            left = -(x * right[todo[:, None], some]).sum(1)
            better = (x >= 0).all(1) & (left < least[todo])
            to = todo[better]
            best[to] = 0.0
            best[to[:, None], some] = x[better]
            least[to] = left[better]
        if size == k:
            todo = np.flatnonzero(least == 0)
    return best / scale, least


def _basins(left: Values, count: int) -> NDArray[np.int64]:
    """Cells that no neighbour beats, best first, filled up with the best others that touch none of these."""
    if left.ndim == 0:
        return np.zeros((1, 0), np.int64)
    lowest = np.ones(left.shape, bool)
    for axis in range(left.ndim):
        down = np.diff(left, axis=axis) < 0
        first: Sequence[slice] = [slice(None)] * axis
        lowest[(*first, slice(None, -1))] &= ~down
        lowest[(*first, slice(1, None))] &= down
    order = np.argsort(left, axis=None, kind="stable")
    order = np.concatenate([order[lowest.ravel()[order]], order[: 50 * count]])
    chosen: list[tuple[int, ...]] = []
    for cell in zip(*np.unravel_index(order, left.shape), strict=True):
        if all(max(abs(int(a) - int(b)) for a, b in zip(cell, other, strict=True)) > 1 for other in chosen):
            chosen.append(tuple(int(a) for a in cell))
        if len(chosen) == count:
            break
    return np.array(chosen, np.int64)
