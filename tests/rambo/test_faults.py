"""Kill, full disk, interrupts, forks, threads, locks: nothing is lost, nothing hangs, nothing half is left."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.command import wait_for
from tests.conftest import random_dna
from thrifty.errors import LockedError, ResumeMismatch
from thrifty.rambo import Items, RamboBuilder, RamboIndex, RamboPlan, build, hash_items

COMMAND = [sys.executable, "-m", "thrifty", "rambo", "build"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 genomes of 150 kb: a build takes long enough to be killed in the middle."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(6)
    for i in range(40):
        (folder / f"g{i}.fa").write_bytes(b">x\n" + random_dna(rng, 150_000) + b"\n")
    return folder


@pytest.mark.parametrize("shape", ["counted", "planned"])
def test_killed_at_random_moments(corpus: Path, tmp_path: Path, shape: str) -> None:
    """kill -9 at ten moments of each kind of build: the old index opens, the same command ends with the same bytes.

    Where none came after a checkpoint, since the machine was slower at first, further moments follow.
    """
    plan = ["--documents", "40", "--items-each", "150000"] if shape == "planned" else []
    options = [str(corpus), "--threads", "2", "--checkpoint", "0", *plan]
    reference = tmp_path / "reference"
    started = time.monotonic()
    subprocess.run([*COMMAND, str(reference), *options], check=True, capture_output=True)
    whole = time.monotonic() - started
    old = tmp_path / "old.fa"
    old.write_bytes(b">old\n" + random_dna(np.random.default_rng(0), 500) + b"\n")
    rng = np.random.default_rng(11 if shape == "counted" else 12)
    resumed = 0
    for i in range(40):
        if i >= 10 and resumed:
            break
        index = tmp_path / f"i{i}"
        build(index, old)
        moment = float(rng.uniform(0.15, 1.0)) * whole
        started = time.monotonic()
        with subprocess.Popen(
            [*COMMAND, str(index), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                process.wait(moment)
                whole = time.monotonic() - started
            except subprocess.TimeoutExpired:
                process.kill()
        opened = RamboIndex.open(index)
        assert opened.documents == ["old"] or len(opened) == 40
        assert opened.verify() == []
        done = subprocess.run([*COMMAND, str(index), *options, "--json"], check=True, capture_output=True, text=True)
        resumed += '"resumed_documents": 0,' not in done.stdout
        assert index.read_bytes() == reference.read_bytes()
        assert sorted(p.name for p in tmp_path.glob(f"i{i}*")) == [f"i{i}"]
    assert resumed >= 1, "no run was interrupted after a checkpoint: the test does not test what it should"


def test_another_command_does_not_go_on(corpus: Path, tmp_path: Path) -> None:
    def stop(phase: str, done: int, total: int) -> None:
        if phase == "insert" and done > total // 3:
            raise RuntimeError("enough")

    files = sorted(corpus.iterdir())
    with pytest.raises(RuntimeError, match="enough"):
        build(tmp_path / "i", files, checkpoint_seconds=0, progress=stop)
    assert (tmp_path / "i.build").exists()
    for other, message in [
        ({"seed": 3}, "another seed"),
        ({"fpr": 0.1}, "another rate"),
        ({"items": Items(k=21)}, "another kind of items"),
        ({"by": "record"}, "another meaning of a document"),
    ]:
        with pytest.raises(ResumeMismatch, match=message):
            build(tmp_path / "i", files, **other)  # type: ignore[arg-type]
    with pytest.raises(ResumeMismatch, match="number of inputs"):
        build(tmp_path / "i", files[:-1])
    index = build(tmp_path / "i", files)
    assert index.report["resumed_documents"] > 0
    build(tmp_path / "r", files)
    assert (tmp_path / "i").read_bytes() == (tmp_path / "r").read_bytes()


def test_a_changed_input_and_a_damaged_checkpoint_are_noticed(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(corpus, folder)

    def stop(phase: str, done: int, total: int) -> None:
        if phase == "insert" and done > total // 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError):
        build(tmp_path / "i", folder, checkpoint_seconds=0, progress=stop)
    state = tmp_path / "i.build"
    good = state.read_bytes()
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 1
    state.write_bytes(bad)
    with pytest.raises(ResumeMismatch, match="damaged"):
        build(tmp_path / "i", folder)
    state.write_bytes(good)
    (folder / "g7.fa").write_bytes(b">x\nACGT\n")
    with pytest.raises(ResumeMismatch, match=r"g7\.fa changed since"):
        build(tmp_path / "i", folder)


def limited(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [10_000, 300_000, 3_000_000])
def test_a_full_disk(corpus: Path, tmp_path: Path, size: int) -> None:
    """Writes fail beyond a size: an error, and no half file under the final name."""
    index = tmp_path / "i"
    for extra in ([], ["--checkpoint", "0"]):
        done = subprocess.run(
            [*COMMAND, str(index), str(corpus), *extra],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: limited(size),
        )
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert "File too large while" in done.stderr
        assert not index.exists()
        assert not (tmp_path / "i.partial").exists()


def test_a_folder_without_permission(corpus: Path) -> None:
    done = subprocess.run([*COMMAND, "/proc/index", str(corpus)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("thrifty: error: /proc/index.lock: ")


def test_one_writer_at_a_time(corpus: Path, tmp_path: Path) -> None:
    inside, go = threading.Event(), threading.Event()

    def wait(phase: str, done: int, total: int) -> None:
        if phase == "insert":
            inside.set()
            go.wait(20)

    first = threading.Thread(target=lambda: build(tmp_path / "i", corpus, progress=wait))
    first.start()
    assert inside.wait(20)
    try:
        with pytest.raises(LockedError, match="another process is writing it"):
            build(tmp_path / "i", corpus)
    finally:
        go.set()
        first.join()
    build(tmp_path / "i", corpus)
    assert not (tmp_path / "i.lock").exists()


def test_a_raising_callback_stops_the_work(corpus: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        build(tmp_path / "i", corpus, progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == []
    index = build(tmp_path / "i", corpus)
    many = np.random.default_rng(0).integers(0, 2**64, 3_000_000, np.uint64)
    with pytest.raises(Stop):
        index.query_hashes(many, progress=stop)
    with pytest.raises(Stop):
        index.verify(progress=stop) if index.verify() == [] else None
    assert len(index.query_hashes(many[:10])[0]) == 11, "the index is usable after it"


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("work", ["build", "query", "search"])
def test_ctrl_c_within_half_a_second(corpus: Path, tmp_path: Path, work: str) -> None:
    index = build(tmp_path / "i", corpus)
    many = np.random.default_rng(0).integers(0, 2**64, 60_000_000, np.uint64)
    files = [corpus / f"g{i % 40}.fa" for i in range(2000)]
    pairs = [(f, f"n{i}") for i, f in enumerate(files)]
    calls = {
        "build": lambda: build(tmp_path / "b", [], pairs=pairs),
        "query": lambda: index.query_hashes(many),
        "search": lambda: index.match_hashes(many, np.arange(0, len(many), 500), theta=0.01),
    }
    interrupted = []

    def interrupt() -> None:
        time.sleep(0.4)
        interrupted.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        calls[work]()
    # Of all cores, and not by the clock, which other work on them moves as well.
    stopped = time.process_time()
    thread.join()
    assert stopped - interrupted[0] < 0.5 * (os.cpu_count() or 1)
    assert index.search(random_dna(np.random.default_rng(0), 100)).hits == ()


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_on_the_command_line(corpus: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.fa"
    sequences = [(corpus / f"g{i}.fa").read_bytes()[3:] for i in range(40)]
    many.write_bytes(b"".join(b">n%d\n%s\n" % (i, sequences[i % 40]) for i in range(400)))
    with subprocess.Popen(
        [*COMMAND, str(tmp_path / "i"), str(many), "--by", "record"], stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(tmp_path / "i.lock")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert stderr == "thrifty: error: stopped\n"
    assert not (tmp_path / "i").exists()


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_the_command_loads() -> None:
    """Python reports an interrupt before its own code runs; from ``__main__`` on it is the command's to say."""
    interrupt = """
import builtins, os, signal
real = builtins.__import__
def hook(name, *rest):
    if name == "typer":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest)
builtins.__import__ = hook
from thrifty.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", interrupt], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "thrifty: error: stopped\n")


def child_answers(index: RamboIndex, hashes: np.ndarray, expected: int) -> None:
    sys.exit(0 if len(index.query_hashes(hashes, threads=2)[1]) == expected else 1)


def test_a_forked_child_answers(index: RamboIndex) -> None:
    """The parent has used its threads; a child has none of them and must not wait for them."""
    hashes = np.random.default_rng(0).integers(0, 2**64, 50_000, np.uint64)
    expected = len(index.query_hashes(hashes, threads=2)[1])
    process = multiprocessing.get_context("fork").Process(target=child_answers, args=(index, hashes, expected))
    process.start()
    process.join(10)
    assert process.exitcode == 0
    assert len(index.query_hashes(hashes, threads=2)[1]) == expected


def opened_answers(path: str, hashes: np.ndarray, expected: int) -> None:
    child_answers(RamboIndex.open(path), hashes, expected)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_children_answer(genomes: dict[str, bytes], tmp_path: Path, method: str) -> None:
    builder = RamboBuilder(RamboPlan.for_documents(4000, documents=5))
    for name in list(genomes)[:5]:
        builder.add_sequence(name, genomes[name])
    index = builder.freeze(tmp_path / "i")
    hashes, _ = hash_items(genomes["g1"])
    expected = len(index.query_hashes(hashes)[1])
    context = multiprocessing.get_context(method)
    process = context.Process(target=opened_answers, args=(str(tmp_path / "i"), hashes, expected))
    process.start()
    process.join(30)
    assert process.exitcode == 0


def test_torch_workers_answer(index: RamboIndex, genomes: dict[str, bytes]) -> None:
    """A DataLoader forks its workers."""
    from torch.utils.data import DataLoader, Dataset

    class Found(Dataset[int]):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, i: int) -> int:
            return len(index.search(genomes[f"g{i}"], theta=1.0).hits)

    index.query_hashes(np.arange(50_000, dtype=np.uint64), threads=2)
    loader = DataLoader(Found(), num_workers=2, multiprocessing_context="fork", timeout=20)
    assert sum(int(batch.sum()) for batch in loader) >= 8


def test_many_threads_share_an_index(index: RamboIndex, genomes: dict[str, bytes]) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 20_000, np.uint64)
    expected = index.query_hashes(hashes, threads=1)
    query = genomes["g4"][:300]
    hits = index.search(query, theta=0.5)
    wrong: list[str] = []

    def work() -> None:
        for _ in range(5):
            got = index.query_hashes(hashes, threads=2)
            if not all((a == b).all() for a, b in zip(got, expected, strict=True)):
                wrong.append("items")
            if index.search(query, theta=0.5) != hits:
                wrong.append("search")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("path", ["scalar", "avx2", "avx512"])
def test_every_instruction_set_gives_the_same_bytes(genomes: dict[str, bytes], tmp_path: Path, path: str) -> None:
    """Index files and answers, in processes of their own since a process chooses once."""
    fasta = tmp_path / "g.fa"
    fasta.write_bytes(b"".join(b">%s\n%s\n" % (n.encode(), s) for n, s in genomes.items()))
    env = os.environ | {"THRIFTY_SIMD": path}
    run = [sys.executable, "-m", "thrifty"]
    info = subprocess.run([*run, "info", "--json"], env=env, capture_output=True, text=True, check=False)
    if info.returncode == 2:
        assert "this machine has no such instructions" in info.stderr
        return
    assert f'"simd": "{path}"' in info.stdout
    outputs = []
    for name, setting in (("forced", env), ("free", os.environ.copy())):
        index = tmp_path / name
        subprocess.run(
            [*COMMAND, str(index), str(fasta), "--by", "record"], env=setting, check=True, capture_output=True
        )
        command = [*run, "rambo", "query", str(index), str(fasta), "--theta", "0.3", "--json"]
        answers = subprocess.run(command, env=setting, check=True, capture_output=True).stdout
        outputs.append((index.read_bytes(), answers))
    assert outputs[0] == outputs[1]


def test_an_unknown_instruction_set_is_named() -> None:
    env = os.environ | {"THRIFTY_SIMD": "avx1024"}
    done = subprocess.run(
        [sys.executable, "-m", "thrifty", "info"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "THRIFTY_SIMD=avx1024: no such path; use one of scalar" in done.stderr
