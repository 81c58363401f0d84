"""Installs thrifty with its extras, runs every test and linter, prints seconds a step, and fails when one fails.

Steps run one after the other and each ends with its runner's own summary; a missing tool is a failure. The tests of the
crates are compiled and run while the package installs, which leaves cores idle; their output comes behind, and their
seconds are those that were still waited for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
PURE_CRATES = ["thrifty-base", "thrifty-rambo", "thrifty-slide", "thrifty-pairconnect", "thrifty-specdec"]


def lint(python: str) -> list[tuple[str, list[str]]]:
    """Commands that must be clean."""
    return [
        ("rustfmt", ["cargo", "fmt", "--all", "--check"]),
        ("clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
        ("ruff", [python, "-m", "ruff", "check", "."]),
        ("ruff format", [python, "-m", "ruff", "format", "--check", "."]),
        ("mypy", [python, "-m", "mypy"]),
        ("stubtest", [python, "-m", "mypy.stubtest", "thrifty._core"]),
    ]


def steps(python: str, only: str | None, slow: bool) -> list[tuple[str, list[str]]]:
    """Names and commands, in order."""
    # Files are dealt to two processes in their order, so that many short ones come last.
    dealt = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    tests = [python, "-m", "pytest", "tests", *dealt] + ([] if slow else ["-m", "not slow"])
    # The crate of the bindings has no tests of its own, and clippy sees the examples: each takes minutes to compile.
    crates = ["cargo", "test", "--workspace", "--exclude", "thrifty-python", "--locked", "--lib", "--tests"]
    groups = {
        "install": [("install", [python, "-m", "pip", "install", "--quiet", ".[all,test]"])],
        "cargo": [("cargo test", crates)],
        "pytest": [("pytest", tests)],
        "lint": lint(python),
    }
    if slow:
        groups["cargo"].append(("cargo test, slow", [*crates, "--", "--ignored"]))
    chosen = groups.values() if only is None else [groups[only]]
    return [step for group in chosen for step in group]


def main() -> int:
    """Run the steps; the exit status is 0 only when all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["install", "cargo", "pytest", "lint"])
    parser.add_argument("--slow", action="store_true", help="with the long statistics")
    arguments = parser.parse_args()
    env = os.environ | {"PYTHONWARNINGS": "default", "HYPOTHESIS_PROFILE": "slow" if arguments.slow else "fast"}
    if shutil.which("cargo") is None:
        sys.stderr.write("cargo is missing: install Rust from https://rustup.rs\n")
        return 1
    failed, times = [], []
    chosen = steps(sys.executable, arguments.only, arguments.slow)
    with Beside(dict(chosen)["cargo test"], env) if arguments.only is None else nullcontext() as beside:
        for name, command in chosen:
            print(f"== {name}: {' '.join(command)}", flush=True)
            started = time.monotonic()
            if beside is not None and name == "cargo test":
                status = beside.end()
            else:
                status = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
            times.append((name, time.monotonic() - started, status))
            if status != 0:
                failed.append(name)
                if name == "install":
                    break
    if arguments.only in (None, "lint"):
        check_other_machine()
    print("== seconds a step")
    for name, seconds, status in times:
        print(f"{seconds:8.1f}  {name}{'' if status == 0 else '  FAILED'}")
    print(f"FAILED: {', '.join(failed)}" if failed else "all steps passed")
    return 1 if failed else 0


class Beside:
    """A command that runs beside others, its output kept for later. It does not outlive the block it is used in."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        # A group of its own, so that what it starts can be stopped with it.
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=self.output, stderr=subprocess.STDOUT, process_group=0
        )

    def __enter__(self) -> Self:
        return self

    def end(self) -> int:
        """Wait for it, print what it wrote, and return its status."""
        status = self.process.wait()
        self.output.seek(0)
        shutil.copyfileobj(self.output, sys.stdout.buffer)
        sys.stdout.flush()
        return status

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.output.close()


def check_other_machine() -> None:
    """Check the pure crates for aarch64 where that target is installed; say so where it is not."""
    target = "aarch64-unknown-linux-gnu"
    listed = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", target], capture_output=True, text=True, check=False
    )
    if listed.returncode != 0 or not Path(listed.stdout.strip()).is_dir():
        print(f"== aarch64: target {target} is not installed here, not checked")
        return
    crates = [part for crate in PURE_CRATES for part in ("-p", crate)]
    command = ["cargo", "check", "--target", target, "--locked", *crates]
    print(f"== aarch64: {' '.join(command)}", flush=True)
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise SystemExit("FAILED: aarch64")


if __name__ == "__main__":
    sys.exit(main())
