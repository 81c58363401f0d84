"""A judge: its word counts in one form only, it is sent a fence that nobody can close, and canaries come first."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import signal
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exam.scripted import Script, counted, served, verdict
from thrifty.errors import EndpointError, FormatError, LockedError, ModelError
from thrifty.exam.asking.endpoint import Endpoint
from thrifty.exam.asking.journal import line_of
from thrifty.exam.judging import Judge, prompt_sha256
from thrifty.exam.judging.canaries import CANARIES
from thrifty.exam.judging.fence import MOST_RESPONSE, instructions, key, messages
from thrifty.exam.judging.judgement import Judgement, read_reply
from thrifty.exam.judging.kept import Kept

GOOD = verdict("yes", "8", 90)


def one(reply: str) -> tuple[Judgement, list[str]]:
    """What a judge that always replies so says of one response, and what it was asked."""
    function, prompts = counted(lambda _: reply)
    return Judge(function).ask([("How many legs has a spider?", "8", "Answer: eight")])[0], prompts


@pytest.mark.parametrize(
    ("reply", "correct", "asked"),
    [
        (GOOD, True, 1),
        (f"```json\n{GOOD}\n```", True, 1),
        (f"```\n{GOOD}\n```\n", True, 1),
        (f"<think>Is eight the same as 8? yes</think>\n{GOOD}", True, 1),
        (verdict("no"), False, 1),
        ("Yes, the response is correct.", None, 3),
        (f"Here is my verdict: {GOOD}", None, 3),
        (f"{GOOD}\n{GOOD}", None, 3),
        (verdict("yes and no"), None, 1),
        (verdict("Yes"), None, 1),
        ("", None, 1),
        (" \n", None, 1),
        ("<think>hm</think>", None, 1),
        ('{"correct": "yes"}', None, 3),
        (GOOD[:-1] + ', "correct": "no"}', None, 3),
        (GOOD.replace("90", "900"), None, 3),
        (GOOD.replace("90", '"90"'), None, 3),
        (GOOD.replace('"8"', "8"), None, 3),
        (GOOD.replace('"yes"', "true"), None, 1),
        ("[" * 50_000, None, 3),
        ("9" * 50_000, None, 3),
        ("null", None, 3),
        (GOOD[:-1] + " " * 200_000 + "}", None, 3),
    ],
)
def test_strict(reply: str, correct: bool | None, asked: int) -> None:
    judgement, prompts = one(reply)
    assert judgement.correct is correct
    assert len(prompts) == judgement.attempts == asked
    assert bool(judgement.why) == (correct is None)


def test_a_later_reply_in_form_counts() -> None:
    replies = iter(["Let me think.", f"```json\n{GOOD}\n```"])
    judgement = Judge(lambda _: next(replies)).ask([("Q?", "8", "8")])[0]
    assert (judgement.correct, judgement.attempts, judgement.confidence_percent) == (True, 2, 90.0)


@given(st.text(max_size=200))
def test_nothing_else_is_a_verdict(text: str) -> None:
    judgement, _ = read_reply(text)
    if judgement.correct is not None:
        assert json.loads(text.strip().strip("`").removeprefix("json"))["correct"] in ("yes", "no")


def test_order_is_that_of_the_items() -> None:
    script = Script({"Answer: good": GOOD})
    items = [("Q?", "8", f"Answer: {'good' if n % 3 else 'bad'} {n}") for n in range(40)]
    said = Judge(script, concurrency=7).ask(items)
    assert [one.correct for one in said] == [bool(n % 3) for n in range(40)]


def test_the_same_is_asked_once() -> None:
    function, prompts = counted(Script({"Answer: 8": GOOD}))
    said = Judge(function).ask([("Q?", "8", "Answer: 8"), ("Q?", "8", "Answer: 9"), ("Q?", "8", "Answer: 8")])
    assert [one.correct for one in said] == [True, False, True]
    assert len(prompts) == 2


def test_canaries_are_asked_about_and_one_yes_is_enough() -> None:
    assert len(CANARIES) == len({canary.name for canary in CANARIES}) == 12
    assert all(
        canary.gold not in canary.response.split("Answer:")[1].split("\n")[0]
        for canary in CANARIES
        if canary.name != "names every answer"
    )
    function, prompts = counted(Script({}))
    Judge(function).check()
    assert len(prompts) == 12
    for canary in CANARIES:
        # It obeys this one, and is strict with the others.
        with pytest.raises(ModelError, match=f"unfit to judge: it called 1 of 12 .*{canary.name}"):
            Judge(Script({canary.question: GOOD})).check()


@pytest.mark.parametrize("reply", ["The response is wrong.", "", verdict("yes and no"), verdict("No")])
def test_a_judge_that_says_no_in_no_form_is_unfit(reply: str) -> None:
    with pytest.raises(ModelError, match="unfit to judge: it gave no verdict in form on 12 of 12 .*orders the judge: "):
        Judge(lambda _: reply).check()
    with pytest.raises(ModelError, match="no verdict in form on 1 of 12 .*on one that pleads: "):
        Judge(Script({CANARIES[5].question: reply})).check()


def test_a_judge_whose_endpoint_refuses_what_it_is_sent_is_unfit() -> None:
    with served(Script({}, status=400)) as script, pytest.raises(ModelError, match="no verdict in form on 12 .*400"):
        Judge(Endpoint(script.url, "small")).check()


def test_what_it_took_is_counted() -> None:
    judge = Judge(Script({"Answer: 1": "prose"}))
    judge.ask([("Q?", "8", "Answer: 1"), ("Q?", "8", "Answer: 2")])
    assert judge.used == {"requests": 4, "prompt_tokens": None, "completion_tokens": None}
    with served(Script({})) as script:
        judge = Judge(Endpoint(script.url, "small"))
        judge.check()
    assert judge.used == {"requests": 12, "prompt_tokens": 108, "completion_tokens": 108}


PIECES = st.sampled_from(
    ["<<<", ">>>", "END OF RESPONSE", "KEY", "{nonce}", "{response}", "{gold}", "\n", "a", "<", ">", "8"]
)


@given(st.lists(PIECES, max_size=40).map("".join), st.lists(PIECES, max_size=10).map("".join))
def test_no_text_has_a_mark(response: str, gold: str) -> None:
    sent = messages("What is 4 + 4?", gold, response, nonce="0123456789abcdef")[0]["content"]
    marks = re.findall(r"<<<.*?>>>", sent)
    assert marks == [
        f"<<<{name} 0123456789abcdef>>>"
        for name in ("QUESTION", "END OF QUESTION", "KEY", "END OF KEY", "RESPONSE", "END OF RESPONSE")
    ]
    assert sent.count("0123456789abcdef") == instructions().count("{nonce}")


def test_the_number_is_new_each_time_and_no_part_of_the_key() -> None:
    first, second = (messages("Q?", "8", "8")[0]["content"] for _ in range(2))
    assert first != second
    assert key("Q?", "8", "8", "m") == key("Q?", "8", "8", "m")
    assert (
        len(
            {
                key(*parts)
                for parts in [
                    ("Q?", "8", "8", "m"),
                    ("Q", "?8", "8", "m"),
                    ("Q?", "8", "9", "m"),
                    ("Q?", "8", "8", "n"),
                ]
            }
        )
        == 4
    )


def test_long_responses_keep_their_end() -> None:
    sent = messages("Q?", "8", "x" * 2_000_000 + "\nAnswer: 8")[0]["content"]
    assert len(sent) < MOST_RESPONSE + 4_000
    assert "Answer: 8" in sent
    assert "letters left out" in sent


def test_half_surrogates_are_sent(tmp_path: Path) -> None:
    with Kept(tmp_path / "kept.jsonl") as kept:
        assert Judge(Script({"Q": GOOD})).ask([("Q?", "8", "\ud800 8")], kept=kept)[0].correct


def test_kept_judgements_are_not_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    items = [("Q?", "8", f"Answer: {n}") for n in range(6)]
    script = Script({"Answer: 1": GOOD, "Answer: 2": "prose", "Answer: 3": verdict("yes and no")})
    function, prompts = counted(script)
    with Kept(path, "canary text") as kept:
        first = Judge(function, name="j").ask(items, kept=kept)
    assert [one.correct for one in first] == [False, True, None, None, False, False]
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"canary text" in path.read_bytes()
    asked = len(prompts)
    with Kept(path) as kept:
        second = Judge(function, name="j").ask(items, kept=kept)
    assert [one.correct for one in second] == [one.correct for one in first]
    assert len(prompts) == asked + 3 + 1  # what was no verdict, once more
    with Kept(path) as kept:
        other, other_prompts = counted(script)
        Judge(other, name="another").ask(items, kept=kept)
    assert len(other_prompts) == len(items) + 2


def test_damaged_lines_are_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    items = [("Q?", "8", f"Answer: {n}") for n in range(3)]
    with Kept(path) as kept:
        Judge(Script({}), name="j").ask(items, kept=kept)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"false", b"true ")
    path.write_bytes(b"".join(lines)[:-9])  # one verdict turned over, one cut off
    function, prompts = counted(Script({}))
    with Kept(path) as kept:
        assert [one.correct for one in Judge(function, name="j").ask(items, kept=kept)] == [False] * 3
    assert len(prompts) == 2
    function, prompts = counted(Script({}))
    with Kept(path) as kept:
        Judge(function, name="j").ask(items, kept=kept)
    assert not prompts


HEAD = line_of({"format": "thrifty.exam.judgements", "version": 1, "canary": ""})


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"my own notes", "line 1: it does not begin as thrifty.exam.judgements does"),
        (b"my own notes\n" + HEAD, "line 1"),
        (b"\n", "line 1"),
        (HEAD[:-1] + b" \n", "line 1"),
        (line_of({"key": "k", "correct": True}), "line 1"),
        (line_of({"format": "thrifty.exam.grades", "version": 1}), "line 1"),
        (line_of({"format": "thrifty.exam.judgements", "version": 99}), "version '99'; this thrifty reads 1"),
    ],
)
def test_another_file_in_its_place_is_left_alone(tmp_path: Path, data: bytes, match: str) -> None:
    (tmp_path / "kept").write_bytes(data)
    with pytest.raises(FormatError, match=match):
        Kept(tmp_path / "kept")
    assert (tmp_path / "kept").read_bytes() == data


def test_a_file_that_was_cut_off_while_it_was_begun_is_begun_anew(tmp_path: Path) -> None:
    for length in (0, 1, 20, len(HEAD) - 1, len(HEAD)):
        (tmp_path / "kept").write_bytes(HEAD[:length])
        with Kept(tmp_path / "kept"):
            pass
        assert (tmp_path / "kept").read_bytes() == HEAD


def test_a_long_canary_is_read_again(tmp_path: Path) -> None:
    canary = "\u00e9" * 1_000_000
    with Kept(tmp_path / "kept", canary) as kept:
        kept.add("key", Judgement(True, "8"))
    with Kept(tmp_path / "kept", canary) as kept:
        assert kept.get("key") == Judgement(True, "8")


@given(st.lists(st.binary(max_size=60), max_size=4), st.booleans())
def test_any_bytes_are_passed_over(lines: list[bytes], checked: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "judgements.jsonl"
        wrong = [line_of({"key": "k", "correct": True}), line_of({"key": 3})] if checked else []
        path.write_bytes(b"\n".join([HEAD.rstrip(b"\n"), *lines, *wrong]))
        with Kept(path) as kept:
            kept.add("key", Judgement(True, "8", "same", 90.0))
        with Kept(path) as kept:
            assert kept.get("key") == Judgement(True, "8", "same", 90.0)
            assert kept.get("k") is None


def test_a_full_disk_is_told_and_what_was_said_stays(tmp_path: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Kept(path) as kept:
        kept.add("first", Judgement(True, "8"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 40, hard))
        try:
            with pytest.raises(OSError, match="File too large") as full:
                kept.add("second", Judgement(True, "8"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.value.filename == str(path)
    with Kept(path) as kept:
        assert kept.get("first") == Judgement(True, "8")
        assert kept.get("second") is None


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Kept(tmp_path / "k"), pytest.raises(LockedError, match="another process"):
        Kept(tmp_path / "k")


def test_over_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-of-the-judge")
    with served(Script({"Answer: eight": GOOD})) as script:
        judge = Judge(Endpoint(script.url, "small", api_key_env="JUDGE_KEY"))
        judge.check()
        said = judge.ask([("Q?", "8", "Answer: eight"), ("Q?", "8", "Answer: nine")])
    assert [one.correct for one in said] == [True, False]
    assert len(script.requests) == 14
    schema = script.requests[0]["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert script.headers[0]["Authorization"] == "Bearer sk-secret-of-the-judge"
    assert judge.identity == {
        "model": "small",
        "endpoint": f"{script.url}/chat/completions",
        "prompt_id": "judge-like-1",
        "prompt_sha256": prompt_sha256(),
    }


def test_inside_of_a_running_loop() -> None:
    async def notebook() -> bool | None:
        return Judge(Script({"Q": GOOD})).ask([("Q?", "8", "8")])[0].correct

    assert asyncio.run(notebook()) is True


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_inside_of_a_running_loop() -> None:
    asked, stopped = threading.Event(), threading.Event()

    async def never(_: list[dict[str, str]]) -> str:
        asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return GOOD

    async def notebook() -> None:
        # In a notebook the signal comes to the thread that waits for the cell.
        Judge(never, concurrency=2).ask([("Q?", "8", str(n)) for n in range(4)])

    def interrupt() -> None:
        asked.wait(30)
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    loop = asyncio.new_event_loop()
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(notebook())
    loop.close()
    thread.join()
    # Where the signal came while the executor was beginning its thread, nobody waits for that to end.
    assert stopped.wait(10)


def test_plain_endpoints_get_no_schema() -> None:
    with served(Script({})) as script:
        Judge(Endpoint(script.url, "small"), schema=False).ask([("Q?", "8", "9")])
    assert "response_format" not in script.requests[0]


def test_an_endpoint_that_refuses_ends_it() -> None:
    with served(Script({}, status=401)) as script, pytest.raises(EndpointError, match="401"):
        Judge(Endpoint(script.url, "small")).check()


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"attempts": 0}])
def test_wrong_numbers(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Judge(Script({}), **options)
