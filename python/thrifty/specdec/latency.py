"""What drafts and verifications take, and the draft length that is best for it."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from thrifty import _core

__all__ = [
    "BestGamma",
    "LatencyCurve",
    "best_gamma",
    "break_even_alpha",
    "break_even_tau",
    "expected_tau",
    "needed_tau",
]


@dataclass(frozen=True)
class LatencyCurve:
    """Times of a draft and of its target (arXiv 2402.01528, section 3).

    An id of the draft takes ``draft_layers * draft_ms_per_layer + draft_overhead_ms``, for all requests of a batch at
    once. Verifying n ids in one pass takes ``max(weights_ms, n * compute_ms_per_token) + overhead_ms``. A step of B
    requests with gamma drafts each is gamma ids of the draft and a verification of ``B * (gamma + 1)``.

    Parameters
    ----------
    draft_layers : int
        Layers of the draft; 0 for one that has none, such as a lookup.
    draft_ms_per_layer, draft_overhead_ms : float
        Milliseconds that an id takes in each, and beside them.
    weights_ms : float
        Milliseconds to read the target's weights: what a verification takes at least.
    compute_ms_per_token : float
        Milliseconds of arithmetic for each id that is verified.
    overhead_ms : float
        Milliseconds of a verification beside both.

    Raises
    ------
    ValueError
        For a time that is negative or no finite number, or if a verification would take no time.

    Examples
    --------
    >>> curve = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
    >>> best_gamma(0.8, batch=1, latency=curve)
    BestGamma(gamma=8, tokens_per_ms=0.1477...)
    """

    draft_layers: int
    draft_ms_per_layer: float
    draft_overhead_ms: float
    weights_ms: float
    compute_ms_per_token: float
    overhead_ms: float

    def __post_init__(self) -> None:
        _count(self.draft_layers, "draft_layers")
        _core.specdec_check_curve(self)


@dataclass(frozen=True)
class BestGamma:
    """The best draft length, and what comes of it.

    Parameters
    ----------
    gamma : int
        Ids to draft in each step; 0 if it is best to draft none.
    tokens_per_ms : float
        Ids that all requests of the batch together gain a millisecond.
    """

    gamma: int
    tokens_per_ms: float


def best_gamma(alpha: float, batch: int, latency: LatencyCurve, max_gamma: int = 16) -> BestGamma:
    """Return the draft length with most tokens a millisecond; of equally good ones the least.

    Parameters
    ----------
    alpha : float
        Probability that a draft is accepted when those before it were, 0 to 1.
    batch : int
        Requests that go through the step together.
    latency : LatencyCurve
        What drafts and verifications take.
    max_gamma : int
        Longest draft to look at, up to 255.

    Returns
    -------
    BestGamma
        ``gamma`` and ``tokens_per_ms = batch * tau(gamma) / step(gamma)``.

    Raises
    ------
    ValueError
        If alpha is no probability, batch is below 1, or max_gamma is not between 0 and 255.

    Notes
    -----
    Throughput is the paper's (arXiv 2402.01528, section 3) for batches: with a larger one arithmetic binds sooner, and
    from some batch on no draft pays.

    Examples
    --------
    >>> curve = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
    >>> [best_gamma(0.8, batch, curve).gamma for batch in (1, 8, 16, 32, 128)]
    [8, 8, 4, 2, 0]
    """
    gamma, tokens_per_ms = _core.specdec_best_gamma(
        alpha, _count(batch, "batch"), latency, _count(max_gamma, "max_gamma")
    )
    return BestGamma(gamma, tokens_per_ms)


def expected_tau(alpha: float, gamma: int) -> float:
    """Return the ids that a verification commits on average, its own one included (the paper's TAR).

    Parameters
    ----------
    alpha : float
        Probability that a draft is accepted when those before it were, 0 to 1.
    gamma : int
        Drafts a step, up to 255.

    Returns
    -------
    float
        ``(1 - alpha**(gamma + 1)) / (1 - alpha)``, which is ``gamma + 1`` for alpha = 1 (arXiv 2211.17192, equation 1).

    Raises
    ------
    ValueError
        If alpha is no probability, or gamma is not between 0 and 255.

    Examples
    --------
    >>> expected_tau(0.5, 3), expected_tau(1.0, 3)
    (1.875, 4.0)
    """
    return _core.specdec_tau(alpha, _count(gamma, "gamma"))


def break_even_tau(gamma: int, batch: int, latency: LatencyCurve) -> float:
    """Return the tau above which ``gamma`` drafts a step are better than none.

    Parameters
    ----------
    gamma : int
        Drafts a step, up to 255.
    batch : int
        Requests that go through the step together.
    latency : LatencyCurve
        What drafts and verifications take.

    Returns
    -------
    float
        Ids that a verification has to commit, its own one included: ``step(gamma) / step(0)``. Above ``gamma + 1``
        it can not be had.

    Raises
    ------
    ValueError
        If batch is below 1, or gamma is not between 0 and 255.

    Examples
    --------
    >>> curve = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
    >>> round(break_even_tau(4, batch=1, latency=curve), 3)
    1.215
    """
    return _core.specdec_break_even_tau(_count(gamma, "gamma"), _count(batch, "batch"), latency)


def break_even_alpha(batch: int, latency: LatencyCurve, max_gamma: int = 16) -> float | None:
    """Return the least acceptance at which some draft length is better than none.

    Parameters
    ----------
    batch : int
        Requests that go through the step together.
    latency : LatencyCurve
        What drafts and verifications take.
    max_gamma : int
        Longest draft to look at, up to 255.

    Returns
    -------
    float or None
        A probability; None where even drafts that are always accepted do not pay.

    Raises
    ------
    ValueError
        If batch is below 1, or max_gamma is not between 0 and 255.

    Examples
    --------
    >>> curve = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
    >>> [round(break_even_alpha(batch, curve), 3) for batch in (1, 64)]
    [0.054, 0.639]
    """
    return _core.specdec_break_even_alpha(_count(batch, "batch"), latency, _count(max_gamma, "max_gamma"))


def needed_tau(
    tau: float,
    gamma: int,
    batch: int,
    latency: LatencyCurve,
    candidate: LatencyCurve,
    candidate_gamma: int | None = None,
) -> float:
    """Return the tau that another draft needs to be as good as the present one: a design judged before its training.

    Parameters
    ----------
    tau : float
        Ids that a verification commits with the present draft, its own one included: 1 to ``gamma + 1``.
    gamma : int
        Drafts a step of the present draft, up to 255.
    batch : int
        Requests that go through the step together.
    latency, candidate : LatencyCurve
        What steps take with the present draft, and with the other one.
    candidate_gamma : int, optional
        Drafts a step of the other one; as many if not given.

    Returns
    -------
    float
        ``tau * step_of_candidate / step`` (arXiv 2402.01528, section 3). Above ``candidate_gamma + 1`` it can not
        be had.

    Raises
    ------
    ValueError
        If tau can not be with that gamma, batch is below 1, or a gamma is not between 0 and 255.

    Examples
    --------
    >>> deep = LatencyCurve(24, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
    >>> wide = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
    >>> round(needed_tau(3.4, 4, 1, deep, wide), 2)
    2.11
    """
    other = gamma if candidate_gamma is None else _count(candidate_gamma, "candidate_gamma")
    return _core.specdec_needed_tau(tau, _count(gamma, "gamma"), _count(batch, "batch"), latency, candidate, other)


def _count(value: int, name: str) -> int:
    """Refuse what is no count or does not fit, with its name."""
    if not isinstance(value, Integral):
        raise TypeError(f"{name}: a whole number is needed, got {type(value).__name__}")
    if not 0 <= value < 1 << 32:
        raise ValueError(f"{name}: {value} is not between 0 and {(1 << 32) - 1}")
    return int(value)
