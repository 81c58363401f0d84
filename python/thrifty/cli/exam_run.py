"""``thrifty exam run``: a data set given to a model behind an address."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - the parser reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    from thrifty.exam import Dataset, Progress, Run

__all__ = ["run"]


def run(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Parquet, JSONL or CSV in the layout of the exam, or a folder.")
    ],
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="URL", help="As http://localhost:8000/v1.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="What the endpoint calls it.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the run; one that is there goes on.")],
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many questions at most, the first.")] = None,
    sample_seed: Annotated[
        int | None, typer.Option("--sample-seed", min=0, help="Draw those of --limit at random instead.")
    ] = None,
    subset: Annotated[
        Path | None, typer.Option("--subset", metavar="IDS", help="A file of ids to keep, one a line.")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, max=10_000, help="How often each is asked.")] = 1,
    prompt: Annotated[str, typer.Option("--prompt", metavar="ID", help="Instructions before the question.")] = (
        "hle-like-1"
    ),
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=10_000, help="Requests at once.")] = 16,
    rpm: Annotated[float | None, typer.Option("--rpm", min=0.001, help="Requests a minute at most.")] = None,
    tpm: Annotated[float | None, typer.Option("--tpm", min=0.001, help="Tokens a minute at most.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Of an answer.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0, max=2)] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="What else requests say, as JSON or text; may repeat."),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="NAME", help="The environment variable that has the key.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, max=86_400, help="Seconds of an answer.")] = 600.0,
    retries: Annotated[int, typer.Option("--retries", min=0, max=1_000, help="Further attempts of a question.")] = 8,
    usd_in: Annotated[float | None, typer.Option("--usd-in", min=0, help="Price of a million tokens asked.")] = None,
    usd_out: Annotated[float | None, typer.Option("--usd-out", min=0, help="Of a million tokens answered.")] = None,
    json_: common.Json = False,
) -> None:
    """Ask a model every question and keep what it says; the same command goes on with what was stopped."""
    from thrifty.exam import Endpoint, load
    from thrifty.exam import run as asked

    if (usd_in is None) != (usd_out is None):
        raise typer.BadParameter("--usd-in and --usd-out are given together")
    chosen = Endpoint(endpoint, model, api_key_env, max_tokens, temperature, settings(more or []))
    common.writable(out.absolute(), "the run", folder=True)
    exam = load(dataset, subset=subset, limit=limit, sample_seed=sample_seed)
    remarks(exam)
    try:
        with shown() as progress:
            done = asked(
                exam,
                chosen,
                out,
                instructions=prompt,
                epochs=epochs,
                concurrency=concurrency,
                rpm=rpm,
                tpm=tpm,
                timeout=timeout,
                retries=retries,
                usd_per_million=None if usd_in is None or usd_out is None else (usd_in, usd_out),
                progress=progress,
                note=common.note,
            )
    except KeyboardInterrupt:
        common.note(f"{out} has all that was answered; the same command goes on")
        raise
    if json_:
        common.emit({"out": str(out), **done.manifest, **done.summary})
    else:
        show(done)
    _failures(done)


def _failures(done: Run) -> None:
    """Say how many answers failed, and why.

    Raises
    ------
    EndpointError
        Where nothing was answered.
    """
    failed = Counter(answer.error for answer in done.answers if answer.status == "failed")
    if not failed:
        return
    reasons = ", ".join(f"{reason} {count:,} times" for reason, count in failed.most_common(SHOWN))
    if failed.total() == len(done.answers):
        raise EndpointError(f"{done.folder}: nothing was answered: {reasons}; the same command asks again")
    common.note(f"{failed.total():,} of {len(done.answers):,} answers failed: {reasons}; the same command asks again")


def settings(texts: list[str]) -> dict[str, Any]:
    """Read what else requests say: max_completion_tokens=8192, reasoning_effort=low."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise typer.BadParameter(f"--set '{text}'; a name and a value, as reasoning_effort=low")
        try:
            found[name] = json.loads(value)
        except (ValueError, RecursionError):
            found[name] = value
    return found


#: Remarks that are printed; the rest is counted.
SHOWN = 5


def remarks(exam: Dataset) -> None:
    """Tell which records were left out, and what is odd."""
    for title, found in (("left out", exam.rejected), ("kept, but odd", exam.flagged)):
        for one in found[:SHOWN]:
            field = f" {one.field}:" if one.field else ""
            common.note(f"{title}: {one.file}, line {one.line}:{field} {one.reason}")
        if len(found) > SHOWN:
            common.note(f"{title}: {len(found) - SHOWN:,} more")


@contextmanager
def shown() -> Iterator[Callable[[Progress], None] | None]:
    """Yield what draws a bar on stderr; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, TextColumn("{task.fields[rest]}"), console=Console(stderr=True), transient=True) as bars:
        tasks: list[TaskID] = []

        def draw(now: Progress) -> None:
            if not tasks:  # what earlier sessions did says nothing of the time that is left
                tasks.append(bars.add_task("", total=now.total, completed=now.before, rest=""))
            speed = now.completion_tokens / now.seconds if now.seconds > 0 else 0.0
            bars.update(tasks[0], completed=now.done, rest=f"{now.failed:,} failed, {speed:,.0f} tokens/s")

        yield draw


def show(done: Run) -> None:
    """Print what became of a run."""
    found = done.summary
    answers = f"{found['answered']:,} whole, {found['length']:,} cut off, {found['content_filter']:,} filtered"
    rows = [
        ("answers", f"{answers}, {found['failed']:,} failed"),
        ("requests", f"{found['requests']:,}"),
        ("tokens", f"{found['prompt_tokens']:,} asked, {found['completion_tokens']:,} answered"),
        ("seconds", f"{found['seconds']:,.1f}"),
    ]
    if found.get("usd") is not None:
        rows.append(("cost", f"{found['usd']:,.4f} USD"))
    if done.joules is not None:
        rows.append(("energy", f"{done.joules:,.1f} J, {done.joules_source}"))
    else:
        rows.append(("CPU-seconds", f"{found['cpu_seconds']:,.1f}, of this process and its children"))
    rows.append(("prompt", f"{done.manifest['prompt_id']}"))
    if found["failed"]:
        rows.append(("failed", "the same command asks those again"))
    common.table(f"{done.folder}: {done.manifest['model']}", rows)
