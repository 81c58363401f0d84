"""``thrifty rambo``: build, query and change indexes."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common

if TYPE_CHECKING:
    from thrifty.rambo import Items, RamboPlan

__all__ = ["app"]

app = typer.Typer(help="Search thousands of genomes or documents.", no_args_is_help=True)


class By(StrEnum):
    """What one document is."""

    file = "file"
    record = "record"


class Kind(StrEnum):
    """What an item is."""

    dna = "dna"
    text = "text"


class Within(StrEnum):
    """Where an n-gram ends."""

    document = "document"
    line = "line"


class Format(StrEnum):
    """How answers are printed."""

    json = "json"
    tsv = "tsv"


Index = Annotated[Path, typer.Argument(metavar="INDEX", help="The index file.", show_default=False)]
Inputs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE|DIR|-…", help="FASTA, FASTQ or text, also .gz .zst .xz .bz2.", show_default=False),
]
ByOption = Annotated[By, typer.Option("--by", help="A document is a file, or a record (for text: a line).")]
ByAsBuilt = Annotated[By | None, typer.Option("--by", help="What a document is.  [default: as the index was built]")]
ItemsOption = Annotated[Kind, typer.Option("--items", help="DNA k-mers or word n-grams.")]
KOption = Annotated[int, typer.Option("--k", min=1, max=63, help="Letters of a k-mer.")]
NOption = Annotated[int, typer.Option("--n", min=1, max=1000, help="Words of an n-gram.")]
WithinOption = Annotated[Within, typer.Option("--within", help="Whether n-grams run over line ends.")]
FprOption = Annotated[float | None, typer.Option("--fpr", help="Rate of false positives.  [default: 0.001]")]
BytesOption = Annotated[
    int | None,
    typer.Option("--max-bytes", parser=common.size, metavar="BYTES", help="Largest file, as 1000000 or 2GB."),
]
ListOption = Annotated[
    Path | None, typer.Option("--list", help="File with more inputs, one path a line, a name behind a tab.")
]
Documents = Annotated[int | None, typer.Option("--documents", min=1, help="Plan for so many documents.")]
ItemsEach = Annotated[int | None, typer.Option("--items-each", min=1, help="Plan for so many items a document.")]
Multiplicity = Annotated[float, typer.Option("--multiplicity", min=1, help="Documents that hold an item, on average.")]


def items_of(kind: Kind, k: int, n: int, within: Within) -> Items:
    """Options as the library takes them."""
    from thrifty.rambo import Items

    return Items(kind.value, k=k, n=n, within=within.value)


def rate_of(fpr: float | None, max_bytes: int | None) -> dict[str, Any]:
    """Rate or size, not both."""
    if fpr is not None and max_bytes is not None:
        raise typer.BadParameter("give --fpr or --max-bytes, not both")
    return {"fpr": 1e-3 if fpr is None else fpr, "max_bytes": max_bytes}


def shard_of(text: str | None) -> tuple[int, int] | None:
    """Read i/n."""
    if text is None:
        return None
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        raise typer.BadParameter(f"--shard: '{text}' is not i/n, as in 0/4") from None
    if not 0 <= i < n:
        raise typer.BadParameter(f"--shard: {text} is not possible; shards count from 0/{n} to {n - 1}/{n}")
    return i, n


@app.command()
def build(
    index: Index,
    inputs: Inputs = None,
    by: ByOption = By.file,
    items: ItemsOption = Kind.dna,
    k: KOption = 31,
    n: NOption = 13,
    within: WithinOption = Within.document,
    fpr: FprOption = None,
    max_bytes: BytesOption = None,
    list_: ListOption = None,
    documents: Documents = None,
    items_each: ItemsEach = None,
    multiplicity: Multiplicity = 1.0,
    plan: Annotated[Path | None, typer.Option("--plan", help="A plan printed by `plan --json`.")] = None,
    shard: Annotated[str | None, typer.Option("--shard", metavar="i/n", help="Only shard i of n, from 0.")] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="Build on a Dask cluster, or local:N processes.")
    ] = None,
    shards: Annotated[int, typer.Option("--shards", min=2, help="Shards of a build on Dask.")] = 2,
    checkpoint: Annotated[
        float, typer.Option("--checkpoint", min=0, help="Seconds between savings; 0 for every chance.")
    ] = 60.0,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Build an index from documents. After an interruption the same command goes on."""
    from thrifty import rambo

    if (documents is None) != (items_each is None):
        raise typer.BadParameter("--documents and --items-each belong together")
    if plan is not None and documents is not None:
        raise typer.BadParameter("give --plan, or --documents and --items-each, not both")
    if not inputs and list_ is None:
        raise typer.BadParameter("name files or folders to index, - for standard input, or --list")
    what = items_of(items, k, n, within)
    part = shard_of(shard)
    rate = rate_of(fpr, max_bytes)
    given: RamboPlan | None = None
    if plan is not None:
        given = rambo.RamboPlan.from_json(plan.read_text())
    elif documents is not None and items_each is not None:
        given = rambo.RamboPlan.for_documents(
            items_each,
            documents=documents,
            multiplicity=multiplicity,
            nodes=part[1] if part else shards if dask else 1,
            seed=seed,
            **rate,
        )
    started = time.perf_counter()
    _, passed_over = rambo.list_inputs(inputs or [], what, list_)
    if passed_over:
        common.note(f"{passed_over} files of folders have no suffix of the format and were passed over")
    settings: dict[str, Any] = {"by": by.value, "items": what, "list_file": list_, "plan": given, "seed": seed}
    settings |= rate
    with common.progress() as callback:
        if dask is not None:
            from thrifty.rambo.cluster import build_on_dask, connect

            if part is not None:
                raise typer.BadParameter("give --shard or --dask, not both")
            with connect(dask) as client:
                made = build_on_dask(client, index, inputs or [], shards=shards, progress=callback, **settings)
        else:
            made = rambo.build(
                index,
                inputs or [],
                shard=part,
                threads=threads,
                checkpoint_seconds=checkpoint,
                progress=callback,
                **settings,
            )
    seconds = time.perf_counter() - started
    state = made.describe()
    report = made.report
    for warning in report["plan"]["warnings"]:
        common.note(warning)
    if report["empty_documents"]:
        common.note(f"{report['empty_documents']} documents have no item")
    if json_:
        common.emit(
            {
                "plan": report["plan"],
                "documents": state["documents"],
                "items": state["items"],
                "bytes": state["bytes"],
                "seconds": seconds,
                **{name: value for name, value in report.items() if name != "plan"},
            }
        )
        return
    common.table(
        str(index),
        [
            ("documents", f"{state['documents']:,}"),
            ("items", f"{state['items']:,} (document, distinct item) pairs"),
            ("bytes", f"{state['bytes']:,} = {state['bits_per_item']:.2f} bits an item"),
            ("rate", f"{state['fpr']:.2e} now, {state['planned_fpr']:.2e} planned"),
            ("seconds", f"{seconds:.2f}"),
        ],
    )


@app.command()
def query(
    index: Index,
    queries: Annotated[
        Path, typer.Argument(metavar="QUERIES", help="FASTA, FASTQ, or text with a query a line; - for stdin.")
    ],
    theta: Annotated[float, typer.Option("--theta", help="Share of a query's items that a hit holds.")] = 0.8,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Best hits only.")] = None,
    exact: Annotated[
        list[Path] | None, typer.Option("--exact", metavar="FILE…", help="Files of the documents, to count hits in.")
    ] = None,
    by: ByAsBuilt = None,
    format_: Annotated[Format, typer.Option("--format", help="How answers are printed.")] = Format.tsv,
    load: Annotated[bool, typer.Option("--load", help="Copy the index into memory first.")] = False,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Search an index. One line a query, in the order of the file."""
    from thrifty.cli.rambo_query import run

    run(
        index,
        queries,
        theta=theta,
        top=top,
        exact=exact,
        by=by.value if by else None,
        as_json=json_ or format_ is Format.json,
        load=load,
        threads=threads,
    )


@app.command()
def plan(
    inputs: Inputs = None,
    documents: Documents = None,
    items_each: ItemsEach = None,
    multiplicity: Multiplicity = 1.0,
    fpr: FprOption = None,
    max_bytes: BytesOption = None,
    by: ByOption = By.file,
    items: ItemsOption = Kind.dna,
    k: KOption = 31,
    n: NOption = 13,
    within: WithinOption = Within.document,
    list_: ListOption = None,
    nodes: Annotated[int, typer.Option("--shards", min=1, help="Shards that the index is built in.")] = 1,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Plan an index: size, rate and query cost before anything is built."""
    from thrifty import rambo

    if inputs or list_ is not None:
        if documents is not None or items_each is not None:
            raise typer.BadParameter("give files, or --documents and --items-each, not both")
        with common.progress() as callback:
            made = rambo.plan_files(
                inputs or [],
                by=by.value,
                items=items_of(items, k, n, within),
                list_file=list_,
                nodes=nodes,
                seed=seed,
                threads=threads,
                progress=callback,
                **rate_of(fpr, max_bytes),
            )
    elif documents is not None and items_each is not None:
        made = rambo.RamboPlan.for_documents(
            items_each,
            documents=documents,
            multiplicity=multiplicity,
            nodes=nodes,
            seed=seed,
            **rate_of(fpr, max_bytes),
        )
    else:
        raise typer.BadParameter("name files, or give --documents and --items-each")
    for warning in made.warnings:
        common.note(warning)
    if json_:
        common.emit(made.to_dict())
        return
    common.table(
        "plan",
        [
            ("documents", f"{made.documents:,}"),
            ("items", f"{made.items:,}"),
            ("buckets B", str(made.buckets)),
            ("repetitions R", str(made.repetitions)),
            ("hashes eta", f"{made.hashes:g} a repetition"),
            ("rows", f"{made.rows:,} a repetition"),
            ("bytes", f"{made.bytes:,} = {8 * made.bytes / max(made.items, 1):.2f} bits an item"),
            ("rate", f"{made.fpr:.2e}, {made.fpr_at_multiplicity:.2e} for items in {made.multiplicity:.1f} documents"),
            ("cache lines", f"{made.lines_per_item:.1f} an item"),
        ],
    )


@app.command()
def inspect(index: Index, json_: common.Json = False) -> None:
    """Show what an index holds, and its present rate beside the planned one."""
    from thrifty.rambo import RamboIndex

    state = RamboIndex.open(index).describe()
    if json_:
        common.emit(state)
        return
    common.table(
        str(index),
        [
            ("items", json.dumps(state["items_are"])),
            ("documents", f"{state['documents']:,}" + (f", {state['removed']} removed" if state["removed"] else "")),
            ("pairs", f"{state['items']:,} (document, distinct item)"),
            ("bytes", f"{state['bytes']:,} = {state['bits_per_item']:.2f} bits an item"),
            ("rate", f"{state['fpr']:.2e} now, {state['planned_fpr']:.2e} planned, {state['asked_fpr']:.2e} asked"),
            ("rate, held items", f"{state['fpr_at_multiplicity']:.2e} at the multiplicity of each segment"),
            ("cache lines", f"{state['lines_per_item']:.1f} an item"),
        ],
    )
    for i, s in enumerate(state["segments"]):
        shape = ", ".join(f"B={r['buckets']} eta={r['hashes']} rows={r['rows']:,}" for r in s["repetitions"])
        common.table(
            f"segment {i}",
            [
                ("documents", f"{s['documents']:,} of {s['planned_documents']:,} planned"),
                ("pairs", f"{s['items']:,} of {s['planned_items']:,} planned"),
                ("shape", shape),
                ("rate", f"{s['fpr']:.2e} now, {s['planned_fpr']:.2e} planned"),
                ("multiplicity", f"{s['multiplicity']:.2f}, V/B = {s['multiplicity'] / s['buckets']:.3f}"),
            ],
        )


@app.command()
def verify(index: Index, json_: common.Json = False) -> None:
    """Read every byte of an index and say what is damaged."""
    from thrifty.rambo import RamboIndex

    opened = RamboIndex.open(index)
    with common.progress() as callback:
        damage = opened.verify(progress=callback)
    if json_:
        names = ("section", "offset", "bytes")
        common.emit({"damage": [dict(zip(names, d, strict=True)) for d in damage], "ok": not damage})
    elif not damage:
        common.table(str(index), [("verify", "every byte is as it was written")])
    if damage:
        section, offset, length = damage[0]
        more = f" and {len(damage) - 1} more places" if len(damage) > 1 else ""
        from thrifty.errors import FormatError

        raise FormatError(f"{index}: damaged in section {section} at offset {offset} ({length} bytes){more}")


@app.command()
def add(
    index: Index,
    inputs: Annotated[list[Path], typer.Argument(metavar="FILE|DIR|-…", help="Documents to add.")],
    by: ByAsBuilt = None,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Add documents to an index."""
    from thrifty.rambo import RamboIndex

    started = time.perf_counter()
    with common.progress() as callback:
        changed = RamboIndex.open(index).add(inputs, by=by.value if by else None, threads=threads, progress=callback)
    _tell(index, changed.describe(), json_, seconds=time.perf_counter() - started, **changed.report)


@app.command()
def remove(
    index: Index,
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Documents to take out.")],
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Take documents out of an index. Their bits stay until it is built anew."""
    from thrifty.rambo import RamboIndex

    with common.progress() as callback:
        changed = RamboIndex.open(index).remove(names, threads=threads, progress=callback)
    _tell(index, changed.describe(), json_)


@app.command()
def stack(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new index.")],
    indexes: Annotated[list[Path], typer.Argument(metavar="INDEX…", help="Shards, or indexes of equal plans.")],
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Join indexes that were built apart by one plan."""
    from thrifty.rambo import RamboIndex

    with common.progress() as callback:
        made = RamboIndex.stack(out, indexes, threads=threads, progress=callback)
    _tell(out, made.describe(), json_)


@app.command()
def fold(
    index: Index,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new index.")],
    buckets: Annotated[int | None, typer.Option("--buckets", min=1, help="To so many buckets.")] = None,
    rows: Annotated[int | None, typer.Option("--rows", min=1, help="To so many rows.")] = None,
    max_bytes: BytesOption = None,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Make an index smaller, at a higher rate; puts segments that `add` opened together."""
    from thrifty.rambo import RamboIndex

    if sum(value is not None for value in (buckets, rows, max_bytes)) != 1:
        raise typer.BadParameter("give one of --buckets, --rows and --max-bytes")
    with common.progress() as callback:
        made = RamboIndex.open(index).fold(
            out, buckets=buckets, rows=rows, max_bytes=max_bytes, threads=threads, progress=callback
        )
    _tell(out, made.describe(), json_)


def _tell(path: Path, state: dict[str, Any], json_: bool, **more: Any) -> None:
    """Print what an index is after a change."""
    shown = {name: state[name] for name in ("documents", "removed", "items", "bytes", "bits_per_item")}
    shown |= {"fpr": state["fpr"], "planned_fpr": state["planned_fpr"], "segments": len(state["segments"]), **more}
    if json_:
        common.emit(shown)
        return
    texts = {name: f"{value:.3g}" if isinstance(value, float) else f"{value:,}" for name, value in shown.items()}
    common.table(str(path), list(texts.items()))
