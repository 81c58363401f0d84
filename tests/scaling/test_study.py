"""The method end to end with a trainer that knows the law: what it finds, what it trains, how it goes on."""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thrifty.device import ModelShape
from thrifty.errors import Infeasible, MismatchError, NotIdentifiable, ResumeMismatch
from thrifty.scaling import Rung, RunTable, climb, ladder, rungs_of, study, table_of
from thrifty.scaling.study import Study, runs_of
from thrifty.stats import philox

SIZES = (50_000, 100_000, 300_000, 1_000_000)
RUNGS = ladder(SIZES)
TARGETS = rungs_of(3e6, multiples=(20,), shapes=4)


class Lawful:
    """Trains nothing: losses are those of a law that is best at a width of 20 times the depth, and a little noise."""

    def __init__(self, stop_after: float = math.inf, scores: bool = False, passes: float = 1.0) -> None:
        self.asked: list[tuple[str, tuple[int, ...]]] = []
        self.left, self.scores, self.passes = stop_after, scores, passes

    @staticmethod
    def loss(rung: Rung, tokens: int) -> float:
        noise = philox(zlib.crc32(rung.name.encode()), 0, tokens).normal() * 2e-3
        bend = 1 + 0.02 * (math.log(rung.shape.dim / rung.shape.layers) - math.log(20)) ** 2
        return (0.9 + 30 * rung.n_params**-0.3 + 60 * tokens**-0.3) * bend * math.exp(noise)

    def __call__(self, rung: Rung, lengths: Sequence[int]) -> Iterator[dict[str, float]]:
        self.asked.append((rung.name, tuple(lengths)))
        for tokens in lengths:
            if self.left <= 0:
                return
            self.left -= 1
            row = {"n_tokens": float(tokens), "loss": self.loss(rung, tokens), "epochs": self.passes * tokens / 1e8}
            # The deepest does best in the exam.
            yield row | ({"score": float(rung.shape.layers)} if self.scores and rung.n_params > 2e6 else {})


def milliseconds(shape: ModelShape) -> float:
    return 0.1 * shape.layers


def table(path: Path) -> RunTable:
    return table_of(path / "runs.csv", {"data": "none"})


def test_the_best_shapes_under_a_limit_are_trained(tmp_path: Path) -> None:
    trainer, told = Lawful(), []
    found = study(
        RUNGS,
        TARGETS,
        trainer,
        table(tmp_path),
        law="u_shape",
        latency=milliseconds,
        slo_ms=1.0,
        keep=2,
        predicted=lambda so_far: told.append((len(trainer.asked), so_far)),
    )
    ((asked, before),) = told
    assert asked == len(RUNGS)
    assert before.chosen is None
    assert [one.loss for one in found.candidates] == sorted(one.loss for one in found.candidates)
    kept = [one for one in found.candidates if one.kept]
    assert len(kept) == 2
    assert all(one.ms <= 1.0 for one in kept)
    assert [name for name, _ in trainer.asked[asked:]] == [one.rung.name for one in kept]
    assert found.chosen is not None
    assert found.chosen.measured == min(one.measured for one in kept)
    for one in kept:
        assert one.loss == pytest.approx(one.measured, rel=0.02)
        assert one.low < one.measured < one.high
    assert all(math.isnan(one.measured) for one in found.candidates if not one.kept)


def test_a_score_decides(tmp_path: Path) -> None:
    found = study(RUNGS, TARGETS, Lawful(scores=True), table(tmp_path), law="u_shape", keep=3)
    assert found.chosen is not None
    assert found.chosen.score == max(one.score for one in found.candidates if one.kept)
    with (tmp_path / "runs.csv").open(newline="") as file:
        scores = [row["score"] for row in csv.DictReader(file)]
    assert sum(score != "" for score in scores) == 3


def test_what_has_a_row_is_not_trained_again(tmp_path: Path) -> None:
    """Stopped after any number of rows: what comes of it all is the same."""
    whole = study(RUNGS, TARGETS, Lawful(), table(tmp_path), law="u_shape")
    wanted = (tmp_path / "runs.csv").read_bytes()
    for rows in (1, 4, len(RUNGS) * 3 - 1, len(RUNGS) * 3 + 1):
        folder = tmp_path / f"{rows}"
        folder.mkdir()
        stopped = study(RUNGS, TARGETS, Lawful(stop_after=rows), table(folder), law="u_shape")
        assert stopped.chosen is None
        assert stopped.notes[-1].startswith("stopped before")
        assert (stopped.law is None) == (rows < len(RUNGS) * 3)
        trainer = Lawful()
        again = study(RUNGS, TARGETS, trainer, table(folder), law="u_shape")
        assert sum(len(lengths) for _, lengths in trainer.asked) == len(RUNGS) * 3 + 3 - rows
        assert repr(again.candidates) == repr(whole.candidates)
        assert (folder / "runs.csv").read_bytes() == wanted


def test_rows_of_many_passes_are_not_fitted(tmp_path: Path) -> None:
    some = table(tmp_path)
    climb(RUNGS, Lawful(passes=10), some)
    runs, (note,) = runs_of(some, RUNGS)
    left = sum(10 * n / 1e8 > 4 for rung in RUNGS for n in rung.lengths)
    assert left > 0
    assert note == f"{left} rows of more than 4 epochs are not fitted"
    assert len(runs) == 3 * len(RUNGS) - left
    assert (np.asarray(runs.columns["epochs"], float) <= 4).all()
    assert runs.counted == "non_embedding"
    with pytest.raises(NotIdentifiable, match="no row of the ladder"):
        runs_of(some, TARGETS)


def test_what_a_study_refuses(tmp_path: Path) -> None:
    def run(**how: object) -> Study:
        return study(RUNGS, TARGETS, Lawful(), table(tmp_path), law="u_shape", **how)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="latency: is needed"):
        run(slo_ms=1.0)
    with pytest.raises(ValueError, match="at least one shape"):
        run(keep=0)
    with pytest.raises(Infeasible, match=r"no shape meets 0\.1 ms a token; the fastest, 5 x"):
        run(slo_ms=0.1, latency=milliseconds)


def test_what_can_not_be_is_said_before_training(tmp_path: Path) -> None:
    def refused(**how: object) -> None:
        trainer = Lawful()
        arguments = {"rungs": RUNGS, "targets": TARGETS, "law": "u_shape", "latency": milliseconds} | how
        try:
            study(trainer=trainer, table=table(tmp_path), **arguments)  # type: ignore[arg-type]
        finally:
            assert not trainer.asked

    def slow(shape: ModelShape) -> float:
        raise MismatchError("no such dtype")

    with pytest.raises(MismatchError):
        refused(latency=slow)
    with pytest.raises(Infeasible):
        refused(slo_ms=0.1)
    with pytest.raises(ValueError, match="law: 'pareto' is none of"):
        refused(law="pareto")
    with pytest.raises(NotIdentifiable, match="the ladder is too small: the law u_shape has 7 coefficients"):
        refused(rungs=RUNGS[:2])
    with pytest.raises(NotIdentifiable, match="the ladder is too small"):
        refused(rungs=RUNGS[:1], law="auto")
    with pytest.raises(NotIdentifiable, match="the ladder is too small: n_params is the same in all runs"):
        refused(rungs=RUNGS[:4], law="chinchilla")


@pytest.mark.parametrize("change", [{"lr": 1e-3}, {"batch": 7}, {"context": 64}])
def test_rungs_of_other_settings_are_refused(tmp_path: Path, change: dict[str, float]) -> None:
    some = table(tmp_path)
    assert climb(RUNGS[:2], Lawful(), some)
    assert climb(RUNGS[:2], Lawful(), table(tmp_path))
    trainer = Lawful()
    other = replace(RUNGS[1], **change)  # type: ignore[arg-type]
    with pytest.raises(ResumeMismatch, match=rf"line 5: {next(iter(change))} of {other.name} is"):
        climb((RUNGS[0], other), trainer, table(tmp_path))
    with pytest.raises(ResumeMismatch, match="line 5"):
        study(RUNGS, (other,), trainer, table(tmp_path), law="u_shape")
    assert not trainer.asked


def test_a_study_says_what_its_fit_says(tmp_path: Path) -> None:
    class Flat(Lawful):
        @staticmethod
        def loss(rung: Rung, tokens: int) -> float:
            return 2.0 + philox(zlib.crc32(rung.name.encode()), 0, tokens).normal() * 1e-3

    found = study(RUNGS, TARGETS, Flat(), table(tmp_path), law="chinchilla_tied")
    assert found.law is not None
    assert found.law.certificate_.notes
    assert set(found.law.certificate_.notes) <= set(found.notes)
    (tmp_path / "auto").mkdir()
    found = study(RUNGS, TARGETS, Lawful(), table(tmp_path / "auto"), law="auto")
    assert found.law is not None
    assert set(found.law.advice_) <= set(found.notes)


def test_rungs_that_climb_together_take_turns(tmp_path: Path) -> None:
    """Each is asked for a step in turn, its rows are those that it has alone, and a stop begins no other."""
    turns: list[str] = []

    def stepping(steps: int) -> Callable[[Rung, Sequence[int]], Iterator[dict[str, float] | None]]:
        def trainer(rung: Rung, lengths: Sequence[int]) -> Iterator[dict[str, float] | None]:
            lawful = Lawful()
            for row, _ in zip(lawful(rung, lengths), range(steps), strict=False):
                turns.append(rung.name)
                yield None
                yield row

        return trainer

    for name in ("alone", "beside", "stopped"):
        (tmp_path / name).mkdir()
    alone, beside = table(tmp_path / "alone"), table(tmp_path / "beside")
    assert climb(RUNGS, Lawful(), alone)
    assert climb(RUNGS, stepping(99), beside, together=3)
    assert turns[:6] == [rung.name for rung in RUNGS[:3]] * 2

    def known(some: RunTable) -> list[tuple[str, ...]]:
        return sorted((row["run"], row["n_tokens"], row["loss"]) for row in some.rows)

    assert known(beside) == known(alone)
    turns.clear()
    assert not climb(RUNGS, stepping(1), table(tmp_path / "stopped"), together=2)
    assert set(turns) == {rung.name for rung in RUNGS[:2]}
