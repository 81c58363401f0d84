"""What a token costs: a PairLM, all of it, and one attention layer of the same width in numpy, in turn on one thread.

``python -m thrifty.pipeline.demo_decode MODEL SEED`` prints both as JSON: a process of its own, in which the libraries
under numpy were told to use one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import ThriftyError
from thrifty.pairconnect import PairLM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CACHE", "Attention", "measured"]

#: Tokens that attention has cached.
CACHE = 128
HEADS = 4
ROUNDS, TOKENS = 50, 64


class Attention:
    """One attention layer that decodes: queries, keys and values of a token, a cache of the last ones, the output.

    Parameters
    ----------
    dim : int
        Numbers of a hidden vector, a multiple of 4.
    seed : int
        Of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> Attention(64, seed=0).step(np.ones(64, np.float32)).shape
    (64,)
    """

    def __init__(self, dim: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.qkv, self.out = (rng.normal(0, dim**-0.5, (n * dim, dim)).astype(np.float32) for n in (3, 1))
        self.keys, self.values = rng.normal(size=(2, HEADS, CACHE, dim // HEADS)).astype(np.float32)
        self.scale = np.float32((dim // HEADS) ** -0.5)
        self.at = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the cache."""
        return self.keys.nbytes + self.values.nbytes

    def step(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what a token gets from the last ones, of which it is the newest; the oldest is forgotten."""
        q, k, v = (self.qkv @ x).reshape(3, HEADS, -1)
        self.keys[:, self.at], self.values[:, self.at] = k, v
        self.at = (self.at + 1) % CACHE
        scores = (self.keys @ q[:, :, None])[:, :, 0] * self.scale
        scores -= scores.max(1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(1, keepdims=True)
        mixed: NDArray[np.float32] = self.out @ (scores[:, None, :] @ self.values).reshape(-1)
        return mixed


def measured(model: Path, seed: int) -> dict[str, Any]:
    """Return ``pairs_us`` and ``attention_us``, medians a token, and ``cache_bytes``."""
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")}
    command = [sys.executable, "-m", "thrifty.pipeline.demo_decode", str(model), str(seed)]
    done = subprocess.run(command, env=os.environ | one, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ThriftyError(f"measuring a token ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def race(model: PairLM, seed: int) -> dict[str, float]:
    """Decode in turn, and return medians."""
    attention = Attention(model.dim, seed)
    rng = np.random.default_rng(seed)
    prompt = rng.integers(0, model.vocab, CACHE, np.uint32)
    x = rng.normal(size=(TOKENS, model.dim)).astype(np.float32)

    def attend() -> None:
        for row in x:
            attention.step(row)

    def microseconds(work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        return 1e6 * (time.perf_counter() - started) / TOKENS

    rounds = [
        (microseconds(lambda: model.generate(prompt, TOKENS, seed=i)), microseconds(attend)) for i in range(ROUNDS + 3)
    ]
    # The first rounds meet cold caches.
    pairs, attended = np.median(np.array(rounds[3:]), axis=0)
    return {"pairs_us": float(pairs), "attention_us": float(attended), "cache_bytes": attention.nbytes}


if __name__ == "__main__":
    print(json.dumps(race(PairLM.load(sys.argv[1]), int(sys.argv[2]))))
