"""Draws the README's table and docs/results.md from benches/results/goals.csv: nothing is typed by hand.

``python benches/report.py`` writes both; with ``--check`` it says whether they are what the rows say (status 1: not).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benches" / "goals"))

from rows import Row, latest  # noqa: E402

RACE = ROOT / "benches" / "results" / "rambo.json"
BEGIN, END = "<!-- results: drawn by benches/report.py from benches/results/goals.csv -->", "<!-- end of results -->"
HEADLINES = [
    ("rambo", "3", "1000/missed"),
    ("rambo", "3", "1000/12 bits/size"),
    ("rambo", "3", "1000/12 bits/rate"),
    ("rambo", "3", "10000/ibf/absent"),
    ("rambo", "3", "10000/cobs/reads"),
    ("rambo", "3", "10000/ibf/reads"),
    ("rambo", "3", "10000/cobs/genes"),
    ("rambo", "3", "growth/10000/absent"),
    ("rambo", "3", "10000/build"),
    ("slide", "4", "step/uniform 1000"),
    ("slide", "4", "step/dense f32 1000"),
    ("slide", "4", "step/recall 1000"),
    ("slide", "4", "growth/7500000"),
    ("slide", "4", "accuracy/own uniform"),
    ("slide", "3", "P@1/0.35"),
    ("slide", "3", "tries/wider"),
    ("slide", "3", "tries/ensemble"),
    ("slide", "3", "peers/omikuji"),
    ("slide", "6", "words/dwta/perplexity"),
    ("slide", "6", "words/dwta/step"),
    ("ranks", "2", "step/ddp 4 100 262144"),
    ("ranks", "2", "step/sparse 4 100 670091"),
    ("ranks", "2", "bytes/step 4 100 670091 i8"),
    ("ranks", "4", "accuracy/4 bf16"),
    ("ranks", "6", "speed/one process"),
    ("pairconnect", "4", "pair/test"),
    ("pairconnect", "4", "peers/Transformer"),
    ("pairconnect", "5", "token/32 MB 8 hash"),
    ("pairconnect", "5", "token/32 MB 512 bag"),
    ("pairconnect", "5", "sublayer/512"),
    ("pairconnect", "5", "model/i8"),
    ("pairconnect", "6", "token/dense head 2048"),
    ("pairconnect", "6", "token/shortlist 151936"),
    ("pairconnect", "7", "bulk/2048"),
    ("pairconnect", "10", "demo/bits"),
    ("specdec", "1", "golden/gain"),
    ("specdec", "2", "rules/block"),
    ("specdec", "3", "seed/few blocks"),
    ("specdec", "4", "golden/gamma"),
    ("specdec", "11", "numpy/median"),
    ("exam", "2", "dev/accuracy"),
    ("exam", "2", "unseen/accuracy"),
    ("exam", "3", "speed/math-verify"),
    ("exam", "6", "inspect/ratio"),
    ("exam", "7", "verdicts/found"),
    ("exam", "9", "plain/low"),
]
"""Rows of the README, where they were measured."""


def figure(row: Row) -> str:
    """The number as people write it."""
    value = f"{row.reached:,.0f}" if row.reached.is_integer() else f"{row.reached:.3g}"
    return f"{value} {row.unit}".strip() if row.unit != "x" else f"{value}x"


def table(rows: list[Row], *, asked: bool) -> str:
    """A Markdown table."""
    head = ["what", "reached", *(["asked", "met", "commit", "date"] if asked else [])]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for row in rows:
        cells = [row.what, figure(row)]
        if asked:
            cells += [row.asked, "yes" if row.passed else "**no**", row.commit, row.when[:10]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def results(rows: list[Row]) -> str:
    """docs/results.md."""
    out = [
        "# Results",
        "Each row is the last one that a script in `benches/goals` measured and judged; `make goals PART=rambo ITEM=3` "
        "runs a script again, `make bench PART=rambo` prints the whole race with the cases where peers are faster, and "
        "`make docs` draws this page. Times are of one thread unless a row says otherwise; a + behind a commit marks "
        "changes that were not committed.",
    ]
    for part in dict.fromkeys(row.part for row in rows):
        for item in dict.fromkeys(row.item for row in rows if row.part == part):
            own = [row for row in rows if (row.part, row.item) == (part, item)]
            machine = json.loads(own[-1].versions)
            used = ", ".join(f"{name} {version}" for name, version in machine.items() if name != "cpu")
            out += [
                f"## {part}, line {item}",
                f"`make goals PART={part} ITEM={item}`: {machine['cpu']}; {used}; seed {own[-1].seed}.",
                table(own, asked=True),
            ]
    return "\n\n".join(out) + race() + "\n"


def race() -> str:
    """The tables of the search race, with the cases where a peer is faster."""
    if not RACE.exists():
        return ""
    out = [
        "# The search race",
        "`make bench PART=rambo`: documents are windows of bacterial genomes; single 31-mers (absent and present), "
        "reads of 150 letters, genes of 1,500 and whole documents, the three with 1 % of their letters drawn anew, at "
        "a threshold of half of the 31-mers. One thread. In parentheses how many times as long a peer took as ours did "
        "just before and after it: below 1 the peer was faster. COBS is asked through its Python module, whose calls "
        "cost more than a single 31-mer does. The last column is the rate of false positives for absent 31-mers.",
    ]
    for count, figures in json.loads(RACE.read_text()).items():
        out += [f"## {int(count):,} documents of {figures['length']:,} letters", figures["table"]]
    return "\n\n" + "\n\n".join(out)


def readme(text: str, rows: list[Row]) -> str:
    """README.md with the table of headlines between its marks."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    known = {(row.part, row.item, row.name): row for row in rows}
    chosen = [known[key] for key in HEADLINES if key in known]
    drawn = f"{table(chosen, asked=False)}\n\nMore, and the cases where peers are faster: [results](docs/results.md).\n"
    return f"{before}{BEGIN}\n{drawn if chosen else ''}{END}{after}"


def main() -> int:
    """Write or check both files."""
    rows = latest()
    files = {
        ROOT / "docs" / "results.md": results(rows),
        ROOT / "README.md": readme((ROOT / "README.md").read_text(), rows),
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)}: not what benches/results/goals.csv says; run make docs")
        return 1 if stale else 0
    for path in stale:
        path.write_text(files[path])
        print(f"{path.relative_to(ROOT)}: drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
