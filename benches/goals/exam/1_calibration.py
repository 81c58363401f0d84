"""Calibration errors and other measures of 15 cases, beside what the published estimator and other programs gave.

cases: the largest differences; ranges over 500 orders of rows must lie in the envelope; too few answers are an error.

order: 200 orders of the rows of each case, which must not change a bit of what counts all bins.

instructions: the same cases in a process where numpy may use no vector instructions beyond the baseline.

--planted counts the last bin of the published estimator too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.errors import CalibrationUndefined  # noqa: E402
from thrifty.exam import calibration_error, metrics  # noqa: E402

goal = Goal(__file__, __doc__)
FEATURES = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR AVX2 FMA3 X86_V3 X86_V4"
NORMS = {1: "p1", 2: "p2", "max": "pinfty"}
cases = json.loads(goal.data("exam/calibration_cases.json").read_text())["cases"]

if goal.wants("cases"):
    away = dict.fromkeys(("hle", "all", "envelope", "measures"), 0.0)
    wrong = 0
    for case in cases:
        confidence, correct, expected = case["confidence"], np.array(case["correct"], bool), case["expected"]
        for p, name in NORMS.items():
            try:
                found = calibration_error(confidence, correct, mode="all" if goal.planted else "hle", p=p)
                wrong += case["n"] < 200
                if case["n"] >= 200:
                    away["hle"] = max(away["hle"], abs(found.value - expected[f"hle_stable_{name}_beta100"]))
            except CalibrationUndefined:
                wrong += case["n"] >= 200
            every = calibration_error(confidence, correct, mode="all", p=p)
            if "unique" in case["name"] and case["n"] >= 100:
                away["all"] = max(away["all"], abs(every.value - expected[f"all_bins_stable_{name}_beta100"]))
        for mode, key in (("hle", "hle"), ("all", "all_bins")):
            if seen := expected.get(f"{key}_p2_over_permutations"):
                found = calibration_error(confidence, correct, mode=mode)
                away["envelope"] = max(away["envelope"], found.low - seen["min"], seen["max"] - found.high)
        found = metrics(confidence, correct)
        pairs = [(found.brier, expected["brier"]), (found.ece, expected["ece_equal_width_15"])]
        pairs += [(found.auroc, expected["auroc"])] if expected["auroc"] is not None else []
        pairs += list(zip(found.wilson, expected["wilson95"], strict=True))
        pairs += list(zip(found.clopper_pearson, expected["clopper_pearson95"], strict=True))
        away["measures"] = max([away["measures"], *(abs(a - b) for a, b in pairs)])
    goal.row("cases/hle", "published estimator, stable sort: largest difference", "<= 1e-12", away["hle"])
    goal.row("cases/all", "all bins, cases without ties: largest difference", "<= 1e-12", away["all"])
    goal.row("cases/envelope", "orders of rows outside the envelope: by how much at most", "<= 1e-12", away["envelope"])
    goal.row("cases/undefined", "cases of fewer than 200 answers that have a value, or others none", "== 0", wrong)
    goal.row("cases/measures", "Brier, AUROC, ECE, Wilson, Clopper-Pearson: difference", "<= 1e-9", away["measures"])

if goal.wants("order"):
    changed, rng = 0, np.random.default_rng(goal.seed)
    for case in cases:
        confidence, correct = np.array(case["confidence"]), np.array(case["correct"], bool)
        first = calibration_error(confidence, correct, mode="all")
        for _ in range(200):
            order = rng.permutation(case["n"])
            changed += calibration_error(confidence[order], correct[order], mode="all") != first
    goal.row("order/changed", "orders of rows, of 3,000, that change mode all or its envelope", "== 0", changed)

if goal.wants("instructions"):
    program = (
        "import json, sys\nfrom thrifty.exam import calibration_error, metrics\n"
        "for case in json.load(open(sys.argv[1]))['cases']:\n"
        "    c, y = case['confidence'], case['correct']\n"
        "    print(case['name'], calibration_error(c, y, mode='all'), metrics(c, y))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(goal.data("exam/calibration_cases.json"))]
    said = [
        subprocess.run(command, env=env, capture_output=True, check=True).stdout.splitlines()
        for env in (dict(os.environ), os.environ | {"NPY_DISABLE_CPU_FEATURES": FEATURES})
    ]
    other = sum(a != b for a, b in zip(*said, strict=True)) + (len(said[0]) != len(cases))
    goal.row("instructions/changed", "cases that other vector instructions change by a bit", "== 0", other)
goal.end()
