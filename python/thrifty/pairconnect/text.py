"""Text as ids: bytes, or what a tokenizer makes of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import FormatError, MissingExtra
from thrifty.pairconnect.bpe import ByteBPE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import NDArray

__all__ = ["Bytes", "Encoding", "Tokenizer", "read_text"]


def read_text(path: str | PathLike[str]) -> bytes:
    """Return the bytes of a file; one that ends in ``.xz`` is unpacked."""
    content = Path(path).read_bytes()
    if Path(path).suffix != ".xz":
        return content
    import lzma

    try:
        return lzma.decompress(content)
    except (lzma.LZMAError, EOFError) as error:
        raise FormatError(f"{path}: can't be unpacked: {error}") from None


class Bytes:
    """Each byte is an id.

    Examples
    --------
    >>> ids, ends = Bytes().encode("né".encode())
    >>> ids.tolist(), ends.tolist()
    ([110, 195, 169], [1, 2, 3])
    >>> Bytes().decode(ids)
    'né'
    """

    vocab = 256
    json = ""

    def encode(self, text: bytes) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Return ids, and where each ends in the bytes of the text."""
        ids = np.frombuffer(text, np.uint8).astype(np.uint32)
        return ids, np.arange(1, len(ids) + 1)

    def decode(self, ids: Sequence[int] | NDArray[Any]) -> str:
        """Return the text of ids; bytes that are no text become the replacement character."""
        return bytes(int(i) for i in ids).decode(errors="replace")


class Tokenizer:
    """A tokenizer of Hugging Face's ``tokenizers``.

    Parameters
    ----------
    json : str
        What its file contains.
    name : str
        For messages.

    Raises
    ------
    MissingExtra
        Without the package ``tokenizers``.
    FormatError
        When it is no tokenizer.
    """

    def __init__(self, json: str, name: str = "tokenizer") -> None:
        try:
            tokenizers: Any = import_module("tokenizers")
        except ImportError as error:
            raise MissingExtra("this needs tokenizers; install it with: pip install 'thrifty[text]'") from error
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(json)
        except Exception as error:  # the package raises nothing narrower
            raise FormatError(f"{name}: no tokenizer: {error}") from None
        self.json = json
        self.vocab = int(self._tokenizer.get_vocab_size())

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Tokenizer:
        """Read a file ``tokenizer.json``."""
        try:
            return cls(Path(path).read_text(encoding="utf-8"), str(path))
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}: no tokenizer: {error}") from None

    def encode(self, text: bytes) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Return ids, and where each ends in the bytes of the text."""
        characters = text.decode(errors="replace")
        found = self._tokenizer.encode(characters, add_special_tokens=False)
        lengths = np.frombuffer(characters.encode("utf-32-le"), np.uint32)
        bytes_of = 1 + (lengths > 0x7F) + (lengths > 0x7FF) + (lengths > 0xFFFF)
        starts = np.concatenate([[0], np.cumsum(bytes_of)])
        ends = np.fromiter((end for _, end in found.offsets), np.int64, len(found.offsets))
        return np.array(found.ids, np.uint32), starts[ends]

    def decode(self, ids: Sequence[int] | NDArray[Any]) -> str:
        """Return the text of ids."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False))


Encoding = Bytes | Tokenizer | ByteBPE
"""How text becomes ids."""
