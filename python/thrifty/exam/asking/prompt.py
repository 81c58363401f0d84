"""What a model is told before the question: text files, known by name and by the hash of what they hold."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thrifty.exam.question import Question

__all__ = ["DEFAULT", "Prompt", "messages", "prompt"]

#: The prompt of a run where none is named.
DEFAULT = "hle-like-1"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Instructions, with what tells them from all others.

    Attributes
    ----------
    id : str
        Their name: the file's, without its ending.
    text : str
        As a model is sent them.
    sha256 : str
        Of the text in UTF-8.
    """

    id: str
    text: str
    sha256: str


@cache
def prompt(name: str = DEFAULT) -> Prompt:
    """Return one of the prompts that come with thrifty.

    Raises
    ------
    ValueError
        For a name that none has.

    Examples
    --------
    >>> prompt().text.splitlines()[-1]
    'Confidence: {how likely your answer is right, from 0% to 100%}'
    """
    folder = files("thrifty.exam.asking") / "prompts"
    if not re.fullmatch(r"[a-z0-9-]+", name) or not (folder / f"{name}.txt").is_file():
        known = sorted(file.name.removesuffix(".txt") for file in folder.iterdir() if file.name.endswith(".txt"))
        raise ValueError(f"prompt: {name!r} is none of {', '.join(known)}")
    data = (folder / f"{name}.txt").read_bytes()
    return Prompt(name, data.decode().strip(), hashlib.sha256(data.decode().strip().encode()).hexdigest())


def messages(question: Question, instructions: Prompt) -> list[dict[str, Any]]:
    """Return the messages of a question, as chat endpoints take them: instructions, then text, then picture.

    Examples
    --------
    >>> from thrifty.exam import Question
    >>> messages(Question("q1", "How many legs has a spider?", "8", "exactMatch"), prompt())[1]
    {'role': 'user', 'content': 'How many legs has a spider?'}
    """
    content: str | list[dict[str, Any]] = question.question
    if question.image is not None:
        uri = f"data:{question.image.mime};base64,{base64.b64encode(question.image.data).decode()}"
        content = [{"type": "text", "text": question.question}, {"type": "image_url", "image_url": {"url": uri}}]
    return [{"role": "system", "content": instructions.text}, {"role": "user", "content": content}]
