"""Runs of the data sets that ship with the tests, read without the readers under test."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np

from thrifty.scaling import Runs

DATA = Path(__file__).parents[1] / "data" / "scaling"
KNOWN = ("n_params", "n_tokens", "loss", "d_model", "n_layers")


@cache
def runs(name: str, **where: str) -> Runs:
    with (DATA / name).open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row[column] == value for column, value in where.items())]
    columns = {
        name: [float(row[name]) if name in KNOWN else row[name] for row in rows]
        for name in rows[0]
        if row_has(rows, name)
    }
    return Runs.of(columns)


def row_has(rows: list[dict[str, str]], name: str) -> bool:
    return all(row[name] != "" for row in rows)


def chinchilla() -> Runs:
    """240 runs: without those that the refit of 2024 leaves out."""
    return runs("chinchilla_245.csv", epoch_excluded="0")


def morph(**where: str) -> Runs:
    return runs("morph_runs.csv", **where)


def gemstones(subset: str) -> Runs:
    return runs("gemstones_runs.csv", subset=subset)


def made(
    seed: int, n: int, noise: float = 0.01, *, shape: float = 0.0, tied: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Runs drawn around a law, with the law's numbers."""
    rng = np.random.default_rng(seed)
    truth = {"E": 1.8, "A": 420.0, "B": 2000.0, "alpha": 0.34, "beta": 0.34 if tied else 0.37, "g": shape, "m": 4.0}
    width = 64.0 * rng.integers(3, 30, n)
    depth = rng.integers(2, 40, n).astype(float)
    size = 12 * width**2 * depth
    tokens = size * np.exp(rng.uniform(np.log(4), np.log(400), n))
    loss = truth["E"] + truth["A"] * size ** -truth["alpha"] + truth["B"] * tokens ** -truth["beta"]
    loss *= (1 + shape * (np.log(width / depth) - truth["m"]) ** 2) * np.exp(noise * rng.standard_normal(n))
    columns = {"n_params": size, "n_tokens": tokens, "loss": loss, "d_model": width, "n_layers": depth}
    return columns, truth
