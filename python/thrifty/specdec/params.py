"""How scores of each request become the law that is sampled from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.specdec._arrays import integers, per_request

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["SamplingParams"]

_FLOATS = ("temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """Settings of the requests of a batch; each is one number for all, or an array of shape (n,).

    Scores are penalised, divided by the temperature, and made chances; then ``top_k``, ``top_p`` and ``min_p`` each
    keep a part of what is left, in this order, and what is kept is scaled to 1.

    Parameters
    ----------
    temperature : float
        At least 0; 0 leaves the best id alone, of equal ones the first.
    top_k : int
        Keep the likeliest so many ids; 0 keeps all.
    top_p : float
        Keep the fewest likeliest ids whose chances come to this; above 0, 1 keeps all.
    min_p : float
        Keep ids at least so likely as this part of the likeliest; 0 keeps all.
    repetition_penalty : float
        Above 0. Scores of ids seen are divided by it where they are positive, else multiplied; 1 changes nothing.
    presence_penalty : float
        Taken from the scores of ids seen.
    frequency_penalty : float
        Taken from the scores of ids seen, as often as they were.
    prefix : (indptr, ids), optional
        Ids of each request before its first draft, for penalties: integer arrays of shapes (n + 1,) and (any,); those
        of request i are ``ids[indptr[i]:indptr[i + 1]]``. Each draft is judged with its own: these, and the drafts
        before it.

    Notes
    -----
    Repetition: Keskar et al., CTRL (arXiv 1909.05858), section 4.1; presence and frequency as in OpenAI's interface;
    ``top_p``: arXiv 1904.09751; ``min_p``: arXiv 2407.01082.

    Examples
    --------
    >>> from thrifty.specdec import SamplingParams
    >>> SamplingParams(temperature=[0.7, 1.0], top_p=0.9).top_p
    0.9
    """

    temperature: ArrayLike = 1.0
    top_k: ArrayLike = 0
    top_p: ArrayLike = 1.0
    min_p: ArrayLike = 0.0
    repetition_penalty: ArrayLike = 1.0
    presence_penalty: ArrayLike = 0.0
    frequency_penalty: ArrayLike = 0.0
    prefix: tuple[ArrayLike, ArrayLike] | None = None

    def arrays(self, requests: int) -> dict[str, Any]:
        """Return the settings of a batch of so many requests as the core takes them: arrays of shape (requests,).

        Raises
        ------
        ValueError
            When a setting has another shape; the core looks at the numbers.
        TypeError
            When a setting is not made of numbers, or ``top_k`` or ``prefix`` not of whole ones.
        """
        found: dict[str, Any] = {}
        for name in _FLOATS:
            found[name] = per_request(getattr(self, name), name, requests, np.float32)
        found["top_k"] = per_request(self.top_k, "top_k", requests, np.int64)
        indptr, ids = ([], []) if self.prefix is None else _pair(self.prefix)
        found["indptr"] = integers(indptr, "prefix", np.int64, 1)
        found["prefix"] = integers(ids, "prefix", np.int64, 1)
        return found


def _pair(prefix: Any) -> tuple[Any, Any]:
    try:
        indptr, ids = prefix
    except (TypeError, ValueError):
        raise TypeError("prefix: two arrays are needed, (indptr, ids)") from None
    return indptr, ids
