"""How the neurons of an output layer are chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = ["FAMILIES", "LSHConfig"]

FAMILIES = ("dwta", "simhash", "doph", "minhash")
"""Families of hashes; see :func:`thrifty.slide.hash_codes`."""


@dataclass(frozen=True, slots=True)
class LSHConfig:
    """How neurons are hashed and how many are active.

    The active neurons of a batch are its labels, then of each row the neurons that most of its tables return, then
    random ones until there are ``active``.

    Attributes
    ----------
    family : str
        ``"dwta"``, ``"simhash"``, ``"doph"`` or ``"minhash"``: neurons come from hash tables. ``"exact"``: from the
        scores of all neurons, which costs as much as the whole layer. ``"uniform"`` and ``"log_uniform"``: all but
        the labels are random; log-uniform takes neurons to be numbered by falling frequency.
    k : int, optional
        Hashes a table (K): more of them return fewer, closer neurons. By default what the number of neurons suggests,
        so that a bucket has about four; a :class:`Trainer` then takes more or fewer by what its tables return.
    tables : int
        Hash tables (L).
    range : int, optional
        Bits of a table's code (R), at most 24. By default what K hashes need, or fewer for few neurons.
    bucket : int
        Neurons of a bucket that a query takes at most.
    active : int
        Neurons that a batch trains, its labels among them.
    each : int
        Neurons that a row asks for at most: those that most of its tables return.
    pool : int
        Of the neurons that most of a row's tables return, how many are scored, so that the row asks for the ``each``
        best of them. With 0 none is scored, and the row asks for what most tables return.
    rehash : int, optional
        Rows with new weights that a step hashes again at most; the others wait in a queue. By default a quarter of
        ``active``.
    random : str
        How random neurons are drawn where there are tables. ``"length"``: the more often the longer their weights
        are, as often as they are in a table; short ones can hardly have high scores. ``"uniform"``: all
        alike. ``"log_uniform"``: as for the family of that name.
    sets : str
        ``"batch"``: one set of active neurons serves all rows of a batch. ``"row"``: the softmax of a row is over its
        own labels, what it asked for and the random neurons; the others of the batch do not count for it.
    correction : str
        ``"logq"``: scores of random neurons are raised by minus the logarithm of their chance to be drawn, so that
        the sum of exponentials is in the mean that over all neurons, and scores become log-probabilities of the full
        softmax. ``"none"``: scores as they are.
    """

    family: str = "dwta"
    k: int | None = None
    tables: int = 50
    range: int | None = None
    bucket: int = 128
    active: int = 1024
    each: int = 8
    pool: int = 128
    rehash: int | None = None
    random: str = "length"
    sets: str = "batch"
    correction: str = "none"

    def part(self, share: float) -> LSHConfig:
        """Return settings for a share of the neurons, which choose that share of what the whole does.

        Parameters
        ----------
        share : float
            Of the neurons, above 0.

        Examples
        --------
        >>> LSHConfig(active=1000, each=8).part(0.25).active
        250
        """
        active, each = (max(1, round(number * share)) for number in (self.active, self.each))
        pool = max(each, round(self.pool * share)) if self.pool else 0
        rehash = None if self.rehash is None else max(1, round(self.rehash * share))
        return replace(self, active=active, each=each, pool=pool, rehash=rehash)

    @classmethod
    def for_prediction(cls, labels: int) -> LSHConfig:
        """Return settings that find nearly all of the best neurons: more tables than training needs, and shorter codes.

        Parameters
        ----------
        labels : int
            Neurons of the layer.

        Examples
        --------
        >>> LSHConfig.for_prediction(15_792).tables
        200
        """
        k = max(1, math.floor(math.log2(max(labels, 8) / 4) / 3))
        return cls(k=k, tables=200, bucket=labels)
