"""Samples that lm-evaluation-harness keeps with ``--log_samples``: a line for each document and filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty.errors import DatasetError
from thrifty.exam.graded import Graded
from thrifty.exam.outside.checked import Answers, confidence_of, dict_of, json_objects, right_or_wrong, text_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_lm_eval"]

#: Metrics of lines that do not name theirs, as older versions wrote them.
METRICS = ("exact_match", "acc", "acc_norm")


def read_lm_eval(path: Path, grader: str | None = None) -> Graded:
    """Make graded answers of the lines of one metric and one filter.

    Parameters
    ----------
    path : Path
        ``samples_<task>_<time>.jsonl``.
    grader : str, optional
        ``"metric,filter"`` as that program names them; the first of each in the file where not given.

    Raises
    ------
    DatasetError
        Where a line is not of that form, or its metric is neither right nor wrong.
    """
    metric, _, sieve = (grader or "").partition(",")
    answers, seen, by_name = Answers(path), dict[str, None](), None
    for number, line in json_objects(path):
        place = f"line {number}"
        if "doc_id" not in line:
            raise DatasetError(f"{path}: {place}: field doc_id is missing: these are no samples of lm-eval")
        doc, of_line, metrics = dict_of(line.get("doc")), text_of(line.get("filter")) or "none", _metrics(line)
        if not metrics:
            raise DatasetError(f"{path}: {place}: no metric is in it")
        seen.update(dict.fromkeys(f"{name},{of_line}" for name in metrics))
        by_name = isinstance(doc.get("id"), str) if by_name is None else by_name
        metric, sieve = metric or metrics[0], sieve or of_line
        if of_line != sieve:
            continue
        if metric not in metrics:
            raise DatasetError(
                f"{path}: {place}: metric {metric[:60]!a} is missing; there are {', '.join(metrics)[:200]}"
            )
        response = _response(line.get("resps"))
        answers.add(
            place,
            doc.get("id") if by_name else line["doc_id"],
            right_or_wrong(line[metric], f"{path}: {place}: metric {metric}"),
            confidence=confidence_of(response),
            rule=f"{metric},{sieve}",
            category=doc.get("category") or doc.get("subject"),
            response=response,
        )
    if seen and not len(answers):
        raise DatasetError(f"{path}: no grader is called {(grader or '')[:60]!a}; there are {', '.join(seen)[:200]}")
    provenance = {"source": "lm-eval", "task": path.stem, "grader": f"{metric},{sieve}", "graders": list(seen)}
    return Graded(answers.all(), path.stem, provenance)


def _metrics(line: dict[str, Any]) -> list[str]:
    named = line.get("metrics")
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else list(METRICS)
    return [name for name in names if name in line]


def _response(resps: object) -> str:
    """Return the first response of the first request; empty where it is a likelihood, with whether it is greedy."""
    first = resps[0] if isinstance(resps, list) and resps else None
    if isinstance(first, list) and first and not (len(first) == 2 and str(first[1]) in ("True", "False")):
        first = first[0]
    return text_of(first)
