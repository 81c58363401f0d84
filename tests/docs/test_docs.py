"""Docs run: docstrings, the README's Python and shell, the tutorials."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import thrifty

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def modules() -> list[str]:
    found = pkgutil.walk_packages(thrifty.__path__, "thrifty.")
    return ["thrifty", *(m.name for m in found if m.name not in {"thrifty._core", "thrifty.__main__"})]


@pytest.mark.parametrize("name", modules())
def test_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_in_pages_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_shell_in_pages_runs(page: Path, tmp_path: Path) -> None:
    """Blocks marked `sh run`: each line that starts with thrifty works, one after the other, in one folder."""
    blocks = re.findall(r"^```sh run\n(.*?)^```", page.read_text(), re.S | re.M)
    for path in (Path(thrifty.__file__).parent / "data").glob("*/*"):
        shutil.copy(path, tmp_path)
    for line in "\n".join(blocks).splitlines():
        if line.startswith("torchrun "):
            command = line.replace("torchrun", f"{sys.executable} -m torch.distributed.run", 1)
        else:
            command = line.replace("thrifty ", f"{sys.executable} -m thrifty ", 1)
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_the_readme_names_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
