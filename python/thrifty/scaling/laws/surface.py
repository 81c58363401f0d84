"""The log of a law's losses at some runs, with first and second derivatives, for many sets of coefficients at once.

Coefficients are fitted as what makes the terms exponentials of linear functions (logs of linear coefficients), with
logs of columns less their means, so that each coefficient is a term's share at the middle of the data. The log of a sum
of terms is then convex in them, with the terms' shares u of the sum as weights of the derivatives (log-sum-exp).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.scaling.laws.form import Power, Quadratic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from thrifty.scaling.laws.form import Form

    Values = NDArray[np.float64]

__all__ = ["Point", "Surface"]


class _Sum:
    """A log of a sum of exponentials: which coefficients each has, and the columns that go with them."""

    def __init__(self, terms: list[tuple[int, list[tuple[int, Values]]]], n: int) -> None:
        self.terms = terms
        self.used = sorted({at for constant, powers in terms for at in (constant, *(e for e, _ in powers))})
        self.pairs: list[tuple[Values, list[tuple[int, int]]]] = []
        for constant, powers in terms:
            merged: dict[int, Values] = {constant: np.ones(n)}
            for at, x in powers:
                merged[at] = merged[at] + x if at in merged else x
            each = list(merged.items())
            pairs = [(i, j) for i in range(len(each)) for j in range(i + 1)]
            products = np.stack([each[i][1] * each[j][1] for i, j in pairs], axis=1)
            self.pairs.append((products, [(each[i][0], each[j][0]) for i, j in pairs]))

    def exponentials(self, theta: Values) -> list[Values]:
        """Values of its terms, (B, n) each, or (B, 1) of a constant."""
        out = []
        for constant, powers in self.terms:
            z = theta[:, constant, None]
            for at, x in powers:
                z = z + theta[:, at, None] * x
            out.append(np.exp(z))
        return out

    def slope(self, shares: list[Values], size: int) -> Values:
        """Return derivatives of the log of the sum, (B, used, n)."""
        place = {at: i for i, at in enumerate(self.used)}
        out = np.zeros((shares[0].shape[0], len(self.used), size))
        for (constant, powers), u in zip(self.terms, shares, strict=True):
            out[:, place[constant]] += u
            for at, x in powers:
                out[:, place[at]] += u * x
        return out

    def bend(self, shares: list[Values], slope: Values, weights: Values, out: Values) -> None:
        """Add the weighted sum of its second derivatives to ``out``, (B, p, p)."""
        for (products, places), u in zip(self.pairs, shares, strict=True):
            sums = (weights * u) @ products
            for k, (i, j) in enumerate(places):
                out[:, i, j] += sums[:, k]
                if i != j:
                    out[:, j, i] += sums[:, k]
        out[:, np.array(self.used)[:, None], self.used] -= (slope * weights[:, None]) @ slope.transpose(0, 2, 1)


class Point:
    """A surface at some coefficients.

    Attributes
    ----------
    log : float64[B, n]
        Log of the loss.
    slope : float64[B, p, n]
        Its derivatives.
    """

    __slots__ = ("_curve", "_parts", "_surface", "log", "slope")

    def __init__(self, surface: Surface, theta: Values) -> None:
        self._surface = surface
        size, n = len(theta), surface.rows
        terms = surface.sum.exponentials(theta)
        whole = terms[0] if terms[0].shape[1] == n else np.repeat(terms[0], n, axis=1)
        for term in terms[1:]:
            whole = whole + term
        shares = [term / whole for term in terms]
        self.log = np.log(whole)
        slope = surface.sum.slope(shares, n)
        self._parts: list[tuple[_Sum, list[Values], Values]] = [(surface.sum, shares, slope)]
        self._curve: tuple[Values, Values, Values] | None = None
        if len(surface.sum.used) == surface.size:
            self.slope = slope
        else:
            self.slope = np.zeros((size, surface.size, n))
            self.slope[:, surface.sum.used] = slope
        if surface.factor is not None:
            (term,) = surface.factor.exponentials(theta)
            shares = [term / (1.0 + term)]
            slope = surface.factor.slope(shares, n)
            self.log += np.log1p(term)
            self.slope[:, surface.factor.used] += slope
            self._parts.append((surface.factor, shares, slope))
        elif surface.curve is not None:
            self._bowl(theta, *surface.curve)

    def _bowl(self, theta: Values, places: list[int], ratio: Values, size: Values | None) -> None:
        g = np.exp(theta[:, places[0], None])
        q = ratio - theta[:, places[1], None]
        if size is not None:
            q = q - theta[:, places[2], None] * size
        whole = 1.0 + g * q * q
        self.log += np.log(whole)
        self.slope[:, places[0]] = 1.0 - 1.0 / whole
        moved = -2.0 * g * q / whole
        self.slope[:, places[1]] = moved
        if size is not None:
            self.slope[:, places[2]] = moved * size
        self._curve = g, whole, moved

    def bend(self, weights: Values) -> Values:
        """Return the weighted sum over runs of second derivatives of the log, (B, p, p)."""
        p = self._surface.size
        out = np.zeros((len(weights), p, p))
        for part, shares, slope in self._parts:
            part.bend(shares, slope, weights, out)
        if self._curve is not None and self._surface.curve is not None:
            places, _, size = self._surface.curve
            g, whole, moved = self._curve
            of_g = weights * (whole - 1.0) / (whole * whole)
            crossed = weights * moved / whole
            of_m = weights * (2.0 * g / whole - moved * moved)
            at_g, *others = places
            out[:, at_g, at_g] += of_g.sum(1)
            columns = [None, size]
            for i, a in enumerate(others):
                x = columns[i]
                both = crossed.sum(1) if x is None else crossed @ x
                out[:, at_g, a] += both
                out[:, a, at_g] += both
                for j, b in enumerate(others):
                    y = columns[j]
                    product = x if y is None else y if x is None else x * y
                    out[:, a, b] += of_m.sum(1) if product is None else of_m @ product
        return out


class Surface:
    """A form at the columns of some runs.

    Parameters
    ----------
    form : Form
    logs : mapping of str to float64[n]
        Logs of the form's columns, less the law's centre.

    Attributes
    ----------
    size, rows : int
        Coefficients and runs.
    linear : list of int
        Places of linear coefficients.
    """

    def __init__(self, form: Form, logs: Mapping[str, Values]) -> None:
        at = {name: i for i, name in enumerate(form.names)}
        self.form, self.size, self.logs = form, len(at), dict(logs)
        self.rows = len(next(iter(logs.values())))
        self.linear = [at[name] for name in form.linear]
        terms = [(at[t.coefficient], [(at[e], -logs[c]) for c, e in t.powers]) for t in form.terms]
        self.sum = _Sum(terms, self.rows)
        self.factor: _Sum | None = None
        self.curve: tuple[list[int], Values, Values | None] | None = None
        if isinstance(form.shape, Power):
            s = form.shape
            self.factor = _Sum([(at[s.coefficient], [(at[s.exponent], logs[s.column])])], self.rows)
        elif isinstance(form.shape, Quadratic):
            places = [at[name] for name in (form.shape.coefficient, form.shape.centre, form.shape.drift) if name]
            self.curve = places, logs["ratio"], logs.get("drift")

    def at(self, theta: Values) -> Point:
        """Return the point at coefficients, (B, p)."""
        return Point(self, theta)

    def take(self, rows: Any) -> Surface:
        """Return it at some of its runs."""
        return Surface(self.form, {name: x[rows] for name, x in self.logs.items()})
