"""What a kill, a damaged file and a full disk leave: the old index whole, the new one whole, or a clean error.

kill: builds over an old index are killed (-9) at 20 random moments of counting, inserting and saving. Each time the
old index must open, verify and answer as before, and the same build, run again, must end with the bytes of one that was
never interrupted and leave nothing else behind. flips: random bytes are changed by one bit, 200 anywhere in the file
and 200 in its first and last 16 KiB (its head, lists and checksums). damage: files that are cut, foreign or newer; the
commands must exit with 1 and one line of error. full: builds with a limit on the size of files, and on a file system
that is too small (where this user may mount one).

``--planted``: after a kill a byte of the old index is changed; one flip is undone; one file is not cut; a half file is
put under the final name.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import Goal

from thrifty.errors import FormatError
from thrifty.rambo import RamboIndex, build

KILLS, FLIPS, EDGE = 20, 200, 16384
PHASES = ("count", "insert", "write")
RAMBO = [sys.executable, "-m", "thrifty", "rambo"]
# A build that saves its state at every chance and says which phase begins.
TELLING = """
import sys
from thrifty.rambo import build
said = [None]
def tell(phase, done, total):
    if phase != said[-1]:
        said.append(phase)
        print(phase, flush=True)
build(sys.argv[1], sys.argv[2:], by="record", threads=1, checkpoint_seconds=0, progress=tell)
"""


def rambo(*arguments: object, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command, with a limit on the size of files that it writes."""
    return subprocess.run(
        [*RAMBO, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )


def is_clean_error(done: subprocess.CompletedProcess[str], *words: str) -> bool:
    """Exit status 1 and a single line that says why."""
    line = done.stderr
    one = line.startswith("thrifty: error: ") and line.count("\n") == 1 and not done.stdout
    return done.returncode == 1 and one and all(word in line for word in words)


def telling(path: Path, inputs: list[Path]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", TELLING, path, *inputs], stdout=subprocess.PIPE, text=True)


def lengths_of_phases(path: Path, inputs: list[Path]) -> dict[str, float]:
    """Build without a fault, and return the seconds that each phase takes."""
    begun = {}
    with telling(path, inputs) as process:
        for phase in process.stdout or ():
            begun[phase.strip()] = time.monotonic()
    moments = [*begun.values(), time.monotonic()]
    return {phase: after - at for (phase, at), after in zip(begun.items(), moments[1:], strict=True)}


def kill_in(phase: str, seconds: float, path: Path, inputs: list[Path]) -> str | None:
    """Kill a build so long after the beginning of a phase; returns the phase it was in, nothing when it was done."""
    with telling(path, inputs) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() not in {phase, ""}:
            pass
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        said = [phase, *process.stdout.read().split()]
    return said[-1] if process.returncode == -signal.SIGKILL else None


def same_answers(path: Path, hashes: np.ndarray, answers: tuple[np.ndarray, np.ndarray]) -> bool:
    index = RamboIndex.open(path)
    found = index.query_hashes(hashes, threads=1)
    return index.verify() == [] and all((a == b).all() for a, b in zip(found, answers, strict=True))


def kills(goal: Goal, folder: Path, inputs: list[Path], reference: Path) -> None:
    lengths = lengths_of_phases(reference, inputs)
    new = reference.read_bytes()
    rng = np.random.default_rng(goal.seed)
    old = (folder / "old").read_bytes()
    hashes = rng.integers(0, 2**64, 50_000, np.uint64)
    answers = RamboIndex.open(folder / "old").query_hashes(hashes, threads=1)
    phases, others, hit, kept, equal, resumed = [], [], 0, 0, 0, 0
    for tried in range(3 * KILLS):
        if hit == KILLS:
            break
        path = folder / f"killed-{tried}"
        path.write_bytes(old)
        aim = PHASES[hit % len(PHASES)]
        phase = kill_in(aim, lengths[aim] * rng.random(), path, inputs)
        if phase is None:
            continue
        hit += 1
        phases.append(phase)
        if goal.planted and hit == 1:
            path.write_bytes(old[:-1] + bytes([old[-1] ^ 1]))
        # After the new file has taken the name, whole, there is still the state of the build to remove.
        there = path.read_bytes()
        kept += there == new or (there == old and same_answers(path, hashes, answers))
        done = rambo("build", path, *inputs, "--by", "record", "--threads", 1, "--json")
        resumed += done.returncode == 0 and '"resumed_documents": 0,' not in done.stdout
        equal += path.read_bytes() == new
        others += [p.name for p in folder.glob(f"{path.name}?*")]
        path.unlink()
    counts = ", ".join(f"{phases.count(phase)} in {phase}" for phase in PHASES)
    goal.row("kill/hit", f"kills that hit a running build ({counts})", f"== {KILLS}", hit)
    goal.row("kill/phases", "phases of a build that were hit", f"== {len(PHASES)}", len(set(phases) & set(PHASES)))
    goal.row("kill/kept", "kills after which the old index opened and answered as before", f"== {KILLS}", kept)
    goal.row("kill/resumed", "killed builds that went on behind documents already inserted", ">= 1", resumed)
    goal.row("kill/equal", "killed builds that ended with the uninterrupted bytes", f"== {KILLS}", equal)
    endings = sorted({name.partition(".")[2] for name in others})
    goal.row(
        "kill/left", f"files left behind when they had ended ({', '.join(endings) or 'none'})", "== 0", len(others)
    )


def flips(goal: Goal, path: Path) -> None:
    def is_found() -> bool:
        try:
            return bool(RamboIndex.open(path).verify())
        except FormatError:
            return True

    rng = np.random.default_rng(goal.seed)
    size = path.stat().st_size
    edges = np.concatenate([np.arange(EDGE), np.arange(size - EDGE, size)])
    for name, where, places in (
        ("flips/anywhere", "anywhere in the file", rng.choice(size, FLIPS, replace=False)),
        ("flips/edges", f"in its first and last {EDGE} bytes", rng.choice(edges, FLIPS, replace=False)),
    ):
        found = 0
        with path.open("r+b", buffering=0) as file:
            for i, at in enumerate(places.tolist()):
                file.seek(at)
                byte = file.read(1)
                for value in (byte[0] ^ 1 << int(rng.integers(8)), byte[0]):
                    file.seek(at)
                    file.write(bytes([value]))
                    if value != byte[0] and not (goal.planted and i == 0):
                        found += is_found()
        goal.row(name, f"of {FLIPS} flipped bytes {where}, found by opening or verifying", f"== {FLIPS}", found)
    goal.row("flips/sound", "the file without a flip is said to be damaged", "== 0", is_found())


def damage(goal: Goal, folder: Path, path: Path, inputs: list[Path]) -> None:
    good = path.read_bytes()
    rng = np.random.default_rng(goal.seed)
    lengths = [0, 1, 63, 64, 4096, len(good) // 2, len(good) - 1, *rng.integers(0, len(good), 17).tolist()]
    bad = folder / "bad"
    query = folder / "query.fa"
    query.write_text(">query\n" + "ACGTTGCA" * 20 + "\n")
    commands = [
        lambda: rambo("inspect", bad),
        lambda: rambo("verify", bad),
        lambda: rambo("query", bad, query),
    ]

    def clean(files: list[bytes], *words: str) -> int:
        errors = 0
        for i, content in enumerate(files):
            bad.write_bytes(content)
            errors += is_clean_error(commands[i % len(commands)](), str(bad), *words)
        return errors

    cut = [good[:length] for length in lengths]
    if goal.planted:
        cut[-1] = good
    goal.row("damage/cut", "cut files refused with one line of error and status 1", f"== {len(cut)}", clean(cut))
    foreign = [
        rng.bytes(100_000),
        bytes(100_000),
        good[:8] + rng.bytes(100_000),
        inputs[-1].read_bytes(),
        b">x\nACGT\n",
        good + b"more",
    ]
    goal.row("damage/foreign", "foreign files refused likewise", f"== {len(foreign)}", clean(foreign))
    newer = [good[:at] + bytes([good[at] + step]) + good[at + 1 :] for at in (16, 20) for step in (1, 2, 100)]
    goal.row("damage/newer", "files of newer versions refused, saying so", f"== {len(newer)}", clean(newer, "version"))


def full(goal: Goal, folder: Path, inputs: list[Path], size: int) -> None:
    old, path = (folder / "old").read_bytes(), folder / "full"
    limits = [10_000, size // 10, size // 2, size - 1]
    whole = 0
    for i, limit in enumerate(limits):
        for there in (None, old):
            if there is not None:
                path.write_bytes(there)
            done = rambo("build", path, *inputs, "--by", "record", "--threads", 1, "--json", limit=limit)
            if goal.planted and i == 0:
                path.write_bytes(old[: len(old) // 2])
            left = sorted(p.name for p in folder.glob("full*"))
            kept = path.read_bytes() == there if there is not None else left == []
            whole += is_clean_error(done) and kept and "full.partial" not in left
            path.unlink(missing_ok=True)
    goal.row(
        "full/limit",
        "builds with files limited to less: an error, and what was there before",
        f"== {2 * len(limits)}",
        whole,
    )


def small_disk(goal: Goal, folder: Path, inputs: list[Path], size: int) -> None:
    """Build on file systems of less than the index takes, in a name space of their own."""
    steps = 'mount -t tmpfs -o size="$1" full "$2" || exit 77; cd "$2"; shift 2; "$@"; status=$?; ls -A; exit $status'
    disk = folder / "disk"
    disk.mkdir()
    whole, sizes = 0, [1 << 20, size // 4, size // 2]
    for room in sizes:
        build_there = [*RAMBO, "build", "index", *inputs, "--by", "record", "--threads", "1"]
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", steps, "sh", str(room), disk, *build_there]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            done = subprocess.CompletedProcess(command, 77)
        if done.returncode == 77:
            print("full/disk: this user may not mount a small file system; not measured", file=sys.stderr)
            return
        left = done.stdout.split()
        if goal.planted:
            left.append("index")
        done.stdout = ""
        whole += is_clean_error(done, "No space left on device") and not {"index", "index.partial"} & set(left)
    goal.row("full/disk", "builds on a disk too small: an error, and no half file", f"== {len(sizes)}", whole)


def main() -> None:
    goal = Goal(__file__, __doc__)
    data = goal.data("rambo")
    inputs = [data / "bacteria", data / "viruses.fasta.xz"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = folder / "reference"
        build(reference, inputs, by="record", threads=1)
        build(folder / "old", inputs[-1:], by="record", threads=1)
        if goal.wants("kill"):
            kills(goal, folder, inputs, reference)
        if goal.wants("flips"):
            flips(goal, reference)
        if goal.wants("damage"):
            damage(goal, folder, reference, inputs)
        if goal.wants("full"):
            full(goal, folder, inputs, reference.stat().st_size)
            small_disk(goal, folder, inputs, reference.stat().st_size)
    goal.end()


if __name__ == "__main__":
    main()
