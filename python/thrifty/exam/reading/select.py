"""Some of the questions of a data set."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError
from thrifty.exam.reading.records import MOST_ID, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thrifty.exam.question import Dataset

__all__ = ["select"]


def select(
    dataset: Dataset,
    *,
    subset: str | os.PathLike[str] | Iterable[str] | None = None,
    limit: int | None = None,
    sample_seed: int | None = None,
) -> Dataset:
    """Return the data set with some of its questions, in their order; arguments are those of ``load``."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit: {limit}; at least 1")
    if sample_seed is not None and limit is None:
        raise ValueError("sample_seed: it says which questions are drawn; say by limit how many")
    if sample_seed is not None and sample_seed < 0:
        raise ValueError(f"sample_seed: {sample_seed}; at least 0")
    kept = list(dataset.questions)
    if subset is not None:
        wanted = _wanted(subset)
        there = {question.id for question in kept}
        for name, place in wanted.items():
            if name not in there:
                raise DatasetError(
                    f"{place}: no question of {dataset.source or 'the data set'} has the id {shown(name)}"
                )
        kept = [question for question in kept if question.id in wanted]
    if limit is not None and limit < len(kept):
        if sample_seed is None:
            kept = kept[:limit]
        else:
            import numpy as np

            drawn = np.random.Generator(np.random.Philox(sample_seed)).permutation(len(kept))[:limit]
            kept = [kept[i] for i in sorted(drawn)]
    return replace(dataset, questions=tuple(kept))


def _wanted(subset: str | os.PathLike[str] | Iterable[str]) -> dict[str, str]:
    """Return the ids of a subset, each with where it is from."""
    if not isinstance(subset, (str, os.PathLike)):
        return {str(name): f"subset, id {number}" for number, name in enumerate(subset, 1)}
    found: dict[str, str] = {}
    with Path(subset).open("rb") as file:
        number = 0
        while line := file.readline(8 * MOST_ID):
            number += 1
            place = f"{subset}, line {number}"
            try:
                name = line.decode("utf-8-sig").strip()
            except UnicodeDecodeError:
                raise DatasetError(f"{place}: it is not UTF-8; give an id a line") from None
            if len(name) > MOST_ID:
                raise DatasetError(f"{place}: it has more than {MOST_ID} letters; give an id a line")
            if name:
                found.setdefault(name, place)
    if not found:
        raise DatasetError(f"{subset}: no id is in it; give one a line")
    return found
