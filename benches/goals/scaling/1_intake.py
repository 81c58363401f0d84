"""Bad input, as `thrifty scaling fit` gets it: one clear line each, and no traceback.

errors: files of real runs with one thing wrong with each: how many are taken, end with another status than 1, say
anything but one line on stderr, or do not name the file, the line and the field that are wrong.

notes: files that can be fitted but are odd: how many are refused, or fitted without a note that says so.

lossless: the same runs as CSV with other ends of lines, quotes and separators, as JSON lines, parquet, a tracker's
export, and packed: how many give another fit.

hostile: seconds of processor time and MB of memory that a file takes that is made to take many: a zip bomb, brackets
within brackets, a million columns, a line without end: the most.

--planted takes the word of a good file as that of a bad one, and a fit of other rows as the same.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rows import Goal

goal = Goal(__file__, __doc__, ("pyarrow",))
SOURCE = goal.data("scaling/morph_runs.csv").read_text()
HEAD, *ROWS = SOURCE.splitlines()
NAMES = HEAD.split(",")


def rows(change: dict[str, str] | None = None, *, line: int = 9, every: bool = False) -> str:
    """The runs, with other values in one line, or in all where they are factors."""
    out = [HEAD]
    for number, row in enumerate(ROWS, 2):
        cells = dict(zip(NAMES, row.split(","), strict=True))
        for name, value in (change or {}).items():
            if every:
                cells[name] = repr(float(cells[name]) * float(value))
            elif number == line:
                cells[name] = value
        out.append(",".join(cells.values()))
    return "\n".join(out) + "\n"


#: What is wrong, the file, the arguments, and what the line must name.
ERRORS: list[tuple[str, str | bytes, tuple[str, ...], tuple[str, ...]]] = [
    *(
        (f"{name} is {value or 'empty'}", rows({name: value}), (), ("line 9", name))
        for name in ("n_params", "n_tokens", "d_model", "n_layers", "loss")
        for value in ("nan", "inf", "-inf", "0", "-3.5", "text")
    ),
    *((f"{name} is empty", rows({name: ""}), (), ("line 9", name)) for name in ("n_params", "n_tokens", "loss")),
    ("thousands separators", rows({"n_params": '"78,914,048"'}), (), ("line 9", "n_params", "78914048")),
    ("a unit", rows({"n_params": "79M"}), (), ("line 9", "n_params", "79e6")),
    ("a decimal comma", rows({"loss": '"4,96"'}), (), ("line 9", "loss", "4.96")),
    ("tokens in billions", rows({"n_tokens": "1e-9"}, every=True), (), ("line 2", "n_tokens", "billions")),
    ("tokens in millions", rows({"n_tokens": "1e-6"}, every=True), (), ("line 2", "n_tokens", "millions")),
    ("parameters in millions", rows({"n_params": "1e-6"}, every=True), (), ("line 2", "n_params", "millions")),
    ("parameters in billions", rows({"n_params": "1e-9"}, every=True), (), ("line 2", "n_params", "billions")),
    ("all losses negative", rows({"loss": "-1"}, every=True), (), ("line 2", "loss", "nats")),
    ("an empty file", "", (), ("empty",)),
    ("names alone", HEAD + "\n", (), ("no row",)),
    ("no names", "\n".join(ROWS) + "\n", (), ("line 1", "run")),
    ("a short row", rows().replace(ROWS[7], ROWS[7].rpartition(",")[0]), (), ("line 9", "9 values under 10")),
    ("a long row", rows().replace(ROWS[7], ROWS[7] + ",1"), (), ("line 9", "11 values under 10")),
    ("an open quote", rows().replace(ROWS[7], '"' + ROWS[7]), (), ("line 9", "quote")),
    ("a name twice", rows().replace("n_heads", "loss"), (), ("line 1", "loss")),
    ("UTF-16", rows().encode("utf-16"), (), ("UTF-16",)),
    ("a byte that is no UTF-8", rows().encode().replace(b"80M_v4", b"80M_\xff"), (), ("UTF-8",)),
    ("a zero byte", rows().encode().replace(ROWS[7].encode(), b"\x00" + ROWS[7].encode()), (), ("line 9", "zero byte")),
    ("random bytes", bytes((i * 7919 + i // 3) % 256 for i in range(5000)), (), ()),
    ("a spreadsheet", b"PK\x03\x04" + bytes(100), (), ("spreadsheet",)),
    ("a cut gzip file", gzip.compress(rows().encode())[:-20], (), ("cut off",)),
    ("a damaged gzip file", gzip.compress(rows().encode())[:200] + bytes(200), (), ("gzip",)),
    ("a cut parquet file", b"PAR1" + bytes(500), (), ("parquet",)),
    ("JSON cut off", '{"n_params": 1e8, "n_tokens": 2e9, "loss": 3}\n{"n_par', (), ("line 2", "JSON")),
    ("no tokens", rows().replace("n_tokens", "steps"), (), ("line 1", "n_tokens")),
    ("no loss", rows().replace("loss", "accuracy"), (), ("loss", "--target")),
    ("an unknown target", rows(), ("--target", "los"), ("los", "nearest is loss")),
    ("an unknown --where", rows(), ("--where", "size=80M"), ("size", "nearest is size_class")),
    ("--where without rows", rows(), ("--where", "size_class=1B"), ("size_class", "80M")),
    ("an unknown group", rows(), ("--groups", "model"), ("model",)),
    ("three rows", "\n".join([HEAD, *ROWS[:3]]) + "\n", (), ("runs",)),
    ("four rows", "\n".join([HEAD, *ROWS[:4]]) + "\n", (), ("runs",)),
    ("one number of parameters", rows({"n_params": "0"}, every=True).replace(",0.0,", ",1e8,"), (), ("n_params",)),
    ("one number of tokens", rows({"n_tokens": "0"}, every=True).replace(",0.0,", ",2e9,"), (), ("n_tokens",)),
    ("20 tokens a parameter, both exponents", rows(), ("--where", "tokens_multiple=20"), ("alpha", "beta", "--tie")),
    ("a law of shapes without shapes", rows().replace("d_model", "x"), ("--law", "morph"), ("d_model",)),
]


def fit(folder: Path, data: str | bytes, *more: str, name: str = "runs.csv") -> subprocess.CompletedProcess[str]:
    """Run the command line on a file."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    law = () if "--law" in more else ("--law", "chinchilla")
    command = [sys.executable, "-m", "thrifty", "scaling", "fit", path, "-o", folder / "fit.json", "--bootstraps", "0"]
    return subprocess.run([*command, *law, *more], capture_output=True, text=True, check=False)


def errors(folder: Path) -> list[str]:
    """What is not refused as it should be."""
    bad = []
    for what, data, more, words in ERRORS:
        done = fit(folder, rows() if goal.planted and what == "four rows" else data, *more)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
        good = done.returncode == 1 and not done.stdout and len(lines) == 1 and lines[0].startswith("thrifty: error: ")
        named = good and "runs.csv" in lines[0] and all(word in lines[0] for word in words) and len(lines[0]) < 700
        written = (folder / "fit.json").exists() or (folder / "fit.json.partial").exists()
        if not named or written or not lines[0].isprintable():
            bad.append(f"{what}: {done.returncode} {done.stderr[-300:]!r}")
            (folder / "fit.json").unlink(missing_ok=True)
    return bad


def notes(folder: Path) -> list[str]:
    """What is refused, or fitted in silence."""
    other = ROWS[7].rpartition(",")[0].rpartition(",")[0] + ",4.5,1"
    cases: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = [
        ("a run twice, with another loss", rows() + other + "\n", (), ("lines", "losses")),
        ("a run twice", rows() + ROWS[7] + "\n", (), ("lines", "same")),
        ("losses of 15 to 30", rows({"loss": "6"}, every=True), (), ("12 nats",)),
        ("bits a byte", rows().replace("loss", "val_bpb"), ("--target", "val_bpb"), ("bits a byte",)),
        (
            "perplexities",
            rows({"loss": "8"}, every=True).replace("loss", "ppl"),
            ("--target", "ppl"),
            ("perplexities",),
        ),
        ("a width is empty", rows({"d_model": ""}), (), ("line 9", "d_model")),
    ]
    bad = []
    for what, data, more, words in cases:
        done = fit(folder, rows() if goal.planted else data, *(() if goal.planted else more))
        lines = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
        if done.returncode or not any(all(word in line for word in words) for line in lines):
            bad.append(f"{what}: {done.returncode} {done.stderr[-300:]!r}")
    return bad


def forms() -> dict[str, bytes]:
    """The same runs, written otherwise."""
    plain = rows()
    records = list(csv.DictReader(io.StringIO(plain)))
    numbers = [{k: v if k in ("run", "size_class") else float(v) for k, v in r.items()} for r in records]
    tracked = [
        {"name": r["run"], "_step": 1, "config": {"d_model": {"value": r["d_model"]}, "n_layer": r["n_layers"],
         "num_params": r["n_params"]}, "summary": {"val/loss": r["loss"], "tokens": r["n_tokens"]}}
        for r in numbers
    ]  # fmt: skip
    quoted = io.StringIO()
    csv.writer(quoted, quoting=csv.QUOTE_ALL).writerows(csv.reader(io.StringIO(plain)))
    export = (
        "Name,State,config.n_embd,config.num_hidden_layers,config.total_params,summary.tokens_seen,summary.val/loss\n"
    )
    export += "".join(
        f"{r['run']},finished,{r['d_model']},{r['n_layers']},{r['n_params']},{r['n_tokens']},{r['loss']}\n"
        for r in records
    )
    found = {
        "CR LF": plain.replace("\n", "\r\n").encode(),
        "CR": plain.replace("\n", "\r").encode(),
        "a byte order mark": b"\xef\xbb\xbf" + plain.encode(),
        "no last end of line": plain.rstrip().encode(),
        "blank lines": plain.replace("\n", "\n\n").encode(),
        "tabs": plain.replace(",", "\t").encode(),
        "semicolons": plain.replace(",", ";").encode(),
        "quotes": quoted.getvalue().encode(),
        "columns turned round": "".join(",".join(line.split(",")[::-1]) + "\n" for line in plain.splitlines()).encode(),
        "JSON lines": "".join(json.dumps(r) + "\n" for r in numbers).encode(),
        "JSON lines of texts": "".join(json.dumps(r) + "\n" for r in records).encode(),
        "a tracker's JSON lines": "".join(json.dumps(r) + "\n" for r in tracked).encode(),
        "a tracker's CSV": export.encode(),
        "gzip": gzip.compress(plain.encode()),
    }
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise goal.absent("pyarrow is not installed") from None
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(numbers), out)
    return found | {"parquet": out.getvalue()}


def fitted(folder: Path, data: bytes) -> object:
    """What is fitted to a file."""
    done = fit(folder, data, "--json")
    return done.stderr if done.returncode else json.loads(done.stdout)["coefficients"]


def lossless(folder: Path) -> list[str]:
    """Forms whose fit is another one."""
    wanted = fitted(folder, (rows({"loss": "4.5"}) if goal.planted else rows()).encode())
    return [f"{what}: {got}" for what, data in forms().items() if (got := fitted(folder, data)) != wanted]


def hostile(folder: Path) -> tuple[list[str], float, float]:
    """What is taken, and the most processor time and memory."""
    files = {
        "a zip bomb": gzip.compress(b"0" * (1 << 30), 1),
        "brackets": b'{"a": ' + b"[" * 900_000,
        "a million columns": b",".join(b"c%d" % i for i in range(1_000_000)) + b"\n",
        "a line without end": b"n_params,n_tokens\n" + b"1" * (100 << 20),
        "an open quote": b"n_params,n_tokens\n" + b'"' + b"1,2\n" * (10 << 20),
        "many empty lines": b"n_params,n_tokens\n" + b"\n" * (100 << 20),
        "many names in JSON": b"".join(b'{"n_params": 1e8, "n_tokens": 2e9, "c%d": 1}\n' % i for i in range(100_000)),
    }
    bad, seconds, most = [], 0.0, 0.0
    for what, data in files.items():
        path = folder / "hostile.csv"
        path.write_bytes(data)
        code = (
            "import sys, resource\n"
            "from thrifty.scaling import read_runs\n"
            "from thrifty.errors import DatasetError\n"
            "try:\n"
            "    read_runs(sys.argv[1])\n"
            "except DatasetError as error:\n"
            "    print(len(str(error)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = max(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        match = re.fullmatch(r"([0-9]+) ([0-9.]+)\n", done.stdout)
        if match is None or int(match[1]) > 700:
            bad.append(f"{what}: {done.stdout[-100:]} {done.stderr[-200:]}")
        else:
            most = max(most, float(match[2]))
        os.unlink(path)
    return bad, seconds, most


with tempfile.TemporaryDirectory() as temporary:
    place = Path(temporary)
    if goal.wants("errors"):
        bad = errors(place)
        print(*bad, sep="\n", file=sys.stderr)
        what = f"{len(ERRORS)} bad inputs: not refused by one line that names file and place, with status 1"
        goal.row("errors/wrong", what, "== 0", len(bad))
    if goal.wants("notes"):
        bad = notes(place)
        print(*bad, sep="\n", file=sys.stderr)
        goal.row("notes/wrong", "6 odd inputs: refused, or fitted without a note", "== 0", len(bad))
    if goal.wants("lossless"):
        bad = lossless(place)
        print(*bad, sep="\n", file=sys.stderr)
        goal.row("lossless/wrong", "15 forms of the same runs: fitted otherwise", "== 0", len(bad))
    if goal.wants("hostile"):
        bad, seconds, most = hostile(place)
        print(*bad, sep="\n", file=sys.stderr)
        goal.row("hostile/wrong", "7 files made to take much: not refused", "== 0", len(bad))
        goal.row("hostile/seconds", "the most processor time of one", "<= 10", seconds, "s")
        goal.row("hostile/memory", "the most memory of one", "<= 1500", most, "MB")
goal.end()
