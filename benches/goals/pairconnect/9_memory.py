"""Tables keep to their memory, share it, and refuse damaged files with typed errors.

cap: a table of exactly max_bytes = 256 MiB, every row written: how much a process grows; one row more is refused. map:
a file of 2 GB opens, and two processes that read all of it share its pages: their proportional sizes come to one table.
cut: a table's file and a model's cut at every 4,096 bytes. mutations: 10,000 changed files in one process, the checksum
of the header made right again in most so that what lies behind it is reached: flipped bytes, numbers and words of the
JSON exchanged, sides and places that no machine has, JSON nested deep, lengths of the header, random bytes; a file that
opens all the same is looked up in. They must end well or with an error that the documentation names.

--planted allows and writes a table of a fifth more, copies the file into memory instead of mapping it, counts a whole
file among those cut, and a foreign error among those that are typed.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import Goal
from xxhash import xxh3_128

from thrifty import _core
from thrifty.errors import CapacityError, ThriftyError
from thrifty.pairconnect import PairLM, PairSpec, PairTable

CAP = 256 << 20
MUTATIONS = 10_000
TYPED = (ValueError, TypeError, OSError, ThriftyError)
GROWTH = """
import sys, numpy as np
from thrifty.pairconnect import PairSpec, PairTable
def size():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
cap, rows = int(sys.argv[1]), int(sys.argv[2])
spec = PairSpec(vocab=1000, rows=rows, heads=4, head_dim=32)
block = np.ones((1 << 12, 32), np.float32)
PairTable(PairSpec(vocab=1000, rows=1 << 12, heads=4)).set_rows(0, block)  # what code and threads take
before = size()
table = PairTable(spec, max_bytes=cap)
for first in range(0, 4 * rows, len(block)):
    table.set_rows(first, block[: 4 * rows - first])
print((size() - before) / cap)
"""
SHARES = """
import sys, time
from thrifty.pairconnect import PairTable
import numpy as np
begun = time.perf_counter()
table = PairTable.load(sys.argv[1])
print(time.perf_counter() - begun, flush=True)
if sys.argv[2] == "copy":
    own = np.fromfile(sys.argv[1], np.uint8)
sys.stdin.readline()
step = 1 << 18
total = table.spec.heads * table.spec.rows
for first in range(0, total, step):
    table.get_rows(first, min(step, total - first))
print("read", flush=True)
sys.stdin.readline()
for line in open("/proc/self/smaps_rollup"):
    if line.startswith(("Rss", "Pss:")):
        print(int(line.split()[1]) * 1024)
sys.stdout.flush()
sys.stdin.readline()
"""


def cap(goal: Goal) -> None:
    """Rows of a table as large as is allowed."""
    rows = CAP // (4 * 128)
    limit, more = CAP, rows
    if goal.planted:
        limit, more = CAP * 2, rows * 12 // 10
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(limit), str(more)], capture_output=True, text=True, check=True
    )
    grown = float(done.stdout) * limit / CAP
    goal.row(
        "cap/growth",
        "a process with a table of max_bytes = 256 MiB, all written: growth over max_bytes",
        "<= 1.1",
        grown,
    )
    refused = 0
    for spec in (PairSpec(vocab=9, rows=rows + 1, heads=4, head_dim=32), PairSpec(vocab=9, rows=2**31, heads=1024)):
        try:
            PairTable(spec, max_bytes=None if goal.planted and spec.heads == 4 else CAP)
        except CapacityError as error:
            refused += str(CAP) in str(error)
    goal.row("cap/refused", "of 2 larger tables, those refused with the number allowed", "== 2", refused)


def mapped(goal: Goal, folder: Path) -> None:
    """Rows of two processes and one file."""
    path = folder / "large"
    spec = PairSpec(vocab=1000, rows=4_000_000, heads=4, head_dim=32)
    table = PairTable(spec)
    rng = np.random.default_rng(goal.seed)
    block = rng.random((1 << 18, 32), np.float32)
    total = spec.heads * spec.rows
    for first in range(0, total, len(block)):
        table.set_rows(first, block[: total - first])
    table.save(path)
    size = table.nbytes
    del table
    mode = "copy" if goal.planted else "map"
    opened = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", SHARES, path, "map"], input="\n\n\n", capture_output=True, text=True, check=True
        )
        opened.append(float(done.stdout.split()[0]))
    what = f"seconds to open a file of {size / 1e9:.2f} GB, the median of 5 processes"
    goal.row("map/open", what, "<= 1", statistics.median(opened), "s")
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SHARES, path, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for step in range(2):
        for process in both:
            process.stdout.readline()  # type: ignore[union-attr]
        for process in both:
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        if step == 1:
            sizes = [[int(process.stdout.readline()) for _ in range(2)] for process in both]  # type: ignore[union-attr]
    for process in both:
        process.communicate("\n")
    resident, shares = min(rss for rss, _ in sizes), sum(pss for _, pss in sizes)
    goal.row(
        "map/read", "of the table, what each of two processes has in its memory, the least", ">= 0.95", resident / size
    )
    what = "two processes that read all of it: their memory, shared pages by halves, over the table's"
    goal.row("map/shared", what, "<= 1.1", shares / size)


def files(folder: Path, seed: int) -> dict[str, bytes]:
    """A table's file and a model's."""
    rng = np.random.default_rng(seed)
    specs = [
        PairSpec(vocab=300, rows=500, heads=2, head_dim=24, window=3, pool="softmax", dtype=dtype, seed=seed)  # type: ignore[arg-type]
        for dtype in ("f32", "i8")
    ]
    tables = [PairTable(spec) for spec in specs]
    for table in tables:
        table.set_rows(0, rng.normal(size=(1000, 24)), rng.normal(size=1000))
    tables[0].save(folder / "table")
    shapes: dict[str, tuple[int, ...]] = {"embed": (300, 32), "norm": (32,)}
    for i in range(2):
        shapes |= {f"layers.{i}.out": (32, 48), f"layers.{i}.norm": (32,)}
        shapes |= {f"layers.{i}.gate_up": (64, 32), f"layers.{i}.down": (32, 32)}
    dense = [(n, rng.normal(size=s).astype(np.float32).reshape(-1), list(s)) for n, s in shapes.items()]
    spec = {"vocab": 300, "dim": 32, "hidden": 32, "layers": [json.loads(s.to_json()) for s in specs]}
    tokenizer = json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}})
    note = json.dumps({"tokenizer": tokenizer, "training": {"seconds": 1.5}})
    _core.pairlm_write(folder / "model", json.dumps(spec), note, dense, [t._core for t in tables])
    return {name: (folder / name).read_bytes() for name in ("table", "model")}


def used(kind: str, path: Path) -> str:
    """Open a file and use it; what came of it."""
    try:
        if kind == "table":
            table = PairTable.load(path)
            table.lookup(np.minimum([0, 1, 2, 3], table.spec.vocab - 1))
            table.get_rows(0, 1)
        else:
            model = PairLM.load(path)
            model.scores(np.minimum([0, 1, 2, 3], model.vocab - 1), threads=1)
            model.encoding.encode(b"a a")
    except TYPED as error:
        return type(error).__name__
    return "opened"


def cut(goal: Goal, folder: Path) -> None:
    """Rows of files that were cut."""
    path = folder / "cut"
    for kind, content in files(folder, goal.seed).items():
        lengths = sorted({*range(0, len(content), 4096), len(content) - 1})
        if goal.planted:
            lengths.append(len(content))
        refused = 0
        for length in lengths:
            path.write_bytes(content[:length])
            refused += used(kind, path) == "FormatError"
        what = f"a {kind}'s file of {len(content):,} bytes, cut at every 4,096: FormatError"
        goal.row(f"cut/{kind}", what, f"== {len(lengths)}", refused)


HUGE = [0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -1, 1.5, 1e308, None, True, "", [], {}]


KEPT = 60
"""Characters of a header, with its checksum, that are left as they are."""


def some_bytes(text: str, rng: np.random.Generator) -> str:
    """Up to two characters taken out, and others put in."""
    at, more = int(rng.integers(KEPT, len(text))), rng.choice(list('"{}[]:,0e-\\u'), rng.integers(0, 3))
    return text[:at] + "".join(more) + text[at + int(rng.integers(0, 3)) :]


def a_number(text: str, rng: np.random.Generator) -> str:
    """A side, a place, or a size that can not be."""
    found = list(re.finditer(r"(?<![0-9a-f])[0-9]+(?![0-9a-f])", text[KEPT:]))
    at = found[rng.integers(len(found))]
    return text[: KEPT + at.start()] + json.dumps(HUGE[rng.integers(len(HUGE))]) + text[KEPT + at.end() :]


def a_word(text: str, rng: np.random.Generator) -> str:
    """A word in the place of another one."""
    a, b = rng.choice(re.findall(r"[A-Za-z_.0-9]+", text[KEPT:]), 2)
    return text[:KEPT] + text[KEPT:].replace(a, b, int(rng.integers(1, 4)))


def with_inner(text: str, name: str, value: str) -> str:
    """The header with another spec or note."""
    whole = json.loads(text)
    whole["__metadata__"][name] = value
    return json.dumps(whole, separators=(",", ":"))


def nested(text: str, rng: np.random.Generator) -> str:
    """A spec or a note that is nested deep."""
    depth = int(rng.choice([10, 100, 127, 128, 1000, 100_000]))
    deep = "[" * depth + "]" * depth if rng.integers(2) else '{"a":' * depth + "1" + "}" * depth
    return with_inner(text, str(rng.choice(["spec", "note"])), deep)


def a_value(text: str, rng: np.random.Generator) -> str:
    """Anything somewhere in a spec or a note."""
    name = str(rng.choice(["spec", "note"]))
    fields = json.loads(json.loads(text)["__metadata__"].get(name, "{}"))
    place = fields
    while isinstance(place, dict | list) and len(place):
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = keys[rng.integers(len(place))]
        if not isinstance(place[key], dict | list) or rng.integers(2):
            place[key] = HUGE[rng.integers(len(HUGE))]
            return with_inner(text, name, json.dumps(fields))
        place = place[key]
    return with_inner(text, name, json.dumps(HUGE[rng.integers(len(HUGE))]))


BEHIND = (some_bytes, a_number, a_word, nested, a_value)


def mutated(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """A file that is not as it should be, and how."""
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    data = content[8 + len(header) :]
    kind = int(rng.integers(len(BEHIND) + 4))
    if kind < len(BEHIND):
        change = BEHIND[kind]
        text = change(header.rstrip(b" ").decode(), rng)
        return change.__name__, repaired(text.encode(errors="replace"), data)
    kind -= len(BEHIND)
    if kind == 0:
        return "length", int(rng.choice(np.array([0, 1, 2**31, 2**32, 2**63, 2**64 - 1], np.uint64))).to_bytes(
            8, "little"
        ) + content[8:]
    if kind == 1:
        return "noise", rng.bytes(int(rng.integers(0, 9000)))
    first, last = (0, len(header) + 8) if kind == 2 else (len(header) + 8, len(content))
    changed = bytearray(content)
    for at in rng.integers(first, last, 5):
        changed[at] ^= 1 << int(rng.integers(8))
    return "header" if kind == 2 else "data", bytes(changed)


def repaired(header: bytes, data: bytes) -> bytes:
    """A file whose header has the length and the checksum that it should have."""
    header += b" " * (-(len(header) + 8) % 4096)
    begin = header.find(b'"xxh3":"') + 8
    if begin >= 8:
        digits = xxh3_128(header[:begin] + header[begin + 32 :]).hexdigest().encode()
        header = header[:begin] + digits + header[begin + 32 :]
    return len(header).to_bytes(8, "little") + header + data


def fuzz(seed: int, planted: bool) -> dict[str, int]:
    """How many of the mutations ended how; an error that no documentation names is told."""
    rng = np.random.default_rng(seed)
    ends: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        whole = list(files(folder, seed).items())
        for i in range(MUTATIONS):
            kind, content = whole[i % 2]
            how, changed = mutated(content, rng)
            (folder / "mutated").write_bytes(changed)
            try:
                end = used(kind, folder / "mutated")
                if planted and i == 0:
                    raise KeyError("planted")
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                end = "other"
                print(f"{kind}, {how}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
            ends[end] = ends.get(end, 0) + 1
            if how not in ("header", "length", "noise"):
                ends["behind"] = ends.get("behind", 0) + 1
    return ends


def mutations(goal: Goal) -> None:
    """Rows of mutated files, in a process of their own whose end is seen."""
    command = [sys.executable, __file__, f"--seed={goal.seed}", "--only=fuzz", *(["--planted"] if goal.planted else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    goal.row(
        "mutations/crashes", f"status of a process that opens {MUTATIONS:,} mutated files", "== 0", done.returncode
    )
    ends = json.loads(done.stdout) if done.returncode == 0 else {}
    told = ", ".join(f"{count:,} {end}" for end, count in sorted(ends.items()) if end not in ("other", "behind"))
    ended = sum(count for end, count in ends.items() if end not in ("other", "behind"))
    what = f"of them ({ends.get('behind', 0):,} behind the header's checksum): a typed error, or used ({told})"
    goal.row("mutations/typed", what, f"== {MUTATIONS}", ended)


def main() -> None:
    goal = Goal(__file__, __doc__)
    if goal.only == "fuzz":
        print(json.dumps(fuzz(goal.seed, goal.planted)))
        return
    if goal.wants("cap"):
        cap(goal)
    with tempfile.TemporaryDirectory() as name:
        if goal.wants("map"):
            mapped(goal, Path(name))
        if goal.wants("cut"):
            cut(goal, Path(name))
    if goal.wants("mutations"):
        mutations(goal)
    goal.end()


if __name__ == "__main__":
    main()
