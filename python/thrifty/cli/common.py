"""What all verbs share: output, progress, options, errors."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import threading
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = [
    "Json",
    "Seed",
    "TableDtype",
    "Tables",
    "TeacherNoise",
    "TeacherShare",
    "TeacherTemperature",
    "Threads",
    "apart",
    "count",
    "emit",
    "finite",
    "note",
    "one_of",
    "pairs",
    "progress",
    "repeat_option",
    "replaced",
    "size",
    "table",
    "waitable",
    "writable",
]

Json = Annotated[bool, typer.Option("--json", help="Print machine-readable results on stdout and nothing else there.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Threads; 0 for all cores.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Key of everything random.")]


class TableDtype(StrEnum):
    """What rows of tables are."""

    f32 = "f32"
    bf16 = "bf16"
    i8 = "i8"


Tables = Annotated[TableDtype, typer.Option("--table-dtype", help="What the file's tables are rounded to.")]
TeacherTemperature = Annotated[
    float, typer.Option("--teacher-temperature", min=0.01, help="Scores of both are divided by it.")
]
TeacherShare = Annotated[
    float, typer.Option("--teacher-share", min=0, max=1, help="Of the loss; the rest is the text's own.")
]
TeacherNoise = Annotated[
    float, typer.Option("--teacher-noise", min=0, max=0.9, help="Of the ids that both see, so many are replaced.")
]


def one_of(option: str, given: str, known: tuple[str, ...]) -> None:
    """Refuse an option that is none of those that are known."""
    if given not in known:
        raise typer.BadParameter(f"{option} {given} is none of {', '.join(known)}")


def waitable(seconds: float | None) -> float | None:
    """Refuse seconds that nobody can wait for."""
    if seconds is not None and not seconds <= threading.TIMEOUT_MAX:
        raise typer.BadParameter(f"{seconds} is too long to wait for; give at most {threading.TIMEOUT_MAX:.0f} seconds")
    return seconds


def emit(values: dict[str, Any]) -> None:
    """Print one object as a line of JSON."""
    sys.stdout.write(json.dumps(values, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return what JSON has: null for numbers that are none."""
    if isinstance(value, dict):
        return {str(name): finite(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def note(text: str) -> None:
    """Tell the person at the terminal, not the program that reads stdout."""
    sys.stderr.write(f"note: {text}\n")


def table(title: str, rows: list[tuple[str, str]]) -> None:
    """Print names and values in two columns, as they are: no markup, and nothing that a terminal would obey."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def shown(text: str) -> Text:
        return Text("".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text))

    head = shown(title)
    grid = Table(title=head, title_justify="left", show_header=False, box=None, pad_edge=False, title_style="bold")
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(shown(name), shown(value))
    Console(highlight=False).print(grid)


@contextmanager
def progress(visible: bool = True) -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a callback that draws a bar on stderr; None where stderr is no terminal, or another rank's."""
    if not (visible and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bars:
        tasks: dict[str, Any] = {}

        def update(phase: str, done: int, total: int) -> None:
            if phase and phase not in tasks:
                tasks[phase] = bars.add_task(phase)
            if phase:
                bars.update(tasks[phase], completed=done, total=total or None)

        yield update


@contextmanager
def replaced(path: Path, *, lasting: bool = True) -> Iterator[TextIO]:
    """Yield a file beside ``path`` that takes its name when all is written, and goes away on an error.

    What need not outlast a power failure is not waited for.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    """Read columns and values: gpu=v100."""
    found: dict[str, str] = {}
    for text in texts or []:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise typer.BadParameter(f"{option} '{text}'; a column and a value, as gpu=v100")
        if name in found:
            raise typer.BadParameter(f"{option} {name} is there twice")
        found[name] = value
    return found


def repeat_option(arguments: list[str], option: str, *, after: int) -> list[str]:
    """Spell ``--x a b c`` as ``--x a --x b --x c`` once ``after`` other words have come: what parsers know."""
    out: list[str] = []
    words = 0
    values = 0  # of the option, since it was last seen; -1 when another option came
    for argument in arguments:
        if argument == option:
            values = 0
            out.append(argument)
            continue
        if argument.startswith("-") and argument != "-":
            values = -1
        elif out and out[-1] == option:
            values = 1
        elif values >= 1 and words >= after:
            out.append(option)
        else:
            words += 1
        out.append(argument)
    return out


def apart(path: Path, what: str, inputs: Iterable[Path | None]) -> None:
    """Refuse to write over a file that is read."""
    for given in inputs:
        if given is not None and path.exists() and given.exists() and path.samefile(given):
            raise typer.BadParameter(f"{path}: {what} would be written over {given}, which is read; give another file")


def writable(path: Path, what: str, *, folder: bool = False, inputs: Iterable[Path | None] = ()) -> None:
    """Say before long work what would be said after it: that a file, or a folder, can't be written; or is read."""
    apart(path, what, inputs)
    parent = path.parent
    if not parent.is_dir():
        raise FileNotFoundError(2, f"No such folder for {what}", str(parent))
    if path.is_dir() and not folder:
        raise IsADirectoryError(21, f"Is a folder, {what} is a file", str(path))
    if path.exists() and not path.is_dir() and folder:
        raise NotADirectoryError(20, f"Is a file, {what} is a folder", str(path))
    if not os.access(path if path.is_dir() else parent, os.W_OK):
        raise PermissionError(13, f"Permission denied to write {what} there", str(parent))


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def size(text: str) -> int:
    """Read a number of bytes: 1000000, 500MB, 2GiB."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]i?)?b?\s*", text.lower())
    if match is None:
        raise typer.BadParameter(f"'{text}' is not a size; give bytes, or a number with kB, MB, GB, KiB, MiB, GiB")
    return int(float(match[1]) * _UNITS[match[2] or ""])


_THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}


def count(text: str) -> float:
    """Read a number of parameters: 796e6, 796M, 1.3B."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?(?:e[0-9]{1,2})?)\s*([kmgb]?)\s*", text.lower())
    if match is None:
        raise typer.BadParameter(f"'{text}' is no number of parameters; give it as 796e6, 796M or 1.3B")
    return float(match[1]) * _THOUSANDS[match[2]]
