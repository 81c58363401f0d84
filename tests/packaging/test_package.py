"""What is in the package: every Rust name has a Python face, licences, size, data."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import io
import json
import re
import subprocess
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

import thrifty
from thrifty import _core

ROOT = Path(__file__).resolve().parents[2]
SOURCES = "\n".join(p.read_text() for p in (ROOT / "python" / "thrifty").rglob("*.py"))

RUST_LICENCES = {
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "0BSD",
    "bzip2-1.0.6",
}
PYTHON_LICENCES = re.compile(r"BSD|MIT|Apache|PSF|Python Software Foundation|ISC|MPL|Zlib|HPND|NVIDIA|LicenseRef", re.I)


def test_every_core_name_has_a_face() -> None:
    names = [name for name in dir(_core) if not name.startswith("_")]
    assert {"RamboIndex", "rambo_build"} <= set(names)
    for name in names:
        assert f"_core.{name}" in SOURCES, f"{name} of the core is nowhere used"
        value = getattr(_core, name)
        assert value.__doc__, f"{name} says nothing to help()"
        for method, _ in inspect.getmembers(value, callable) if inspect.isclass(value) else []:
            if not method.startswith("_"):
                assert re.search(rf"\.{method}\(", SOURCES), f"{name}.{method} is nowhere used"


def test_the_stub_lists_what_there_is() -> None:
    stub = (ROOT / "python" / "thrifty" / "_core.pyi").read_text()
    listed = set(re.findall(r'^    "(\w+)",$', stub, re.M))
    assert listed == {name for name in dir(_core) if not name.startswith("_")}


def test_public_names_are_documented() -> None:
    from thrifty import device, errors, models, pairconnect, pipeline, rambo, report, slide, specdec, stats
    from thrifty.models import export
    from thrifty.pairconnect import nn
    from thrifty.pipeline import data, demo, demo_decode, demo_knobs, demo_replay, ngram
    from thrifty.rambo import cluster

    for module in (
        device,
        specdec,
        errors,
        rambo,
        report,
        slide,
        specdec,
        stats,
        cluster,
        data,
        demo,
        pipeline,
        pairconnect,
        nn,
        models,
        export,
        demo_decode,
        demo_knobs,
        demo_replay,
        ngram,
    ):
        assert module.__doc__
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            if callable(value):
                assert inspect.getdoc(value), f"{module.__name__}.{name} has no docstring"
                for method, member in vars(value).items() if inspect.isclass(value) else []:
                    if inspect.isfunction(member) and not method.startswith("_"):
                        assert inspect.getdoc(member), f"{name}.{method} has no docstring"


def wheel_size() -> int:
    """Bytes of the package, packed as a wheel packs it."""
    package = Path(thrifty.__file__).parent
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in package.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(package.parent))
    return len(packed.getvalue())


def test_the_wheel_is_small() -> None:
    """8 MB with the first parts, 16 MB at the end; this is with all seven, and a server to come."""
    assert wheel_size() < 12_000_000


def test_data_has_its_source() -> None:
    folder = Path(thrifty.__file__).parent / "data"
    for part in (p for p in folder.iterdir() if p.is_dir()):
        source = (part / "SOURCE.md").read_text()
        for path in part.iterdir():
            if path.name != "SOURCE.md":
                assert path.name in source
                assert hashlib.sha256(path.read_bytes()).hexdigest() in source


def test_licences_of_crates() -> None:
    """Every crate that ends up in the wheel may be shipped under what its manifest says."""
    done = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    packages = json.loads(done.stdout)["packages"]
    assert len(packages) > 30
    for package in packages:
        licence = package["license"] or ""
        options = re.split(r"\s+OR\s+|\s*/\s*", licence.replace("(", "").replace(")", ""))
        needs = [[p for p in re.split(r"\s+AND\s+|\s+WITH\s+LLVM-exception", o) if p] for o in options]
        fine = any(set(parts) <= RUST_LICENCES for parts in needs)
        assert fine, f"{package['name']}: {licence}"


def test_licences_of_python_packages() -> None:
    """The same for what a plain install brings along."""
    seen: set[str] = set()
    wanted = ["thrifty"]
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    assert {"numpy", "scipy", "typer", "rich"} <= seen
    for name in seen - {"thrifty"}:
        meta = importlib.metadata.metadata(name)
        said = " ".join(
            [meta.get("License-Expression") or "", (meta.get("License") or "")[:200]]
            + [c for c in meta.get_all("Classifier") or [] if c.startswith("License")]
        )
        assert PYTHON_LICENCES.search(said), f"{name}: {said}"


def test_metadata() -> None:
    meta = importlib.metadata.metadata("thrifty")
    cargo = (ROOT / "Cargo.toml").read_text()
    assert f'version = "{meta["Version"]}"' in cargo
    assert meta["License-Expression"] == "Apache-2.0"
    assert meta["Requires-Python"] == ">=3.11"
    extras = set(meta.get_all("Provides-Extra"))
    assert {"torch", "cluster", "all", "test", "bench"} <= extras
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert meta["Version"] in changes


def test_no_place_of_one_machine_is_in_the_project() -> None:
    """Nothing of where it was written: no absolute home or work folders."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    wrong = []
    for name in listed:
        path = ROOT / name
        if path.suffix in {".xz", ".gz", ".lock"} or not path.is_file():
            continue
        text = path.read_text(errors="ignore")
        if re.search(r"/(work|root|home)/\w", text) and "test_package" not in name:
            wrong.append(name)
    assert wrong == []
