"""What tests of devices share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from thrifty.throttle import hold


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where journals are; devices that a test leaves set are put back at its end."""
    monkeypatch.setenv("THRIFTY_STATE", str(tmp_path / "state"))
    yield tmp_path / "state"
    for one in list(hold._holds):
        one.release()
    assert not hold._watchdogs
