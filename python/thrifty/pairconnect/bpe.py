"""Byte-pair encoding without a package, for models whose tokenizer is of the plain byte-level kind."""

from __future__ import annotations

import json as json_
import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import FormatError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ByteBPE"]

#: How GPT-2 parts a text into words, over what :func:`_plain` makes of it.
WORD = re.compile(
    r"'(?:[stmd]|re|ve|ll)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+",
    re.ASCII,
)


class ByteBPE:
    """A byte-level tokenizer in Python, which gives the ids that ``tokenizers`` gives.

    Parameters
    ----------
    json : str
        What a file ``tokenizer.json`` contains: a BPE over bytes with the words of GPT-2, and nothing else.

    Raises
    ------
    FormatError
        When it is no tokenizer.
    MissingExtra
        When it has what only ``tokenizers`` knows.

    Examples
    --------
    >>> import thrifty.pipeline.data as data
    >>> from thrifty.pairconnect import PairLM
    >>> bpe = ByteBPE(PairLM.load(data.novels() / "model.safetensors").encoding.json)
    >>> ids, ends = bpe.encode("a café".encode())
    >>> bpe.decode(ids), int(ends[-1])
    ('a café', 7)
    """

    def __init__(self, json: str) -> None:
        try:
            content = json_.loads(json)
            model = content["model"]
            vocab: dict[str, int] = model["vocab"]
            merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"tokenizer: no tokenizer: {type(error).__name__}: {error}") from None
        letters = _letters()
        if not _is_plain(content) or not vocab.keys() >= set(letters):
            raise MissingExtra("this tokenizer needs tokenizers; install it with: pip install 'thrifty[text]'")
        bytes_of = {letter: byte for byte, letter in enumerate(letters)}
        self.json = json
        self.vocab = len(vocab)
        self._letters = letters
        self._ids = vocab
        self._ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
        self._bytes = {
            id_: bytes(bytes_of[letter] for letter in token)
            for token, id_ in vocab.items()
            if all(letter in bytes_of for letter in token)
        }
        self._known: dict[str, list[int]] = {}

    def encode(self, text: bytes) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Return ids, and where each ends in the bytes of the text; one that ends within a character ends with it."""
        characters = text.decode(errors="replace")
        ids: list[int] = []
        for word in WORD.finditer(_plain(characters)):
            ids += self._word(characters[word.start() : word.end()])
        whole = characters.encode()
        ends = np.cumsum([len(self._bytes[id_]) for id_ in ids], dtype=np.int64)
        # Behind each place, the next one at which a character begins.
        begins = np.append(np.flatnonzero((np.frombuffer(whole, np.uint8) & 0xC0) != 0x80), len(whole))
        return np.array(ids, np.uint32), begins[np.searchsorted(begins, ends)].astype(np.int64)

    def decode(self, ids: Sequence[int] | NDArray[Any]) -> str:
        """Return the text of ids; bytes that are no text become the replacement character."""
        return b"".join(self._bytes.get(int(id_), b"") for id_ in ids).decode(errors="replace")

    def _word(self, word: str) -> list[int]:
        """Ids of a word: of the neighbours that may merge, those that were learned first do, again and again."""
        found = self._known.get(word)
        if found is None:
            parts = [self._letters[byte] for byte in word.encode()]
            while pairs := {pair for pair in pairwise(parts) if pair in self._ranks}:
                parts = _merged(parts, min(pairs, key=self._ranks.__getitem__))
            found = self._known[word] = [self._ids[part] for part in parts]
        return found


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """Return the parts with a pair as one wherever it is, from the left."""
    out: list[str] = []
    at = 0
    while at < len(parts):
        both = at + 1 < len(parts) and (parts[at], parts[at + 1]) == pair
        out.append(parts[at] + parts[at + 1] if both else parts[at])
        at += 2 if both else 1
    return out


def _letters() -> list[str]:
    """Return the character that stands for each byte: its own where that can be seen, else one from 256 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in seen else chr(next(others)) for byte in range(256)]


def _is_plain(content: dict[str, Any]) -> bool:
    """Whether a tokenizer does nothing but what is done here."""
    model, words, decoder = content["model"], content.get("pre_tokenizer") or {}, content.get("decoder") or {}
    return (
        model.get("type", "BPE") == "BPE"
        and not any(model.get(name) for name in ("dropout", "unk_token", "continuing_subword_prefix"))
        and not any(model.get(name) for name in ("end_of_word_suffix", "byte_fallback", "ignore_merges"))
        and words.get("type") == "ByteLevel"
        and not words.get("add_prefix_space", True)
        and bool(words.get("use_regex", True))
        and decoder.get("type") == "ByteLevel"
        and not any(content.get(name) for name in ("normalizer", "added_tokens", "truncation", "padding"))
    )


def _plain(text: str) -> str:
    """Return ASCII of the same length in which each character is of the same kind: letter, number, blank or other."""
    if text.isascii():
        return text
    kinds = {}
    for character in set(text):
        if not character.isascii():
            kind = unicodedata.category(character)[0]
            kinds[ord(character)] = {"L": "A", "N": "0"}.get(kind, "\t" if character.isspace() else "!")
    return text.translate(kinds)
