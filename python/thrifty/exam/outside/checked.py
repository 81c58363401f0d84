"""What is checked in files of other programs, whichever it is."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from thrifty.errors import DatasetError
from thrifty.exam.graded import GradedAnswer
from thrifty.exam.grading import parse_confidence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "NOT_GRADED",
    "Answers",
    "confidence_of",
    "dict_of",
    "json_object",
    "json_objects",
    "number_of",
    "right_or_wrong",
    "text_of",
]

#: Bytes of a file that is read as a whole, and of a line; letters of an id or a subject, and of a response.
MOST_BYTES, MOST_LINE, MOST_NAME, MOST_TEXT = 1 << 30, 64 << 20, 256, 4_000_000
#: The rule of answers that nobody graded.
NOT_GRADED = "not graded"
#: Repeats of a question.
MOST_EPOCHS = 1_000_000


def json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object, in which no name is there twice.

    Raises
    ------
    DatasetError
        Where it does not.
    """
    return _object(_parsed(_whole(path), str(path)), str(path))


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines of a JSON Lines file with their numbers, from 1; blank ones are passed over.

    A file that is one array, as old versions of lm-eval wrote it, gives its elements with theirs.

    Raises
    ------
    DatasetError
        Where a line is no object, or too long; the message names it.
    """
    with path.open("rb") as file:
        if file.read(1) == b"[":
            yield from enumerate(_array(path), 1)
            return
        file.seek(0)
        number = 0
        while line := file.readline(MOST_LINE + 1):
            number += 1
            if len(line) > MOST_LINE:
                raise DatasetError(f"{path}: line {number} has more than {MOST_LINE:,} bytes")
            if line.strip():
                place = f"{path}: line {number}"
                yield number, _object(_parsed(line, place), place)


def _array(path: Path) -> list[dict[str, Any]]:
    return [_object(one, f"{path}: element {n}") for n, one in enumerate(_parsed(_whole(path), str(path)), 1)]


def _whole(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DatasetError(f"{path}: {size:,} bytes; a file of at most {MOST_BYTES:,} is read as a whole")
    return path.read_bytes()


def _parsed(data: bytes, place: str) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{place}: it is not UTF-8, at byte {error.start}") from None
    except RecursionError:
        raise DatasetError(f"{place}: the JSON is nested too deeply") from None
    except ValueError as error:
        raise DatasetError(f"{place}: it is not JSON, or cut off: {str(error)[:200]}") from None


def _object(found: Any, place: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise DatasetError(f"{place}: an object is needed, got {type(found).__name__}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in found if names.count(n) > 1)[:60]!a} is there twice")
    return found


def dict_of(value: object) -> dict[str, Any]:
    """Return an object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str:
    """Return text that can be written to a file; empty where it is none."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def number_of(value: Any) -> float:
    """Return a number that can be summed; 0 where it is none."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e18
    return float(value) if known else 0.0


def right_or_wrong(value: object, place: str) -> bool | None:
    """Tell a grade from the number that a program writes for it; None where nobody could tell.

    Raises
    ------
    DatasetError
        Where it is neither: a share, or several numbers.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    raise DatasetError(f"{place}: {str(value)[:60]!a} is neither right nor wrong; choose another grader")


def confidence_of(response: str) -> float | None:
    """Return the confidence that a response states, 0 to 1; None where it states none."""
    percent = parse_confidence(response)
    return None if percent is None else percent / 100


class Answers:
    """Graded answers of a file as they come: each (id, epoch) once, in the order of questions and epochs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[str, dict[int, GradedAnswer]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(
        self,
        place: str,
        id_: object,
        correct: bool | None,
        *,
        epoch: object = 0,
        confidence: float | None = None,
        status: str = "answered",
        rule: str = "",
        category: object = "",
        response: str = "",
    ) -> None:
        """Check an answer and keep it.

        Raises
        ------
        DatasetError
            Where its id or epoch can't be one, or was there before.
        """
        name = str(id_) if isinstance(id_, int) and not isinstance(id_, bool) else id_
        if not isinstance(name, str) or not name or len(name) > MOST_NAME or not name.isprintable():
            raise DatasetError(f"{self.path}: {place}: {str(id_)[:60]!a} can't be an id")
        if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch < MOST_EPOCHS:
            raise DatasetError(f"{self.path}: {place}: {str(epoch)[:60]!a} can't be the number of a repeat")
        epochs = self._found.setdefault(name, {})
        if epoch in epochs:
            raise DatasetError(f"{self.path}: {place}: {name!a} was answered before, in repeat {epoch + 1}")
        if len(response) > MOST_TEXT:
            raise DatasetError(f"{self.path}: {place}: a response of {len(response):,} letters; at most {MOST_TEXT:,}")
        subject = text_of(category)[:MOST_NAME]
        epochs[epoch] = GradedAnswer(name, epoch, correct, confidence, status, rule, subject, response=response)

    def all(self) -> tuple[GradedAnswer, ...]:
        """Return them in order.

        Raises
        ------
        DatasetError
            Where there is none.
        """
        if not self._found:
            raise DatasetError(f"{self.path}: no answer is in it")
        return tuple(epochs[epoch] for epochs in self._found.values() for epoch in sorted(epochs))
