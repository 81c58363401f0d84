"""Texts that a model may have learned from, in pieces; and what a word is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import unicodedata
import zlib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, Literal

from thrifty.errors import DatasetError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Piece", "Words", "pieces"]

#: About how much of a file is a piece, and the most that is looked through for a place to cut.
PIECE, MOST = 1 << 16, 1 << 20


def _zstd(file: IO[bytes]) -> IO[bytes]:
    try:
        pyarrow: Any = import_module("pyarrow")
    except ImportError:
        raise MissingExtra("files packed by zstd need pyarrow; install it with: pip install 'thrifty[exam]'") from None
    unpacked: IO[bytes] = pyarrow.CompressedInputStream(pyarrow.PythonFile(file), "zstd")
    return unpacked


#: First bytes of packed files, and what reads on behind them.
_PACKED: list[tuple[re.Pattern[bytes], Any]] = [
    (re.compile(rb"\x1f\x8b"), lambda file: gzip.GzipFile(fileobj=file)),
    (re.compile(rb"\xfd7zXZ"), lzma.LZMAFile),
    (re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2File),
    (re.compile(rb"\x28\xb5\x2f\xfd"), _zstd),
]
#: All bytes but ASCII letters, digits and line ends become blanks, letters lower case.
_PLAIN = bytes(b if chr(b).isascii() and chr(b).isalnum() else 32 for b in range(256)).lower()
_PLAIN = _PLAIN[:10] + b"\n" + _PLAIN[11:]
#: Scripts that part no words: Thai and Lao, Myanmar, Khmer, kana, Han.
_UNPARTED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)


@cache
def _word() -> re.Pattern[str]:
    """Words of all scripts: letters and digits with their marks; letters of scripts that part no words are each one."""
    marks = [code for code in range(0x110000) if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    spans = [[marks[0], marks[0]]]
    for code in marks[1:]:
        if code == spans[-1][1] + 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    mark = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in spans)
    return re.compile(f"(?=[^\\W_])[{_UNPARTED}][{mark}]*|(?:(?![{_UNPARTED}])[^\\W_]|[{mark}])+")


@dataclass(frozen=True, slots=True)
class Words:
    """What an n-gram of words is.

    Attributes
    ----------
    n : int
        Words of one.
    alphabet : {"ascii", "unicode"}
        Runs of a-z and 0-9 after lowering, as contamination is mostly counted; or of letters, digits and marks of any
        script after NFKC, where letters of Han, kana, Thai and other scripts that part no words are each a word.
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
        """Return what the index is given: words of ASCII alone, parted by blanks and line ends."""
        if self.alphabet == "unicode":
            # The index would part words by rules of its own: it is given their bytes in hexadecimal.
            lines = (" ".join(word.encode().hex() for word in self._split(line)) for line in text.split(b"\n"))
            return "\n".join(lines).encode()
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
        return _word().findall(unicodedata.normalize("NFKC", block.decode(errors="replace")).lower())


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
    """Read files, plain or packed by gzip, xz, bzip2 or zstd, in pieces cut at line ends, or long lines between words.

    Raises
    ------
    DatasetError
        When a file can't be unpacked, or is no text in UTF-8.
    MissingExtra
        Where zstd needs pyarrow.
    """
    for path in paths:
        with path.open("rb") as raw:
            opener = next((o for magic, o in _PACKED if magic.match(raw.peek(10))), None)
            try:
                yield from _of_file(path, raw if opener is None else opener(raw), words)
            except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise DatasetError(f"{path}: can't be unpacked: {error}") from None


def _of_file(path: Path, file: IO[bytes], words: Words) -> Iterator[Piece]:
    number, line, carried, waiting = 0, 1, b"", b""
    while True:
        block = file.read(PIECE)
        if b"\0" in block:
            raise DatasetError(f"{path}: holds zero bytes: it is no text in UTF-8; convert it, or leave it out")
        waiting += block
        if not waiting:
            return
        cut = waiting.rfind(b"\n") + 1
        whole = bool(cut) and words.within == "line"
        if block and not cut:
            if len(waiting) < MOST:
                continue
            cut = max(waiting.rfind(b" "), waiting.rfind(b"\t")) + 1 or _whole(waiting)
        elif not block:
            cut, whole = len(waiting), True
        text, waiting = waiting[:cut], waiting[cut:]
        joined = carried + b" " + text if carried else text
        yield Piece(path, number, line, joined)
        carried = b"" if whole else words.last(joined)
        number, line = number + 1, line + text.count(b"\n")


def _whole(text: bytes) -> int:
    """Where the last whole character of UTF-8 ends."""
    for back in range(1, min(4, len(text))):
        if text[-back] & 0xC0 != 0x80:
            return len(text) - back if text[-back] >= 0xC0 else len(text) - back + 1
    return len(text)
