"""The demo as people run it: a copy of the package, in a process that can import none of what extras bring."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import thrifty

#: Runs the command line where these can't be imported.
WITHOUT = """
import importlib.util, sys
ABSENT = ("torch", "tokenizers", "pyarrow", "matplotlib", "sympy", "pint")
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in ABSENT else found(name, *more)
sys.modules.update(dict.fromkeys(ABSENT))
from thrifty.__main__ import main
sys.argv[0] = "thrifty"
main()
"""


def copied(folder: Path) -> Path:
    """Copy the package into a folder; returns its data for the demo."""
    package = Path(thrifty.__file__).parent
    shutil.copytree(package, folder / "thrifty", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "thrifty" / "data" / "pairconnect"


def demo(part: str, folder: Path) -> CompletedProcess[str]:
    """Run a part of the demo of the copy in a folder; its page lies in ``out`` there."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, "demo", "--part", part, "--out", str(folder / "out")],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
