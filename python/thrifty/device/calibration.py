"""A calibration: decoding steps of many small decoders are timed, and laws fitted to what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from thrifty.device.arrays import arrays_of
from thrifty.device.energy import measure_energy
from thrifty.device.grid import calls_to_meter, calls_to_time
from thrifty.device.law import above
from thrifty.device.machine import card_of, describe
from thrifty.device.meter import Meter
from thrifty.device.profile import DeviceProfile
from thrifty.device.timing import Point, busy, measure
from thrifty.errors import CounterFault, MismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thrifty.device.energy import Joules
    from thrifty.device.shape import ModelShape
    from thrifty.device.timing import Timing

__all__ = ["calibrate"]

ENERGY = 1 / 3
"""Of the seconds, for energy."""
DOUBT = 0.1
"""What takes so much more than other shapes tell may have been measured while the machine did something else."""

BUSY = 0.25
"""Usual visits that take so much more than the best are a note: on a quiet machine they take a tenth more."""


def calibrate(
    backend: Literal["numpy", "torch"] = "numpy",
    *,
    seconds: float = 45.0,
    device: str = "cpu",
    dtype: str = "f32",
    shapes: Sequence[ModelShape] = (),
    graphs: bool = False,
    energy: bool | Meter = False,
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
    graphs : bool
        Whether each call is recorded as a CUDA graph and replayed; on cuda alone.
    energy : bool or Meter
        Whether joules of decoding steps are read too, for a third of the seconds, and by which counters; by default the
        card's on cuda, else all that count. Where none does, a note of the profile says so.
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
    arrays = arrays_of(backend, device, dtype, graphs=graphs)
    for shape in shapes:
        if shape.dtype_bytes != arrays.dtype_bytes:
            raise MismatchError(
                f"shapes: {shape} has dtype_bytes {shape.dtype_bytes:g}, and {dtype} {arrays.dtype_bytes:g}"
            )
    large = device != "cpu"
    points = calls_to_time(arrays.dtype_bytes, large=large)
    more = [Point(shape=shape, context=points[0].context) for shape in shapes]
    points = list(dict.fromkeys([*points, *more]))  # each once, in this order
    meter, notes = _meter(energy, device)
    part = ENERGY * seconds if meter is not None else 0.0

    def doubt(timings: list[Timing]) -> list[int]:
        return above(timings, DOUBT)

    timings = measure(points, arrays, seconds=seconds - part, seed=seed, progress=progress, doubt=doubt)
    if (over := busy(timings)) > BUSY:
        notes.append(
            f"the machine was busy: usual calls took {100 * over:.0f} % more than the best of their kind, and what is "
            "told may be wrong by as much; calibrate again where nothing else runs"
        )
    readings: list[Joules] = []
    if meter is not None:
        some = calls_to_meter(arrays.dtype_bytes, large=large)
        try:
            readings = measure_energy(some, arrays, meter, seconds=part, seed=seed, progress=progress)
        except CounterFault as fault:
            notes.append(f"no energy: {fault}")
    return DeviceProfile.fit(
        timings,
        device=describe(device),
        backend=backend,
        dtype=dtype,
        threads=arrays.threads,
        versions=arrays.versions,
        mode="graph" if graphs else "eager",
        readings=readings,
        source=meter.source if meter is not None else "",
        notes=notes,
    )


def _meter(energy: bool | Meter, device: str) -> tuple[Meter | None, list[str]]:
    """Return what counts joules, or a note that nothing does."""
    if energy is False:
        return None, []
    if isinstance(energy, Meter):
        meter = energy
    else:
        try:
            meter = Meter("auto") if device == "cpu" else Meter("nvml", card=card_of(device))
        except (CounterFault, ValueError) as fault:
            return None, [f"no energy: {fault}"]
    if not meter.counts:
        return None, ["no energy: nothing counts joules on this machine"]
    return meter, []
