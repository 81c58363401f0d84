"""What a token costs: pair tables, and attention of the same width in numpy, in turn on one thread.

``python -m thrifty.pipeline.demo_decode MODEL SEED`` prints it as JSON: a process of its own, in which the libraries
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
from thrifty.pairconnect import PairLM, PairTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from thrifty.pairconnect import PairSpec

__all__ = ["CACHE", "Attention", "NumpyDecoder", "measured"]

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
        return int(self.keys.nbytes + self.values.nbytes)

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


class NumpyDecoder:
    """A decoder of a PairLM's sizes, with attention in the place of its tables.

    Examples
    --------
    >>> 0 <= NumpyDecoder(vocab=50, dim=64, hidden=64, layers=2, seed=0).step(7) < 50
    True
    """

    def __init__(self, *, vocab: int, dim: int, hidden: int, layers: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.embed = rng.normal(0, dim**-0.5, (vocab, dim)).astype(np.float32)
        self.attention = [Attention(dim, seed + i) for i in range(layers)]
        self.gate_up = rng.normal(0, dim**-0.5, (layers, 2 * hidden, dim)).astype(np.float32)
        self.down = rng.normal(0, hidden**-0.5, (layers, dim, hidden)).astype(np.float32)
        self.norm = np.ones((2 * layers + 1, dim), np.float32)

    def step(self, id_: int) -> int:
        """Return the likeliest id behind one, and those before it."""
        x = self.embed[id_]
        for i, attention in enumerate(self.attention):
            x = x + attention.step(_rms(x) * self.norm[2 * i])
            gate, up = (self.gate_up[i] @ (_rms(x) * self.norm[2 * i + 1])).reshape(2, -1)
            x = x + self.down[i] @ (gate / (1 + np.exp(-gate)) * up)
        return int(np.argmax(self.embed @ (_rms(x) * self.norm[-1])))


def _rms(x: NDArray[np.float32]) -> NDArray[np.float32]:
    normal: NDArray[np.float32] = x * np.float32(1 / np.sqrt(x @ x / len(x) + 1e-5))
    return normal


def measured(model: Path, seed: int) -> dict[str, Any]:
    """Return CPU-microseconds a token, medians, and bytes of a cache.

    Returns
    -------
    dict
        ``pair_layer`` (lookup and output), ``attention_layer``, ``pairs`` (all of a PairLM, the likeliest id),
        ``drawn`` (the same, an id drawn), ``attention`` (all of a decoder with attention); ``cache_bytes`` of a layer.
    """
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
    command = [sys.executable, "-m", "thrifty.pipeline.demo_decode", str(model), str(seed)]
    done = subprocess.run(command, env=os.environ | one, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ThriftyError(f"measuring a token ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def race(model: PairLM, seed: int) -> dict[str, float]:
    """Decode in turn, and return medians."""
    rng = np.random.default_rng(seed)
    spec = model.tables[0]
    table = PairTable(spec)
    table.set_rows(0, rng.normal(size=(spec.heads * spec.rows, spec.head_dim)), _logits(spec, rng))
    out = rng.normal(size=(model.dim, spec.width)).astype(np.float32)
    attention = Attention(model.dim, seed)
    sizes = {"vocab": model.vocab, "dim": model.dim, "hidden": model.hidden, "layers": len(model.tables)}
    decoder = NumpyDecoder(**sizes, seed=seed)
    ids = rng.integers(0, model.vocab, CACHE + TOKENS).astype(np.uint32)
    x = rng.normal(size=(TOKENS, model.dim)).astype(np.float32)
    seen = _seen(model)

    def look_up() -> None:
        # The lookups of the ids before are thrown away: a token costs at most this.
        for end in range(CACHE, CACHE + TOKENS):
            out @ table.lookup(ids[end - seen : end], threads=1)[-1]

    def attend() -> None:
        for row in x:
            attention.step(row)

    def decode() -> None:
        id_ = 0
        for _ in range(TOKENS):
            id_ = decoder.step(id_)

    works = {
        "pair_layer": look_up,
        "attention_layer": attend,
        "pairs": lambda: model.generate(ids[:CACHE], TOKENS, temperature=0),
        "drawn": lambda: model.generate(ids[:CACHE], TOKENS, seed=seed),
        "attention": decode,
    }
    rounds = [[_microseconds(work) for work in works.values()] for _ in range(ROUNDS + 3)]
    # The first rounds meet cold caches.
    medians = np.median(np.array(rounds[3:]), axis=0)
    return {**dict(zip(works, medians.tolist(), strict=True)), "cache_bytes": attention.nbytes}


def _seen(model: PairLM) -> int:
    """How many of the last ids a position looks at, its own included."""
    spec = model.tables[0]
    return CACHE if spec.window is None else spec.window + max(spec.query_gram, spec.key_gram)


def _logits(spec: PairSpec, rng: np.random.Generator) -> Any:
    return rng.normal(size=spec.heads * spec.rows) if spec.pool == "softmax" else None


def _microseconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return 1e6 * (time.process_time() - started) / TOKENS


if __name__ == "__main__":
    print(json.dumps(race(PairLM.load(sys.argv[1]), int(sys.argv[2]))))
