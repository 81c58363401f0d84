"""Ctrl-C that comes out of the parser as another error is Ctrl-C still."""

from __future__ import annotations

import sys
from unittest import mock

import pytest

from thrifty.cli import app


@pytest.mark.parametrize(("context", "status"), [(KeyboardInterrupt, 130), (KeyError, 1)])
def test_a_lock_that_an_interrupt_took_apart(
    context: type[BaseException], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*arguments: object, **options: object) -> None:
        try:
            raise context
        except context:
            raise RuntimeError("release unlocked lock")  # noqa: B904 - as the end of a with block does

    patched = mock.patch.object(app, "app", stopped), mock.patch.object(sys, "argv", ["thrifty", "info"])
    with patched[0], patched[1], pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == status
    assert ("stopped" in capsys.readouterr().err) == (status == 130)
