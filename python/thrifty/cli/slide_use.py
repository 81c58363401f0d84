"""``thrifty slide evaluate`` and ``predict``: what a model says of rows."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from thrifty.cli import common
from thrifty.errors import DatasetError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from thrifty.slide import Trainer

__all__ = ["evaluate", "predict"]


def evaluate(model: Path, rows: Path, *, train: Path | None, sparse: int | None, threads: int, as_json: bool) -> None:
    """Measure and print one object."""
    from thrifty.slide import propensities, read_xml

    with common.progress() as callback:
        trainer, (inputs, targets) = _open(model, rows, threads, callback, labels=True)
        if targets.nnz == 0:
            raise DatasetError(f"{rows}: no row has a label, so there is nothing to measure")
        propensity = None
        if train is not None:
            _, learned = read_xml(train, threads=threads, progress=callback)
            _same("labels", learned.shape[1], train, trainer.labels, model)
            propensity = propensities(learned)
        measured = trainer.evaluate(
            inputs, targets, candidates=_candidates(sparse, trainer), propensity=propensity, progress=callback
        )
    if as_json:
        common.emit(measured)
    else:
        texts = {name: f"{value:.4f}" if isinstance(value, float) else f"{value:,}" for name, value in measured.items()}
        common.table(str(model), list(texts.items()))


def predict(
    model: Path,
    rows: Path,
    *,
    k: int,
    names: Path | None,
    sparse: int | None,
    out: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Print a line a row."""
    with common.progress() as callback:
        trainer, (inputs, _) = _open(model, rows, threads, callback, labels=False)
        known = None if names is None else _names(names, trainer.labels)
        best, scores = trainer.predict(inputs, k, candidates=_candidates(sparse, trainer), progress=callback)
    lines = _lines(best, scores, known, as_json)
    if out is None:
        sys.stdout.writelines(lines)
    else:
        with common.replaced(out) as file:
            file.writelines(lines)


def _lines(best: Any, scores: Any, names: list[str] | None, as_json: bool) -> Iterable[str]:
    """Each row's labels with the fewest digits that tell its scores apart from others in float32."""
    for row, (ids, values) in enumerate(zip(best, scores, strict=True)):
        told = [(int(id_), str(score)) for id_, score in zip(ids, values, strict=True) if id_ >= 0]
        if as_json:
            labels: list[Any] = [names[id_] if names else id_ for id_, _ in told]
            yield json.dumps({"row": row, "labels": labels, "scores": [float(score) for _, score in told]}) + "\n"
        else:
            yield " ".join(f"{'_'.join(names[id_].split()) if names else id_}:{score}" for id_, score in told) + "\n"


def _open(model: Path, rows: Path, threads: int, progress: Any, *, labels: bool) -> tuple[Trainer, tuple[Any, Any]]:
    """Read the model, and rows that fit it."""
    from thrifty.slide import Trainer, read_xml

    trainer = Trainer.load(model, threads=threads, progress=progress)
    inputs, targets = read_xml(rows, threads=threads, progress=progress)
    _same("features", inputs.shape[1], rows, trainer.features, model)
    if labels:
        _same("labels", targets.shape[1], rows, trainer.labels, model)
    return trainer, (inputs, targets)


def _same(what: str, there: int, rows: Path, here: int, model: Path) -> None:
    if there != here:
        raise MismatchError(f"{rows}, line 1: the header says {there} {what}, {model} has {here}; they must agree")


def _candidates(sparse: int | None, trainer: Trainer) -> int | None:
    """Take tables that find nearly all of the best; a twentieth of the labels, at least 100, by default."""
    from thrifty.slide import LSHConfig

    if sparse is None:
        return None
    trainer.choose(LSHConfig.for_prediction(trainer.labels))
    return sparse or max(100, trainer.labels // 20)


def _names(path: Path, labels: int) -> list[str]:
    """Names of all labels: one a line in their order, or id, tab, name."""
    with path.open(encoding="utf-8") as file:
        lines = _text(path, file)
    if not any("\t" in line for line in lines):
        if len(lines) != labels:
            raise MismatchError(
                f"{path}: {len(lines)} names for the {labels} labels of the model; one a line is needed"
            )
        return lines
    out: list[str | None] = [None] * labels
    for number, line in enumerate(lines, 1):
        id_, _, name = line.partition("\t")
        if not (id_.isascii() and id_.isdecimal() and int(id_) < labels and name):
            raise DatasetError(
                f"{path}, line {number}: an id below {labels}, a tab and a name are needed, got '{line}'"
            )
        if out[int(id_)] is not None:
            raise DatasetError(f"{path}, line {number}: label {id_} has a name already")
        out[int(id_)] = name
    missing = next((i for i, name in enumerate(out) if name is None), None)
    if missing is not None:
        raise MismatchError(f"{path}: label {missing} has no name; all {labels} labels of the model need one")
    return [name for name in out if name is not None]


def _text(path: Path, file: TextIO) -> list[str]:
    try:
        return file.read().splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: byte {error.start} is not UTF-8") from None
