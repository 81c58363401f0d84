"""What decoding costs on a device: told for any shape by laws fitted to timings, and kept in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device import law as laws
from thrifty.device.columns import Calls
from thrifty.device.energy import Energy, fit_energy
from thrifty.device.generation import Latencies, generations, milliseconds, possible
from thrifty.device.shape import whole
from thrifty.device.timing import Point, Timing
from thrifty.errors import MismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from thrifty.device.energy import EnergyLaw, Joules
    from thrifty.device.law import Law
    from thrifty.device.shape import ModelShape

__all__ = ["MODES", "DeviceProfile", "Latency"]

MODES = ("eager", "graph")

LEAST = 8
"""Timings that coefficients of a kind of calls need at least."""
EXTENT = 1.5
"""So many times beyond what was timed, in any size, a call is outside."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call, or of a generation.

    Attributes
    ----------
    ms, low, high : float
        What the law of the device says, and where nine of ten calls of shapes that were not timed lie; twice as wide
        (in logarithms) where the call is outside of what was timed.
    outside : tuple of str
        Sizes that are far from those that were timed; empty where none is.
    first_ms, token_ms : float or None
        Of a generation: until the first token is there; each further token of a sequence, in the mean (0 where none is
        asked for). None of a call.
    """

    ms: float
    low: float
    high: float
    outside: tuple[str, ...] = ()
    first_ms: float | None = None
    token_ms: float | None = None

    def __float__(self) -> float:
        return self.ms


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """Timings of a device and the laws fitted to them. :func:`~thrifty.device.calibrate` and :meth:`fit` make one.

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
    mode : str
        ``"eager"``, calls as their host makes them one by one, or ``"graph"``, replays of CUDA graphs.
    joules : EnergyLaw or None
        Of decoding steps, where a counter told their energy.
    notes : tuple of str
        What to know about it.
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
    mode: str = "eager"
    joules: EnergyLaw | None = None
    notes: tuple[str, ...] = ()

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
        mode: str = "eager",
        readings: Sequence[Joules] = (),
        source: str = "",
        notes: Sequence[str] = (),
    ) -> DeviceProfile:
        """Return the profile of timings, from :func:`~thrifty.device.calibrate` or from elsewhere.

        Parameters
        ----------
        timings : sequence of Timing
            At least 8 of calls of one row and 8 of several; of several shapes, of unlike depth.
        device : dict of str to str
            ``name`` and ``machine``.
        backend, dtype : str
        threads : int
        versions : dict of str to str, optional
        mode : {"eager", "graph"}
        readings : sequence of Joules
            Of decoding steps; none where nothing counted them.
        source : str
            The name of what counted.
        notes : sequence of str

        Raises
        ------
        ValueError
            When the timings are too few or too much alike.
        """
        if mode not in MODES:
            raise ValueError(f"mode: '{mode}' is none of {', '.join(MODES)}")
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
            mode=mode,
            joules=fit_energy(readings, source) if readings else None,
            notes=tuple(notes),
        )

    def latency(
        self,
        shape: ModelShape,
        *,
        batch: int = 1,
        tokens: int | None = None,
        context: int | None = None,
        prompt: int | None = None,
        new_tokens: int | None = None,
    ) -> Latency:
        """Return what a call takes, or a whole generation where ``prompt`` and ``new_tokens`` are given.

        Parameters
        ----------
        shape : ModelShape
            Of the profile's dtype.
        batch, tokens : int
            Sequences, and tokens of each in the call (1).
        context : int
            Tokens of each in the cache (0).
        prompt, new_tokens : int
            Tokens of each sequence that are there and that are made: the prompt's pass makes the first of them, steps
            over the growing cache the others.

        Returns
        -------
        Latency
            In milliseconds. More rows never take less than one.

        Raises
        ------
        ValueError
            When a number is not possible, or both kinds of numbers are given.
        MismatchError
            When the shape is of another dtype than the profile.
        """
        if prompt is None and new_tokens is None:
            call = {"batch": batch, "tokens": 1 if tokens is None else tokens, "context": context or 0}
            point = Point(shape=shape, **call)
            self._same_dtype(shape.dtype_bytes)
            calls = Calls.of([point])
            ms, outside = float(milliseconds(self.one, self.several, calls)[0]), self._outside(calls)
            width = self._width(point.rows > 1) * (2 if outside else 1)
            return Latency(ms, ms * float(np.exp(-width)), ms * float(np.exp(width)), tuple(outside))
        if prompt is None or new_tokens is None or tokens is not None or context is not None:
            raise ValueError("prompt: with new_tokens it is of a generation, which has neither tokens nor context")
        found = self.latencies([shape], batch=batch, prompt=prompt, new_tokens=new_tokens)
        names = ("ms", "low", "high", "first_ms", "token_ms")
        ms, low, high, first, token = (float(getattr(found, name)[0]) for name in names)
        calls = Calls.of_shapes([shape], dtype_bytes=self.dtype_bytes, batch=batch)
        outside = self._outside(*_ends(calls, prompt, new_tokens))
        return Latency(ms, low, high, tuple(outside), first, token)

    def latencies(
        self,
        shapes: Sequence[ModelShape] | Mapping[str, Any],
        *,
        batch: int = 1,
        prompt: int,
        new_tokens: int,
    ) -> Latencies:
        """Return what generations of many shapes take, as :meth:`latency` does of one.

        Parameters
        ----------
        shapes : sequence of ModelShape, or mapping of str to array
            As arrays: ``layers``, ``dim``, ``heads``, ``hidden``, ``vocab``; ``kv_heads``, ``head_dim`` and ``tied``
            where they are not ``heads``, ``dim / heads`` and 0.
        batch, prompt, new_tokens : int

        Returns
        -------
        Latencies

        Raises
        ------
        ValueError
            When a number is not possible.
        MismatchError
            When a shape is of another dtype than the profile.

        Examples
        --------
        >>> import numpy as np
        >>> from thrifty.device import calibrate
        >>> profile = calibrate("numpy", seconds=1)
        >>> sizes = {"layers": np.array([2, 4]), "dim": 128, "heads": 4, "hidden": 256, "vocab": 256}
        >>> found = profile.latencies(sizes, prompt=8, new_tokens=16)
        >>> bool(found.ms[1] > found.ms[0] > 0)
        True
        """
        whole("batch", batch, 1)
        calls = Calls.of_shapes(shapes, dtype_bytes=self.dtype_bytes, batch=batch)
        for size in np.unique(calls.dtype_bytes):
            self._same_dtype(float(size))
        first, rest = generations(self.one, self.several, calls, prompt=prompt, new_tokens=new_tokens)
        found = self._outside(*_ends(calls, prompt, new_tokens))
        outside = np.any(list(found.values()), axis=0) if found else np.zeros(len(calls), bool)
        twice = np.where(outside, 2, 1)
        passes, steps = (self._width(rows > 1) * twice for rows in (batch * prompt, batch))
        low, high = (first * np.exp(sign * passes) + rest * np.exp(sign * steps) for sign in (-1, 1))
        return Latencies(first + rest, low, high, first, rest / max(new_tokens - 1, 1), outside)

    def energy(
        self,
        shape: ModelShape,
        *,
        batch: int = 1,
        context: int | None = None,
        prompt: int | None = None,
        new_tokens: int | None = None,
    ) -> Energy | None:
        """Return the joules of a decoding step, or of a whole generation where ``prompt`` is given.

        Parameters
        ----------
        shape : ModelShape
            Of the profile's dtype.
        batch : int
        context : int
            Tokens of each sequence in the cache, of a step (0).
        prompt, new_tokens : int
            As :meth:`latency` has them; one new token by default.

        Returns
        -------
        Energy or None
            With the name of what counted; None where nothing did. ``low`` and ``high`` are as far as what was told
            wrong of readings and of times together.

        Raises
        ------
        ValueError
            When a number is not possible, or both kinds of numbers are given.
        MismatchError
            When the shape is of another dtype than the profile.
        """
        if prompt is None and new_tokens is not None:
            raise ValueError("new_tokens: without prompt it is of no generation; give both")
        if prompt is not None and context is not None:
            raise ValueError("context: with prompt it is of a generation, whose cache grows from none")
        new = 1 if new_tokens is None else new_tokens
        made = None if prompt is None else new
        told = self.latency(shape, batch=batch, context=context, prompt=prompt, new_tokens=made)
        if self.joules is None:
            return None
        if prompt is None:
            calls = Calls.of([Point(shape=shape, batch=batch, context=context or 0)])
            joules = float(self.joules.joules(calls, np.array([told.ms]))[0])
        else:
            joules = float(self.energies([shape], batch=batch, prompt=prompt, new_tokens=new)[0])
        # Readings knew their milliseconds; here those are told, and part of the joules goes with them.
        timed = self.joules.watts * told.ms / 1e3 / joules * float(np.log(told.high / told.ms))
        width = float(np.hypot(self.joules.spread * (2 if told.outside else 1), timed))
        low, high = joules * float(np.exp(-width)), joules * float(np.exp(width))
        return Energy(joules, low, high, joules / (batch * int(new)), self.joules.source)

    def energies(
        self,
        shapes: Sequence[ModelShape] | Mapping[str, Any],
        *,
        batch: int = 1,
        prompt: int,
        new_tokens: int,
    ) -> Any:
        """Return the joules of generations of many shapes, float64 (shapes), as :meth:`energy` does of one.

        Parameters
        ----------
        shapes : sequence of ModelShape, or mapping of str to array
            As :meth:`latencies` has them.
        batch, prompt, new_tokens : int

        Raises
        ------
        ValueError
            When a number is not possible, or nothing counted joules.
        """
        if self.joules is None:
            raise ValueError("joules: nothing counted them when the profile was made")
        whole("batch", batch, 1)
        possible(prompt, new_tokens)
        calls = Calls.of_shapes(shapes, dtype_bytes=self.dtype_bytes, batch=batch)
        # Steps lie on a line in the cache's length: the one in the middle, times their number.
        start, middle = calls.with_(tokens=prompt), calls.with_(context=prompt + (new_tokens - 1) // 2)
        first, step = (self.joules.joules(c, milliseconds(self.one, self.several, c)) for c in (start, middle))
        return first + (new_tokens - 1.0) * step

    def parts(self, shape: ModelShape, *, context: int = 0) -> dict[str, float]:
        """Return where the milliseconds of decoding one token go.

        Returns
        -------
        dict of str to float
            ``overhead`` of a call; ``layers``, what each costs whatever its size; ``weights`` of the layers; ``head``,
            the output layer; ``cache``, of keys and values.
        """
        self._same_dtype(shape.dtype_bytes)
        calls, names = Calls.of([Point(shape=shape, context=context)]), self.one.form.names
        full, bare = (
            dict(zip(names, laws.shares(self.one, calls, head=head)[0], strict=True)) for head in (True, False)
        )

        def total(of: dict[str, Any], *stems: str) -> float:
            return float(sum(ms for name, ms in of.items() if name.partition("@")[0] in stems))

        return {
            "overhead": total(full, "overhead", "host"),
            "layers": total(full, "layers", "launches", "cold", "heads"),
            "weights": total(bare, "rows", "bytes"),
            "head": total(full, "rows", "bytes") - total(bare, "rows", "bytes"),
            "cache": total(full, "cache", "scores"),
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
            told = laws.left_out(some, law.form)
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

    def _same_dtype(self, dtype_bytes: float) -> None:
        if dtype_bytes != self.dtype_bytes:
            raise MismatchError(
                f"dtype_bytes: the shape has {dtype_bytes:g} and the profile is of {self.dtype}, "
                f"{self.dtype_bytes:g}; calibrate in that dtype, or ask for shape.with_(dtype_bytes=…)"
            )

    def _width(self, several: bool) -> float:
        return self.several.spread if several else self.one.spread

    def _outside(self, *calls: Calls) -> dict[str, Any]:
        """Return which sizes of which calls are far from those that were timed, bool (calls) by name."""
        found: dict[str, Any] = {}
        for some in calls:
            timed = Calls.of([t for t in self.timings if (t.rows > 1) == bool((some.rows > 1).any())])
            for name in ("layers", "dim", "parameters", "rows", "context"):
                value, known = getattr(some, name), getattr(timed, name)
                far = value > known.max() * EXTENT
                # A short cache is never far: next to nothing of it is read.
                far |= (value < known.min() / EXTENT) & (name != "context")
                if far.any():
                    found[name] = found.get(name, False) | far
        return found


def _ends(calls: Calls, prompt: int, new_tokens: int) -> tuple[Calls, ...]:
    """Return the first and the last call of generations."""
    last = calls.with_(context=prompt + max(new_tokens - 2, 0))
    return (calls.with_(tokens=prompt), last) if new_tokens > 1 else (calls.with_(tokens=prompt),)
