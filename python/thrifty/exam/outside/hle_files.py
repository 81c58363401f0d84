"""What the two scripts of the HLE repository keep: an object of answers by id, judged or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty.errors import DatasetError
from thrifty.exam.graded import Graded
from thrifty.exam.outside.checked import NOT_GRADED, Answers, confidence_of, dict_of, number_of, text_of
from thrifty.exam.percentage import states

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_hle", "read_hle"]


def is_hle(values: dict[str, Any]) -> bool:
    """Tell by the first entry whether an object is one of answers by id."""
    first = next(iter(values.values()), None)
    return isinstance(first, dict) and "response" in first


def read_hle(path: Path, values: dict[str, Any]) -> Graded:
    """Make answers of ``{id: {"model", "response", "judge_response": {"correct", "confidence", …}}}``.

    The scripts ask the judge to write 100 where no confidence is stated; here such a one counts as not stated when the
    response does not state 100 as a percentage or a confidence. What was not judged counts as wrong, and is listed.

    Raises
    ------
    DatasetError
        Where an entry is not of that form.
    """
    answers, models, usage = Answers(path), set(), {"prompt_tokens": 0.0, "completion_tokens": 0.0}
    for id_, entry in values.items():
        place = f"entry {id_[:60]!a}"
        if not isinstance(entry, dict) or not isinstance(entry.get("response"), str | None):
            raise DatasetError(f"{path}: {place}: an object with a text 'response' is needed")
        response, judge = text_of(entry.get("response")), entry.get("judge_response")
        if judge is not None and not isinstance(judge, dict):
            raise DatasetError(
                f"{path}: {place}: field judge_response: an object is needed, got {type(judge).__name__}"
            )
        models.add(text_of(entry.get("model")))
        for name in usage:
            usage[name] += number_of(dict_of(entry.get("usage")).get(name))
        correct, confidence, rule = None, confidence_of(response), NOT_GRADED
        if judge is not None:
            correct, confidence, rule = _judged(path, place, judge, response), _stated(judge, response), "judge"
        answers.add(place, id_, correct, confidence=confidence, rule=rule, response=response)
    found = answers.all()
    provenance = {
        "source": "HLE repository",
        "model": ", ".join(sorted(models - {""}))[:200],
        "grader": "judge" if any(answer.rule == "judge" for answer in found) else NOT_GRADED,
    }
    return Graded(found, path.stem, provenance, usage if any(usage.values()) else {})


def _judged(path: Path, place: str, judge: dict[str, Any], response: str) -> bool:
    said = judge.get("correct")
    if said not in ("yes", "no"):
        raise DatasetError(f"{path}: {place}: field judge_response.correct: {str(said)[:60]!a}, not yes or no")
    return said == "yes" and bool(response.strip())


def _stated(judge: dict[str, Any], response: str) -> float | None:
    percent = judge.get("confidence")
    if isinstance(percent, bool) or not isinstance(percent, (int, float)) or not 0 <= percent <= 100:
        return confidence_of(response)
    if percent == 100 and not states(response, 100):
        return confidence_of(response)
    return percent / 100
