"""What an exam is made of: questions, and the data set they come in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thrifty.exam.reading.images import Image

__all__ = ["ANSWER_TYPES", "Dataset", "Question", "Remark"]

#: The two kinds of answers of the published layout.
ANSWER_TYPES = ("exactMatch", "multipleChoice")


@dataclass(frozen=True, slots=True)
class Question:
    """One question in the layout of Humanity's Last Exam (2501.14249, section 3).

    Attributes
    ----------
    id : str
        Unique in a data set.
    question : str
        The text; the choices of a multiple-choice question are in it.
    answer : str
        What is right.
    answer_type : str
        ``"exactMatch"`` or ``"multipleChoice"``.
    image : Image or None
        One picture, as it came.
    category, raw_subject, author_name, rationale, canary : str
        As published; empty where not given.
    line : int
        Where the record stands in its file, from 1.
    """

    id: str
    question: str
    answer: str
    answer_type: str
    image: Image | None = None
    category: str = ""
    raw_subject: str = ""
    author_name: str = ""
    rationale: str = ""
    canary: str = ""
    line: int = 0

    def content(self) -> dict[str, str]:
        """Everything that the data set's hash is of: each field but the line, the image by its bytes' SHA-256."""
        return {
            "id": self.id,
            "question": self.question,
            "answer": self.answer,
            "answer_type": self.answer_type,
            "image": hashlib.sha256(self.image.data).hexdigest() if self.image else "",
            "category": self.category,
            "raw_subject": self.raw_subject,
            "author_name": self.author_name,
            "rationale": self.rationale,
            "canary": self.canary,
        }


@dataclass(frozen=True, slots=True)
class Remark:
    """Why a record was rejected, or what is odd about one that was kept.

    Attributes
    ----------
    line : int
        In its file, from 1.
    field : str
        Which field; empty where the whole record is meant.
    reason : str
        One line.
    file : str
        Its name; a folder has several.
    """

    line: int
    field: str
    reason: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Questions in the order of their file; iterable, with a length.

    Attributes
    ----------
    questions : tuple of Question
    rejected : tuple of Remark
        Records that can't be used.
    flagged : tuple of Remark
        Records that were kept although something is odd: a wrong MIME label, say.
    source : str
        The file or folder.
    """

    questions: tuple[Question, ...]
    rejected: tuple[Remark, ...] = ()
    flagged: tuple[Remark, ...] = ()
    source: str = field(default="", compare=False)

    def __iter__(self) -> Iterator[Question]:
        return iter(self.questions)

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def sha256(self) -> str:
        """Hash of all records in order, whatever kind of file they came in."""
        digest = hashlib.sha256()
        for question in self.questions:
            digest.update(json.dumps(question.content(), ensure_ascii=True, sort_keys=True).encode() + b"\n")
        return digest.hexdigest()

    @property
    def canary(self) -> str:
        """The first canary of the records; with one, texts stay out of reports."""
        return next((question.canary for question in self.questions if question.canary), "")
