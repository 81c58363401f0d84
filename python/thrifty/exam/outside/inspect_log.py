"""Logs of Inspect (inspect-ai): JSON by the fields that its documentation names, .eval by its own reader."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from thrifty.errors import DatasetError, MissingExtra
from thrifty.exam.graded import Graded
from thrifty.exam.outside.checked import (
    NOT_GRADED,
    Answers,
    confidence_of,
    dict_of,
    number_of,
    right_or_wrong,
    text_of,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_inspect", "read_eval", "read_inspect"]

#: Letters of its scorers; what is only partly right is not right.
LETTERS = {"C": True, "I": False, "P": False, "N": False}
#: Its reasons to stop, where the answer is not whole.
STOPS = {"max_tokens": "length", "model_length": "length", "content_filter": "content_filter"}


def is_inspect(values: dict[str, Any]) -> bool:
    """Tell whether an object is a log."""
    return isinstance(values.get("eval"), dict) and "version" in values


def read_eval(path: Path, grader: str | None = None) -> Graded:
    """Read a log of the form .eval, where Inspect is installed.

    Raises
    ------
    MissingExtra
        Where it is not.
    DatasetError
        Where it can't read the file, or as :func:`read_inspect`.
    """
    try:
        from inspect_ai.log import read_eval_log
    except ImportError:
        raise MissingExtra(
            f"{path}: Inspect reads its own .eval files: pip install 'thrifty[inspect]', or write the log as JSON "
            "(inspect log convert --to json)"
        ) from None
    try:
        log = read_eval_log(str(path), resolve_attachments=True)
        values = json.loads(log.model_dump_json())
    except Exception as error:  # its reader raises what zip, JSON and pydantic raise
        raise DatasetError(f"{path}: Inspect can't read it: {type(error).__name__}: {str(error)[:200]}") from None
    return read_inspect(path, values, grader)


def read_inspect(path: Path, values: dict[str, Any], grader: str | None = None) -> Graded:
    """Make graded answers of one scorer's scores; what it did not score at all was not graded.

    Parameters
    ----------
    path : Path
        For messages.
    values : dict
        The log.
    grader : str, optional
        Name of a scorer; the first that the log names where not given.

    Raises
    ------
    DatasetError
        Where it has no samples, or a score is neither right nor wrong.
    """
    samples, about = values.get("samples"), dict_of(values.get("eval"))
    if not isinstance(samples, list) or not samples:
        raise DatasetError(f"{path}: the log has no samples (status {str(values.get('status'))[:60]!a})")
    names = _scorers(samples, about)
    if grader is not None and grader not in names:
        raise DatasetError(f"{path}: no scorer is called {grader[:60]!a}; there are {', '.join(names) or 'none'}")
    scorer = grader or next(iter(names), NOT_GRADED)
    answers = Answers(path)
    for number, sample in enumerate(samples, 1):
        _add(answers, f"sample {number}", dict_of(sample), scorer)
    provenance = {
        "source": "Inspect",
        "task": text_of(about.get("task"))[:200],
        "model": text_of(about.get("model"))[:200],
        "status": text_of(values.get("status"))[:200],
        "grader": scorer,
        "graders": names,
    }
    return Graded(answers.all(), path.stem, provenance, _usage(dict_of(values.get("stats"))))


def _scorers(samples: list[Any], about: dict[str, Any]) -> list[str]:
    """Return names of scorers that scored anything, as the log orders them: its first sample may lack some."""
    scored: dict[str, None] = {}
    for sample in samples:
        scored.update(dict.fromkeys(dict_of(dict_of(sample).get("scores"))))
    listed = about.get("scorers")
    named = [text_of(dict_of(one).get("name")) for one in listed] if isinstance(listed, list) else []
    return list(dict.fromkeys([*(name for name in named if name in scored), *scored]))


def _add(answers: Answers, place: str, sample: dict[str, Any], scorer: str) -> None:
    output, meta, epoch = dict_of(sample.get("output")), dict_of(sample.get("metadata")), sample.get("epoch", 1)
    choices = output.get("choices")
    choice = dict_of(choices[0]) if isinstance(choices, list) and choices else {}
    response = _response(output, choice, dict_of(sample.get("attachments")))
    status = "failed" if sample.get("error") else STOPS.get(str(choice.get("stop_reason")), "answered")
    scores = dict_of(sample.get("scores"))
    score = dict_of(scores.get(scorer)).get("value")
    correct: bool | None = None
    if scorer not in scores:
        rule = NOT_GRADED
    elif isinstance(score, str) and score in LETTERS:
        correct, rule = LETTERS[score], scorer if score in "CI" else f"{scorer}: {score}"
    else:
        correct, rule = right_or_wrong(score, f"{answers.path}: {place}: scorer {scorer}"), scorer
    answers.add(
        place,
        sample.get("id"),
        False if status == "failed" else correct,
        epoch=epoch - 1 if isinstance(epoch, int) else epoch,
        confidence=confidence_of(response),
        status=status,
        rule=status if status == "failed" else rule,
        category=meta.get("category") or meta.get("subject"),
        response=response,
    )


def _response(output: dict[str, Any], choice: dict[str, Any], attachments: dict[str, Any]) -> str:
    text = output.get("completion")
    if not text:
        text = dict_of(choice.get("message")).get("content")
        if isinstance(text, list):
            text = "\n".join(text_of(part.get("text")) for part in text if isinstance(part, dict))
    if isinstance(text, str) and text.startswith("attachment://"):
        text = attachments.get(text.removeprefix("attachment://"))
    return text_of(text)


def _usage(stats: dict[str, Any]) -> dict[str, float]:
    models = [dict_of(model) for model in dict_of(stats.get("model_usage")).values()]
    usage = {
        "prompt_tokens": sum(number_of(model.get("input_tokens")) for model in models),
        "completion_tokens": sum(number_of(model.get("output_tokens")) for model in models),
        "usd": sum(number_of(model.get("total_cost")) for model in models),
    }
    try:
        begun, ended = (datetime.fromisoformat(str(stats.get(name))) for name in ("started_at", "completed_at"))
        usage["seconds"] = max(0.0, (ended - begun).total_seconds())
    except (ValueError, TypeError):  # not given, or one with a time zone and one without
        pass
    return {name: value for name, value in usage.items() if value}
