"""Pages of exams with hostile words in ids, subjects, responses, names and provenance, read as a browser would.

page: tags that run or fetch, attributes that do, addresses in the style sheet, and texts that went missing.

key: files of two runs behind an address, of their grades and of their page, that hold the key which opened it.

canary: files of a page that hold a text although the data set has a canary, or lack the canary.

--planted writes records as they are, without escaping.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[3])]

from rows import Goal  # noqa: E402
from tests.exam.endpoint import reply, serving  # noqa: E402

import thrifty.report.page as page_module  # noqa: E402
import thrifty.report.svg as svg_module  # noqa: E402
from thrifty.exam import Dataset, Endpoint, Question, grade, run  # noqa: E402
from thrifty.exam.page import write_report  # noqa: E402

goal = Goal(__file__, __doc__)
KEY, CANARY = "sk-a-key-that-is-in-no-file", "canary GUID 5d3c0b46"
HOSTILE = (
    "<script>alert(1)</script>",
    "</td></table><script src=http://x.test/a.js></script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</style><style>body{background:url(http://x.test)}</style>",
    "<!--<iframe src=javascript:alert(1)>-->",
    "]]><a href=javascript:alert(1)>x</a>",
    "&lt;script&gt; &#60;script&#62; \u202e\u0000\ud83d\ude00",
)
if goal.planted:
    for module in (page_module, svg_module):
        module.escape = lambda text, quote=True: text  # type: ignore[attr-defined]


class Seen(HTMLParser):
    """Tags, attributes that run or fetch, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.bad, self.text, self.style = 0, "", ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.bad += tag in {"script", "img", "iframe", "object", "embed", "link", "form", "a", "base"}
        for name, value in attrs:
            self.bad += name.startswith("on") or name in {"src", "href", "action", "xlink:href", "style", "srcdoc"}
            self.bad += "javascript:" in (value or "")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "style":
            self.style += data
        else:
            self.text += data


def exam(canary: str) -> Dataset:
    return Dataset(
        tuple(
            Question(
                f"q{i} {HOSTILE[i % 8][:60]}", f"Question {i}: {HOSTILE[i % 8]}", str(i), "exactMatch",
                category=HOSTILE[(i + 1) % 8], canary=canary,
            )
            for i in range(240)
        )
    )  # fmt: skip


def graded(folder: Path, canary: str, wrong: int) -> object:
    def script(request: dict[str, list[dict[str, str]]], _: int) -> object:
        number = int(re.search(r"Question ([0-9]+):", str(request["messages"][-1]["content"]))[1])  # type: ignore[index]
        said = "x" if number % wrong == 0 else number
        return reply(f"{HOSTILE[number % 8]} SECRET\nAnswer: {said}\nConfidence: {50 + number % 50}%")

    with serving(script) as server:  # type: ignore[arg-type]
        run(exam(canary), Endpoint(server.url, HOSTILE[0], api_key_env="GOAL_KEY"), folder)
    return grade(folder)


os.environ["GOAL_KEY"] = KEY
with tempfile.TemporaryDirectory() as temporary:
    here = Path(temporary)
    runs = [graded(here / name, "", wrong) for name, wrong in (("plain", 9), ("cheap", 4))]
    path = write_report(here / "page", *runs, resamples=200)  # type: ignore[arg-type]
    html = path.read_text()
    seen = Seen(html)
    if goal.wants("page"):
        goal.row("page/tags", "tags and attributes of a page that run or fetch", "== 0", seen.bad)
        urls = len(re.findall(r"url\(|@import", seen.style)) + html.count("<style>") - 1
        goal.row("page/style", "addresses in its style sheet, and other style sheets", "== 0", urls)
        absent = sum(words not in seen.text for words in HOSTILE[:3])
        goal.row("page/text", "hostile words that are not there as text", "== 0", absent)
    if goal.wants("key"):
        files = [file for file in here.rglob("*") if file.is_file()]
        holding = sum(KEY.encode() in file.read_bytes() for file in files)
        goal.row("key/files", f"files, of {len(files)}, that hold the key", "== 0", holding)
    if goal.wants("canary"):
        kept = graded(here / "kept", CANARY, 5)
        path = write_report(here / "kept-page", kept, resamples=200)  # type: ignore[arg-type]
        texts = [file.read_text() for file in (path, path.with_name("results.json"))]
        goal.row("canary/texts", "files of a page with a text of an answer", "== 0", sum("SECRET" in t for t in texts))
        goal.row("canary/canary", "files of a page without the canary", "== 0", sum(CANARY not in t for t in texts))
goal.end()
