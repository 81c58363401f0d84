"""Times of decoders told by their shapes: each shape is left out of the fit in turn, and what others tell is judged.

Without --device, on this CPU: numpy1, numpy2, torch1, torch2 calibrate it by the command line, on one thread and two,
in f32. Of decoding steps and of calls of several rows: median and worst relative error, Spearman's correlation. new: 12
shapes drawn by the seed, which no calibration times, told by the calibration alone. deep (torch1): 64 layers 256
wide over one 2048 wide, 50 million parameters each. many: what telling 10,000 shapes takes, of the first calibration.

--device cuda: eager and graph do the same on a card, in bf16, in this process; line: how near to a line steps of 1,024
wide decoders are over 4 to 48 layers (R2); joules: what is told of readings that are left out; same: whether replays
give the scores of calls.
--device kept judges the profiles that an earlier run left in the folder --kept, fitted anew, without measuring.
--device toy rehearses all of cuda on a CPU, at toy size, with a card that is not there.

--planted: the law forgets that a layer costs anything beside its weights.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
from rows import Goal
from scipy.stats import spearmanr

from cases.layers import forget_layers
from thrifty.device import DeviceProfile, ModelShape, calibrate, calibration
from thrifty.device.arrays import Torch, arrays_of
from thrifty.device.columns import Calls
from thrifty.device.energy import fit_energy
from thrifty.device.grid import calls_to_meter, calls_to_time, of_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thrifty.device import Timing

SECONDS, NEW = 45.0, 12
DEEP = [of_size(50e6, layers, multiple=64) for layers in (64, 1)]
LINE = [
    ModelShape(layers=n, dim=1024, heads=16, hidden=2752, vocab=256, tied=True, dtype_bytes=2)
    for n in (4, 8, 16, 24, 32, 48)
]
CPU = {"numpy1": ("numpy", 1), "numpy2": ("numpy", 2), "torch1": ("torch", 1), "torch2": ("torch", 2)}
CARD = {"eager": "card, calls one by one", "graph": "card, CUDA graphs"}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

goal = Goal(
    __file__,
    __doc__,
    ("torch", "scipy"),
    {"device": "cpu", "kept": str(Path(tempfile.gettempdir()) / "thrifty_latency")},
)
device, kept = goal.options["device"], Path(goal.options["kept"])
TOY = device == "toy"
if TOY:
    LINE = [shape.with_(dim=64, heads=2, hidden=96) for shape in LINE]


def drawn() -> list[ModelShape]:
    """Shapes of 0.3 to 30 million parameters in 1 to 32 layers, ids from 256 to 32,000."""
    rng, found = np.random.default_rng(goal.seed), []
    while len(found) < NEW:
        size, layers, vocab = np.exp(rng.uniform(np.log([3e5, 1, 256]), np.log([3e7, 32, 32e3])))
        shape = of_size(size, round(layers), vocab=round(vocab), multiple=int(rng.choice([32, 64])))
        if 64 <= shape.dim <= 1536:
            found.append(shape)
    return found


def text(shape: ModelShape) -> str:
    """Sizes as the command line reads them."""
    sizes = {name: getattr(shape, name) for name in ("layers", "dim", "heads", "hidden", "vocab")}
    return ",".join(f"{name}={value}" for name, value in sizes.items()) + ",tied=1"


def measured(name: str) -> tuple[DeviceProfile, float]:
    """Return a profile and the seconds of its calibration, both left in files."""
    file, clock = kept / f"{name}.json", kept / f"{name}.seconds"
    if device != "kept":
        kept.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        by_command(file, *CPU[name]) if name in CPU else here(file, graphs=name == "graph")
        clock.write_text(f"{time.perf_counter() - begun:.3f}\n")
    profile = DeviceProfile.load(file, any_device=True)
    besides = set(LINE) if name in CARD else set(drawn())
    if not besides <= {timing.shape for timing in profile.timings}:
        raise goal.absent(f"{file}: of another seed, or a rehearsal")
    return profile, float(clock.read_text())


def by_command(file: Path, backend: str, threads: int) -> None:
    """Calibrate by the command line."""
    shapes = [*drawn(), *(DEEP if (backend, threads) == ("torch", 1) else [])]
    command = [sys.executable, "-m", "thrifty", "scaling", "calibrate", "-o", str(file), "--backend", backend]
    command += ["--threads", str(threads), "--seconds", str(SECONDS), "--seed", str(goal.seed), "--json"]
    command += [word for shape in shapes for word in ("--shape", text(shape))]
    pinned = os.environ | dict.fromkeys(THREADS, str(threads))
    subprocess.run(command, env=pinned, check=True, stdout=subprocess.PIPE)


def here(file: Path, *, graphs: bool) -> None:
    """Calibrate the card in this process."""
    seen: set[str] = set()
    begun = time.perf_counter()

    def told(phase: str, done: int, total: int) -> None:
        if phase not in seen:
            seen.add(phase)
            print(f"{phase}: from {time.perf_counter() - begun:.1f} s on", file=sys.stderr, flush=True)

    calibrate(
        "torch",
        device="cuda",
        dtype="bf16",
        seconds=2.0 if TOY else SECONDS,
        shapes=LINE,
        graphs=graphs,
        energy=graphs,
        seed=goal.seed,
        progress=told,
    ).save(file)


def fitted(profile: DeviceProfile, timings: Sequence[Timing]) -> DeviceProfile:
    """Return the profile of some of the timings."""
    names = ("device", "backend", "dtype", "threads", "versions", "mode")
    return DeviceProfile.fit(timings, **{name: getattr(profile, name) for name in names})


def judged(name: str, what: str, pairs: Sequence[tuple[Timing, float]], where: str) -> None:
    """Rows of what was told of some calls; the worst on stderr."""
    ms, said = np.array([timing.ms for timing, _ in pairs]), np.array([ms for _, ms in pairs])
    wrong = np.abs(said / ms - 1)
    for i in np.argsort(-wrong)[:3]:
        t = pairs[i][0]
        call = f"{t.shape.vocab} ids, batch {t.batch}, {t.tokens} tokens after {t.context}"
        print(f"{name}: {t.shape}, {call}: {ms[i]:.4f} ms, told {said[i]:.4f}", file=sys.stderr)
    goal.row(f"{name}_median", f"{what}: median error", "<= 0.10", float(np.median(wrong)), where=where)
    goal.row(f"{name}_worst", f"{what}: worst error", "<= 0.25", float(wrong.max()), where=where)
    goal.row(f"{name}_order", f"{what}: Spearman's correlation", ">= 0.97", spearmanr(ms, said).statistic, where=where)


def judge(name: str, words: str, where: str) -> None:
    """Measure or read a profile, and judge it."""
    profile, seconds = measured(name)
    besides = {*drawn(), *DEEP, *LINE}
    whole = fitted(profile, [timing for timing in profile.timings if timing.shape not in besides])
    calls = sum(timing.calls for timing in profile.timings)
    what = f"{words}: seconds of a calibration, {calls:,} calls timed"
    goal.row(f"{name}/seconds", what, "<= 60", seconds, "s", where)
    for kind, calls_are, many in (("one", "decoding steps", False), ("several", "calls of several rows", True)):
        some = [pair for pair in whole.left_out() if (pair[0].rows > 1) == many]
        shapes = len({timing.shape for timing, _ in some})
        judged(f"{name}/{kind}", f"{words}: {len(some)} {calls_are} of {shapes} shapes left out in turn", some, where)
    new = [t for t in profile.timings if t.shape in (set(LINE) if where == "gpu" else set(drawn()))]
    said = [(timing, whole.latency(timing.shape, context=timing.context).ms) for timing in new]
    judged(f"{name}/new", f"{words}: {len(new)} shapes that no calibration times", said, where)
    taken = {timing.shape: timing.ms for timing in profile.timings if timing.shape in besides}
    if where == "gpu":
        depth, ms = np.array([shape.layers for shape in LINE]), np.array([taken[shape] for shape in LINE])
        line = np.polyval(np.polyfit(depth, ms, 1), depth)
        r2 = 1 - float(((ms - line) ** 2).sum() / ((ms - ms.mean()) ** 2).sum())
        goal.row(f"{name}/line", f"{words}: 1,024 wide, 4 to 48 layers, R2 of a line", ">= 0.99", r2, where=where)
        print(f"{name}: {dict(zip(depth.tolist(), ms.tolist(), strict=True))}", file=sys.stderr)
    elif set(DEEP) <= set(taken):
        ratio = taken[DEEP[0]] / taken[DEEP[1]]
        goal.row(f"{name}/deep", f"{words}: 64 x 256 over 1 x 2048, 50M parameters each", ">= 1.8", ratio, "x", where)
    if name == "numpy1":
        ten_thousand(whole)
    if profile.joules is not None:
        joules(name, profile, where)
    for note in profile.notes:
        print(f"{name}: {note}", file=sys.stderr)


def ten_thousand(profile: DeviceProfile) -> None:
    """Row of the seconds that telling many shapes takes."""
    rng = np.random.default_rng(goal.seed)
    sizes = {"layers": rng.integers(1, 64, 10_000), "dim": 64 * rng.integers(1, 40, 10_000)}
    begun = time.perf_counter()
    profile.latencies(sizes | {"heads": 8, "hidden": 2048, "vocab": 50_432}, batch=8, prompt=128, new_tokens=256)
    seconds = time.perf_counter() - begun
    goal.row("many/seconds", "256 tokens after 128 of 8 sequences, 10,000 shapes told", "<= 1", seconds, "s")


def joules(name: str, profile: DeviceProfile, where: str) -> None:
    """Row of what is told of joules."""
    law, wrong = profile.joules, []
    assert law is not None
    for one in law.readings:
        others = fit_energy([other for other in law.readings if other != one], law.source)
        wrong.append(abs(float(others.joules(Calls.of([one]), np.array([one.ms]))[0]) / one.joules - 1))
        print(f"{name}: {one.shape}, batch {one.batch}: {one.joules:.4f} J, {one.ms:.3f} ms", file=sys.stderr)
    what = f"joules of {len(wrong)} decoding steps left out in turn, {law.source}: median error"
    goal.row(f"{name}/joules", what, "<= 0.15", float(np.median(wrong)), where=where)


@contextlib.contextmanager
def stage() -> Iterator[None]:
    """With toy a card that is not there, and few small decoders."""
    if not TOY:
        yield
        return
    from tests.device.cards import card

    few = [*calls_to_time(2.0)[:14], *calls_to_time(2.0)[-12:]]
    with (
        card(),
        mock.patch.object(calibration, "calls_to_time", return_value=few),
        mock.patch.object(calibration, "calls_to_meter", return_value=calls_to_meter(2.0)),
    ):
        yield


def replays() -> float:
    """0 where replays with other ids give the scores of calls with them."""
    from tests.device.replays import replays_are_calls

    arrays = arrays_of("torch", "cuda", graphs=True)
    assert isinstance(arrays, Torch)
    try:
        replays_are_calls(arrays)
    except AssertionError as error:
        print(f"graph: {error}", file=sys.stderr)
        return 1.0
    return 0.0


def main() -> None:
    if goal.planted:
        forget_layers()
    names = list(CPU) if device == "cpu" else list(CARD) if device in ("cuda", "toy") else [*CPU, *CARD]
    if device == "kept":
        names = [name for name in names if (kept / f"{name}.json").exists()]
        if not names:
            raise goal.absent(f"{kept}: no profiles; a run with --device cpu or cuda leaves them there")
    with stage():
        if device in ("cuda", "toy") and goal.wants("graph"):
            goal.row(
                "graph/same", "replays of a graph that do not give the scores of calls", "== 0", replays(), where="gpu"
            )
        for name in names:
            if goal.wants(name):
                backend, threads = CPU.get(name, ("", 0))
                words = CARD.get(name) or f"{backend}, {threads} thread{'s' if threads > 1 else ''}"
                judge(name, words, "gpu" if name in CARD else "cpu")
    goal.end()


if __name__ == "__main__":
    main()
