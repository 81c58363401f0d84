"""The journal of a run: what is on disk counts, and what is damaged is told by its offset."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.errors import FormatError, JournalCorrupt, LockedError, ResumeMismatch
from thrifty.exam.asking.journal import CHECKED, Journal, line_of

MANIFEST: dict[str, Any] = {
    "dataset_sha256": "d",
    "epochs": 2,
    "prompt_id": "p",
    "prompt_sha256": "s",
    "model": "m",
    "endpoint": "e",
    "parameters": {"max_tokens": 5},
}


REST = {"finish_reason": "stop", "error": "", "attempts": 1, "prompt_tokens": None, "completion_tokens": 5}
SPENT = {"kind": "spent", "session": 0, "seconds": 1.0, "cpu_seconds": 0.5, "joules": None, "source": "nothing"}


def record(name: str, epoch: int = 0, status: str = "answered", **more: Any) -> dict[str, Any]:
    return {"kind": "answer", "id": name, "epoch": epoch, "status": status, "response": "é\n☃", **REST, **more}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, MANIFEST) as journal:
        assert journal.fresh
        journal.write([record("a"), record("b", status="failed"), record("a", 1)])
        journal.write([SPENT])
        assert journal.read(("a", 1))["response"] == "é\n☃"
    with Journal(path, MANIFEST) as journal:
        assert not journal.fresh
        assert journal.manifest == MANIFEST
        assert set(journal.answers) == {("a", 0), ("a", 1), ("b", 0)}
        assert journal.failed == {("b", 0)}
        journal.write([record("b", response="at last"), record("a", response="once more")])
        assert journal.failed == set()
    with Journal(path, MANIFEST) as journal:
        assert journal.read(("b", 0))["response"] == "at last"
        assert journal.read(("a", 0))["response"] == "é\n☃"
        assert journal.spent == {0: SPENT}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", CHECKED)
def test_another_run_is_told_by_its_field(tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, MANIFEST).close()
    before = path.read_bytes()
    with pytest.raises(ResumeMismatch) as error:
        Journal(path, {**MANIFEST, name: "other"})
    assert f"{name} of the run in it is {MANIFEST[name]}, here it is other" in str(error.value)
    assert path.read_bytes() == before


def filled(path: Path) -> bytes:
    path.unlink(missing_ok=True)
    with Journal(path, MANIFEST) as journal:
        for i in range(2):
            journal.write([record(f"q{i}")])
    return path.read_bytes()


def test_half_a_record_at_the_end_goes(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = filled(path)
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    around = {end + step for end in ends for step in (-1, 0, 1) if end + step <= len(whole)}
    for length in sorted({*range(1, len(whole), 11), *around}):
        path.write_bytes(whole[:length])
        with Journal(path, MANIFEST) as journal:
            assert len(journal.answers) == max(sum(end <= length for end in ends) - 1, 0)
            journal.write([record("new")])
        with Journal(path, MANIFEST) as journal:
            assert ("new", 0) in journal.answers


def test_a_flipped_byte_is_told_by_its_record(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = filled(path)
    starts = [0, *[i + 1 for i, byte in enumerate(whole) if byte == 10][:-1]]
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(JournalCorrupt) as error:
            Journal(path, MANIFEST)
        offset = max(start for start in starts if start <= at)
        assert f"{path}, offset {offset}: " in str(error.value)
        assert path.read_bytes() == damaged


@given(st.binary(max_size=200))
def test_any_bytes_are_no_journal_or_one(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "journal.jsonl"
    path.write_bytes(data)
    try:
        Journal(path, MANIFEST).close()
    except JournalCorrupt:
        assert data


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (line_of({"kind": "run", "format": "thrifty.exam.journal", "version": 2}), FormatError),
        (line_of({"kind": "run", "format": "other"}), JournalCorrupt),
        (line_of(record("a")), JournalCorrupt),
        (line_of([1]), JournalCorrupt),  # type: ignore[arg-type]
        (line_of({"kind": 5}), JournalCorrupt),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, line: bytes, error: type[Exception]) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(line)
    with pytest.raises(error):
        Journal(path, MANIFEST)


@pytest.mark.parametrize(
    "values",
    [
        {**record("a"), "id": 5},
        {**record("a"), "epoch": True},
        {**record("a"), "status": "new"},
        {**record("a"), "response": None},
        {**record("a"), "prompt_tokens": "5"},
        {name: value for name, value in record("a").items() if name != "attempts"},
        {**SPENT, "seconds": "1"},
        {"kind": "new"},
    ],
)
def test_records_that_are_none(tmp_path: Path, values: dict[str, Any]) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, MANIFEST).close()
    with path.open("ab") as file:
        file.write(line_of(values))
    with pytest.raises(JournalCorrupt, match="offset "):
        Journal(path, MANIFEST)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, MANIFEST), pytest.raises(LockedError, match="another run writes it"):
        Journal(path, MANIFEST)
    Journal(path, MANIFEST).close()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("dear")
    (tmp_path / "journal.jsonl").symlink_to(tmp_path / "there")
    with pytest.raises(OSError, match="symbolic links"):
        Journal(tmp_path / "journal.jsonl", MANIFEST)
    assert (tmp_path / "there").read_text() == "dear"


def test_a_write_that_fails_leaves_what_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, MANIFEST) as journal:
        journal.write([record("a")])
        whole = path.read_bytes()
        room = len(line_of(record("b"))) + 50
        real = os.write

        def full(file: int, data: Any) -> int:
            nonlocal room
            if room == 0:
                raise OSError(28, "No space left on device")
            written = real(file, data[:room])
            room -= written
            return written

        monkeypatch.setattr(os, "write", full)
        records = [(one, line_of(one)) for one in (record("b"), record("c"))]
        with pytest.raises(OSError, match="No space left on device; all answers before are kept") as error:
            journal.append(records)
        assert error.value.filename == str(path)
        assert [one["id"] for one, _ in records] == ["c"]
        monkeypatch.undo()
        assert path.read_bytes() == whole + line_of(record("b"))
        journal.append(records)
        assert records == []
    with Journal(path, MANIFEST) as journal:
        assert set(journal.answers) == {("a", 0), ("b", 0), ("c", 0)}


def test_what_can_not_be_synced_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, MANIFEST) as journal:
        journal.write([record("a")])

        faults = [OSError(5, "Input/output error")]

        def broken(file: int) -> None:
            if faults:
                raise faults.pop()

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output error; all answers before are kept"):
            journal.write([record("b")])
        monkeypatch.undo()
        assert set(journal.answers) == {("a", 0)}
    with Journal(path, MANIFEST) as journal:
        assert set(journal.answers) == {("a", 0)}
