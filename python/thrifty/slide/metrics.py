"""How good predicted labels are: precision, normalised discounted gain, and both weighted for rare labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["ndcg_at", "precision_at", "propensities", "psp_at", "scores"]

#: The cuts that :func:`scores` reports.
CUTS = (1, 3, 5)


def precision_at(predicted: ArrayLike, targets: Any, k: int) -> float:
    """Return the mean share of right labels among the ``k`` best (P@k).

    Parameters
    ----------
    predicted : int array of shape (rows, any)
        Ids of labels, best first, none twice in a row; -1 where nothing was predicted. Columns that are missing count
        as nothing predicted.
    targets : scipy sparse matrix, shape (rows, labels)
        The stored entries of a row are its labels; their values do not matter. Rows without labels are left out.
    k : int
        At least 1.

    Returns
    -------
    float
        From 0 to 1; a row with fewer than ``k`` labels can't reach 1.

    Raises
    ------
    ValueError
        When shapes differ, an id is no label, a row names a label twice, or no row has a label.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from thrifty.slide import precision_at
    >>> precision_at([[2, 0], [1, 0]], csr_matrix([[1, 0, 1], [1, 0, 0]]), 2)
    0.75
    """
    return _Compared.of(predicted, targets).precision(_cut(k))


def ndcg_at(predicted: ArrayLike, targets: Any, k: int) -> float:
    """Return the mean normalised discounted cumulative gain of the ``k`` best (nDCG@k).

    A right label at place i, from 1, gains 1 / log2(i + 1); a row's gain is divided by what min(k, its labels) right
    labels at the first places gain.

    Parameters
    ----------
    predicted : int array of shape (rows, any)
        As for :func:`precision_at`.
    targets : scipy sparse matrix, shape (rows, labels)
        As for :func:`precision_at`.
    k : int
        At least 1.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        As :func:`precision_at`.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from thrifty.slide import ndcg_at
    >>> round(ndcg_at([[2, 0], [1, 0]], csr_matrix([[1, 0, 1], [1, 0, 0]]), 2), 4)
    0.8155
    """
    return _Compared.of(predicted, targets).gain(_cut(k))


def psp_at(predicted: ArrayLike, targets: Any, propensity: ArrayLike, k: int) -> float:
    """Return the propensity-scored precision of the ``k`` best (PSP@k): rare labels count more.

    The sum over all rows of 1/p of the right labels among the ``k`` best, divided by the largest that it could be.
    Source: Jain, Prabhu, Varma, KDD 2016, in the form that the Extreme Classification Repository reports.

    Parameters
    ----------
    predicted : int array of shape (rows, any)
        As for :func:`precision_at`.
    targets : scipy sparse matrix, shape (rows, labels)
        As for :func:`precision_at`.
    propensity : float array of shape (labels,)
        Above 0 and at most 1, as :func:`propensities` gives them.
    k : int
        At least 1.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        As :func:`precision_at`, and for propensities that are none.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from thrifty.slide import psp_at
    >>> psp_at([[0], [1]], csr_matrix([[1, 1], [0, 1]]), [0.5, 0.2], 1)
    0.7
    """
    compared = _Compared.of(predicted, targets)
    return compared.weighted(_weights(propensity, compared.labels), _cut(k))


def propensities(targets: Any, a: float = 0.55, b: float = 1.5) -> Floats:
    """Return the chance that a label which applies to a row was noted there, by how often it was.

    p_l = 1 / (1 + C (N_l + b)^-a) with C = (ln N - 1) (b + 1)^a, for N rows of which N_l have label l (Jain, Prabhu,
    Varma, KDD 2016).

    Parameters
    ----------
    targets : scipy sparse matrix, shape (rows, labels)
        Of the training rows; stored entries are labels.
    a, b : float
        The repository has 0.5, 0.4 for Wikipedia's data sets, 0.6, 2.6 for Amazon's, and 0.55, 1.5 for others.

    Returns
    -------
    float64 array of shape (labels,)

    Raises
    ------
    ValueError
        With fewer than 3 rows, for which the formula has no meaning (ln N < 1), or when a or b are negative.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from thrifty.slide import propensities
    >>> propensities(csr_matrix([[1, 0]] * 99 + [[0, 1]])).round(2).tolist()
    [0.68, 0.22]
    """
    csr = _labels(targets)
    rows, labels = csr.shape
    if rows < 3:
        raise ValueError(f"targets: {rows} rows; propensities take at least 3, better all rows of the training")
    if not (0 <= a < np.inf and 0 <= b < np.inf):
        raise ValueError(f"a={a}, b={b}: both must be finite and not negative")
    counts = np.bincount(csr.indices, minlength=labels)
    scale = (np.log(rows) - 1) * (b + 1) ** a
    with np.errstate(divide="ignore"):  # b = 0 and no row: the chance is 0
        return np.asarray(1 / (1 + scale * (counts + float(b)) ** -a), np.float64)


def scores(predicted: ArrayLike, targets: Any, propensity: ArrayLike | None = None) -> dict[str, float]:
    """Return all measures for the best 1, 3 and 5.

    Parameters
    ----------
    predicted : int array of shape (rows, any)
        As for :func:`precision_at`.
    targets : scipy sparse matrix, shape (rows, labels)
        As for :func:`precision_at`.
    propensity : float array of shape (labels,), optional
        As for :func:`psp_at`.

    Returns
    -------
    dict
        ``rows``, the number of rows with labels; ``p_at_1``, ``p_at_3``, ``p_at_5``; ``ndcg_at_1`` and so on; with
        propensities, ``psp_at_1`` and so on.

    Raises
    ------
    ValueError
        As :func:`precision_at` and :func:`psp_at`.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from thrifty.slide import scores
    >>> measured = scores([[2, 0, 1], [1, -1, -1]], csr_matrix([[1, 0, 1], [1, 0, 0]]))
    >>> measured["rows"], measured["p_at_1"], round(measured["ndcg_at_3"], 3)
    (2, 0.5, 0.5)
    """
    compared = _Compared.of(predicted, targets)
    result: dict[str, float] = {"rows": compared.rows}
    result |= {f"p_at_{k}": compared.precision(k) for k in CUTS}
    result |= {f"ndcg_at_{k}": compared.gain(k) for k in CUTS}
    if propensity is not None:
        weights = _weights(propensity, compared.labels)
        result |= {f"psp_at_{k}": compared.weighted(weights, k) for k in CUTS}
    return result


@dataclass(frozen=True)
class _Compared:
    """Rows with labels: what was predicted, whether it is right, and the labels."""

    predicted: NDArray[np.int64]
    hits: NDArray[np.bool_]
    starts: NDArray[np.int64]
    """Where the labels of each row begin, and the end of the last."""
    ids: NDArray[np.int64]
    labels: int

    @classmethod
    def of(cls, predicted: ArrayLike, targets: Any) -> _Compared:
        csr = _labels(targets)
        rows, labels = csr.shape
        best = np.asarray(predicted)
        if best.ndim != 2 or best.shape[0] != rows:
            raise ValueError(f"predicted: shape ({rows}, k) is needed for {rows} rows of targets, got {best.shape}")
        if best.dtype.kind not in "iu":
            raise TypeError(f"predicted: ids are integers, got {best.dtype}")
        _first(best, (best < -1) | (best >= labels), f"is not an id; they are below {labels}, or -1 for none")
        best = best.astype(np.int64)
        order = np.argsort(best, axis=1, kind="stable")
        ranked = np.take_along_axis(best, order, axis=1)
        twice = np.zeros(best.shape, bool)
        np.put_along_axis(twice, order[:, 1:], (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0), axis=1)
        _first(best, twice, "is there twice; a label is predicted once")
        starts = csr.indptr.astype(np.int64)
        counts = np.diff(starts)
        told = counts > 0
        if not told.any():
            raise ValueError("targets: no row has a label, so there is nothing to measure")
        best, counts = best[told], counts[told]
        # Rows are ascending and their labels too: (row, label) pairs are one sorted list of numbers.
        owners = np.repeat(np.arange(len(counts)), counts)
        ids = csr.indices.astype(np.int64)
        known = owners * labels + ids
        asked = np.arange(len(counts))[:, None] * labels + best
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        hits = (known[place] == asked) & (best >= 0)
        return cls(best, hits, np.append(0, np.cumsum(counts)), ids, labels)

    @property
    def rows(self) -> int:
        return len(self.hits)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def precision(self, k: int) -> float:
        return float(self.hits[:, :k].sum() / (k * self.rows))

    def gain(self, k: int) -> float:
        width = self.hits[:, :k].shape[1]
        place = 1 / np.log2(np.arange(2, max(k, width) + 2))
        ideal = np.append(0, np.cumsum(place))[np.minimum(k, self.counts)]
        return float(((self.hits[:, :k] @ place[:width]) / ideal).mean())

    def weighted(self, weights: Floats, k: int) -> float:
        best, hits = self.predicted[:, :k], self.hits[:, :k]
        # The heaviest labels of each row: sorted within rows, which stay in their places.
        own = weights[self.ids]
        owners = np.repeat(np.arange(self.rows), self.counts)
        own = own[np.lexsort((-own, owners))]
        first = np.arange(len(own)) - self.starts[owners] < k
        return float(weights[best[hits]].sum() / own[first].sum())


def _labels(targets: Any) -> Any:
    """Targets as a csr matrix whose rows have ascending labels, each once."""
    if not hasattr(targets, "tocsr"):
        raise TypeError(f"targets: a scipy sparse matrix is needed, got {type(targets).__name__}")
    csr = targets.tocsr()
    if csr.shape[0] * csr.shape[1] >= 1 << 63:
        raise ValueError(f"targets: shape {csr.shape} has more places than 64 bits can number")
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return csr


def _first(ids: NDArray[Any], wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"predicted: row {row} has {ids[row, column]} at place {column}, which {what}")


def _cut(k: int) -> int:
    if k < 1:
        raise ValueError(f"k: at least 1 is needed, got {k}")
    return k


def _weights(propensity: ArrayLike, labels: int) -> Floats:
    p = np.asarray(propensity, np.float64)
    if p.shape != (labels,):
        raise ValueError(f"propensity: shape ({labels},) is needed, one for each label, got {p.shape}")
    wrong = ~((p > 0) & (p <= 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(f"propensity: {p[at]} at label {at}; they are above 0 and at most 1")
    return 1 / p
