"""Every way to write the same sequences gives the same sets; broken files are named."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from thrifty.errors import DuplicateName, FormatError
from thrifty.rambo import Items, RamboIndex, build, list_inputs, read_queries

SEQUENCE = {
    "one": b"ACGTTGCATGCCGATAGCTAGGATCTTTACGAGCATCGACTTACGGGATC" * 3,
    "two": b"TTTTACGGGCATCNNNNNNNNNNACGATCGATTACGACTGACTACGACTGACTACGGATTACAGG" * 2,
    "empty": b"",
    "last": b"GGGATTACAGATTACATTAGACCCATAGACCATAGGACCCATTAGACCCAGATTACCAGATA",
}
PLAIN = b"".join(b">%s description\n%s\n" % (name.encode(), s) for name, s in SEQUENCE.items())


def bgzip(data: bytes, block: int = 100) -> bytes:
    """The members that bgzip writes, with its end marker."""

    def member(part: bytes) -> bytes:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25)
        return head + body + struct.pack("<II", zlib.crc32(part), len(part))

    return b"".join(member(data[i : i + block]) for i in range(0, len(data), block)) + member(b"")


def zstd(data: bytes) -> bytes:
    """Two frames of stored blocks, as the format allows."""

    def frame(part: bytes) -> bytes:
        block = struct.pack("<I", 1 | len(part) << 3)[:3]
        return struct.pack("<IB", 0xFD2FB528, 0xA0) + struct.pack("<I", len(part)) + block + part

    return frame(data[: len(data) // 2]) + frame(data[len(data) // 2 :])


def wrapped(data: bytes, width: int) -> bytes:
    out = []
    for line in data.split(b"\n"):
        parts = [line] if line.startswith(b">") else [line[i : i + width] for i in range(0, len(line), width)]
        out += parts
    return b"\n".join(out) + b"\n"


def fastq() -> bytes:
    return b"".join(b"@%s x\n%s\n+\n%s\n" % (n.encode(), s, b"I" * len(s)) for n, s in SEQUENCE.items())


FORMS = {
    "plain.fa": PLAIN,
    "a.fa.gz": gzip.compress(PLAIN),
    "members.fa.gz": gzip.compress(PLAIN[:77]) + gzip.compress(PLAIN[77:]),
    "b.fa.gz": bgzip(PLAIN),
    "c.fa.zst": zstd(PLAIN),
    "d.fa.xz": lzma.compress(PLAIN[:100]) + lzma.compress(PLAIN[100:]),
    "e.fa.bz2": bz2.compress(PLAIN[:100]) + bz2.compress(PLAIN[100:]),
    "crlf.fa": PLAIN.replace(b"\n", b"\r\n"),
    "crlf-wrapped.fa": wrapped(PLAIN, 17).replace(b"\n", b"\r\n"),
    "wrapped.fa": wrapped(PLAIN, 60),
    "lower.fa": b"".join(line if line.startswith(b">") else line.lower() for line in PLAIN.splitlines(keepends=True)),
    "no-end.fa": PLAIN.rstrip(b"\n"),
    "blank-lines.fa": b"\n\n" + PLAIN + b"\n\n",
    "reads.fastq": fastq(),
    "reads.fq.gz": gzip.compress(fastq()),
    "renamed.dat": PLAIN,  # named explicitly, any suffix will do
}


def sets(index: RamboIndex) -> dict[str, int]:
    return dict(zip(index.documents, index.item_counts().tolist(), strict=True))


@pytest.mark.parametrize("name", FORMS)
def test_all_forms_give_the_same_index(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FORMS[name])
    plain = tmp_path / "reference.fa"
    plain.write_bytes(PLAIN)
    made = build(tmp_path / "i", path, by="record", items=Items(k=21))
    build(tmp_path / "r", plain, by="record", items=Items(k=21))
    assert (tmp_path / "i").read_bytes() == (tmp_path / "r").read_bytes()
    assert sets(made)["empty"] == 0
    assert made.report["empty_documents"] == 1
    assert made.report["skipped_windows"] == 23 + 30  # the first run of ten N stands 13 letters from the start
    # By file, the same records are one document.
    whole = build(tmp_path / "w", path, by="file", items=Items(k=21))
    assert whole.documents == [name.split(".", maxsplit=1)[0] if name != "renamed.dat" else name]


def test_standard_input(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_bytes(PLAIN)
    command = [sys.executable, "-m", "thrifty", "rambo", "build", str(tmp_path / "s"), "-", "--by", "record"]
    plan = ["--k", "21", "--documents", "10", "--items-each", "200"]
    refused = subprocess.run([*command, "--k", "21"], input=PLAIN, capture_output=True, check=False)
    assert refused.returncode == 2
    assert b"--documents and --items-each" in refused.stderr
    for data in (PLAIN, gzip.compress(PLAIN)):
        subprocess.run([*command, *plan], input=data, check=True, capture_output=True)
        command_of_file = [*command[:-3], str(tmp_path / "a.fa"), "--by", "record", *plan]
        command_of_file[5] = str(tmp_path / "f")
        subprocess.run(command_of_file, check=True, capture_output=True)
        assert (tmp_path / "s").read_bytes() == (tmp_path / "f").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.fa.gz", gzip.compress(PLAIN * 50)[:-30], "gzip: the file ends early"),
        ("cut-inside.fa.gz", gzip.compress(np.random.default_rng(0).bytes(9000))[:4000], "gzip|not FASTA"),
        ("cut.b.fa.gz", bgzip(PLAIN)[:-28], "bgzip: the end marker is missing"),
        ("cut.fa.xz", lzma.compress(PLAIN * 50)[:-40], "xz"),
        ("cut.fa.bz2", bz2.compress(PLAIN * 50)[:-40], "bzip2"),
        ("cut.fa.zst", zstd(PLAIN)[:-10], "zstd"),
        ("flipped.fa.gz", gzip.compress(PLAIN * 50)[:-8] + b"\0" * 8, "gzip"),
        ("cut.fastq", fastq()[:-40], "line"),
        ("words.fa", b"hello world\n", "not FASTA or FASTQ: it starts with 'h'"),
        ("tar.tar.xz", lzma.compress(b"folder/file\0" * 100), "unpack the tar archive"),
        ("uneven.fq", b"@r\nACGT\n+\nII\n", "line"),
        ("nothing.fa", b"", "no document"),
        ("blank.fa", b"\n\n", "no document"),
        ("nameless.fa", b">\nACGTACGTACGTACGTACGTACGTACGT\n", "line 1: this record has no name"),
    ],
)
def test_broken_files_are_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    index = tmp_path / "i"
    good = tmp_path / "good.fa"
    good.write_bytes(PLAIN)
    build(index, good, items=Items(k=21))
    before = index.read_bytes()
    with pytest.raises(FormatError, match=message) as error:
        build(index, path, by="record", items=Items(k=21))
    assert name in str(error.value)
    assert index.read_bytes() == before, "the index that was there is untouched"
    with pytest.raises(FormatError):
        RamboIndex.open(index).add(path, by="record")
    assert index.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {name, "i", "good.fa"}, "nothing is left behind"


def test_missing_and_forbidden_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.fa"):
        build(tmp_path / "i", tmp_path / "none.fa")
    with pytest.raises(FormatError, match="no FASTA or FASTQ file here"):
        build(tmp_path / "i", tmp_path)


def test_folders_and_lists(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "deeper").mkdir(parents=True)
    for name in ("b.fa", "a.fna.gz", "deeper/c.fastq", "notes.md", "x.gff"):
        (folder / name).write_bytes(gzip.compress(PLAIN) if name.endswith("gz") else PLAIN)
    pairs, passed_over = list_inputs(folder, Items())
    assert [name for _, name in pairs] == ["a", "b", "c"]
    assert passed_over == 2
    listing = tmp_path / "list"
    listing.write_text("docs/b.fa\n\ndocs/a.fna.gz\tother name\n")
    pairs, _ = list_inputs([], Items(), listing)
    assert [(p.name, n) for p, n in pairs] == [("b.fa", "b"), ("a.fna.gz", "other name")]
    listing.write_text("docs/b.fa\ndocs/none.fa\n")
    with pytest.raises(FormatError, match="list, line 2: no file"):
        list_inputs([], Items(), listing)
    listing.write_text("docs/b.fa\ndocs/b.fa\n")
    with pytest.raises(FormatError, match="line 2: .* stands in line 1 already"):
        list_inputs([], Items(), listing)


def test_equal_names_are_an_error_naming_both(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.fa").write_bytes(PLAIN)
    with pytest.raises(DuplicateName, match=r"'same': .*x/same\.fa and .*y/same\.fa"):
        build(tmp_path / "i", [tmp_path / "x", tmp_path / "y"])
    twice = tmp_path / "twice.fa"
    twice.write_bytes(PLAIN + b">one\nACGTACGTACGTACGTACGTACGTACGTAACCC\n")
    with pytest.raises(DuplicateName, match=r"'one': .*line 1 and .*line 9"):
        build(tmp_path / "i", twice, by="record", items=Items(k=21))
    assert not (tmp_path / "i").exists()


def test_queries_come_with_their_names(tmp_path: Path) -> None:
    path = tmp_path / "q.fa"
    path.write_bytes(PLAIN)
    (batch,) = read_queries(path, Items(k=21))
    assert batch.names == list(SEQUENCE)
    assert batch.skipped == [0, 53, 0, 0]
    many = list(read_queries(path, Items(k=21), letters=1))
    assert [b.names for b in many] == [[n] for n in SEQUENCE]
    text = tmp_path / "q.txt"
    text.write_text("first query here\n\nthird\n")
    (batch,) = read_queries(text, Items("text", n=1))
    assert batch.names == ["1", "2", "3"]
    assert np.diff(batch.ends, prepend=0).tolist() == [3, 0, 1]


def test_a_document_larger_than_the_buffers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sequence = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, 3_000_000)].tobytes()
    path = tmp_path / "big.fa.gz"
    path.write_bytes(
        gzip.compress(b">big\n" + b"\n".join(sequence[i : i + 80] for i in range(0, len(sequence), 80)), 1)
    )
    index = build(tmp_path / "i", path)
    assert index.item_counts().tolist() == [3_000_000 - 30]
    assert index.search(sequence[1_000_000:1_000_200], theta=1.0).hits[0].document == "big"
