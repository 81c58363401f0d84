"""Keys, and what follows the question mark of an address: in no file, no message and no answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import said
from tests.exam.endpoint import Said, reply, serving
from tests.exam.test_run import command, questions, written
from thrifty.exam import Endpoint, run
from thrifty.exam.asking.secrets import Secrets, named_like_a_secret

SLASHED = 'sk-a/b"c\\d+Secret/0123456789='


def forms(key: str) -> list[str]:
    once = json.dumps(key)[1:-1]
    return [
        key,
        once,
        once.replace("/", "\\/"),
        json.dumps(once)[1:-1],
        "".join(f"\\u{ord(letter):04X}" for letter in key),
        quote(key, safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(key, safe="")),
    ]


@pytest.mark.parametrize("key", [SLASHED, "sk-Secret0123456789"])
def test_a_key_in_all_its_forms(key: str) -> None:
    secrets = Secrets(key, "")
    for form in forms(key):
        assert secrets.none_of(f"no {form}!") == "no [key]!"
        if form in forms(key)[:4]:
            assert secrets.without(f"no {form}!") == "no [key]!"


@given(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=8, max_size=30), st.text(max_size=20))
def test_any_key_escaped_by_json(key: str, around: str) -> None:
    secrets = Secrets(key, "")
    for text in (around + key + around, json.dumps(around + key)):
        assert key not in secrets.without(text)
        assert json.dumps(key)[1:-1] not in secrets.none_of(text)
    assert Secrets("", "").without(around) == Secrets("", "").none_of(around) == around


def test_the_query_of_an_address() -> None:
    secrets = Secrets("", "api-version=2024-02-01&code=abc%2Fdefghijklmnopq&n=1")
    assert secrets.none_of("POST /v1?api-version=2024-02-01&code=abc%2Fdefghijklmnopq&n=1 no") == "POST /v1?[key] no"
    assert secrets.none_of("code abc/defghijklmnopq of 2024-02-01, 1") == "code [key] of [key], 1"
    # An answer may well have a date.
    assert secrets.without("on 2024-02-01, abc/defghijklmnopq") == "on 2024-02-01, [key]"


@pytest.mark.parametrize(
    "extra",
    [
        {"api_key": "x"},
        {"apiKey": 5},
        {"OPENAI_API_KEY": "x"},
        {"token": "x"},
        {"access_token": "x"},
        {"client-secret": "x"},
        {"password": "x"},
        {"Authorization": "Bearer x"},
        {"extra_headers": {"X-Api-Key": "x"}},
        {"tools": [{"server": {"authorization": "x"}}]},
    ],
)
def test_names_of_secrets_are_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="extra: .* is called like a secret.*api_key_env"):
        Endpoint("http://localhost/v1", "small", extra=extra)


@pytest.mark.parametrize(
    "extra",
    [
        {"max_completion_tokens": 5, "min_tokens": 1, "stop_token_ids": [1], "skip_special_tokens": True},
        {"prompt_cache_key": "exam", "eos_token": "</s>", "logit_bias": {"5": 1}, "monkey": "x", "keys": 3},
        {"response_format": {"json_schema": {"properties": {"key": {"type": "string"}}}}, "use_auth": False},
    ],
)
def test_names_of_settings_are_not(extra: dict[str, Any]) -> None:
    assert named_like_a_secret(extra) == ""
    assert Endpoint("http://localhost/v1", "small", extra=extra).parameters == extra


def test_an_endpoint_is_shown_without_its_query() -> None:
    endpoint = Endpoint("https://host/v1?code=s3cretCode", "small", "A_KEY", 5)
    assert "s3cret" not in repr(endpoint) + str(endpoint)
    assert repr(endpoint).startswith("Endpoint('https://host/v1/chat/completions', model='small', api_key_env='A_KEY'")


def test_a_key_that_is_written_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", SLASHED)
    for endpoint in (
        Endpoint(f"http://localhost:1/{quote(SLASHED, safe='')}/v1", "small", "A_KEY"),
        Endpoint("http://localhost:1/v1", "small", "A_KEY", extra={"user": SLASHED}),
    ):
        with pytest.raises(ValueError, match="its key stands in the address") as error:
            run(questions(1), endpoint, tmp_path / "run")
        assert "Secret" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_no_file_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", SLASHED)
    query = "code=queryCodeSecret%2F987654"
    data = written(tmp_path / "exam.jsonl", 12)
    shown = [*forms(SLASHED), query, "queryCodeSecret/987654", "queryCodeSecret\\/987654"]

    def script(request: dict[str, Any], attempt: int) -> Said:
        number = int(request["messages"][-1]["content"].split()[2])
        return Said(400, shown[number].encode()) if number < len(shown) else reply(" ".join(shown[:4]), shown[0])

    with serving(script) as server:
        words = command(data, f"{server.url}?{query}", tmp_path / "run", "--api-key-env", "A_KEY")[3:]
        done = [said(*words, *more) for more in ([], ["--json"], ["--debug"])]
        refused = said(*words, "--set", f"api_key={SLASHED}")
    assert [one.returncode for one in (*done, refused)] == [0, 0, 0, 2], done[0].stderr
    files = [path.read_text() for path in (tmp_path / "run").iterdir()]
    assert len(files) == 5
    for text in (*files, *(one.stdout + one.stderr for one in (*done, refused))):
        assert "Secret" not in text
        assert not [form for form in shown if form in text]
