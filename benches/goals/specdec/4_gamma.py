"""The analytical model picks the draft length: 150 golden cases, and random ones against fractions.

golden: cases of tests/data/specdec/gamma_golden.json whose best gamma is right, those among them where it is 0, and the
largest relative error of tokens a millisecond. random: 2,000 random curves, batches and acceptances whose best gamma no
other one of 0..16 beats, in exact fractions.

--planted lets a verification cost what one of as many ids as a single request has costs, whatever the batch.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

from thrifty.specdec import LatencyCurve, best_gamma

goal = Goal(__file__, __doc__)
FIELDS = tuple(LatencyCurve.__dataclass_fields__)


def ours(alpha: float, batch: int, curve: dict[str, float]) -> tuple[int, float]:
    """Best gamma and tokens a millisecond."""
    latency = LatencyCurve(**curve)  # type: ignore[arg-type]
    best = best_gamma(alpha, 1 if goal.planted else batch, latency)
    return best.gamma, best.tokens_per_ms * (batch if goal.planted else 1)


def golden() -> None:
    """Rows of the golden file."""
    cases = json.loads((ROOT / "tests" / "data" / "specdec" / "gamma_golden.json").read_text())
    right = zeros = 0
    error = 0.0
    for case in cases:
        gamma, tokens = ours(case["alpha"], case["batch"], {name: case[name] for name in FIELDS})
        right += gamma == case["best_gamma"]
        zeros += gamma == case["best_gamma"] == 0
        error = max(error, abs(tokens / case["tokens_per_ms_best"] - 1))
    goal.row("golden/gamma", "golden cases whose best gamma is right, of 150", "== 150", right)
    goal.row("golden/zero", "golden cases where no draft pays, and none is made", "== 34", zeros)
    goal.row("golden/tokens", "tokens a millisecond at the best gamma: largest relative error", "<= 1e-6", error)


def random() -> None:
    """Rows of random cases."""
    rng = np.random.default_rng(goal.seed)
    right, count = 0, 2000
    for _ in range(count):
        most = (24, 400, 400, 60_000, 400, 2000)
        whole = [int(rng.integers(0 if i < 5 else 1, m + 1)) for i, m in enumerate(most)]
        curve = {name: n if i == 0 else n / 1000 for i, (name, n) in enumerate(zip(FIELDS, whole, strict=True))}
        alpha, batch = Fraction(int(rng.integers(0, 1001)), 1000), int(rng.choice([1, 2, 8, 32, 64, 128, 256]))
        layers, layer, beside, weights, compute, overhead = (
            Fraction(n, 1 if i == 0 else 1000) for i, n in enumerate(whole)
        )

        def exact(
            gamma: int,
            draft: Fraction = layers * layer + beside,
            line: tuple[Fraction, ...] = (weights, compute, overhead),
            alpha: Fraction = alpha,
            batch: int = batch,
        ) -> Fraction:
            verify = max(line[0], batch * (gamma + 1) * line[1]) + line[2]
            return sum(alpha**k for k in range(gamma + 1)) / (gamma * draft + verify)

        found, _ = ours(float(alpha), batch, curve)
        best = max(exact(gamma) for gamma in range(17))
        right += exact(found) >= best * (1 - Fraction(1, 10**12))
    goal.row("random/gamma", f"random cases of {count:,} where no gamma of 0..16 is better", f"== {count}", right)


for part in (golden, random):
    if goal.wants(part.__name__):
        part()
goal.end()
