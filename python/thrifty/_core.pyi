from collections.abc import Callable
from os import PathLike
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "RamboBuilder",
    "RamboIndex",
    "RamboQueries",
    "rambo_build",
    "rambo_hashes",
    "rambo_list_inputs",
    "rambo_plan",
    "rambo_plan_files",
    "simd_path",
    "threads",
]

type _Path = str | PathLike[str]
type _Progress = Callable[[str, int, int], object] | None
