"""The log of a law's losses at some runs, with first and second derivatives, for many sets of coefficients at once.

Coefficients are fitted as what makes the terms exponentials of linear functions (logs of linear coefficients), with
logs of columns less their means, so that each coefficient is a term's share at the middle of the data. The log of a sum
of terms is then convex in them: its slope is the sum over terms of shares u times vectors v of columns (log-sum-exp),
and likewise that of the shape's factor. So what a fit needs, sums over runs of weights times slopes and bends, are sums
of products of shares times products of columns. These products are the same for all coefficients, and all sums of many
problems are one product of matrices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.scaling.laws.form import Power, Quadratic
from thrifty.scaling.laws.layout import layout, places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from thrifty.scaling.laws.form import Form
    from thrifty.scaling.laws.layout import Polynomial

    Values = NDArray[np.float64]

__all__ = ["Point", "Surface"]


class Point:
    """A surface at some coefficients.

    Attributes
    ----------
    log : float64[B, n]
        Log of the loss.
    shares : list of float64[B, n]
        Of the slope's vectors beside the first, whose share is what the others leave.
    bowl : float64[B, n] or None
        Of the second derivative by the centre of a shape.
    """

    __slots__ = ("bowl", "log", "shares", "surface")

    def __init__(self, surface: Surface, theta: Values) -> None:
        self.surface = surface
        self.bowl: Values | None = None
        logs, shape = surface.logs, surface.form.shape
        whole = np.zeros((len(theta), surface.rows))
        self.shares: list[Values] = []
        for constant, powers in surface.terms:
            term = np.repeat(theta[:, constant, None], surface.rows if powers or self.shares else 1, axis=1)
            for at, column in powers:
                term -= theta[:, at, None] * logs[column]
            np.exp(term, out=term)
            whole += term
            self.shares.append(term)
        self.log = np.log(whole)
        inverse = np.divide(1.0, whole, out=whole)
        del self.shares[0]
        for share in self.shares:
            np.multiply(share, inverse, out=share)
        if isinstance(shape, Power):
            coefficient, exponent = surface.shape_at
            z = np.exp(theta[:, coefficient, None] + theta[:, exponent, None] * logs[shape.column])
            self.log += np.log1p(z)
            self.shares.append(z / (1.0 + z))
        elif isinstance(shape, Quadratic):
            g = np.exp(theta[:, surface.shape_at[0], None])
            q = logs["ratio"] - theta[:, surface.shape_at[1], None]
            if shape.drift:
                q = q - theta[:, surface.shape_at[2], None] * logs["drift"]
            whole = 1.0 + g * q * q
            self.log += np.log(whole)
            self.bowl = 2.0 * g / whole
            self.shares += [1.0 - 1.0 / whole, -q * self.bowl]

    def take(self, rows: NDArray[np.bool_]) -> None:
        """Keep some problems only."""
        self.log = self.log[rows]
        self.shares = [share[rows] for share in self.shares]
        self.bowl = None if self.bowl is None else self.bowl[rows]

    def derivatives(self, first: Values, second: Values) -> tuple[Values, Values]:
        """Return sums over runs: slopes times ``first`` (B, p); bends times that and slopes' squares times ``second``.

        The latter are (B, p, p); weights are (B, n).
        """
        surface = self.surface
        sums = _summed(self._weighted(first, second), surface.products)
        return sums @ surface.to_slope, (sums @ surface.to_bend).reshape(-1, surface.size, surface.size)

    def of_runs(self, first: Values, second: Values) -> tuple[Values, Values]:
        """Return what each run adds to these sums, (n, p) and (n, p, p), at one set of coefficients."""
        surface = self.surface
        work = self._weighted(first[None], second[None])[:, 0]
        each = (work.T[:, :, None] * surface.products[:, None]).reshape(surface.rows, -1)
        return each @ surface.to_slope, (each @ surface.to_bend).reshape(-1, surface.size, surface.size)

    def squares(self, weights: Values) -> Values:
        """Return sums over runs of slopes' squares times weights, (B, p, p)."""
        surface = self.surface
        work = np.empty((len(surface.pairs), *weights.shape))
        self._paired(weights, weights, work)
        lines = work.shape[0] * surface.products.shape[1]
        return (_summed(work, surface.products) @ surface.to_bend[-lines:]).reshape(-1, surface.size, surface.size)

    def slopes(self) -> Values:
        """Return derivatives of the log, (B, p, n)."""
        surface = self.surface
        out = np.zeros((len(self.log), surface.size, surface.rows))
        for vector, share in zip(surface.vectors, [np.ones_like(self.log), *self.shares], strict=True):
            for at, polynomial in vector.items():
                out[:, at] += share * surface.column(polynomial)
        return out

    def _weighted(self, first: Values, second: Values) -> Values:
        """Weights of the products of columns, (q, B, n): of vectors alone, and of their pairs."""
        alone = [*self.shares, self.bowl] if self.bowl is not None else self.shares
        work = np.empty((1 + len(alone) + len(self.surface.pairs), *first.shape))
        work[0] = first
        for i, share in enumerate(alone, 1):
            np.multiply(first, share, out=work[i])
        self._paired(second - first, second, work[1 + len(alone) :])
        return work

    def _paired(self, same: Values, apart: Values, work: Values) -> None:
        """Fill in the weights of pairs: of vectors of one logarithm, and of two."""
        made: dict[tuple[int, bool], Values] = {(0, True): same, (0, False): apart}
        for i, (a, b, one) in enumerate(self.surface.pairs):
            if (a, one) not in made:
                made[a, one] = (same if one else apart) * self.shares[a - 1]
            if b:
                np.multiply(made[a, one], self.shares[b - 1], out=work[i])
            else:
                work[i] = made[a, one]
            if a == 0:
                made[b, one] = work[i]


def _summed(work: Values, products: Values) -> Values:
    """Sum work (q, B, n) times products (n, c) over runs, (B, q c)."""
    q, size, n = work.shape
    sums = (work.reshape(q * size, n) @ products).reshape(q, size, -1)
    return np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(size, -1)


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
    products : float64[n, c]
        Products of columns that sums are of.
    vectors, pairs, to_slope, to_bend
        See :class:`~thrifty.scaling.laws.layout.Layout`.
    """

    def __init__(self, form: Form, logs: Mapping[str, Values]) -> None:
        at = {name: i for i, name in enumerate(form.names)}
        self.form, self.size, self.logs = form, len(at), dict(logs)
        self.rows = len(next(iter(logs.values())))
        self.linear = [at[name] for name in form.linear]
        self.terms, self.shape_at = places(form.terms, form.shape)
        laid = layout(form.terms, form.shape)
        self.vectors, self.pairs = laid.vectors, laid.pairs
        self.to_slope, self.to_bend = laid.to_slope, laid.to_bend
        self.products = np.stack([self.column({monomial: 1.0}) for monomial in laid.monomials], axis=1)

    def column(self, polynomial: Polynomial) -> Values:
        """Return a sum of products of columns, (n,)."""
        out = np.zeros(self.rows)
        for monomial, factor in polynomial.items():
            product = np.full(self.rows, factor)
            for name in monomial:
                product = product * self.logs[name]
            out += product
        return out

    def at(self, theta: Values) -> Point:
        """Return the point at coefficients, (B, p)."""
        return Point(self, theta)

    def take(self, rows: Any) -> Surface:
        """Return it at some of its runs."""
        return Surface(self.form, {name: x[rows] for name, x in self.logs.items()})
