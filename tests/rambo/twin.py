"""A slow, readable twin of rambo in plain Python: the oracle of the tests, and docs/formats.md as a program.

Nothing here calls the Rust core. `Documents` answers queries from plain sets; `read` opens an index file by the words
of the format's description; `Filters` sets the bits that a file must hold.
"""

from __future__ import annotations

import json
import re
import struct
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

M64 = 2**64 - 1


def mix64(word: int) -> int:
    z = (word + 0x9E3779B97F4A7C15) & M64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return z ^ (z >> 31)


def mix128(word: int) -> int:
    high = mix64((word >> 64) ^ 0xD6E8FEB86659FD93)
    return mix64((word & M64) ^ high)


def philox(seed: int, stream: int, position: int) -> int:
    """64 bits of Philox4x32-10 with counter (position, stream) and key seed."""
    c = [position & 0xFFFFFFFF, position >> 32, stream & 0xFFFFFFFF, stream >> 32]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c[0] | c[1] << 32


def kmers(sequence: str, k: int) -> list[str]:
    """Canonical k-mers in order; windows with other letters than A, C, G, T are left out."""
    text = sequence.replace("\n", "").replace("\r", "").upper()
    complement = str.maketrans("ACGT", "TGCA")
    out = []
    for i in range(len(text) - k + 1):
        window = text[i : i + k]
        if set(window) <= set("ACGT"):
            out.append(min(window, window[::-1].translate(complement)))
    return out


def kmer_hash(kmer: str) -> int:
    code = 0
    for letter in kmer:
        code = code << 2 | "ACGT".index(letter)
    return mix64(code) if len(kmer) <= 32 else mix128(code)


def words(text: str) -> list[str]:
    """Maximal runs of letters and digits of the normalised text."""
    lower = unicodedata.normalize("NFKC", text).lower()
    return re.findall(r"[a-z0-9]+", lower)


def ngrams(text: str, n: int, within: str) -> list[str]:
    pieces = text.split("\n") if within == "line" else [text]
    out = []
    for piece in pieces:
        own = words(piece)
        out += [" ".join(own[i : i + n]) for i in range(len(own) - n + 1)]
    return out


def ngram_hash(gram: str) -> int:
    return xxhash.xxh3_64_intdigest(gram.encode())


@dataclass
class Index:
    """An index file, read by its description."""

    meta: dict
    names: list[str]
    items: np.ndarray
    segment_of: np.ndarray
    removed: np.ndarray
    buckets: list[list[np.ndarray]]
    rows: list[list[np.ndarray]]
    fill: list[list[np.ndarray]]


def sections(path: Path) -> dict[str, bytes]:
    """Sections of a container, every checksum and every byte of padding checked."""
    raw = path.read_bytes()
    assert raw[:8] == b"\x89THRIFT\n"
    layout, _, count, zero, length, zero2, table_sum = struct.unpack_from("<IIIIQQQ", raw, 16)
    assert (layout, zero, zero2, length) == (1, 0, 0, len(raw))
    assert struct.unpack_from("<Q", raw, 56)[0] == xxhash.xxh3_64_intdigest(raw[:56])
    table = raw[64 : 64 + 64 * count]
    assert table_sum == xxhash.xxh3_64_intdigest(table)
    entries = []
    end = 64 + 64 * count
    for i in range(count):
        name = table[64 * i : 64 * i + 32].rstrip(b"\0").decode()
        offset, size, flags, checksum = struct.unpack_from("<QQQQ", table, 64 * i + 32)
        assert offset % (4096 if flags & 1 else 64) == 0
        assert not any(raw[end:offset])
        entries.append((name, raw[offset : offset + size], checksum))
        end = offset + size
    assert end == len(raw)
    name, sums, checksum = entries.pop()
    assert name == "checksums"
    assert checksum == xxhash.xxh3_64_intdigest(sums)
    at = 0
    for name, body, checksum in entries:
        own = [xxhash.xxh3_64_intdigest(body[i : i + 2**20]) for i in range(0, len(body), 2**20)]
        packed = struct.pack(f"<{len(own)}Q", *own)
        assert sums[at : at + len(packed)] == packed, name
        assert checksum == xxhash.xxh3_64_intdigest(packed), name
        at += len(packed)
    assert at == len(sums)
    return {name: body for name, body, _ in entries}


def read(path: Path) -> Index:
    s = sections(path)
    meta = json.loads(s["meta"])
    ends = np.frombuffer(s["name_ends"], "<u4")
    starts = np.concatenate([[0], ends[:-1]])
    names = [s["names"][a:b].decode() for a, b in zip(starts, ends, strict=True)]
    segment_of = np.frombuffer(s["segments"], "<u2")
    shards = meta["plan"]["nodes"] if meta["node"] is not None else 1
    out = Index(
        meta, names, np.frombuffer(s["items"], "<u8"), segment_of, np.frombuffer(s["removed"], "<u4"), [], [], []
    )
    for i, plan in enumerate(meta["plan"]["segments"]):
        documents = int((segment_of == i).sum())
        flat = np.frombuffer(s[f"{i}.buckets"], "<u2").reshape(len(plan["repetitions"]), documents)
        out.buckets.append(list(flat))
        rows, fill, at = [], [], 0
        all_fill = np.frombuffer(s[f"{i}.fill"], "<u8")
        for r, shape in enumerate(plan["repetitions"]):
            b = shape["buckets"] // shards
            bits = np.unpackbits(np.frombuffer(s[f"{i}.rows.{r}"], np.uint8), bitorder="little")
            assert not bits[shape["rows"] * b :].any(), "zeros behind the last row"
            rows.append(bits[: shape["rows"] * b].reshape(shape["rows"], b))
            fill.append(all_fill[at : at + b])
            at += b
        out.rows.append(rows)
        out.fill.append(fill)
    return out


def multiplier(seed: int, repetition: int, hash_number: int) -> int:
    return philox(seed, 1, 64 * repetition + hash_number) | 1


def row_of(item: int, factor: int, rows: int) -> int:
    return ((item * factor & M64) >> 12) * rows >> 52


def bits(index: Index, documents: dict[str, set[int]]) -> list[list[np.ndarray]]:
    """The rows that a file with these partitions and these documents must hold."""
    seed = index.meta["plan"]["seed"]
    out = [[np.zeros_like(rows) for rows in segment] for segment in index.rows]
    at = [0] * len(index.rows)
    for d, name in enumerate(index.names):
        s = int(index.segment_of[d])
        for r, shape in enumerate(index.meta["plan"]["segments"][s]["repetitions"]):
            bucket = int(index.buckets[s][r][at[s]])
            factors = [multiplier(seed, r, j) for j in range(shape["hashes"])]
            for item in documents[name]:
                for factor in factors:
                    out[s][r][row_of(item, factor, shape["rows"]), bucket] = 1
        at[s] += 1
    return out


def deal(names: list[str], items: list[int], shape: dict, segment: dict, repetition: int, seed: int) -> list[int]:
    """The balanced partition of one repetition, for an index that is not sharded."""
    b, direct = shape["buckets"], len(segment["repetitions"]) == 1
    planned = -(-segment["items"] // b)
    key = philox(seed, 2, repetition)
    loads, documents = [0] * b, [0] * b
    out = []
    for name, n in zip(names, items, strict=True):
        if direct:
            choice = documents.index(0)
        else:
            random = mix64(xxhash.xxh3_64_intdigest(name.encode(), seed) ^ key)
            one, two = random * b >> 64, mix64(random) * b >> 64
            weight = [(loads[i], documents[i]) for i in range(b)]
            choice = two if weight[two] < weight[one] else one
            if loads[choice] + n > planned:
                order = list(range(one, b)) + list(range(one))
                choice = min(order, key=lambda i: weight[i])
        loads[choice] += n
        documents[choice] += 1
        out.append(choice)
    return out
