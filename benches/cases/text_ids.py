"""Novels as ids, ready for machines without a tokenizer.

    python benches/cases/text_ids.py DATA OUT [--tokenizer FILE | --train-tokenizer IDS]

reads DATA/{train.txt.xz,valid.txt,test.txt} and writes OUT/NAME/{train,valid,test}.npz and tokenizer.json, where NAME
is bpe2048, or bpe8192 for a tokenizer of 8,192 ids trained on the training text alone.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.pairconnect import Tokenizer, read_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = {"train": "train.txt.xz", "valid": "valid.txt", "test": "test.txt"}


@dataclass(frozen=True)
class Ids:
    """A text as ids; ``ends`` says where each ends in its bytes. Takes the place of a tokenizer for this one text."""

    ids: NDArray[np.uint32]
    ends: NDArray[np.int64]
    vocab: int

    def encode(self, text: bytes) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        if len(text) != self.ends[-1]:
            raise ValueError(f"text: {len(text)} bytes, and these are the ids of {self.ends[-1]}")
        return self.ids, self.ends

    @property
    def bytes_a_token(self) -> float:
        return float(self.ends[-1] / len(self.ids))


@dataclass(frozen=True)
class Novels:
    """Three texts and what makes ids of them."""

    train: Ids
    valid: Ids
    test: Ids
    tokenizer: str
    vocab: int


def novels(folder: Path) -> Novels:
    """Read what :func:`prepare` wrote."""
    found = {}
    for split in SPLITS:
        with np.load(folder / f"{split}.npz") as file:
            vocab = int(file["vocab"])
            found[split] = Ids(file["ids"].astype(np.uint32), np.cumsum(file["lengths"], dtype=np.int64), vocab)
    return Novels(**found, tokenizer=(folder / "tokenizer.json").read_text(encoding="utf-8"), vocab=vocab)


def prepare(data: Path, out: Path, tokenizer: Tokenizer) -> None:
    """Write the ids of the texts of a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(tokenizer.json, encoding="utf-8")
    for split, name in SPLITS.items():
        ids, ends = tokenizer.encode(read_text(data / name))
        lengths = np.diff(ends, prepend=0).astype(np.uint8)
        np.savez(out / f"{split}.npz", ids=ids.astype(np.uint16), lengths=lengths, vocab=tokenizer.vocab)


def trained_tokenizer(text: bytes, vocab: int) -> str:
    """Byte-pair encoding of a text: what its file contains."""
    import tokenizers as hf

    tokenizer = hf.Tokenizer(hf.models.BPE())
    tokenizer.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = hf.decoders.ByteLevel()
    alphabet = hf.pre_tokenizers.ByteLevel.alphabet()
    trainer = hf.trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        path.write_bytes(text)
        tokenizer.train([str(path)], trainer)
    return str(tokenizer.to_str())


def told(text: Ids, at: NDArray[np.int64], loss: NDArray[Any]) -> dict[str, float]:
    """Perplexity an id, and bits a byte, of the losses of some positions."""
    total = float(loss.sum(dtype=np.float64))
    length = float(np.diff(text.ends, prepend=0)[at].sum())
    return {
        "perplexity": float(np.exp(total / len(at))),
        "bits_per_byte": total / float(np.log(2)) / length,
        "tokens": len(at),
    }


def first(text: Ids, tokens: int | None) -> Ids:
    """The beginning of a text."""
    return Ids(text.ids[:tokens], text.ends[:tokens], text.vocab)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, help="by default DATA/bpe2048.json")
    parser.add_argument("--train-tokenizer", type=int, metavar="IDS")
    arguments = parser.parse_args()
    if arguments.train_tokenizer:
        text = read_text(arguments.data / SPLITS["train"])
        tokenizer = Tokenizer(trained_tokenizer(text, arguments.train_tokenizer))
    else:
        tokenizer = Tokenizer.from_file(arguments.tokenizer or arguments.data / "bpe2048.json")
    folder = arguments.out / f"bpe{tokenizer.vocab}"
    prepare(arguments.data, folder, tokenizer)
    for split in SPLITS:
        text = getattr(novels(folder), split)
        print(f"{folder.name} {split}: {len(text.ids):,} ids, {text.bytes_a_token:.3f} bytes each")


if __name__ == "__main__":
    main()
