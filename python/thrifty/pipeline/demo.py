"""``thrifty demo``: the parts on real data, each figure beside a baseline from the same run."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING, Any

from thrifty import report
from thrifty.pipeline import (
    demo_exam,
    demo_pairconnect,
    demo_rambo,
    demo_scaling,
    demo_slide,
    demo_specdec,
    demo_throttle,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from pathlib import Path

    Progress = Callable[[str, int, int], object]

__all__ = ["PARTS", "run"]

#: Each part tells its story as ``tell(folder, full, threads, seed, progress) -> Section``.
PARTS = {
    "rambo": demo_rambo.tell,
    "slide": demo_slide.tell,
    "pairconnect": demo_pairconnect.tell,
    "specdec": demo_specdec.tell,
    "scaling": demo_scaling.tell,
    "throttle": demo_throttle.tell,
    "exam": demo_exam.tell,
}


def run(
    out: str | PathLike[str],
    *,
    part: str | None = None,
    full: bool = False,
    threads: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the demo and write ``out``/report.html and results.json.

    Parameters
    ----------
    out : path
        Folder of the results.
    part : str, optional
        Only this part.
    full : bool
        With what takes longer or needs extras.
    threads : int
        0 for all cores.
    seed : int
        Key of everything random.
    progress : callable, optional
        Called as ``progress(phase, done, total)``.

    Returns
    -------
    dict
        Where the page is, the seconds, and every figure by its id.
    """
    from pathlib import Path

    from thrifty import _core

    if part is not None and part not in PARTS:
        raise ValueError(f"part: '{part}' is none of {', '.join(PARTS)}")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    sections = [
        tell(folder, full=full, threads=threads, seed=seed, progress=progress)
        for name, tell in PARTS.items()
        if part in (None, name)
    ]
    seconds = time.perf_counter() - started
    note = (
        f"Measured in one run of {seconds:.1f} s on {platform.machine()} with {threads or _core.threads()} threads and "
        f"the {_core.simd_path()} path, Python {platform.python_version()}."
    )
    page: Path = report.write(folder, "thrifty: the same answers for less", sections, note=note)
    figures = {
        record.id: record.value
        for section in sections
        for record in section.records
        if isinstance(record, report.Figure)
    }
    return {"report": str(page), "seconds": seconds, "figures": figures}
