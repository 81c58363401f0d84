"""The demo's part pairconnect, run as people run it, and the package that carries its model.

demo: ``thrifty demo --part pairconnect`` in a process in which neither torch nor tokenizers can be imported; seconds
from start to end, and what its results.json says: bits a byte of the held-back text, beside xz -9 (which knows nothing
before) and n-gram models that adapt (orders 3 and 5, after an excerpt of half a megabyte of what the model learned
from); CPU time of a token, one thread, beside attention in numpy; the state. again: bits a byte from the model's
scores, added up here over ids whose bytes are compared with the text. package: bytes of the model's file and of the
package packed as a wheel.

``--planted``: the letters of each word of the held-back text are put in order, in a copy of the package's folder.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import demos
from rows import Goal


def packages(folder: Path, planted: bool) -> Path:
    """A folder with a copy of the package in it."""
    held = demos.copied(folder) / "held-back.txt"
    if planted:
        held.write_bytes(re.sub(rb"\w+", lambda word: bytes(sorted(word[0])), held.read_bytes()))
    return folder


def demo(goal: Goal, house: Path) -> None:
    """Rows of the demo's own figures."""
    out = house / "out"
    started = time.perf_counter()
    done = demos.demo("pairconnect", house)
    seconds = time.perf_counter() - started
    sys.stderr.write(done.stderr)
    goal.row("demo/status", "exit status of the demo without torch and tokenizers", "== 0", done.returncode)
    if done.returncode:
        return
    goal.row("demo/seconds", "from start to end", "<= 20", seconds, "s")
    goal.row("demo/report", "whether the last line names the page", "== 1", str(out / "report.html") in done.stdout)
    (section,) = json.loads((out / "results.json").read_text())["sections"]
    records: dict[str, Any] = {r["id"].removeprefix("pairconnect."): r for r in section["records"]}
    bits = records["bits"]["values"]
    ours = bits["PairLM"]
    text = "bits a byte of the held-back text: "
    goal.row("demo/bits", f"{text}PairLM of {records['model_mb']['value']:.2f} MB", "<= 2", ours)
    for name, value in bits.items():
        if name != "PairLM":
            goal.row(f"demo/{name}", f"{text}{name} ({value:.3f}) over PairLM's ({ours:.3f})", ">= 1.0", value / ours)
    layer, token, state = (records[name] for name in ("layer_us", "token_us", "state_bytes"))
    what = f"CPU-us a token of an attention layer in numpy ({layer['baseline']:.1f}) over a pair layer's"
    goal.row("demo/layer", f"{what}, called from Python ({layer['value']:.1f})", ">= 1.5", layer["ratio"], "times")
    what = f"CPU-us a token of a decoder with attention in numpy ({token['baseline']:.1f}) over PairLM's"
    goal.row("demo/token", f"{what} ({token['value']:.1f})", ">= 1.0", token["ratio"], "times")
    goal.row(
        "demo/state", "bytes of keys and values of 128 tokens over those of ids", ">= 100", state["ratio"], "times"
    )


def again(goal: Goal, house: Path) -> None:
    """Rows of bits a byte, added up from scores."""
    from thrifty.pairconnect import PairLM

    data = house / "thrifty" / "data" / "pairconnect"
    held = (data / "held-back.txt").read_bytes()
    model = PairLM.load(data / "model.safetensors")
    ids, _ = model.encoding.encode(held)
    goal.row("again/text", "whether the ids are the text", "== 1", model.encoding.decode(ids).encode() == held)
    bits = np.log2(model.vocab)
    for scores, next_ids in zip(*(np.array_split(x, 20) for x in (model.scores(ids[:-1]), ids[1:])), strict=True):
        above = scores.astype(np.float64) - scores.max(1, keepdims=True)
        bits += (np.log(np.exp(above).sum(1)) - above[np.arange(len(above)), next_ids]).sum() / np.log(2)
    goal.row("again/bits", "bits a byte of the held-back text, from scores of all ids", "<= 2", bits / len(held))


def package(goal: Goal, house: Path) -> None:
    """Rows of sizes."""
    model = house / "thrifty" / "data" / "pairconnect" / "model.safetensors"
    goal.row("package/model", "the model's file", "<= 3", model.stat().st_size / 1e6, "MB")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (house / "thrifty").rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(house))
    goal.row("package/wheel", "the package, packed", "<= 8", len(packed.getvalue()) / 1e6, "MB")


def main() -> None:
    """Run what is wanted."""
    goal = Goal(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        house = packages(Path(folder), goal.planted)
        # Sizes first: running the copy leaves compiled files in it.
        for part in (package, demo, again):
            if goal.wants(part.__name__):
                part(goal, house)
    goal.end()


if __name__ == "__main__":
    main()
