"""Questions of GSM8K's test set that stand in its training set, as they were counted apart from this code.

hits: questions found with the known id, number of 13-grams found and number of all. others: found, and not known or
with other counts. distinct: 13-grams of the corpus. taken_out: n-grams that the index answered for and that are nowhere
in the corpus, which are no hits. line: what the command line prints is the same. speed: distinct 13-grams of seven
novels a second: unpacked, indexed, and asked for the same questions.

``--planted``: the last quarter of the corpus is left out.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import Goal

from thrifty.exam import contamination, load


def main() -> None:
    goal = Goal(__file__, __doc__)
    folder = goal.data("exam")
    expected = json.loads((folder / "contamination_expected.json").read_text())
    known = {(hit["id"], hit["hit_ngrams"], hit["ngrams"]) for hit in expected["hits"]}
    corpus = folder / expected["corpus"]
    exam = load(folder / "gsm8k_test.jsonl")
    with tempfile.TemporaryDirectory() as work:
        if goal.planted:
            lines = gzip.decompress(corpus.read_bytes()).splitlines(keepends=True)
            corpus = Path(work) / "less.txt"
            corpus.write_bytes(b"".join(lines[: len(lines) * 3 // 4]))
        found = contamination(exam, corpus, threads=1)
        hits = {(hit.id, hit.hit_ngrams, hit.ngrams) for hit in found.hits}
        goal.row("contamination/questions", "questions asked", f"== {expected['questions']}", found.questions)
        goal.row(
            "contamination/hits", "known questions found, with their counts", f"== {len(known)}", len(hits & known)
        )
        goal.row(
            "contamination/others",
            "questions found that are not known, or with other counts",
            "== 0",
            len(hits - known),
        )
        distinct = expected["corpus_distinct_13grams"]
        what = "distinct 13-grams of the corpus"
        goal.row("contamination/distinct", what, f"== {distinct}", found.corpus_distinct or 0)
        what = "n-grams that the index answered for and that reading the corpus took out again"
        goal.row("contamination/taken_out", what, ">= 1", found.candidates - found.verified)
        command = [
            sys.executable,
            "-m",
            "thrifty",
            "exam",
            "contamination",
            folder / "gsm8k_test.jsonl",
            corpus,
            "--json",
        ]
        said = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        same = said["corpus_distinct_ngrams"] == found.corpus_distinct and hits == {
            (hit["id"], hit["hit_ngrams"], hit["ngrams"]) for hit in said["hits"]
        }
        goal.row("contamination/line", "the command line says the same", "== 1", same)
        novels = goal.data("text") / "pgnovels" / "train.txt.xz"
        begun = time.perf_counter()
        read = contamination(exam, novels, within="document", threads=1)
        speed = (read.corpus_distinct or 0) / (time.perf_counter() - begun) / 1e6
        goal.row(
            "contamination/speed", "distinct n-grams of seven novels a second, one thread", ">= 1", speed, "million"
        )
    goal.end()


if __name__ == "__main__":
    main()
