"""The published estimator, written as it reads, and the cases that were computed with it."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[1] / "data" / "exam"


def cases() -> list[dict[str, Any]]:
    text = gzip.decompress((DATA / "calibration_cases.json.gz").read_bytes())
    found: list[dict[str, Any]] = json.loads(text)["cases"]
    return found


def published(
    confidence: list[float], correct: list[bool], *, drop_last: bool, p: object = 2, size: int = 100
) -> float:
    """Sort by confidence, cut into bins, the last one with what remains; leave it out or not."""
    order = sorted(range(len(confidence)), key=lambda i: confidence[i])
    count = max(len(order) // size, 1)
    bins = [order[size * i : size * (i + 1) if i < count - 1 else len(order)] for i in range(count)]
    total, largest = 0.0, 0.0
    for members in bins[:-1] if drop_last else bins:
        error = abs(sum(confidence[i] for i in members) - sum(correct[i] for i in members)) / len(members)
        total += len(members) / len(order) * error ** (2 if p == 2 else 1)
        largest = max(largest, error)
    return {1: total, 2: math.sqrt(total), "max": largest}[p]  # type: ignore[index]


def orders(confidence: list[float], correct: list[bool]) -> list[list[bool]]:
    """Grades in the order of confidence, for every order of answers of equal confidence."""
    runs = []
    for value in sorted(set(confidence)):
        grades = [y for c, y in zip(confidence, correct, strict=True) if c == value]
        places = itertools.combinations(range(len(grades)), sum(grades))
        runs.append([[i in right for i in range(len(grades))] for right in places])
    return [list(itertools.chain(*parts)) for parts in itertools.product(*runs)]


def tied(rng: np.random.Generator, n: int, values: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers with about so many distinct confidences."""
    return rng.integers(0, values + 1, n) / values, rng.random(n) < rng.random()
