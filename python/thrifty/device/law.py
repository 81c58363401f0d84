"""What a call takes as a sum of what it does, with coefficients fitted to timings.

One row (a hidden vector) goes through a product of matrix and vector, several through one of matrices, which libraries
compute by other kernels: each has a law of its own. Milliseconds of a call are

    sum of amounts times coefficients                        for all amounts that one after the other take
    + (sum over groups of (amounts times coefficients)^p)^(1/p)      for groups that overlap

A form is which amounts there are (:func:`thrifty.device.columns.amounts`), which of them overlap, and p: 1 (one after
the other, as on CPUs whose kernels copy weights first) or 8 (nearly the largest, as where memory and arithmetic
overlap, or where a card works while its host launches what is next). A layer may take longer the more bytes it has,
since those drive what the next one starts with out of the caches; bytes may take longer the more of them a call
touches. All coefficients are at least 0. Of the forms, that with the least error for shapes that were left out is the
law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device.columns import Calls, columns
from thrifty.device.least import nonnegative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thrifty.device.timing import Timing

__all__ = ["JOINS", "ONE", "SEVERAL", "Form", "Law", "above", "fit", "left_out", "predict", "shares"]

JOINS = (1.0, 8.0)
STEPS = 60
ROBUST = 1.345
"""Huber's constant: residuals above so many standard deviations weigh less."""

LAYERS = ("layers@0.25", "layers@1", "layers@4", "layers@16", "layers@64")
ROWS = ("rows@1", "rows@8", "rows@64")
COLD = ("cold@1", "cold@8", "cold@64")
CACHE = ("cache@1", "cache@16")
BYTES = ("bytes@1", "bytes@4", "bytes@16", "bytes@64")
HOST = ("host", "launches")
DONE = ("operations@8", "operations")


@dataclass(frozen=True)
class Form:
    """Which amounts a law sums, and which groups of them overlap.

    Attributes
    ----------
    names : tuple of str
        As :func:`~thrifty.device.columns.columns` has them.
    groups : tuple of tuple of str
        Names of each group that overlaps with the others; those in none add up.
    join : float
        p of the norm over the groups.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...] = ()
    join: float = 1.0

    def __post_init__(self) -> None:
        if self.join not in JOINS:
            raise ValueError(f"join: {self.join:g} is none of {', '.join(f'{j:g}' for j in JOINS)}")
        grouped = [name for group in self.groups for name in group]
        if len(set(self.names)) != len(self.names) or len(set(grouped)) != len(grouped):
            raise ValueError("names: some are there twice")
        if not set(grouped) <= set(self.names):
            raise ValueError(f"groups: {sorted(set(grouped) - set(self.names))} are none of the names")


def _several(names: tuple[str, ...], join: float) -> Form:
    groups = (tuple(n for n in names if n.startswith("bytes")), tuple(n for n in names if n.startswith("operations")))
    return Form(("overhead", *names), groups, join)


def _overlapping() -> Form:
    """Host and card overlap, whatever is launched last."""
    host, several = (*HOST, "masked"), _several(PLAIN, 8.0)
    return Form((*host, *several.names[1:]), (host, *several.groups), 8.0)


def _launched() -> Form:
    """Host and card overlap, but for what the host launches last, which the card begins when the host is done."""
    host, memory = (*HOST, "masked"), ("layers", "cache", "before")
    return Form((*host, "last", "activations", *memory, "operations"), (host, memory, ("operations",)), 8.0)


ONE = (
    Form(("overhead", "layers", "cache", *BYTES)),
    Form(("overhead", *LAYERS, *CACHE, "scores", *BYTES)),
    Form(("overhead", *LAYERS, "heads", "rows", *CACHE, "scores", *BYTES)),
    Form(("overhead", "layers", "cache", *ROWS, *BYTES)),
    Form(("overhead", *LAYERS, *COLD, "heads", "rows", *CACHE, "scores", *BYTES)),
    Form((*HOST, "layers", "cache", *BYTES), (HOST, ("layers", "cache", *BYTES)), 8.0),
)
PLAIN = ("layers", "activations", "cache", *BYTES, "operations")
LEVELED = (*LAYERS, "activations", "cache", *BYTES, "copies", *DONE)
BY_ROWS = ("layers", *ROWS, "activations", "cache", *BYTES, "copies", *DONE)
SEVERAL = (
    _several(PLAIN, 1.0),
    _several(PLAIN, 8.0),
    _several(LEVELED, 1.0),
    _several(LEVELED, 8.0),
    _several(BY_ROWS, 1.0),
    _several(("heads", "scores", *BY_ROWS), 1.0),
    _several(("heads", "scores", *LEVELED), 1.0),
    _several((*COLD, "heads", "scores", *LEVELED), 1.0),
    _several(("masked", "heads", "scores", *LEVELED), 1.0),
    _several(("masked", "heads", "scores", *LEVELED), 8.0),
    _several(("masked", *PLAIN), 8.0),
    _overlapping(),
    _launched(),
)


@dataclass(frozen=True)
class Law:
    """Coefficients in milliseconds for a unit of each amount of a form.

    Attributes
    ----------
    form : Form
    coefficients : tuple of float
    spread : float
        Of ten shapes left out of the fit, nine lay within a factor of exp(spread) of what the others told.
    """

    form: Form
    coefficients: tuple[float, ...]
    spread: float

    def __getitem__(self, name: str) -> float:
        return dict(zip(self.form.names, self.coefficients, strict=True)).get(name, 0.0)


def predict(law: Law, calls: Calls) -> Any:
    """Return milliseconds, float64 (calls), of calls that are all of one row, or all of several."""
    return shares(law, calls).sum(1)


def shares(law: Law, calls: Calls, *, head: bool = True) -> Any:
    """Return what each name of the form adds to the milliseconds, (calls, names).

    Where groups overlap, each has its part of the norm: the derivatives times the coefficients, whose sum it is.
    Without the ``head``, what is left of each name while the groups keep their parts.
    """
    x, matrix = np.array(law.coefficients), columns(calls, law.form.names)
    weighted = _slopes(x, matrix, law.form) * x
    if head:
        return weighted
    bare = columns(calls, law.form.names, head=False)
    return weighted * np.divide(bare, matrix, out=np.ones_like(bare), where=matrix > 0)


def _slopes(x: Any, matrix: Any, form: Form) -> Any:
    """Return the matrix whose product with coefficients ``x`` is the times, and that has their derivatives there.

    Both hold because a norm of linear terms is homogeneous.
    """
    if form.join == 1.0 or not form.groups:
        return matrix
    picks = [[form.names.index(name) for name in group] for group in form.groups]
    sums = [matrix[:, pick] @ x[pick] for pick in picks]
    most = np.maximum(np.max(sums, 0), 1e-300)
    whole = np.maximum(sum((one / most) ** form.join for one in sums) ** (1 / form.join), 1e-300)
    found = matrix.copy()
    for pick, one in zip(picks, sums, strict=True):
        found[:, pick] *= ((one / most / whole) ** (form.join - 1))[:, None]
    return found


def fit(timings: Sequence[Timing]) -> Law:
    """Return the law of timings that are all of one row, or all of several."""
    ms, calls = np.array([timing.ms for timing in timings]), Calls.of(timings)
    found = []
    for form in ONE if timings[0].rows == 1 else SEVERAL:
        wrong = np.abs(np.log(left_out(timings, form) / ms))
        found.append((float(wrong.mean()), float(np.quantile(wrong, 0.9)), form))
    _, spread, form = min(found, key=lambda one: one[:2])
    return Law(form, tuple(map(float, _coefficients(columns(calls, form.names), ms, form))), spread)


def above(timings: Sequence[Timing], by: float) -> list[int]:
    """Return which of timings, of one row and several, take more by this share than the law of other shapes tells."""
    found = []
    for several, form in ((False, ONE[1]), (True, SEVERAL[2])):
        some = [i for i, timing in enumerate(timings) if (timing.rows > 1) == several]
        if some:
            told = left_out([timings[i] for i in some], form)
            found += [i for i, ms in zip(some, told, strict=True) if timings[i].ms > (1 + by) * ms]
    return found


def left_out(timings: Sequence[Timing], form: Form) -> Any:
    """Return for each timing what the law of those of other shapes tells, in this form.

    Of a shape that has no others beside it there is nothing to learn, and all of them are used.
    """
    matrix, ms = columns(Calls.of(timings), form.names), np.array([timing.ms for timing in timings])
    told = np.zeros(len(ms))
    for shape in dict.fromkeys(timing.shape for timing in timings):
        its = np.array([timing.shape == shape for timing in timings])
        others = ~its if not its.all() else its
        x = _coefficients(matrix[others], ms[others], form)
        told[its] = _slopes(x, matrix[its], form) @ x
    return np.maximum(told, 1e-9)


def _coefficients(matrix: Any, ms: Any, form: Form) -> Any:
    """Least squares of relative errors, with less weight for those that stand out.

    Where groups overlap, each step solves the linear problem of the norm's derivatives, held near the coefficients of
    the step before as far as it takes to come nearer to the times (Levenberg and Marquardt).
    """
    whole = matrix / ms[:, None]
    x = _settled(lambda x: whole, nonnegative(whole, np.ones(len(ms))), np.zeros(whole.shape[1]))
    if form.join == 1.0 or not form.groups:
        return x
    lengths = np.sqrt((whole**2).sum(0))
    return _settled(lambda x: _slopes(x, matrix, form) / ms[:, None], x, lengths)


def _settled(slopes_at: Callable[[Any], Any], x: Any, lengths: Any) -> Any:
    """Improve coefficients until they stay; ``lengths`` of columns are what holds them back, 0 where nothing must."""
    hold = 1e-2
    for _ in range(STEPS):
        slopes = slopes_at(x)
        wrong = np.abs(slopes @ x - 1)
        scale = ROBUST * max(1.4826 * float(np.median(wrong)), 1e-4)
        weight = np.sqrt(np.minimum(1.0, scale / np.maximum(wrong, 1e-12)))
        near = np.diag(hold * lengths)
        better = nonnegative(np.vstack([slopes * weight[:, None], near]), np.concatenate([weight, near @ x]), x)
        now, then = (float((weight * (slopes_at(c) @ c - 1) ** 2 * weight).sum()) for c in (x, better))
        moved = float(np.abs(slopes_at(better) @ better - slopes @ x).max())
        if then <= now:
            x, hold = better, hold / 3
            if moved < 1e-5:
                break
        else:
            hold *= 4
    return x
