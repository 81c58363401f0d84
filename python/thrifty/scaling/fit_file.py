"""fit.json: a fitted law with what predictions and reports take, where it is from, and a checksum of every byte."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from thrifty.errors import FormatError
from thrifty.scaling.sealed import read_sealed, write_sealed
from thrifty.scaling.state import law_of, state_of

if TYPE_CHECKING:
    from os import PathLike

    from thrifty.scaling.law import ScalingLaw

__all__ = ["load_fit", "save_fit"]

KIND, VERSION, WRITER = "thrifty.scaling.fit", 1, "thrifty scaling fit"


def save_fit(law: ScalingLaw, path: str | PathLike[str]) -> None:
    """Write a fitted law, whole or not at all.

    Parameters
    ----------
    law : ScalingLaw
        With its runs, its draws where it has some, its certificate and how it was chosen.
    path : path
        The file, which is replaced.

    Raises
    ------
    OSError
        Where it can't be written; what was there stays.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from thrifty.scaling import ScalingLaw, load_fit, save_fit
    >>> n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    >>> runs = {"n_params": n, "n_tokens": d, "loss": 1.8 + 400 * n**-0.34 + 2000 * d**-0.37}
    >>> with TemporaryDirectory() as folder:
    ...     save_fit(ScalingLaw("chinchilla").fit(runs), f"{folder}/fit.json")
    ...     round(load_fit(f"{folder}/fit.json").coef_["E"], 4)
    1.8
    """
    written_by = {name: importlib.metadata.version(name) for name in ("thrifty", "numpy")}
    write_sealed(path, KIND, VERSION, {"written_by": written_by} | state_of(law))


def load_fit(path: str | PathLike[str]) -> ScalingLaw:
    """Read a fitted law.

    Raises
    ------
    FormatError
        Where the file is none, is cut off, or is not byte for byte what was written.
    MismatchError
        Where another version of thrifty wrote it.
    OSError
        Where it can't be read.
    """
    content: dict[str, Any] = read_sealed(path, KIND, VERSION, WRITER)
    try:
        return law_of(content)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        why = " ".join(str(error).split())[:300]
        raise FormatError(f"{path}: {type(error).__name__}: {why}; {WRITER} writes it anew") from None
