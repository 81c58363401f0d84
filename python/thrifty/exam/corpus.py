"""Texts that a model may have learned from, in pieces; and what a word is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import unicodedata
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from thrifty.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Piece", "Words", "pieces"]

#: About how much of a file is a piece, and the most that is looked through for a place to cut.
PIECE, MOST = 1 << 16, 1 << 20


#: First bytes of packed files, and what reads on behind them.
_PACKED: dict[bytes, Any] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\xfd7zXZ": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
}
#: All bytes but ASCII letters, digits and line ends become blanks, letters lower case.
_PLAIN = bytes(b if chr(b).isascii() and chr(b).isalnum() else 32 for b in range(256)).lower()
_PLAIN = _PLAIN[:10] + b"\n" + _PLAIN[11:]


@dataclass(frozen=True, slots=True)
class Words:
    """What an n-gram of words is.

    Attributes
    ----------
    n : int
        Words of one.
    alphabet : {"ascii", "unicode"}
        Runs of a-z and 0-9 after lowering, as contamination is mostly counted; or of letters and digits of any script
        after NFKC.
    within : {"line", "document"}
        Whether they run over line ends.
    """

    n: int = 13
    alphabet: Literal["ascii", "unicode"] = "ascii"
    within: Literal["line", "document"] = "line"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n: at least 1 word is needed, got {self.n}")
        if self.alphabet not in ("ascii", "unicode"):
            raise ValueError(f"alphabet: '{self.alphabet}' is none of ascii, unicode")
        if self.within not in ("line", "document"):
            raise ValueError(f"within: '{self.within}' is none of line, document")

    def plain(self, text: bytes) -> bytes:
        """Return what the index is given: with ``ascii``, words of ASCII alone, parted by blanks and line ends."""
        if self.alphabet == "unicode":
            return text
        # The two letters beyond ASCII that have one of ASCII when lowered.
        return text.replace("\u212a".encode(), b"k").replace("\u0130".encode(), b"i ").translate(_PLAIN)

    def grams(self, text: bytes) -> Iterator[tuple[int, str]]:
        """Yield every n-gram as its words and blanks between them, with its line in the text, from 0."""
        words: list[str] = []
        lines: list[int] = []
        for number, line in enumerate(text.split(b"\n")):
            if self.within == "line":
                words.clear()
                lines.clear()
            own = self._split(line)
            first = max(len(words) - self.n + 1, 0)
            words += own
            lines += [number] * len(own)
            for i in range(first, len(words) - self.n + 1):
                yield lines[i], " ".join(words[i : i + self.n])

    def last(self, text: bytes) -> bytes:
        """Return the last n - 1 words, which begin n-grams that end behind the text."""
        if self.n == 1:
            return b""
        words = self._split(text.rsplit(b"\n", 1)[-1] if self.within == "line" else text)
        return " ".join(words[-self.n + 1 :]).encode()

    def _split(self, block: bytes) -> list[str]:
        if self.alphabet == "ascii":
            return self.plain(block).decode("ascii").split()
        return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", block.decode(errors="replace")).lower())


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file with all n-grams that end in it.

    Attributes
    ----------
    path : Path
    number : int
        Of the piece in its file, from 0.
    line : int
        In the file, from 1, where it begins.
    text : bytes
    """

    path: Path
    number: int
    line: int
    text: bytes


def pieces(paths: Iterable[Path], words: Words) -> Iterator[Piece]:
    """Read files, plain or packed by gzip, xz or bzip2, in pieces cut at line ends; very long lines between words.

    Raises
    ------
    DatasetError
        When a file can't be unpacked.
    """
    for path in paths:
        with path.open("rb") as raw:
            opener = next((o for magic, o in _PACKED.items() if raw.peek(8).startswith(magic)), None)
            try:
                yield from _of_file(path, raw if opener is None else opener(raw), words)
            except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
                raise DatasetError(f"{path}: can't be unpacked: {error}") from None


def _of_file(path: Path, file: IO[bytes], words: Words) -> Iterator[Piece]:
    number, line, carried, waiting = 0, 1, b"", b""
    while True:
        block = file.read(PIECE)
        waiting += block
        if not waiting:
            return
        cut = waiting.rfind(b"\n") + 1
        whole = bool(cut) and words.within == "line"
        if block and not cut:
            if len(waiting) < MOST:
                continue
            cut = max(waiting.rfind(b" "), waiting.rfind(b"\t")) + 1 or len(waiting)
        elif not block:
            cut, whole = len(waiting), True
        text, waiting = waiting[:cut], waiting[cut:]
        joined = carried + b" " + text if carried else text
        yield Piece(path, number, line, joined)
        carried = b"" if whole else words.last(joined)
        number, line = number + 1, line + text.count(b"\n")
