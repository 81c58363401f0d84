"""Runs of a known law, and fits to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from thrifty.scaling import Runs, ScalingLaw


def columns(n: int = 40, seed: int = 0, noise: float = 0.005) -> dict[str, list[float]]:
    """Runs of a law of sizes, tokens and shapes, with noise."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice(np.geomspace(2e7, 1e9, 8), n) * rng.uniform(0.98, 1.02, n)
    tokens = sizes * rng.choice([10.0, 20.0, 40.0, 160.0], n)
    depth = rng.choice([4.0, 8.0, 12.0, 24.0], n)
    width = np.round(np.sqrt(sizes / 12 / depth))
    loss = 1.8 + 480 * sizes**-0.35 + 2000 * tokens**-0.37
    loss *= 1 + 0.005 * (np.log(width / depth) - 3.5) ** 2
    loss *= np.exp(noise * rng.standard_normal(n))
    named = {"n_params": sizes, "n_tokens": tokens, "d_model": width, "n_layers": depth, "loss": loss}
    return {name: values.tolist() for name, values in named.items()}


def write_csv(path: Path, given: dict[str, list[float]], **more: list[str]) -> Path:
    """Write columns as CSV, each number as Python writes it."""
    every = given | more
    lines = [",".join(every), *(",".join(map(str, row)) for row in zip(*every.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def fitted(law: str = "chinchilla", n: int = 40, seed: int = 0) -> ScalingLaw:
    """A fit to such runs."""
    return ScalingLaw(law).fit(Runs.of(columns(n, seed)))
