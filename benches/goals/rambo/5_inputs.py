"""However the 367 viruses are written, they are the same sets; a file that is cut is named and leaves the index alone.

sets: documents of which a form gives other k-mers than were computed without the library: as the library reads the
file, as it counts them in an index, and as the index answers. index: bytes by which the index of a form differs from
that of the plain file, where both hold the same documents. cut: compressed files cut at random places, given to the
command over an index that is there.

--planted changes one letter in each form, and does not cut the files.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _genomes import distinct, kmer_hashes, records, viruses
from rows import Goal

from thrifty.rambo import Items, RamboIndex, build, read_queries

goal = Goal(__file__, __doc__)
RNG = np.random.default_rng(goal.seed)
GENOMES = dict(records(viruses(goal)))
CUTS = 10


def fasta(genomes: dict[str, bytes]) -> bytes:
    return b"".join(b">%s of a virus\n%s\n" % (name.encode(), letters) for name, letters in genomes.items())


def wrapped(data: bytes, end: bytes) -> bytes:
    """Lines of 70 letters."""
    lines = []
    for line in data.splitlines():
        lines += [line] if line.startswith(b">") else [line[i : i + 70] for i in range(0, len(line), 70)]
    return end.join(lines) + end


def lower(data: bytes) -> bytes:
    return b"\n".join(line if line.startswith(b">") else line.lower() for line in data.split(b"\n"))


def bgzip(data: bytes) -> bytes:
    """Members of 65,280 bytes that tell their own size, and an empty one as the end marker."""
    members = []
    for part in [*(data[i : i + 65280] for i in range(0, len(data), 65280)), b""]:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25)
        members.append(head + body + struct.pack("<II", zlib.crc32(part), len(part)))
    return b"".join(members)


def with_gaps(genomes: dict[str, bytes]) -> dict[str, bytes]:
    """Runs of 1 to 100 N between letters, one for every 500 letters."""
    out = {}
    for name, letters in genomes.items():
        places = np.sort(RNG.integers(0, len(letters) + 1, len(letters) // 500)).tolist()
        pieces = [letters[a:b] for a, b in zip([0, *places], [*places, len(letters)], strict=True)]
        out[name] = pieces[0] + b"".join(b"N" * int(RNG.integers(1, 101)) + piece for piece in pieces[1:])
    return out


def kmers(genomes: dict[str, bytes]) -> dict[str, np.ndarray]:
    return {name: kmer_hashes(letters) for name, letters in genomes.items()}


EXACT = kmers(GENOMES)


def one_letter_changed(genomes: dict[str, bytes]) -> dict[str, bytes]:
    """In the middle of the first genome, A to C and other letters to A."""
    name, letters = next(iter(genomes.items()))
    at = len(letters) // 2
    return {**genomes, name: letters[:at] + (b"C" if letters[at] in b"Aa" else b"A") + letters[at + 1 :]}


def as_read(path: Path) -> dict[str, np.ndarray]:
    """The library's k-mers of each record."""
    out = {}
    for batch in read_queries(path, Items()):
        for name, hashes in zip(batch.names, np.split(batch.hashes, batch.ends[:-1]), strict=True):
            out[name] = distinct(hashes)
    return out


def others(path: Path, index: RamboIndex, exact: dict[str, np.ndarray], *, ask: bool) -> int:
    """Documents that are not what they should be, and those that are missing or too many."""
    read, counts = as_read(path), dict(zip(index.documents, index.item_counts().tolist(), strict=True))
    wrong = set(read) ^ set(exact) | set(counts) ^ set(exact)
    for d, name in enumerate(index.documents):
        if name in wrong:
            continue
        same = np.array_equal(read[name], exact[name]) and counts[name] == len(exact[name])
        if same and ask:
            _, found = index.query_hashes(exact[name], threads=1)
            same = np.count_nonzero(found == d) == len(exact[name])
        if not same:
            wrong.add(name)
    return len(wrong)


def forms(folder: Path, genomes: dict[str, bytes]) -> dict[str, bytes]:
    """The content of a file by its name; zstandard only where its tool is there."""
    plain = fasta(genomes)
    out = {
        "plain.fa": plain,
        "gzip.fa.gz": gzip.compress(plain),
        "members.fa.gz": b"".join(gzip.compress(plain[i : i + 300_001]) for i in range(0, len(plain), 300_001)),
        "bgzip.fa.gz": bgzip(plain),
        "xz.fa.xz": lzma.compress(plain),
        "bzip2.fa.bz2": bz2.compress(plain),
        "lines.fa": wrapped(plain, b"\n"),
        "crlf.fa": wrapped(plain, b"\r\n"),
        "lower.fa": lower(plain),
    }
    if shutil.which("zstd"):
        (folder / "zstd.fa").write_bytes(plain)
        subprocess.run(["zstd", "-q", "--rm", "zstd.fa"], cwd=folder, check=True)
        out["zstd.fa.zst"] = (folder / "zstd.fa.zst").read_bytes()
    else:
        print("zstd: not run: there is no such tool", file=sys.stderr)
    return out


def same_sets(folder: Path) -> None:
    given = one_letter_changed(GENOMES) if goal.planted else GENOMES
    (folder / "reference.fa").write_bytes(fasta(GENOMES))
    build(folder / "reference", folder / "reference.fa", by="record", threads=1)
    reference = (folder / "reference").read_bytes()
    gaps, empty = with_gaps(GENOMES), {**dict(list(GENOMES.items())[:100]), "nothing": b"", **GENOMES}
    cases = {name: (data, GENOMES) for name, data in forms(folder, given).items()}
    cases["gaps.fa"] = (fasta(one_letter_changed(gaps) if goal.planted else gaps), gaps)
    cases["empty.fa"] = (fasta(one_letter_changed(empty) if goal.planted else empty), empty)
    for name, (data, genomes) in cases.items():
        path, label = folder / name, name.partition(".")[0]
        path.write_bytes(data)
        index = build(folder / "index", path, by="record", threads=1)
        as_plain = (folder / "index").read_bytes() == reference  # and so are its answers
        exact = EXACT if genomes is GENOMES else kmers(genomes)
        wrong = others(path, index, exact, ask=name == "plain.fa" or not as_plain)
        what = f"{name}: documents with other k-mers than computed, of {len(genomes)}"
        goal.row(f"sets/{label}", what, "== 0", wrong, "documents")
        if genomes is GENOMES:
            a, b = (np.frombuffer(x, np.uint8) for x in (reference, (folder / "index").read_bytes()))
            differ = np.count_nonzero(a != b) if len(a) == len(b) else max(len(a), len(b))
            what = f"{name}: bytes of the index that differ from that of the plain file, of {len(a):,}"
            goal.row(f"index/{label}", what, "== 0", differ, "bytes")


def cut_files(folder: Path) -> None:
    index = folder / "index"
    few = dict(list(GENOMES.items())[:5])
    (folder / "few.fa").write_bytes(fasta(few))
    build(index, folder / "few.fa", by="record", threads=1)
    before = index.read_bytes()
    for name, data in forms(folder, GENOMES).items():
        if name.endswith(".fa"):
            continue
        unclear = changed = 0
        for _ in range(CUTS):
            path = folder / f"cut-{name}"
            path.write_bytes(data if goal.planted else data[: RNG.integers(1, len(data))])
            command = [sys.executable, "-m", "thrifty", "rambo", "build", str(index), str(path), "--by", "record"]
            command += ["--threads", "1"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            clear = done.returncode == 1 and done.stderr.count("\n") == 1 and path.name in done.stderr
            unclear += not clear
            changed += index.read_bytes() != before
            path.unlink()
        left = {p.name for p in folder.iterdir()} - {"index", "few.fa", "zstd.fa.zst"}
        label = name.partition(".")[0]
        what = f"{name} cut at {CUTS} places: commands that did not exit with 1 and one line naming the file"
        goal.row(f"cut/{label}", what, "== 0", unclear, "commands")
        what = f"{name} cut at {CUTS} places: times that the index there was changed, and files left beside it"
        goal.row(f"cut/{label}-index", what, "== 0", changed + len(left), "changes")


for label, part in (("sets", same_sets), ("cut", cut_files)):
    if goal.wants(label):
        with tempfile.TemporaryDirectory() as temporary:
            part(Path(temporary))
goal.end()
