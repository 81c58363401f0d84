"""A judge's reply, read strictly."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["SCHEMA", "Judgement", "read_reply"]

#: Letters of a reply, and of what is kept of its two texts.
MOST_REPLY, MOST_KEPT = 100_000, 2_000
#: What an endpoint is asked to hold its model to.
SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "judgement",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "extracted_final_answer": {"type": "string"},
                "reasoning": {"type": "string"},
                "correct": {"type": "string", "enum": ["yes", "no"]},
                "confidence": {"type": ["integer", "null"]},
            },
            "required": ["extracted_final_answer", "reasoning", "correct", "confidence"],
            "additionalProperties": False,
        },
    },
}
_FIELDS = set(SCHEMA["json_schema"]["schema"]["properties"])
_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(.*)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says of one response.

    Attributes
    ----------
    correct : bool or None
        None where its reply was of no use: the response stays unscored.
    answer, reasoning : str
        What it took for the final answer, and why it decided so; shortened.
    confidence_percent : float or None
        That the response states, as the judge read it.
    why : str
        Why there is no verdict, and behind a colon what stood in its place; empty where there is one.
    attempts : int
        Requests made; 0 where it was known before.
    """

    correct: bool | None
    answer: str = ""
    reasoning: str = ""
    confidence_percent: float | None = None
    why: str = ""
    attempts: int = 0


def read_reply(text: str) -> tuple[Judgement, bool]:
    """Read a reply; returns what it says, and whether it is worth asking again.

    One JSON object with the four fields counts, bare or in one fence of Markdown, after what a model thought aloud.
    Nothing is looked for in prose, and a verdict other than ``yes`` or ``no`` is none.

    Examples
    --------
    >>> good = '{"extracted_final_answer": "8", "reasoning": "same", "correct": "yes", "confidence": 90}'
    >>> read_reply(good)[0].correct, read_reply("Yes, it is correct.")[0].correct
    (True, None)
    """
    body = text.strip()
    if body.startswith("<think>") and "</think>" in body:
        body = body.split("</think>", 1)[1].strip()
    if not body:
        return Judgement(None, why="the reply is empty"), False
    found = _object(body)
    if found is None:
        return Judgement(None, why="the reply is not one JSON object with the fields that were asked for"), True
    answer, reasoning = found["extracted_final_answer"], found["reasoning"]
    correct, percent = found["correct"], found["confidence"]
    if correct not in ("yes", "no"):
        return Judgement(None, why=f"its verdict is neither yes nor no: {str(correct)[:40]!a}"), False
    if not isinstance(answer, str) or not isinstance(reasoning, str):
        return Judgement(None, why="the reply has fields of other kinds than were asked for"), True
    if percent is not None and (type(percent) is not int or not 0 <= percent <= 100):
        return Judgement(None, why=f"its confidence is no percentage: {str(percent)[:40]!a}"), True
    stated = None if percent is None else float(percent)
    return Judgement(correct == "yes", _kept(answer), _kept(reasoning), stated), False


def _kept(text: str) -> str:
    return text[:MOST_KEPT].encode("utf-8", "replace").decode()


def _object(body: str) -> dict[str, Any] | None:
    """Return the object that a reply is, with all fields and no other; None where it is something else."""
    if len(body) > MOST_REPLY:
        return None
    fenced = _FENCE.fullmatch(body)
    try:
        found = json.loads(fenced[1] if fenced else body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and set(found) == _FIELDS else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)
