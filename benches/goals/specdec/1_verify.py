"""Verification keeps the target's law and accepts what theory says.

40 small Markov chains (tests/data/specdec/verify_golden.json), 200,000 runs each and rule, drafts drawn by numpy.
golden/expected: cases and rules whose mean of accepted drafts is further than 4 standard errors from exact enumeration.
golden/law: the least chance of so unlike counts of the first gamma + 1 ids (chi-square, Holm over all tests); ids
behind what a run emits are drawn by numpy. golden/block: cases in which the block rule accepts fewer than the token
rule, beyond 4 standard errors, or in enumeration at all. golden/gain: how many more it accepts in the mean. paths:
the share of a million draws that are the same on the scalar path and on the widest, from laws of 300 ids as scores,
by both rules. trees/expected, trees/law: the same two for 20 small trees (tree_golden.json), siblings drawn without
replacement.

--planted draws what replaces a draft from p, where it must come from what p has more than q; and takes siblings that
were not drawn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.specdec.golden import cases, chi_square, drawn, emitted, emitted_tree, holm, trees

from thrifty.specdec import verify

RUNS = 200_000
DRAWS = 1_000_000
PART = 5_000
VOCAB = 300


def draws(seed: int) -> Any:
    """Tokens of about a million draws, rule after rule."""
    rng, out, count = np.random.default_rng(seed), [], 0
    while count < DRAWS:
        p, q = (1.5 * rng.normal(size=(PART, k, VOCAB)).astype(np.float32) for k in (4, 3))
        law = np.exp(q.astype(np.float64)).reshape(-1, VOCAB)
        draft = drawn(law, rng).reshape(PART, 3)
        for rule in ("token", "block"):
            args: Any = {"rule": rule, "seed": seed, "uid": np.arange(PART), "position": np.full(PART, count)}
            tokens = verify(p, q, draft, from_logits=True, **args).tokens
            out.append(tokens)
            count += int((tokens >= 0).sum())
    return np.stack(out)


def golden(goal: Goal) -> None:
    """Rows of the golden cases."""
    means: dict[str, list[tuple[float, float]]] = {"token": [], "block": []}
    chances, off, fewer, all_cases = [], 0, 0, cases()
    for case in all_cases:
        for rule, of_rule in means.items():
            accepted, tokens = emitted(case, rule, RUNS, goal.seed, planted=goal.planted)
            mean, error = accepted.mean(), accepted.std() / np.sqrt(RUNS)
            of_rule.append((mean, error))
            off += abs(mean - case.accepted[rule]) > 4 * error + 1e-9
            chances.append(chi_square(tokens, case.law(), len(case.p)))
        (token, a), (block, b) = means["token"][-1], means["block"][-1]
        fewer += block < token - 4 * np.hypot(a, b) or case.accepted["block"] < case.accepted["token"]
    tests = len(chances)
    goal.row(
        "golden/expected",
        f"means of {tests} cases and rules beyond 4 standard errors of enumeration",
        "== 0",
        off,
        "cases",
    )
    goal.row(
        "golden/law", f"least chance of {tests} chi-square tests, adjusted (Holm)", ">= 1e-4", holm(chances), "chance"
    )
    goal.row(
        "golden/block", f"of {len(all_cases)} cases, those where block accepts fewer than token", "== 0", fewer, "cases"
    )
    gain = np.mean([b[0] / t[0] - 1 for t, b in zip(means["token"], means["block"], strict=True)])
    goal.row("golden/gain", "how many more drafts the block rule accepts, mean of the cases", ">= 0.03", gain, "share")


def of_trees(goal: Goal) -> None:
    """Rows of the golden trees."""
    chances, off = [], 0
    for case in trees():
        accepted, tokens = emitted_tree(case, RUNS, goal.seed, planted=goal.planted)
        off += abs(accepted.mean() - case.accepted["tree"]) > 4 * accepted.std() / np.sqrt(RUNS)
        chances.append(chi_square(tokens, case.law(), len(case.p)))
    tests = len(chances)
    goal.row("trees/expected", f"of {tests} trees, means beyond 4 standard errors of enumeration", "== 0", off, "trees")
    goal.row(
        "trees/law", f"least chance of {tests} chi-square tests, adjusted (Holm)", ">= 1e-4", holm(chances), "chance"
    )


def paths(goal: Goal) -> None:
    """A row of draws on two paths."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokens.npy"
        command = [sys.executable, __file__, "--draws", str(goal.seed), str(file)]
        subprocess.run(command, env=os.environ | {"THRIFTY_SIMD": "scalar"}, check=True)
        scalar = np.load(file)
    tokens = draws(goal.seed)
    there = (tokens >= 0) | (scalar >= 0)
    same = (tokens == scalar)[there].mean()
    goal.row(
        "paths",
        f"of {int(there.sum()):,} draws, those that are the same on the scalar path",
        ">= 0.9999",
        same,
        "share",
    )


if sys.argv[1:2] == ["--draws"]:
    np.save(sys.argv[3], draws(int(sys.argv[2])))
    sys.exit(0)
goal = Goal(__file__, __doc__)
if goal.wants("golden"):
    golden(goal)
if goal.wants("trees"):
    of_trees(goal)
if goal.wants("paths") and not goal.planted:
    paths(goal)
goal.end()
