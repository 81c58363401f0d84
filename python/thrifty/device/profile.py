"""What decoding costs on a device: calibrated in a minute, then told for any shape, and kept in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from thrifty.device import law as laws
from thrifty.device.arrays import arrays_of
from thrifty.device.grid import calls_to_time
from thrifty.device.machine import describe
from thrifty.device.timing import Point, Timing, measure
from thrifty.errors import MismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from thrifty.device.law import Law
    from thrifty.device.shape import ModelShape

__all__ = ["DeviceProfile", "Latency", "calibrate"]

LEAST = 8
"""Timings that coefficients of a kind of calls need at least."""
EXTENT = 1.5
"""So many times beyond what was timed, in any size, a call is outside."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call.

    Attributes
    ----------
    ms, low, high : float
        What the law of the device says, and where nine of ten calls of shapes that were not timed lie; twice as wide
        (in logarithms) where the call is outside of what was timed.
    outside : tuple of str
        Sizes that are far from those that were timed; empty where none is.
    """

    ms: float
    low: float
    high: float
    outside: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.ms


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """Timings of a device and the laws fitted to them. :func:`calibrate` and :meth:`fit` make one.

    Attributes
    ----------
    device : dict of str to str
        ``name`` and ``machine`` of what computed, as :func:`thrifty.device.machine.describe` tells them.
    backend, dtype : str
        What computed, and in which numbers.
    dtype_bytes : float
        Of one of them.
    threads : int
    versions : dict of str to str
    timings : tuple of Timing
    one, several : Law
        Of calls of one row (decoding one sequence), and of several.
    """

    device: dict[str, str]
    backend: str
    dtype: str
    dtype_bytes: float
    threads: int
    versions: dict[str, str]
    timings: tuple[Timing, ...]
    one: Law
    several: Law

    @classmethod
    def fit(
        cls,
        timings: Sequence[Timing],
        *,
        device: dict[str, str],
        backend: str,
        dtype: str,
        threads: int = 1,
        versions: dict[str, str] | None = None,
    ) -> DeviceProfile:
        """Return the profile of timings, from :func:`calibrate` or from elsewhere.

        Parameters
        ----------
        timings : sequence of Timing
            At least 8 of calls of one row and 8 of several; of several shapes, of unlike depth.
        device : dict of str to str
            ``name`` and ``machine``.
        backend, dtype : str
        threads : int
        versions : dict of str to str, optional

        Raises
        ------
        ValueError
            When the timings are too few or too much alike.
        """
        timings = tuple(timings)
        one = [timing for timing in timings if timing.rows == 1]
        several = [timing for timing in timings if timing.rows > 1]
        for what, some in (("one row", one), ("several rows", several)):
            depths = {timing.shape.layers for timing in some}
            if len(some) < LEAST or len(depths) < 2:
                raise ValueError(
                    f"timings: {len(some)} of calls of {what}, of {len(depths)} depths; at least {LEAST}, of 2, needed"
                )
        sizes = {timing.shape.dtype_bytes for timing in timings}
        if len(sizes) > 1:
            raise ValueError(f"timings: dtype_bytes of their shapes are {sorted(sizes)}; all must be of one dtype")
        return cls(
            device=dict(device),
            backend=backend,
            dtype=dtype,
            dtype_bytes=sizes.pop(),
            threads=threads,
            versions=dict(versions or {}),
            timings=timings,
            one=laws.fit(one),
            several=laws.fit(several),
        )

    def latency(self, shape: ModelShape, *, batch: int = 1, tokens: int = 1, context: int = 0) -> Latency:
        """Return what a call takes.

        Parameters
        ----------
        shape : ModelShape
            Of the profile's dtype.
        batch, tokens : int
            Sequences, and tokens of each in the call.
        context : int
            Tokens of each in the cache.

        Returns
        -------
        Latency
            In milliseconds. More rows never take less than one.

        Raises
        ------
        ValueError
            When a number is not possible.
        MismatchError
            When the shape is of another dtype than the profile.
        """
        point = Point(shape=shape, batch=batch, tokens=tokens, context=context)
        self._same_dtype(shape)
        single = Point(shape=shape, context=context)
        ms, law = float(laws.predict(self.one, [single])[0]), self.one
        if point.rows > 1:
            more = float(laws.predict(self.several, [point])[0])
            ms, law = max(ms, more), self.several
        outside = self._outside(point)
        width = law.spread * (2 if outside else 1)
        return Latency(ms, ms * float(np.exp(-width)), ms * float(np.exp(width)), outside)

    def parts(self, shape: ModelShape, *, context: int = 0) -> dict[str, float]:
        """Return where the milliseconds of decoding one token go.

        Returns
        -------
        dict of str to float
            ``overhead`` of a call; ``layers``, what each costs whatever its size; ``weights`` of the layers; ``head``,
            the output layer; ``cache``, of keys and values.
        """
        self._same_dtype(shape)
        x = np.array(self.one.coefficients)
        each = laws.columns(Point(shape=shape, context=context))[0] * x
        without = laws.columns(Point(shape=shape, context=context), head=False)[0] * x
        return {
            "overhead": float(each[0]),
            "layers": float(each[1]),
            "weights": float(without[3:].sum()),
            "head": float(each[3:].sum() - without[3:].sum()),
            "cache": float(each[2]),
        }

    def pieces(
        self, target: ModelShape, draft: ModelShape, *, context: int = 0, most: int = 64
    ) -> dict[str, float | int]:
        """Return the two as six numbers: a verification is the larger of two pieces, a draft is a line in its layers.

        Parameters
        ----------
        target, draft : ModelShape
        context : int
            Tokens in the cache.
        most : int
            Tokens of a verification, over the batch, up to which the pieces shall follow the profile.

        Returns
        -------
        dict
            ``draft_layers``, ``draft_ms_per_layer``, ``draft_overhead_ms``, ``weights_ms``, ``compute_ms_per_token``
            and ``overhead_ms``, the arguments of ``LatencyCurve``: n tokens take max(weights_ms, n
            compute_ms_per_token) + overhead_ms. One token is exact; the slope is that of least relative error over n
            up to ``most``.
        """
        parts = self.parts(draft, context=context)
        per_layer = (parts["layers"] + parts["weights"] + parts["cache"]) / draft.layers
        overhead = self.parts(target, context=context)["overhead"]
        first = self.latency(target, context=context).ms
        n = np.unique(np.geomspace(2, max(most, 2), 24).round().astype(int))
        taken = np.array([self.latency(target, tokens=int(k), context=context).ms for k in n])
        slopes = np.unique(np.maximum((taken - overhead) / n, 1e-12))
        slopes = np.unique(np.concatenate([slopes, np.geomspace(slopes[0] / 4, slopes[-1], 200)]))
        told = np.maximum(first - overhead, n * slopes[:, None]) + overhead
        best = slopes[np.abs(np.log(told / taken)).mean(1).argmin()]
        return {
            "draft_layers": draft.layers,
            "draft_ms_per_layer": per_layer,
            "draft_overhead_ms": parts["overhead"] + parts["head"],
            "weights_ms": first - overhead,
            "compute_ms_per_token": float(best),
            "overhead_ms": overhead,
        }

    def left_out(self) -> list[tuple[Timing, float]]:
        """Return each timing, and the milliseconds that the law of all other shapes tells for it."""
        found = []
        for law, many in ((self.one, False), (self.several, True)):
            some = [timing for timing in self.timings if (timing.rows > 1) == many]
            told = laws.left_out(some, join=law.join)
            found += [(timing, float(ms)) for timing, ms in zip(some, told, strict=True)]
        return found

    def save(self, path: str | PathLike[str]) -> None:
        """Write the profile as JSON; the file is there whole or not at all."""
        from thrifty.device.file import save

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str], *, any_device: bool = False) -> DeviceProfile:
        """Read a profile that :meth:`save` wrote.

        Parameters
        ----------
        path : path
        any_device : bool
            Whether one of another device will do, as where a plan is made for a server on a laptop.

        Raises
        ------
        OSError
            When the file can't be read.
        FormatError
            When it is no profile, or is damaged.
        MismatchError
            When it is of another device, or of a newer version.
        """
        from thrifty.device.file import load

        return load(path, any_device=any_device)

    def _same_dtype(self, shape: ModelShape) -> None:
        if shape.dtype_bytes != self.dtype_bytes:
            raise MismatchError(
                f"dtype_bytes: the shape has {shape.dtype_bytes:g} and the profile is of {self.dtype}, "
                f"{self.dtype_bytes:g}; calibrate in that dtype, or ask for shape.with_(dtype_bytes=…)"
            )

    def _outside(self, point: Point) -> tuple[str, ...]:
        def sizes(p: Point) -> dict[str, float]:
            return {
                "layers": p.shape.layers,
                "dim": p.shape.dim,
                "parameters": p.shape.parameters,
                "rows": p.rows,
                "context": p.context,
            }

        some = [sizes(t) for t in self.timings if (t.rows > 1) == (point.rows > 1)]
        found = []
        for name, value in sizes(point).items():
            least, most = min(s[name] for s in some) / EXTENT, max(s[name] for s in some) * EXTENT
            # A short cache is never far: next to nothing of it is read.
            if value > most or (value < least and name != "context"):
                found.append(name)
        return tuple(found)


def calibrate(
    backend: Literal["numpy", "torch"] = "numpy",
    *,
    seconds: float = 45.0,
    device: str = "cpu",
    dtype: str = "f32",
    shapes: Sequence[ModelShape] = (),
    seed: int = 0,
    progress: Callable[[str, int, int], object] | None = None,
) -> DeviceProfile:
    """Measure decoding steps of small decoders with random weights, and fit what they take.

    Decoders of unlike depth and width, of one token or several, are visited in turn many times; of a single thread on a
    CPU its own time counts, which others' work does not enter, else that of the wall.

    Parameters
    ----------
    backend : str
        ``"numpy"``, which a plain install has, or ``"torch"``.
    seconds : float
        To take in all, about; more are more exact. Below 20 each call is timed few times.
    device, dtype : str
        Of torch: as ``"cuda"``; ``"f32"``, ``"bf16"`` or ``"f16"``.
    shapes : sequence of ModelShape
        To time besides, with one token, unless they are timed anyway; their ``dtype_bytes`` must be those of the dtype.
    seed : int
        Of weights and of the order.
    progress : callable, optional
        Called as ``progress(phase, done, total)``; an exception from it stops the work.

    Returns
    -------
    DeviceProfile

    Raises
    ------
    ValueError
        When an argument is not possible.
    MissingExtra
        When torch is asked for and not installed.
    ModelError
        When torch can't use the device.

    Examples
    --------
    >>> from thrifty.device import ModelShape, calibrate
    >>> profile = calibrate("numpy", seconds=1)
    >>> shape = ModelShape(layers=3, dim=128, heads=4, hidden=256, vocab=256, dtype_bytes=4)
    >>> 0 < profile.latency(shape).low < profile.latency(shape).ms
    True

    Notes
    -----
    The law is :mod:`thrifty.device.law`'s; that a small draft's time grows with its layers at equal size is what
    arXiv 2402.01528 found on GPUs.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= 3600:
        raise ValueError(f"seconds: {seconds!r} is not possible; above 0 and at most 3600")
    arrays = arrays_of(backend, device, dtype)
    for shape in shapes:
        if shape.dtype_bytes != arrays.dtype_bytes:
            raise MismatchError(
                f"shapes: {shape} has dtype_bytes {shape.dtype_bytes:g}, and {dtype} {arrays.dtype_bytes:g}"
            )
    points = calls_to_time(arrays.dtype_bytes, large=device != "cpu")
    more = [Point(shape=shape, context=points[0].context) for shape in shapes]
    points = list(dict.fromkeys([*points, *more]))  # each once, in this order
    timings = measure(points, arrays, seconds=seconds, seed=seed, progress=progress)
    return DeviceProfile.fit(
        timings,
        device=describe(device),
        backend=backend,
        dtype=dtype,
        threads=arrays.threads,
        versions=arrays.versions,
    )
