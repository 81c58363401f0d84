"""The demo of throttle: a card's table is searched again, and two knobs of a program are tuned here.

``python -m thrifty.pipeline.demo_throttle THREADS SEED`` does it and writes pickles, calls of progress and at last the
section: a process of its own, in which the libraries under numpy were told to use one thread. Their threads wait busily
for work, which would be counted with what is measured.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from thrifty import _core
from thrifty.errors import ThriftyError
from thrifty.pipeline import demo_knobs as knobs
from thrifty.pipeline.data import viruses
from thrifty.pipeline.demo_replay import replayed
from thrifty.rambo import build
from thrifty.report import Figure, Section, Series, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thrifty.throttle import Evaluation

    Progress = Callable[[str, int, int], object]

__all__ = ["tell"]

LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def tell(folder: Path, *, full: bool, threads: int, seed: int, progress: Progress | None) -> Section:
    """Have a process tune what was replayed and what runs here, and return what it tells."""
    del folder, full  # nothing is kept, and all of it takes seconds
    command = [sys.executable, "-m", "thrifty.pipeline.demo_throttle", str(threads), str(seed)]
    with TemporaryDirectory() as errors, (Path(errors) / "errors").open("w+") as file:
        environment = os.environ | dict.fromkeys(LIBRARIES, "1")
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=file) as process:
            assert process.stdout is not None
            try:
                while not isinstance(told := pickle.load(process.stdout), Section):
                    if progress is not None:
                        progress(*told)
            except (EOFError, pickle.UnpicklingError):
                status = process.wait()
                file.seek(0)
                raise ThriftyError(f"tuning ended with status {status}: {file.read()[-2000:]}") from None
            except BaseException:
                process.kill()
                raise
    return told


def section(threads: int, seed: int, progress: Progress | None) -> Section:
    """Tune what was replayed, then what runs here."""
    text, records = replayed(seed, progress)
    cores = threads or _core.threads()
    with TemporaryDirectory() as here:
        index = build(Path(here) / "viruses.rambo", viruses(), by="record", threads=threads, seed=seed)
        service = knobs.Service(index, knobs.reads(knobs.READS, seed), threads=cores)
        found = knobs.tuned(service, cores, knobs.meter_here(), seed, progress)
    return Section(
        "throttle",
        "throttle: the least energy under a limit, in few measurements",
        f"{text}\n\nMeasured here: an index of the demo's genomes looks up {len(service):,} reads of "
        f"{knobs.LETTERS} letters. Its knobs are threads and reads a batch; a batch may take "
        f"{knobs.LIMIT_MS:g} ms, median, waiting for it to fill left out. The default is all cores and "
        f"{knobs.BATCH} reads. What a read costs is counted by: {found.source}.\n\n{verdict(found)}",
        [*records, *measured(found)],
    )


def verdict(found: knobs.Found) -> str:
    """Say what tuning here came to, nothing included."""
    tuner, best, saving = found.tuner, found.best, found.saving
    begin = f"{len(tuner)} of {len(tuner.space)} settings were measured, {tuner.violations} of them over the limit."
    if best is None:
        return f"{begin} None kept the limit: nothing is saved."
    if saving is None:
        return f"{begin} The default is the best of them: nothing is saved."
    text = f"{begin} {named(best)}, beside the default by turns (ABBA), saves {saving.share:.1%} "
    text += f"(95 %: {saving.low:.1%} to {saving.high:.1%})"
    if saving.low <= 0:
        text += f": {'it takes more' if saving.high < 0 else 'no difference can be told'}, nothing is saved"
    text += "."
    if found.latency_ms[1] > knobs.LIMIT_MS:
        text += f" There its batches took {found.latency_ms[1]:.3g} ms, more than the limit: it is not to be taken."
    return text


def named(one: Evaluation) -> str:
    """Say a setting."""
    return f"threads {one.setting['threads']}, reads a batch {one.setting['batch']}"


def measured(found: knobs.Found) -> list[Any]:
    """Return figures, curves and tables of what was tuned here."""
    tuner, best, saving = found.tuner, found.best, found.saving
    unit = "CPU-us" if found.unit == "CPU-s" else "uJ"
    figures = []
    if best is not None and saving is not None:
        reads = 1e-6 * knobs.READS
        value, baseline = saving.b.cost / reads, saving.a.cost / reads
        beside = f"beside it the default; {knobs.ROUNDS} rounds by turns (ABBA)"
        figures = [
            Figure(
                "throttle.cost",
                "Here: a read, as tuned",
                value,
                unit,
                baseline=baseline,
                ratio=baseline / value,
                source=f"{named(best)}; {found.source}; {beside}",
            ),
            Figure(
                "throttle.saved",
                "Here: saved against the default",
                100 * saving.share,
                "%",
                interval=(100 * saving.low, 100 * saving.high),
                source="the same rounds, 95 % (Student, of logarithms of ratios)",
            ),
            Figure(
                "throttle.batch_ms",
                "Here: a batch, as tuned",
                found.latency_ms[1],
                "ms",
                baseline=found.latency_ms[0],
                source=f"median, at most {knobs.LIMIT_MS:g} ms; beside it the default",
            ),
        ]
    return [
        *figures,
        Figure(
            "throttle.different",
            "Here: settings that change an answer",
            float(found.different),
            source=f"of {len(tuner.space)}: documents and counts of all {knobs.READS:,} reads",
        ),
        front(found, unit),
        Table(
            "throttle.measured",
            "Here: settings in the order in which they were asked for",
            ["threads", "reads a batch", f"{unit} a read", "ms a batch", f"limit of {knobs.LIMIT_MS:g} ms kept"],
            [
                (
                    one.setting["threads"],
                    one.setting["batch"],
                    1e6 * one.measured["cost"],
                    one.measured["latency_ms"],
                    "yes" if one.feasible else "no",
                )
                for one in tuner.evaluations
            ],
        ),
    ]


def front(found: knobs.Found, unit: str) -> Series:
    """Cost over milliseconds: settings that no other one beats in both, all others, the default and the chosen."""
    best = found.tuner.pareto("latency_ms")
    marked = {
        "no other beats it in both": best,
        "others": [one for one in found.tuner.evaluations if one not in best],
        "default": [found.default],
        "recommended": [found.best] if found.best is not None else [],
    }
    x = sorted({one.measured["latency_ms"] for some in marked.values() for one in some})
    curves: dict[str, Sequence[float]] = {}
    for name, some in marked.items():
        known = {one.measured["latency_ms"]: 1e6 * one.measured["cost"] for one in some}
        curves[name] = [known.get(at, float("nan")) for at in x]
    return Series(
        "throttle.front",
        "Here: what a read costs, and how long a batch takes",
        x,
        curves,
        x_label="ms a batch",
        y_label=f"{unit} a read",
        log_x=True,
        dots=list(marked)[1:],
    )


def main() -> None:
    """Write what the other process reads."""
    out = sys.stdout.buffer

    def progress(*what: object) -> None:
        pickle.dump(what, out)
        out.flush()

    pickle.dump(section(int(sys.argv[1]), int(sys.argv[2]), progress), out)


if __name__ == "__main__":
    main()
