"""What was told before it was known: written once, and held against what is told again; and a trainer of nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from thrifty.scaling import Rung

SAME = 1e-4
"""Numbers are the same within it: another machine's last bits may end a fit a little beside."""


class Nobody:
    """Trains nothing: for a machine that judges what another one has trained."""

    def __call__(self, rung: Rung, lengths: Sequence[int]) -> Iterator[Any]:
        return iter(())


def tell_once(path: Path, values: dict[str, Any]) -> None:
    """Write what is told, with the time; where it was told already, end unless it is the same."""
    if not path.exists():
        path.write_text(json.dumps(values | {"when": time.time()}, indent=1) + "\n")
        return
    there = json.loads(path.read_text())
    there.pop("when", None)
    if (where := differs(there, json.loads(json.dumps(values)))) is not None:
        sys.exit(f"{path}: told otherwise before ({where}); what was told stays: give another --out for a new study")


def differs(one: Any, other: Any, name: str = "all") -> str | None:
    """Return where two values differ, None where they do not."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        return next((at for key in one if (at := differs(one[key], other[key], key))), None)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next((at for i in range(len(one)) if (at := differs(one[i], other[i], f"{name} {i}"))), None)
    if isinstance(one, float) and isinstance(other, (int, float)):
        both_none = math.isnan(one) and math.isnan(other)
        return None if both_none or math.isclose(one, other, rel_tol=SAME) else f"{name}: {one} and {other}"
    return None if one == other else f"{name}: {one} and {other}"
