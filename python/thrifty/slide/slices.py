"""A step over a layer whose neurons are cut into slices, each with its own weights, moments and hash tables.

What travels between slices is small: what rows ask of their tables, three numbers a row, and the gradient of the hidden
values. How it travels is for others to say: a step is a generator that yields messages and is sent the answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from thrifty import _core

    Figures = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    Step = Generator[tuple[str, Any], Any, tuple[float, NDArray[np.float32], NDArray[np.uint32]]]

__all__ = ["best_of", "merged", "step"]


def merged(figures: Sequence[Figures]) -> Figures:
    """Return what slices together have of each row.

    Parameters
    ----------
    figures : sequence of three float32 arrays of shape (rows,)
        Of each slice: maxima of scores, sums of exponentials relative to them, scores of labels.

    Returns
    -------
    three float32 arrays of shape (rows,)
        The same of all neurons (the two scalars a row of an online softmax; Milakov and Gimelshein 2018).
    """
    most = np.max([f[0] for f in figures], axis=0)
    with np.errstate(invalid="ignore"):  # a slice without active neurons: no maximum, no sum
        sums = np.sum([np.where(f[1] > 0, f[1] * np.exp(f[0] - most), 0) for f in figures], axis=0)
    return most, sums.astype(np.float32), np.sum([f[2] for f in figures], axis=0, dtype=np.float32)


def best_of(
    slices: Sequence[tuple[NDArray[np.uint32], NDArray[np.float32]]], k: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return the best ``k`` neurons of each row over slices.

    Parameters
    ----------
    slices : sequence of pairs of arrays of shape (rows * k,)
        Ids and scores of the best neurons of each slice; minus infinity where there is none.
    k : int

    Returns
    -------
    ids, scores : arrays of shape (rows, k)
        Best first, of equal ones the smaller number.
    """
    ids = np.concatenate([ids.reshape(-1, k) for ids, _ in slices], axis=1)
    scores = np.concatenate([scores.reshape(-1, k) for _, scores in slices], axis=1)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)


def step(
    head: _core.SlideHead,
    weight: NDArray[Any],
    bias: NDArray[np.float32],
    hidden: NDArray[np.float32],
    targets: tuple[NDArray[np.uint64], NDArray[np.uint32]],
    each: int,
    *,
    threads: int = 0,
) -> Step:
    """Train one slice on a batch that all slices have.

    Slices choose the neurons that the whole layer would where ranks can tell which those are: buckets are not cut short
    by the cap, rows are ranked by counts alone (``pool=0``), random neurons are drawn uniformly, and no row waits to be
    hashed.

    Parameters
    ----------
    head : SlideHead
        Of this slice.
    weight, bias : arrays of shape (neurons here * hidden,) and (neurons here,)
        Changed in place.
    hidden : float32 array of shape (rows, hidden)
    targets : (ends, labels)
        Where the labels of each row end, and the labels, numbered in the whole layer.
    each : int
        Neurons that a row asks for at most.
    threads : int
        0 for all cores.

    Yields
    ------
    ("gather", message)
        To be sent the messages of all slices, in their order.
    ("sum", array)
        To be sent the sum of the arrays of all slices.

    Returns
    -------
    loss : float
        Mean over the rows of the batch.
    gradient : float32 array of shape (rows, hidden)
        Of the loss by the hidden values, from all slices.
    active : uint32 array
        The active neurons of all slices, ascending.
    """
    flat = hidden.ravel()
    asked, _ = head.ask(weight, bias, flat, targets, None, threads)
    wanted = head.merge((yield "gather", asked), each)
    token, figures, active = head.forward(weight, bias, flat, targets, wanted, threads)
    most, sums, of_labels = merged((yield "gather", figures))
    loss = head.loss(most, sums, of_labels)
    gradient = yield "sum", head.backward(token, weight, bias, most, sums, 1.0, threads)
    return loss, gradient.reshape(hidden.shape), active
