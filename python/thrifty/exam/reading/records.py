"""The checks of one record, whatever kind of file it came in."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError
from thrifty.exam.question import ANSWER_TYPES, Question, Remark
from thrifty.exam.reading.images import MOST_PIXELS, Image, read_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIELDS", "REQUIRED", "Records", "shown"]

REQUIRED = ("id", "question", "answer", "answer_type")
#: Every field that is read; others are left aside.
FIELDS = (*REQUIRED, "image", "category", "raw_subject", "author_name", "rationale", "canary")

#: Letters of an id, of another text; remarks until a file is taken for no data set at all.
MOST_ID, MOST_TEXT, MOST_REMARKS = 128, 1_000_000, 10_000


def shown(text: str, most: int = 60) -> str:
    """Return text for a message: letters that a terminal obeys are written out, and not too many."""
    return ascii(text if len(text) <= most else text[:most] + "…")


@dataclass
class Records:
    """Questions, and what is said of records, as records come."""

    most_pixels: int = MOST_PIXELS
    questions: list[Question] = field(default_factory=list)
    rejected: list[Remark] = field(default_factory=list)
    flagged: list[Remark] = field(default_factory=list)
    file: str = ""
    _seen: dict[str, str] = field(default_factory=dict)
    _pictures: dict[bytes, tuple[Image, str]] = field(default_factory=dict)

    def reject(self, line: int, name: str, reason: str) -> None:
        """Leave a record out.

        Raises
        ------
        DatasetError
            Where so many are that the file is no data set.
        """
        self.rejected.append(Remark(line, name, reason, self.file))
        if len(self.rejected) > MOST_REMARKS:
            first = self.rejected[0]
            raise DatasetError(
                f"{self.file}: more than {MOST_REMARKS:,} records are no questions; the first, in line {first.line}: "
                f"{first.field} {first.reason}"
            )

    def add(self, line: int, values: Mapping[str, object]) -> None:
        """Check a record and keep it, or say why not."""
        texts: dict[str, str] = {}
        for name in FIELDS:
            value = values.get(name)
            wrong = _wrong(name, value, there=name in values)
            if wrong:
                self.reject(line, name, wrong)
                return
            texts[name] = value if isinstance(value, str) else ""
        uri, picture = texts.pop("image"), None
        if uri:
            try:
                picture, label = self._picture(uri)
            except ValueError as error:
                self.reject(line, "image", str(error))
                return
        place = f"line {line} of {self.file}"
        if (before := self._seen.setdefault(texts["id"], place)) != place:
            self.reject(line, "id", f"{shown(texts['id'])} was there before, in {before}")
            return
        if picture and label != picture.mime:
            reason = f"it is labelled {shown(label)}, its bytes are {picture.mime}; it is sent as that"
            self.flagged.append(Remark(line, "image", reason, self.file))
        self.questions.append(Question(**texts, image=picture, line=line))

    def _picture(self, uri: str) -> tuple[Image, str]:
        """Return a picture and its label; the same one is in memory once."""
        key = hashlib.sha256(uri.encode("utf-8", "surrogatepass")).digest()
        if key not in self._pictures:
            self._pictures[key] = read_uri(uri, self.most_pixels)
        return self._pictures[key]


def _wrong(name: str, value: object, *, there: bool) -> str:
    """Say what is wrong with a field; nothing where all is well."""
    if value is None:
        return ("it is null" if there else "it is missing") if name in REQUIRED else ""
    if not isinstance(value, str):
        return f"it is {_kind(value)}, not text"
    if name in REQUIRED and not value.strip():
        return "it is empty"
    return "" if name == "image" else _wrong_text(name, value)


def _wrong_text(name: str, value: str) -> str:
    most = MOST_ID if name == "id" else MOST_TEXT
    if len(value) > most:
        return f"{len(value):,} letters; at most {most:,} are allowed"
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        return "it has half of a surrogate pair, which is no text"
    if name == "answer_type" and value not in ANSWER_TYPES:
        return f"{shown(value)} is none of {', '.join(ANSWER_TYPES)}"
    return _wrong_id(value) if name == "id" else ""


def _wrong_id(value: str) -> str:
    if "/" in value or "\\" in value or value in (".", ".."):
        return f"{shown(value)} has parts of a path"
    if value != value.strip():
        return f"{shown(value)} begins or ends with white space"
    for letter in value:
        # Controls, formats (the bidirectional ones among them), private and unassigned letters, separators of lines.
        if unicodedata.category(letter) in {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"}:
            return f"{shown(value)} has the letter U+{ord(letter):04X}, which can't be seen"
    return ""


def _kind(value: object) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
        bytes: "bytes",
    }
    return names.get(type(value), f"of type {type(value).__name__}")
