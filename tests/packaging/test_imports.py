"""What importing costs, and who may import whom."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "python" / "thrifty"

#: Lower never imports upper; docs/architecture.md has the picture.
LEVELS = {
    "errors": -2,
    "_core": -2,
    "_torch": -1,
    "stats": 0,
    "report": 0,
    "device": 0,
    "pairconnect": 1,
    "rambo": 1,
    "scaling": 1,
    "slide": 1,
    "specdec": 1,
    "throttle": 1,
    "exam": 1.5,  # of the other parts it may use rambo
    "models": 2,
    "pipeline": 4,
    "cli": 5,
    "__main__": 6,
}


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_import_is_free() -> None:
    heavy = ("torch", "scipy", "numpy", "typer", "rich", "dask", "thrifty._core")
    code = (
        "import sys, time; t = time.perf_counter(); import thrifty; s = time.perf_counter() - t; "
        f"print(s, [m for m in {heavy!r} if m in sys.modules])"
    )
    runs = [python(code).split(" ", 1) for _ in range(5)]
    assert {loaded.strip() for _, loaded in runs} == {"[]"}
    assert min(float(seconds) for seconds, _ in runs) < 0.1


def test_rambo_does_not_load_torch_or_scipy() -> None:
    code = "import sys, thrifty; thrifty.rambo.RamboPlan; print([m for m in ('torch', 'scipy') if m in sys.modules])"
    assert python(code).strip() == "[]"


def test_slide_does_not_load_torch() -> None:
    assert python("import sys, thrifty; thrifty.slide.Trainer; print('torch' in sys.modules)").strip() == "False"


def test_names_of_the_package() -> None:
    assert python("import thrifty; print(sorted(dir(thrifty)) == sorted(thrifty.__all__))").strip() == "True"
    assert "no attribute 'nothing'" in python(
        "import thrifty\ntry:\n  thrifty.nothing\nexcept AttributeError as e:\n  print(e)"
    )


def imported(path: Path) -> set[str]:
    """Parts of thrifty that a file imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "thrifty" else [f"thrifty.{a.name}" for a in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("thrifty.")}
    return found


FILES = sorted(PYTHON.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PYTHON)))
def test_lower_levels_do_not_import_upper_ones(path: Path) -> None:
    part = path.relative_to(PYTHON).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    assert part in LEVELS, f"{part} has no level: say where it belongs, here and in docs/architecture.md"
    for other in imported(path) - {part}:
        assert LEVELS[other] < LEVELS[part], f"{path}: {part} imports {other}"
        if part == "exam" and LEVELS[other] == 1:
            assert other == "rambo", f"{path}: exam knows no other part than rambo, and imports {other}"


def test_crates_depend_one_way() -> None:
    done = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    packages = {p["name"]: p for p in json.loads(done.stdout)["packages"]}
    ours = {
        name: {d["name"] for d in p["dependencies"] if d["name"].startswith("thrifty-")} for name, p in packages.items()
    }
    assert ours.pop("thrifty-base") == set()
    binding = ours.pop("thrifty-python")
    assert binding == {"thrifty-base", *ours}
    for name, needs in ours.items():
        assert needs == {"thrifty-base"}, name
    for name, package in packages.items():
        knows_python = {"pyo3", "numpy"} & {d["name"] for d in package["dependencies"]}
        assert bool(knows_python) == (name == "thrifty-python"), name


def test_unsafe_code_stays_in_its_files() -> None:
    """The files that docs/architecture.md names, and no other, allow unsafe code."""
    allowed = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "rust").rglob("*.rs")
        if "unsafe_code)]" in path.read_text() and "target" not in path.parts
    }
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert allowed == {
        "rust/base/src/memory.rs",
        "rust/base/src/pool.rs",
        "rust/base/src/prefetch.rs",
        "rust/pairconnect/src/whole/bytes.rs",
        "rust/pairconnect/src/whole/instructions.rs",
        "rust/pairconnect/src/whole/tiles.rs",
        "rust/python/src/array.rs",
        "rust/rambo/src/simd/avx2.rs",
        "rust/rambo/src/simd/avx512.rs",
    }
    for name in allowed:
        assert name in text


def test_files_hold_one_idea() -> None:
    """At about 500 lines look for the seam; `lib.rs` and `__init__.py` hold no logic."""
    files = [*FILES, *(ROOT / "rust").glob("*/src/**/*.rs")]
    long = {str(p.relative_to(ROOT)): n for p in files if (n := len(p.read_text().splitlines())) > 550}
    assert long == {}
    for path in (ROOT / "rust").glob("*/src/lib.rs"):
        assert "fn " not in path.read_text(), path
    for path in PYTHON.rglob("__init__.py"):
        functions = {n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)}
        assert functions <= {"__getattr__", "__dir__"}, path
