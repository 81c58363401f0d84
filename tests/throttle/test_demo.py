"""The demo's part: a replayed card, and knobs that are there."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import ok
from tests.throttle.zeus import DATA, Problem, problems
from thrifty.device import Meter, Saving, measure
from thrifty.errors import CounterFault, ThriftyError
from thrifty.pipeline import demo_knobs as knobs
from thrifty.pipeline import demo_throttle as demo
from thrifty.pipeline.data import cards
from thrifty.pipeline.demo_replay import Searches, Trial
from thrifty.rambo import RamboBuilder, RamboPlan
from thrifty.throttle import Constraint, Evaluation, Knob, Tuner


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, dict[str, Any]]]:
    out: Path = tmp_path_factory.mktemp("demo") / "out"
    ok("demo", "--part", "throttle", "--out", out)
    (section,) = json.loads((out / "results.json").read_text())["sections"]
    return section["text"], {record["id"].removeprefix("throttle."): record for record in section["records"]}


def squad() -> Problem:
    """What the demo searches, from the whole table and limits that were computed apart."""
    return next(p for p in problems() if p.name == "a40 squad/bert_base_uncased/adamw throughput")


def test_the_replayed_card(told: tuple[str, dict[str, dict[str, Any]]]) -> None:
    text, records = told
    problem = squad()
    kj = records["replayed_kj"]
    assert (1 - 1e-9) * problem.optimum <= 1e3 * kj["value"] <= 1.01 * problem.optimum
    assert 1e3 * kj["baseline"] == pytest.approx(problem.measured[problem.space.default()]["energy"])
    assert kj["ratio"] == kj["baseline"] / kj["value"]
    evaluations, warm = records["replayed_evaluations"], records["replayed_warm"]
    assert evaluations["ratio"] > 1.5
    assert warm["value"] <= evaluations["value"] == warm["baseline"]
    assert all("replayed" in record["source"] for name, record in records.items() if name.startswith("replayed_kj"))
    asked = records["replayed_asked"]["rows"]
    assert len({(batch, watts) for batch, watts, *_ in asked}) == len(asked)
    for batch, watts, energy, seconds, kept in asked:
        measured = problem.measured[problem.space.index({"batch": batch, "power_limit_w": watts})]
        assert (1e3 * energy, seconds) == (pytest.approx(measured["energy"]), measured["time"])
        assert kept == ("yes" if seconds <= problem.limit.upper else "no")
    assert asked[-1][2] == kj["value"]
    assert f"measured {len(asked)} settings" in text
    for name, curve in records["replayed_curves"]["y"].items():
        assert curve == sorted(curve, reverse=True), name
        assert curve[0] == kj["baseline"]


def test_the_knobs_that_are_there(told: tuple[str, dict[str, dict[str, Any]]]) -> None:
    text, records = told
    assert records["different"]["value"] == 0
    rows = records["measured"]["rows"]
    assert 1 < len({tuple(row[:2]) for row in rows}) == len(rows) <= knobs.EVALUATIONS
    assert all(kept == ("yes" if ms <= knobs.LIMIT_MS else "no") for *_, ms, kept in rows)
    front = [y for y in records["front"]["y"]["no other beats it in both"] if y is not None]
    assert front == sorted(front, reverse=True)
    assert f"{len(rows)} of " in text
    unit = records["measured"]["columns"][2].split()[0]
    assert unit == ("CPU-us" if "counted by: CPU-seconds of the process" in text else "uJ")
    if "saved" in records:
        low, high = records["saved"]["interval"]
        assert low <= records["saved"]["value"] <= high
        assert ("nothing is saved" in text) == (low <= 0)
        assert records["cost"]["unit"] == unit
    else:
        assert "nothing is saved" in text


def test_the_table_is_a_part_of_the_authors_own() -> None:
    whole = set((DATA / "zeus.csv").read_text().splitlines())
    lines = cards().read_text().splitlines()
    assert set(lines) <= whole
    assert len(lines) == 121
    jobs = {(line["gpu"], line["job"]) for line in csv.DictReader(lines)}
    assert jobs == {(gpu, "squad/bert_base_uncased/adamw") for gpu in ("a40", "rtx6000")}


def test_searches() -> None:
    trial, problem = Trial(), squad()
    assert trial.limit.upper == pytest.approx(problem.limit.upper)
    assert (trial.optimum, trial.least) == (problem.answer, pytest.approx(problem.optimum))
    searches = [trial.search(5), trial.search(5), trial.draw(5), trial.draw(6)]
    asked = [[one.setting for one in tuner.evaluations] for tuner in searches]
    assert asked[0] == asked[1]
    assert asked[2] != asked[3]
    for tuner, settings in zip(searches, asked, strict=True):
        assert trial.found(tuner)
        assert len({tuple(setting.values()) for setting in settings}) == len(settings)
        assert settings[0] == {"batch": 72, "power_limit_w": 300}
        assert not any(
            one.feasible and one.measured["energy_per_epoch_j"] <= 1.01 * problem.optimum
            for one in tuner.evaluations[:-1]
        )
    some = Searches("", searches[2:])
    assert some.evaluations == (len(searches[2]) + len(searches[3])) / 2
    assert Searches("", searches[:1]).curve(0.5)[-1] == searches[0].best.measured["energy_per_epoch_j"]


def test_reads_come_from_genomes() -> None:
    first = knobs.reads(50, 1)
    assert first == knobs.reads(50, 1) != knobs.reads(50, 2)
    assert {len(read) for read in first} == {knobs.LETTERS}
    assert set(b"".join(first)) == set(b"ACGT")


def test_steps() -> None:
    assert [knobs.steps(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


class Broken(knobs.Service):
    """Loses an item of the first read with two threads, and with batches of 4."""

    def answer(self) -> tuple[list[float], list[Any]]:
        seconds, answers = super().answer()
        if self.threads == 2 or self.batch == 4:
            answers[0] = answers[0]._replace(found=answers[0].found.copy())
            answers[0].found[0] -= 1
        return seconds, answers


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EVALUATIONS": 3, "SECONDS": 0.01, "WINDOW": 0.005, "ROUNDS": 2}.items():
        monkeypatch.setattr(knobs, name, value)


def service(kind: type[knobs.Service], count: int = 8) -> knobs.Service:
    sequences = knobs.reads(count, 3)
    builder = RamboBuilder(RamboPlan.for_documents(2_000, documents=count))
    for number, sequence in enumerate(sequences):
        builder.add_sequence(str(number), sequence)
    return kind(builder.freeze(), sequences, threads=2, batch=8)


@pytest.mark.usefixtures("quick")
def test_answers_are_compared() -> None:
    """Settings that lose something are counted, and knobs are put back."""
    sound = service(knobs.Service)
    found = knobs.tuned(sound, 2, Meter("cpu"), 0, None)
    assert found.different == 0
    assert len(found.tuner) == 3
    assert (sound.threads, sound.batch) == (2, 8)
    assert found.default.setting == {"threads": 2, "batch": 8}
    assert (found.unit, found.source) == ("CPU-s", "CPU-seconds of the process and its children")
    # The default is among those that do: the three with one thread and other batches differ from it.
    assert knobs.tuned(service(Broken), 2, Meter("cpu"), 0, None).different == 3


@pytest.mark.usefixtures("quick")
def test_knobs_are_put_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    sound, calls = service(knobs.Service), []

    def failing(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise CounterFault("the counter is gone")
        return measure(*arguments, **options)

    monkeypatch.setattr(knobs, "measure", failing)
    with pytest.raises(CounterFault, match="the counter is gone"):
        knobs.tuned(sound, 2, Meter("cpu"), 0, None)
    assert (sound.threads, sound.batch) == (2, 8)


def found(best: Evaluation | None, low: float, high: float, ms: float = 5.0) -> knobs.Found:
    """What tuning might come to."""
    tuner = Tuner([Knob("threads", [1, 2]), Knob("batch", [32, 64])], "cost", [Constraint("latency_ms", 10.0)])
    tuner.tell({"threads": 2, "batch": 64}, {"cost": 3e-5, "latency_ms": 4.0})
    tuner.tell({"threads": 1, "batch": 64}, {"cost": 2e-5, "latency_ms": 5.0})
    one = measure(lambda: sum(range(2_000)), meter=Meter("cpu"), max_seconds=0.01, window=0.005, warm=0)
    saving = Saving(share=(low + high) / 2, low=low, high=high, a=one, b=one, ratios=np.zeros(2))
    return knobs.Found(tuner, one.source, one.unit, 0, best, saving if best else None, (4.0, ms))


def test_whatever_came_of_it_is_said() -> None:
    tried = found(None, 0, 0).tuner.evaluations
    assert demo.verdict(found(tried[1], 0.1, 0.3)).endswith("saves 20.0% (95 %: 10.0% to 30.0%).")
    assert "no difference can be told, nothing is saved" in demo.verdict(found(tried[1], -0.1, 0.3))
    assert "it takes more, nothing is saved" in demo.verdict(found(tried[1], -0.3, -0.1))
    assert "took 12 ms, more than the limit" in demo.verdict(found(tried[1], 0.1, 0.3, ms=12.0))
    assert "None kept the limit: nothing is saved" in demo.verdict(found(None, 0, 0))
    same = dataclasses.replace(found(tried[0], 0, 0), saving=None)
    assert "The default is the best of them: nothing is saved" in demo.verdict(same)
    ids = [record.id for record in demo.measured(found(tried[1], 0.1, 0.3))]
    assert {"throttle.saved", "throttle.cost", "throttle.batch_ms"} < set(ids)
    assert [r.id for r in demo.measured(same)] == ["throttle.different", "throttle.front", "throttle.measured"]


def test_a_process_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(ThriftyError, match=r"(?s)tuning ended with status 1: .*non-negative"):
        demo.tell(tmp_path, full=False, threads=1, seed=-1, progress=None)


def test_progress_that_raises_ends_it(tmp_path: Path) -> None:
    def stop(phase: str, done: int, total: int) -> None:
        raise KeyError(f"{phase} {done} {total}")

    with pytest.raises(KeyError, match="searching a replayed card 1 10"):
        demo.tell(tmp_path, full=False, threads=1, seed=0, progress=stop)
