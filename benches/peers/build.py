"""Builds the peers that are written in C++: ``python build.py OUTPUT``.

Exit status 0: everything is there. 3: something is missing, and one line says what; without SeqAn3's headers the
program is still built, with the Bloom bank alone. 1: the compiler failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("peers.cpp")
FLAGS = ["-std=c++20", "-O3", "-march=native", "-DNDEBUG", "-Wall", "-Wextra"]


class Built(NamedTuple):
    """What came of a build."""

    peers: tuple[str, ...]
    """Peers that the program offers; none where it could not be built for want of a compiler."""
    missing: str
    """Why peers are missing, in one line; empty where none are."""


def compiler() -> str | None:
    """Path of the compiler: ``CXX``, or g++."""
    return shutil.which(os.environ.get("CXX", "g++"))


def seqan3() -> list[str] | None:
    """Options that let the compiler find SeqAn3 and the sdsl-lite that it brings; None where it is not installed.

    ``SEQAN3_INCLUDE`` names the folder that holds ``seqan3/``, where that is no usual one. The bundled sdsl-lite goes
    first: a system's older one would not do.
    """
    roots = [os.environ["SEQAN3_INCLUDE"]] if "SEQAN3_INCLUDE" in os.environ else ["/usr/include", "/usr/local/include"]
    for root in map(Path, roots):
        if not (root / "seqan3/search/dream_index/interleaved_bloom_filter.hpp").exists():
            continue
        # Debian's package keeps the submodules below seqan3/, the project's own tree beside include/.
        for submodules in (root / "seqan3/submodules", root.parent / "submodules"):
            sdsl = submodules / "sdsl-lite/include"
            if (sdsl / "sdsl/version.hpp").exists():
                own = [] if root == Path("/usr/include") else ["-isystem", str(root)]
                return ["-DWITH_SEQAN3", "-isystem", str(sdsl), *own]
    return None


def build(output: str | os.PathLike[str]) -> Built:
    """Compile peers.cpp to ``output``; a compiler that fails raises `subprocess.CalledProcessError`."""
    command = compiler()
    if command is None:
        return Built((), "peers: not built: no g++ (Debian: apt-get install g++)")
    options = seqan3()
    subprocess.run([command, *FLAGS, *(options or []), str(SOURCE), "-o", os.fspath(output)], check=True)
    if options is None:
        return Built(("bank",), "peers: built without ibf: no SeqAn3 headers (Debian: apt-get install libseqan3-dev)")
    return Built(("ibf", "bank"), "")


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python build.py OUTPUT", file=sys.stderr)
        return 2
    try:
        built = build(sys.argv[1])
    except subprocess.CalledProcessError as error:
        print(f"peers: not built: the compiler exited with status {error.returncode}", file=sys.stderr)
        return 1
    if built.missing:
        print(built.missing)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
