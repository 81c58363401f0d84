"""From a law and a device to what to build: shapes by loss, latency, cost and memory, and the one to take."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import Infeasible
from thrifty.scaling.feasible import Limit, front, kept, unmet
from thrifty.scaling.optimal import SERVE, TOKENS, TRAIN, counted_by, tokens_for
from thrifty.scaling.serving import Serving, serve
from thrifty.scaling.shapes import Shapes
from thrifty.scaling.window import window
from thrifty.scaling.wish import OBJECTIVES, Objective, Wish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from thrifty.device import DeviceProfile, ModelShape
    from thrifty.scaling.downstream import Downstream
    from thrifty.scaling.law import ScalingLaw
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["Plan", "plan"]

#: Beyond so many factors of ten of the data a prediction is flagged.
FAR = 2.0
#: Losses this close are equal, sizes this close the same; a gain below this does not matter.
SAME_LOSS, SAME_SIZE, GAIN = 0.005, 0.05, 0.05
#: Columns that fronts are of, what is shown first at the front.
AGAINST = ("ms", "flops", "memory_gb", "joules")
#: Runs that are predicted at a time.
BLOCK = 16_384
#: What each limit holds: a column, or where it must be sure another one. What was solved for is there up to last bits.
LIMITS = {
    "max_loss": ("loss", "hi", 1 + 1e-9),
    "train_flops": ("train_flops", "train_flops", 1 + 1e-9),
    "max_tokens": ("n_tokens", "n_tokens", 1.0),
    "memory_gb": ("memory_gb", "memory_gb", 1.0),
    "slo_ms": ("ms", "ms_high", 1.0),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """Shapes with what they come to, which of them keep all limits, and the pick.

    Attributes
    ----------
    wish : Wish
        What was asked.
    shapes : Shapes
    columns : dict of str to float64[n]
        ``n_params``, ``n_tokens``; ``loss``, ``lo``, ``hi``, ``decades_beyond``; ``train_flops`` (6 N D),
        ``serve_flops`` (2 N for each lifetime token), ``flops``; ``memory_gb``, of weights and cache; ``ms``,
        ``ms_low``, ``ms_high`` a new token, ``first_ms`` until the first, ``outside`` 1 where the device's law is
        beyond what was timed; ``joules`` a new token; ``accuracy``, ``accuracy_lo``, ``accuracy_hi``. Those that
        nothing tells are not there.
    feasible : bool[n]
        Which keep all limits.
    fronts : dict of str to int64[k]
        By a column (``ms``, ``flops``, ``memory_gb``, ``joules``): feasible shapes that none betters in that or in
        ``axis`` without losing in the other, from the least of ``axis`` up. Columns that all shapes have alike are not
        there.
    best : int
        The pick.
    shape_gain : float or None
        At the pick's size and equal loss, how much longer the slowest shape takes than the fastest, as a share.
    device, joules_source : str
    notes : tuple of str
    """

    wish: Wish
    shapes: Shapes
    columns: dict[str, Values]
    feasible: NDArray[np.bool_]
    fronts: dict[str, NDArray[np.int64]]
    best: int
    shape_gain: float | None
    device: str
    joules_source: str
    notes: tuple[str, ...]

    @property
    def shape(self) -> ModelShape:
        """The pick's."""
        return self.shapes[self.best]

    @property
    def limits(self) -> dict[str, float]:
        """Limits that were set, by their names."""
        return {name: most for name in LIMITS if (most := getattr(self.wish, name)) is not None}

    @property
    def picked(self) -> str:
        """How the pick was made, as ``the least loss``."""
        wish = self.wish
        if not wish.slack:
            return f"the least {wish.objective}"
        return f"the least {_next(self.columns, wish)} within {100 * wish.slack:.3g} % of the least {wish.objective}"

    @property
    def axis(self) -> str:
        """What fronts set others against: ``loss``, or ``flops`` where each shape gets the tokens that reach a loss."""
        return _axis(self.wish)

    @property
    def front(self) -> NDArray[np.int64]:
        """The front of latency; without a profile that of cost, or of memory."""
        return self.fronts[self.front_of]

    @property
    def front_of(self) -> str:
        """The column of :attr:`front`."""
        return next(name for name in AGAINST if name in self.fronts)

    def row(self, at: int) -> dict[str, Any]:
        """Return one shape as numbers by their names, with ``flags``: in which ways it is beyond what was measured."""
        told = {name: float(values[at]) for name, values in self.columns.items()}
        flags = []
        if told["decades_beyond"] > FAR:
            flags.append(f"loss {told['decades_beyond']:.1f} decades beyond the runs")
        if told.pop("outside", 0.0):
            flags.append("latency beyond what was timed")
        names = ("layers", "dim", "heads", "kv_heads", "hidden", "parameters")
        return {**{name: int(getattr(self.shapes, name)[at]) for name in names}, **told, "flags": flags}

    def rows(self, top: int | None = None) -> list[dict[str, Any]]:
        """Return the feasible shapes as :meth:`row` tells them, the best by the objective first."""
        return [self.row(int(i)) for i in _ranked(self.columns, self.feasible, self.wish.objective)[:top]]


def plan(
    law: ScalingLaw,
    profile: DeviceProfile | None = None,
    *,
    train_flops: float | None = None,
    max_loss: float | None = None,
    lifetime_tokens: float = 0.0,
    max_tokens: float | None = None,
    slo_ms: float | None = None,
    memory_gb: float | None = None,
    objective: Objective = "loss",
    shapes: Sequence[ModelShape] | None = None,
    sizes: Mapping[str, Any] | None = None,
    batch: int = 1,
    prompt: int = 128,
    new_tokens: int = 128,
    interval: float = 0.95,
    sure: bool = False,
    slack: float = 0.0,
    downstream: Downstream | None = None,
) -> Plan:
    """Choose what to train: every shape with its loss, latency, costs and memory, and the best that keeps the limits.

    Parameters
    ----------
    law : ScalingLaw
        Fitted.
    profile : DeviceProfile, optional
        Of the device that serves; without one there are no times.
    train_flops : float, optional
        Budget of 6 N D, at most. Each shape gets the tokens that it pays for, but where ``objective`` is ``"flops"``.
    max_loss : float, optional
        At most this loss, nats a token. Without a budget, or where operations shall be least, each shape gets just the
        tokens that reach it.
    lifetime_tokens : float
        To be served over the model's life: 2 N operations each.
    max_tokens : float, optional
        Tokens that there are to train on.
    slo_ms : float, optional
        At most so many milliseconds a new token, in the mean over ``new_tokens`` after a prompt.
    memory_gb : float, optional
        At most 1e9 bytes of weights and of keys and values; what else a server needs comes on top.
    objective : str
        What is made least: ``"loss"``, ``"flops"`` of training and serving, ``"latency"``, ``"energy"``, ``"memory"``.
    shapes : sequence of ModelShape, optional
        To choose from; by default all around the optimum without limits, of aspects like those of the runs.
    sizes : mapping, optional
        Arguments of :func:`shapes` for that window, as ``{"vocab": 256, "head_dim": 32}``.
    batch, prompt, new_tokens : int
        Sequences at a time, ids before the first new one, and new ones.
    interval : float
        Level of the loss's interval.
    sure : bool
        Whether ``max_loss`` and ``slo_ms`` must hold at the upper ends of the intervals.
    slack : float
        Shapes within this share of the best are as good: of those the fastest is picked, or the cheapest without a
        profile; where something else than the loss is made least, the one of least loss.
    downstream : Downstream, optional
        Tells accuracies from losses.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        When an argument is not possible.
    Infeasible
        When no shape keeps all limits; the message names the limit that binds and the nearest value.
    MismatchError
        When the shapes are of another dtype than the profile.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling import Runs, ScalingLaw, plan
    >>> n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    >>> loss = (1.8 + 400 * n**-0.34 + 2000 * d**-0.37) * np.resize([0.999, 1.001, 1.0], 16)
    >>> law = ScalingLaw("chinchilla").fit(Runs(n, d, loss))
    >>> small = plan(law, train_flops=1e20, memory_gb=0.5)
    >>> row = small.row(small.best)
    >>> row["memory_gb"] <= 0.5, row["lo"] < row["loss"] < row["hi"]
    (True, True)

    Notes
    -----
    Serving counts as Sardana et al. (arXiv 2401.00448) do; latency as a limit of the search is arXiv 2501.18107's.
    """
    wish = Wish(
        train_flops=train_flops,
        max_loss=max_loss,
        lifetime_tokens=lifetime_tokens,
        max_tokens=max_tokens,
        slo_ms=slo_ms,
        memory_gb=memory_gb,
        objective=objective,
        batch=batch,
        prompt=prompt,
        new_tokens=new_tokens,
        interval=interval,
        sure=sure,
        slack=slack,
    )
    if profile is None and slo_ms is not None:
        raise ValueError("slo_ms: a limit of latency needs a profile of the device")
    if shapes is None:
        dtype_bytes = 2.0 if profile is None else profile.dtype_bytes
        some = window(law, wish, sizes or {}, dtype_bytes)
    else:
        some = Shapes.of(shapes)
    served = Serving() if profile is None else serve(profile, some, wish)
    columns = _predicted(law, some, wish) | served.columns
    if downstream is not None:
        columns |= downstream.columns(columns["loss"], columns["lo"], columns["hi"], interval)
    if OBJECTIVES[objective] not in columns:
        needs = "a profile of the device" if profile is None else f"a profile that tells {OBJECTIVES[objective]}"
        raise ValueError(f"objective: {objective} needs {needs}")
    limits = _limits(columns, wish)
    feasible = kept(limits, len(some))
    if not feasible.any():
        raise Infeasible(unmet(limits, lambda at: str(some[at])))
    least = np.where(feasible, columns[OBJECTIVES[objective]], np.inf)
    good = least <= least.min() * (1 + slack)
    best = int(_ranked(columns, good, _next(columns, wish) if slack else objective)[0])
    gain = _shape_gain(columns, best)
    return Plan(
        wish=wish,
        shapes=some,
        columns=columns,
        feasible=feasible,
        fronts={name: front(columns[_axis(wish)], columns[name], feasible) for name in _against(columns, wish)},
        best=best,
        shape_gain=gain,
        device=served.device,
        joules_source=served.joules_source,
        notes=(*_notes(law, some, columns, best, gain), *served.notes),
    )


def _next(columns: dict[str, Values], wish: Wish) -> str:
    """Return what decides among shapes that are as good by the objective."""
    return "loss" if wish.objective != "loss" else "latency" if "ms" in columns else "flops"


def _axis(wish: Wish) -> str:
    return "loss" if wish.pays else "flops"


def _against(columns: dict[str, Values], wish: Wish) -> list[str]:
    """Return columns that differ among shapes: where training is paid alike, only serving costs more or less."""
    alike = {"flops"} if not (wish.pays and wish.lifetime_tokens) else set()
    return [name for name in AGAINST if name in columns and name not in alike]


def _predicted(law: ScalingLaw, shapes: Shapes, wish: Wish) -> dict[str, Values]:
    """Return tokens of each shape (what the budget pays for, or what just reaches the loss), losses, costs, memory."""
    kind = counted_by(law)
    n = shapes.counted(kind).astype(np.float64)
    if wish.pays:
        d = np.maximum(float(wish.train_flops or 0.0) / (TRAIN * n), TOKENS[0])
        d = np.minimum(d, wish.max_tokens or np.inf)
    else:

        def loss(_: Values, d: Values) -> Values:
            runs = shapes.runs(d, kind)
            return law.predict(runs, interval=wish.interval).hi if wish.sure else law.told_at(runs)

        d = tokens_for(loss, n, float(wish.max_loss or 0.0))
    reached = np.isfinite(d)
    told = _losses(law, shapes.runs(np.where(reached, d, TOKENS[1]), kind), wish.interval)
    cache = wish.batch * (wish.prompt + wish.new_tokens) * shapes.kv_bytes
    return {
        "n_params": n,
        "n_tokens": d,
        **{name: np.where(reached, told[name], np.inf) for name in ("loss", "lo", "hi")},
        "decades_beyond": told["decades_beyond"],
        "train_flops": TRAIN * n * d,
        "serve_flops": SERVE * n * wish.lifetime_tokens,
        "flops": TRAIN * n * d + SERVE * n * wish.lifetime_tokens,
        "memory_gb": (shapes.weight_bytes + cache) / 1e9,
    }


def _losses(law: ScalingLaw, runs: Runs, interval: float) -> dict[str, Values]:
    """Return predictions, by blocks in threads: numpy lets others work, and a block stays in the cache of a core."""
    asked, told = ("n_params", "n_tokens", "d_model", "n_layers"), ("loss", "lo", "hi", "decades_beyond")
    out = {name: np.empty(len(runs)) for name in told}

    def block(start: int) -> None:
        part = slice(start, start + BLOCK)
        found = law.predict(replace(runs, **{name: getattr(runs, name)[part] for name in asked}), interval=interval)
        for name in told:
            out[name][part] = getattr(found, name)

    starts = range(0, len(runs), BLOCK)
    if len(starts) == 1:
        block(0)
        return out
    with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
        list(pool.map(block, starts))
    return out


def _limits(columns: dict[str, Values], wish: Wish) -> list[Limit]:
    found = []
    for name, (column, upper, room) in LIMITS.items():
        if (most := getattr(wish, name)) is not None:
            found.append(Limit(name, columns[upper if wish.sure else column], most * room))
    return found


def _ranked(columns: dict[str, Values], among: NDArray[np.bool_], objective: str) -> NDArray[np.int64]:
    """Return some shapes, the best first; among equals by loss, latency and memory."""
    at = np.flatnonzero(among)
    names = [name for name in (OBJECTIVES[objective], "loss", "ms", "memory_gb") if name in columns]
    order: NDArray[np.int64] = at[np.lexsort((at, *(columns[name][at] for name in reversed(names))))]
    return order


def _shape_gain(columns: dict[str, Values], best: int) -> float | None:
    if "ms" not in columns:
        return None
    n, loss, ms = columns["n_params"], columns["loss"], columns["ms"]
    peers = np.abs(np.log(n / n[best])) <= math.log1p(SAME_SIZE)
    peers &= loss <= (1 + SAME_LOSS) * loss[peers].min()
    # Sizes that differ a little are set against what they would take alike.
    each = ms[peers] / n[peers]
    return float(each.max() / each.min() - 1)


def _notes(law: ScalingLaw, shapes: Shapes, columns: dict[str, Values], best: int, gain: float | None) -> list[str]:
    pick = shapes.take([best]).runs(columns["n_tokens"][best], counted_by(law))
    notes = [*(f"the fit: {text}" for text in law.advice_), *(f"the pick: {note}" for note in law.predict(pick).notes)]
    if gain is not None and gain < GAIN:
        notes.append(
            f"memory-bound: at {shapes.parameters[best]:.3g} parameters and equal loss the slowest shape takes "
            f"{gain:.1%} longer than the fastest; shape does not matter here"
        )
    if "outside" in columns and columns["outside"][best]:
        notes.append("the pick's latency is beyond what was timed on the device")
    if gain is not None and not law.by_shape_:
        notes.append("the law knows no shapes: those of a size have one loss, so the shallowest allowed is the fastest")
    return notes
