"""A fit that is killed, and a fit.json that is damaged.

killed: `thrifty scaling fit` with 4,000 bootstraps, killed (SIGKILL) at moments over its whole run and just about when
it writes, some with a fit.json of before in place: how often there is a fit.json that does not load, the one of before
is gone, or one loads that tells something else than one that was never disturbed.

bytes: each byte of the file that is looked at (--bytes of them, spread, and all of the last 200) with a random bit
turned, and with another value: how many are read; the file cut off at each of these places, or with a byte more or
less: how many are read.

words: the messages of all of these: how many have more than one line, or do not name the file.

--planted writes the file in place, without a name of its own first, and reads it without its checksum.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rows import Goal

from thrifty.errors import FormatError, MismatchError
from thrifty.scaling import load_fit

goal = Goal(__file__, __doc__, options={"bytes": "3000", "kills": "40"})
RUNS = goal.data("scaling/chinchilla_245.csv")
IN_PLACE = """
import os, sys, time
from pathlib import Path
import thrifty.scaling.sealed as sealed
class Slow:
    def __init__(self, path): self.file = open(path, "wb", buffering=0)
    def __enter__(self): return self
    def __exit__(self, *_): self.file.close()
    def write(self, data):
        for at in range(0, len(data), 4096):
            self.file.write(data[at:at + 4096])
            time.sleep(0.002)
    def flush(self): pass
    def fileno(self): return self.file.fileno()
opened = Path.open
def open_(self, mode="r", **more):
    return Slow(str(self)[:-8]) if str(self).endswith(".partial") else opened(self, mode, **more)
Path.open = open_
Path.replace = lambda self, target: None
"""


def command(out: Path) -> list[str]:
    """The command line, of a process of its own."""
    code = (IN_PLACE if goal.planted else "") + "from thrifty.cli.app import main\nmain()\n"
    words = ["scaling", "fit", RUNS, "-o", out, "--where", "epoch_excluded=0", "--law", "chinchilla"]
    return [sys.executable, "-c", code, *map(str, words), "--bootstraps", "4000", "--threads", "1", "--json"]


def killed(folder: Path) -> tuple[int, int, int]:
    """Files that do not load, files of before that are gone, files that tell something else."""
    out = folder / "fit.json"
    begun = time.monotonic()
    subprocess.run(command(out), check=True, capture_output=True)
    whole = time.monotonic() - begun
    before, wanted = out.read_bytes(), load_fit(out).coef_
    rng = np.random.default_rng(goal.seed)
    kills = int(goal.options["kills"])
    # Half of them over the run, half of them about when the file is written.
    after = np.concatenate([rng.uniform(0, whole, kills // 2), rng.uniform(0, 0.02, kills - kills // 2)])
    broken = gone = other = 0
    for i, seconds in enumerate(after):
        old = i % 2 == 1
        if old:
            out.write_bytes(before)
        else:
            out.unlink(missing_ok=True)
        with subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            if i >= kills // 2:
                beside = out if goal.planted else out.with_name("fit.json.partial")
                size = out.stat().st_size if old else -1
                while process.poll() is None and not (beside.exists() and beside.stat().st_size != size):
                    time.sleep(0.0005)
            time.sleep(seconds)
            process.kill()
        if not out.exists():
            gone += old
            continue
        try:
            other += load_fit(out).coef_ != wanted
        except (FormatError, MismatchError):
            broken += 1
    out.write_bytes(before)
    return broken, gone, other


def damaged(path: Path) -> tuple[int, int, int]:
    """Changed files that are read, cut ones that are read, messages that are none."""
    data = path.read_bytes()
    rng = np.random.default_rng(goal.seed)
    places = np.unique(np.linspace(0, len(data) - 200, int(goal.options["bytes"])).astype(int))
    places = np.concatenate([places, np.arange(len(data) - 200, len(data))])
    changed = [
        data[:at] + bytes([value]) + data[at + 1 :]
        for at in places
        for value in (data[at] ^ 1 << int(rng.integers(8)), (data[at] + int(rng.integers(1, 256))) % 256)
    ]
    cut = [data[:at] for at in places] + [data[:at] + data[at + 1 :] for at in places] + [data + b"\n", data + data]
    words = 0

    def read(bytes_: bytes) -> bool:
        nonlocal words
        path.write_bytes(resealed(bytes_) if goal.planted else bytes_)
        try:
            load_fit(path)
        except (FormatError, MismatchError) as error:
            text = str(error)
            words += not (text.startswith(str(path)) and text.isprintable() and len(text) < 700)
            return False
        return True

    return sum(map(read, changed)), sum(map(read, cut)), words


def resealed(data: bytes) -> bytes:
    """A file with the checksum that its bytes have."""
    end = re.search(rb',\n "checksum": "sha256:[0-9a-f]{64}"\n}\n$', data)
    if end is None:
        return data
    return (
        data[: end.start()]
        + f',\n "checksum": "sha256:{hashlib.sha256(data[: end.start()]).hexdigest()}"\n}}\n'.encode()
    )


with tempfile.TemporaryDirectory() as temporary:
    place = Path(temporary)
    if goal.wants("killed"):
        broken, gone, other = killed(place)
        what = f"{goal.options['kills']} fits killed at moments of their run and of the writing"
        goal.row("killed/broken", f"{what}: a fit.json that does not load", "== 0", broken)
        goal.row("killed/gone", f"{what}: a fit.json of before that is gone", "== 0", gone)
        goal.row("killed/other", f"{what}: a fit.json that tells something else", "== 0", other)
    if goal.wants("bytes"):
        subprocess.run(command(place / "fit.json"), check=True, capture_output=True)
        assert json.loads((place / "fit.json").read_text())["format"] == "thrifty.scaling.fit"
        changed, cut, words = damaged(place / "fit.json")
        goal.row("bytes/changed", "a fit.json with one byte changed: read", "== 0", changed)
        goal.row("bytes/cut", "a fit.json cut off, or with a byte more or less: read", "== 0", cut)
        goal.row("bytes/words", "messages of these that are not a line that names the file", "== 0", words)
    assert os.listdir(place)
goal.end()
