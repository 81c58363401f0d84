"""The rule grader beside labels given by hand, in several forms of response, whoever calls it."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from thrifty.exam import grade_answer

PAIRS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "exam" / "grading_pairs.jsonl").read_text("utf-8").splitlines()
]
CATEGORIES = sorted({pair["category"] for pair in PAIRS})
FORMS = {
    "bare": "{}",
    "fields": "Explanation: Some reasoning in 3 steps, and (B) perhaps.\nExact Answer: {}\nConfidence: 85%",
    "bold": "Let me think about it.\n\n**Answer:** {}\n\n**Confidence:** 90%",
    "heading": "**Final Answer**\n\n{}\n",
    "inner": "Answer: **{}**\nConfidence: 50%",
    "hidden": "<think>Answer: 12345, or rather (K)?</think>\nAnswer: {}",
}


def wanted(pair: dict) -> str:
    return "equal" if pair["expected"] else "different"


def verdict(pair: dict, response: str | None = None) -> str:
    return grade_answer(response or pair["response"], pair["gold"], pair["answer_type"]).verdict


@pytest.mark.parametrize("category", CATEGORIES)
def test_verdicts_are_those_of_a_careful_examiner(category: str) -> None:
    found = {
        (pair["gold"], pair["response"]): grade_answer(pair["response"], pair["gold"], pair["answer_type"])
        for pair in PAIRS
        if pair["category"] == category and pair["response"]
    }
    labels = {(pair["gold"], pair["response"]): wanted(pair) for pair in PAIRS if pair["category"] == category}
    assert {key: v for key, v in found.items() if v.verdict != labels[key]} == {}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_a_response_changes_nothing(form: str) -> None:
    asked = [pair for pair in PAIRS if pair["response"].startswith("Answer: ") and "\n" not in pair["response"]]
    wrong = [
        (pair["gold"], pair["response"])
        for pair in asked
        if verdict(pair, FORMS[form].format(pair["response"][8:])) != wanted(pair)
    ]
    assert len(asked) > 1000
    assert wrong == []


def test_all_kinds_of_answers_are_there() -> None:
    assert len(PAIRS) >= 1200
    assert min(Counter(pair["category"] for pair in PAIRS).values()) >= 4
    # Neither answer alone would do well.
    assert 0.3 < sum(pair["expected"] for pair in PAIRS) / len(PAIRS) < 0.7


def test_threads_and_processes_agree() -> None:
    some = PAIRS[::4]
    here = [verdict(pair) for pair in some]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(verdict, some)) == here
    program = (
        "import json, sys; from thrifty.exam import grade_answer\n"
        "print(json.dumps([grade_answer(r, g, t).verdict for r, g, t in json.load(sys.stdin)]))"
    )
    asked = json.dumps([(pair["response"], pair["gold"], pair["answer_type"]) for pair in some])
    done = subprocess.run([sys.executable, "-c", program], input=asked, text=True, capture_output=True, check=True)
    assert json.loads(done.stdout) == here
