"""Which program a file is of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError, MismatchError
from thrifty.exam.outside.checked import NOT_GRADED, json_object
from thrifty.exam.outside.completed import completed
from thrifty.exam.outside.hle_files import is_hle, read_hle
from thrifty.exam.outside.inspect_log import is_inspect, read_eval, read_inspect
from thrifty.exam.outside.lm_eval import read_lm_eval

if TYPE_CHECKING:
    from os import PathLike

    from thrifty.exam.graded import Graded
    from thrifty.exam.question import Dataset

__all__ = ["read_graded"]


def read_graded(path: str | PathLike[str], *, grader: str | None = None, dataset: Dataset | None = None) -> Graded:
    """Read graded answers: of a run's folder, or of a file that another program kept.

    Parameters
    ----------
    path : path
        A run's folder after ``thrifty exam grade``; a log of Inspect (``.eval``, which needs inspect-ai, or ``.json``);
        samples of lm-eval (``.jsonl``); or answers of the HLE repository, judged or not (``.json``).
    grader : str, optional
        Whose grades, where a file has several: a scorer of Inspect, a ``metric,filter`` of lm-eval. The first where not
        given; ``provenance`` names it and the others. A run's folder has one, and takes none.
    dataset : Dataset, optional
        Of a file's questions. Rules then grade what was not graded, questions without an answer are there as wrong, and
        subjects are those of the data set. A run's folder has its questions; this must be their data set.

    Raises
    ------
    ValueError
        Where a grader is named for a run's folder.
    MismatchError
        Where a run was of another data set.
    DatasetError
        Where the file is of none of these programs, or damaged; where no answer was graded and no data set is given,
        or one is to none of its questions. The message names the place.
    MissingExtra
        Where it is an ``.eval`` file and inspect-ai is not installed.
    """
    from thrifty.exam.grades import read_grades

    path = Path(path)
    if path.is_dir():
        if grader is not None:
            raise ValueError(f"grader: {path} is a run's folder, whose grades are those of thrifty exam grade alone")
        graded = read_grades(path)
        asked = graded.provenance.get("dataset_sha256")
        if dataset is not None and asked != dataset.sha256:
            raise MismatchError(
                f"{path}: dataset_sha256 {str(asked)[:12]!a}, {dataset.source or 'the data set'} has "
                f"{dataset.sha256[:12]!a}: the run was of other questions; a run needs no data set here"
            )
        return graded
    graded = _of_file(path, grader)
    if dataset is not None:
        return completed(path, graded, dataset)
    rules = {answer.rule for answer in graded.answers}
    if NOT_GRADED in rules and rules <= {NOT_GRADED, "failed"}:
        raise DatasetError(f"{path}: its answers were not graded; give the data set (--dataset), and rules do that")
    return graded


def _of_file(path: Path, grader: str | None) -> Graded:
    if path.suffix == ".eval":
        return read_eval(path, grader)
    if path.suffix == ".jsonl":
        return read_lm_eval(path, grader)
    values = json_object(path)
    if is_inspect(values):
        return read_inspect(path, values, grader)
    if is_hle(values):
        return read_hle(path, values)
    raise DatasetError(
        f"{path}: neither a log of Inspect, nor samples of lm-eval (.jsonl), nor answers of the HLE repository by id"
    )
