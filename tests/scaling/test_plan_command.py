"""`thrifty scaling plan` and `design`, as people and programs call them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.command import said
from tests.scaling.planned import PROFILE
from thrifty.scaling import ScalingLaw, design, load_fit, plan, read_runs, save_fit

SOME = ("--widths", "256:2048", "--layers", "2:24")


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "fit.json"
    runs = read_runs(Path(__file__).resolve().parents[1] / "data" / "scaling" / "morph_runs.csv")
    save_fit(ScalingLaw("u_shape").fit(runs), path)
    return path


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "h100.json"
    PROFILE.save(path)
    return path


def test_a_plan_for_programs(fit: Path, profile: Path) -> None:
    given = ("--train-flops", 1e20, "--slo-ms", 0.8, "--lifetime-tokens", 1e11, "--memory-gb", 2, *SOME)
    done = said("scaling", "plan", fit, "--profile", profile, "--any-device", *given, "--top", 3, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    sizes = {"widths": (256, 2048), "layers": (2, 24)}
    wanted = plan(load_fit(fit), PROFILE, train_flops=1e20, slo_ms=0.8, lifetime_tokens=1e11, memory_gb=2, sizes=sizes)
    assert told["pick"] == wanted.row(wanted.best)
    assert told["top"] == wanted.rows(3)
    assert told["front"] == [wanted.row(int(i)) for i in wanted.front]
    assert told["limits"] == {"train_flops": 1e20, "memory_gb": 2, "slo_ms": 0.8}
    assert told["feasible"] == int(wanted.feasible.sum())
    assert told["notes"] == list(wanted.notes)
    assert all(f"note: {note}" in done.stderr for note in wanted.notes)


def test_a_plan_for_people_fits_a_terminal(fit: Path, profile: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = said(
        "scaling", "plan", fit, "--profile", profile, "--any-device", "--train-flops", 1e20, *SOME, "--out", out
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the least loss")
    assert "the best by loss" in done.stdout
    assert "the front of loss against latency" in done.stdout
    assert "\u2026" not in done.stdout
    results = json.loads((out / "results.json").read_text())
    assert "plan_front_ms" in json.dumps(results)
    assert "What to build" in (out / "report.html").read_text()


def test_plans_without_a_device_and_with_a_task(fit: Path, tmp_path: Path) -> None:
    loss = np.linspace(3.0, 5.0, 12)
    accuracy = 0.25 + 0.75 / (1 + np.exp(2 * (loss - 2.6)))
    rows = [f"{1e8 + i},{2e9},{x},{a}" for i, (x, a) in enumerate(zip(loss, accuracy, strict=True))]
    task = tmp_path / "task.csv"
    task.write_text("\n".join(["n_params,n_tokens,loss,task", *rows]) + "\n")
    given = ("--train-flops", 1e20, "--downstream", task, "--accuracy", "task", "--chance", 0.25, *SOME)
    done = said("scaling", "plan", fit, *given, "--json")
    assert done.returncode == 0, done.stderr
    pick = json.loads(done.stdout)["pick"]
    assert "ms" not in pick
    assert pick["accuracy"] == pytest.approx(0.25 + 0.75 / (1 + np.exp(2 * (pick["loss"] - 2.6))), abs=1e-6)
    assert pick["accuracy_lo"] < pick["accuracy"] < pick["accuracy_hi"]
    done = said("scaling", "plan", fit, *given)
    assert "the front of loss against memory" in done.stdout


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ((), 2, "train_flops, max_loss: one of them is needed"),
        (("--train-flops", 1e20, "--slo-ms", 5), 2, "slo_ms: a limit of latency needs a profile"),
        (("--train-flops", "nan"), 2, "train_flops: nan is not possible"),
        (("--train-flops", 1e20, "--objective", "speed"), 2, "objective: 'speed' is none of"),
        (("--train-flops", 1e20, "--layers", "x:y"), 2, "two numbers, as 8:64"),
        (("--train-flops", 1e20, "--layers", "9:3"), 2, "layers"),
        (("--train-flops", 1e20, "--plots", "png"), 2, "--plots needs --out"),
        (("--max-loss", 1.0), 1, "loss: 1 is below what the law tells for any model"),
        (("--train-flops", 1e20, "--max-loss", 2.0), 1, "max_loss 2: the least that keeps the rest is"),
        (("--train-flops", 1e20, "--profile", "absent.json"), 1, "absent.json"),
        (("--train-flops", 1e20, "--downstream", "absent.csv"), 1, "absent.csv"),
    ],
)
def test_what_a_plan_can_not_do(fit: Path, given: tuple[object, ...], status: int, message: str) -> None:
    done = said("scaling", "plan", fit, *given)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("thrifty: error:")]) == 1


def test_a_latency_that_no_shape_keeps(fit: Path, profile: Path) -> None:
    given = ("--profile", profile, "--any-device", "--train-flops", 1e20, *SOME)
    done = said("scaling", "plan", fit, *given, "--slo-ms", 1e-3)
    assert done.returncode == 1
    least = float(done.stderr.partition("slo_ms 0.001: the least that keeps the rest is ")[2].partition(",")[0])
    assert said("scaling", "plan", fit, *given, "--slo-ms", 1.001 * least).returncode == 0
    # A profile of another device is refused unless it is meant.
    assert said("scaling", "plan", fit, "--profile", profile, "--train-flops", 1e20).returncode == 1


CANDIDATES = [(d, n, m) for d, n in ((512, 8), (768, 12), (1024, 4), (1024, 16)) for m in (5, 20, 80, 320)]


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    path = tmp_path / "candidates.csv"
    lines = ["run,n_params,n_tokens,d_model,n_layers"]
    for d, n, m in CANDIDATES:
        size = 2 * 50_432 * d + n * 12 * d * d
        lines.append(f"{d}x{n}@{m},{size},{m * size},{d},{n}")
    path.write_text("\n".join(lines) + "\n")
    return path


TARGET = ("--target-params", 3e9, "--target-tokens", 6e10, "--target-width", 2048, "--target-layers", 24)


def test_runs_to_train_next(fit: Path, candidates: Path) -> None:
    done = said("scaling", "design", fit, candidates, "--budget-flops", 1e20, *TARGET, "--count", 3, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    law, runs = load_fit(fit), read_runs(candidates, asked=True)
    target = {"n_params": [3e9], "n_tokens": [6e10], "d_model": [2048], "n_layers": [24]}
    wanted = design(law, runs, 1e20, target=target, count=3)
    assert [row["row"] for row in told["chosen"]] == list(wanted.chosen)
    assert [row["line"] for row in told["chosen"]] == [at + 2 for at in wanted.chosen]
    assert [row["run"] for row in told["chosen"]] == ["{}x{}@{}".format(*CANDIDATES[at]) for at in wanted.chosen]
    assert told["cut"] == wanted.cut > 0
    done = said("scaling", "design", fit, candidates, "--budget-flops", 1e20, *TARGET, "--count", 3)
    assert "standard error of the prediction" in done.stdout
    assert said("scaling", "design", fit, candidates, "--budget-flops", 1e20, "--criterion", "D").returncode == 0


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (("--budget-flops", 1e20), 2, "say what shall be predicted"),
        (("--budget-flops", 1e20, "--target-params", 3e9), 2, "belong together"),
        (("--budget-flops", 1e20, *TARGET[:4]), 2, "--target-width and --target-layers"),
        (("--budget-flops", 1e20, *TARGET, "--target-width", -1), 2, "d_model -1 is not possible"),
        (("--budget-flops", 1e9, *TARGET), 1, "pays for none of the candidates; the cheapest takes"),
        (("--budget-flops", "inf", *TARGET), 2, "budget_flops: inf is not possible"),
        (("--budget-flops", 1e20, "--criterion", "A"), 2, "--criterion A is none of prediction, D"),
    ],
)
def test_what_a_design_can_not_do(
    fit: Path, candidates: Path, given: tuple[object, ...], status: int, message: str
) -> None:
    done = said("scaling", "design", fit, candidates, *given)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in " ".join(done.stderr.split())
