"""``thrifty pairconnect``: train, measure and use language models that look up instead of attend."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from thrifty.cli import common

__all__ = ["app"]

app = typer.Typer(help="Language models of pair tables, without attention.", no_args_is_help=True)

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="The model, a safetensors file.", show_default=False)]
TokenizerFile = Annotated[
    Path | None,
    typer.Option("--tokenizer", metavar="FILE", help="A tokenizer.json.  [default: the model's own; bytes to train]"),
]


class TableUpdate(StrEnum):
    """Of which rows a step is one."""

    auto = "auto"
    lazy = "lazy"
    dense = "dense"


@app.command()
def train(
    text: Annotated[Path, typer.Argument(metavar="TEXT", help="To learn from; .xz is unpacked.", show_default=False)],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The file to write.", show_default=False)],
    tokenizer: TokenizerFile = None,
    valid: Annotated[Path | None, typer.Option("--valid", metavar="FILE", help="Text to measure on.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Ids to train on.  [default: the text once]")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option("--max-seconds", min=1, help="Stop after so long.")] = None,
    context: Annotated[int, typer.Option("--context", min=2, help="Ids of a window.")] = 64,
    dim: Annotated[int, typer.Option("--dim", min=16, help="Numbers of a hidden vector, a multiple of 16.")] = 128,
    hidden: Annotated[
        int | None, typer.Option("--hidden", min=16, help="Gated units of a layer.  [default: 4 x --dim]")
    ] = None,
    layers: Annotated[int, typer.Option("--layers", min=1, help="Layers.")] = 2,
    pair_window: Annotated[int, typer.Option("--pair-window", min=1, help="Pairs of a position.")] = 4,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of each of the 4 tables of a layer.")] = 65_536,
    table_dtype: common.Tables = common.TableDtype.f32,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Windows a step.")] = 16,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate of dense weights.")] = 6e-3,
    table_lr: Annotated[float, typer.Option("--table-lr", help="Learning rate of tables.")] = 1e-2,
    table_update: Annotated[
        TableUpdate,
        typer.Option("--table-update", help="Adam over the rows of a step (auto on the CPU), or over all."),
    ] = TableUpdate.auto,
    mixer: Annotated[
        str,
        typer.Option(
            "--mixer", metavar="KIND", help="pair, or attention or none: MODEL is then a folder, which --teacher takes."
        ),
    ] = "pair",
    dropout: Annotated[float, typer.Option("--dropout", min=0, max=0.9, help="Of what layers add, in training.")] = 0.0,
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", metavar="MODEL", help="Learn the distribution of a model, folder or file."),
    ] = None,
    teacher_temperature: common.TeacherTemperature = 1.0,
    teacher_share: common.TeacherShare = 1.0,
    teacher_noise: common.TeacherNoise = 0.0,
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option("--precision", help="Of products: f32, or bf16.")] = "f32",
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="From which the same command goes on.")
    ] = None,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Train a model. It takes torch to train, and none to evaluate or generate."""
    from thrifty.cli import pairconnect_train

    hidden = hidden or 4 * dim
    for name, value in (("--dim", dim), ("--hidden", hidden)):
        if value % 16:
            raise typer.BadParameter(f"{name} {value} is no multiple of 16")
    common.one_of("--mixer", mixer, ("pair", "attention", "none"))
    common.one_of("--device", device, ("cpu", "cuda"))
    common.one_of("--precision", precision, ("f32", "bf16"))
    if mixer != "pair" and table_dtype.value != "f32":
        raise typer.BadParameter("--table-dtype is for --mixer pair")
    settings: dict[str, Any] = {"context": context, "batch": batch, "lr": lr, "table_lr": table_lr, "seed": seed}
    settings["table_update"] = table_update.value
    if teacher is not None:
        settings |= {"teacher_temperature": teacher_temperature, "teacher_share": teacher_share, "noise": teacher_noise}
    elif (teacher_temperature, teacher_share, teacher_noise) != (1.0, 1.0, 0.0):
        raise typer.BadParameter("--teacher-temperature, --teacher-share and --teacher-noise are for --teacher")
    pairconnect_train.run(
        text,
        model,
        tokenizer=tokenizer,
        valid=valid,
        max_tokens=max_tokens,
        max_seconds=max_seconds,
        sizes={"dim": dim, "hidden": hidden, "layers": layers, "window": pair_window, "rows": rows},
        mixer=mixer,
        dropout=dropout,
        settings=settings | {"precision": precision},
        teacher=teacher,
        device=device,
        table_dtype=table_dtype.value,
        checkpoint=checkpoint,
        threads=threads,
        as_json=json_,
    )


@app.command()
def evaluate(
    model: Model,
    text: Annotated[Path, typer.Argument(metavar="FILE", help="Text; .xz is unpacked.", show_default=False)],
    window: Annotated[int, typer.Option("--window", min=2, help="Ids of a window.")] = 64,
    stride: Annotated[int, typer.Option("--stride", min=1, help="Of them, those that are scored: the last.")] = 32,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=3, help="Look at so many ids only.")] = None,
    tokenizer: TokenizerFile = None,
    threads: common.Threads = 0,
    json_: common.Json = False,
) -> None:
    """Measure how well a model predicts a text."""
    from thrifty.pairconnect import PairLM, Tokenizer, read_text

    if stride > window:
        raise typer.BadParameter(f"--stride {stride} is above --window {window}")
    with common.progress() as callback:
        found = PairLM.load(model, progress=callback).evaluate(
            read_text(text),
            window=window,
            stride=stride,
            max_tokens=max_tokens,
            encoding=None if tokenizer is None else Tokenizer.from_file(tokenizer),
            threads=threads,
            progress=callback,
        )
    if json_:
        common.emit(found)
    else:
        texts = {name: f"{value:.4f}" if isinstance(value, float) else f"{value:,}" for name, value in found.items()}
        common.table(str(model), list(texts.items()))


@app.command()
def generate(
    model: Model,
    prompt: Annotated[str, typer.Option("--prompt", help="What comes before.")] = "\n",
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Ids to draw.")] = 200,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="0 takes the likeliest.")] = 0.8,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="Of the likeliest so many; 0 for all.")] = 0,
    top_p: Annotated[float, typer.Option("--top-p", help="Of the likeliest that come to this.")] = 1.0,
    min_p: Annotated[float, typer.Option("--min-p", help="At least this part of the likeliest.")] = 0.0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Print text that a model makes up."""
    import sys

    from thrifty.pairconnect import PairLM

    found = PairLM.load(model)
    encoding = found.encoding
    ids = encoding.encode(prompt.encode())[0]
    if len(ids) == 0:
        raise typer.BadParameter("--prompt is empty")
    law: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "seed": seed}
    if json_:
        more = found.generate(ids, tokens, **law)
        common.emit({"prompt": prompt, "ids": more.tolist(), "text": encoding.decode(more)})
        return
    sys.stdout.write(prompt)
    drawn: list[int] = []
    told = ""
    for more in found.stream(ids, tokens, **law):
        drawn += more.tolist()
        # A character may be cut where the ids of a call end; it comes with the next ones.
        whole = encoding.decode(drawn).rstrip("\N{REPLACEMENT CHARACTER}")
        sys.stdout.write(whole[len(told) :])
        sys.stdout.flush()
        told = whole
    sys.stdout.write("\n")


@app.command()
def inspect(
    model: Model,
    text: Annotated[
        Path | None,
        typer.Option("--text", metavar="FILE", help="Show how this text loads the tables; .xz is unpacked."),
    ] = None,
    tokenizer: TokenizerFile = None,
    threads: common.Threads = 0,
    json_: common.Json = False,
) -> None:
    """Show sizes of a model, how it was trained, and how a text loads its tables."""
    from thrifty.pairconnect import PairLM, Tokenizer, read_text
    from thrifty.pairconnect.stats import pair_stats

    with common.progress() as callback:
        found = PairLM.load(model, progress=callback)
        loads = []
        if text is not None:
            encoding = found.encoding if tokenizer is None else Tokenizer.from_file(tokenizer)
            ids = encoding.encode(read_text(text))[0]
            loads = [pair_stats(spec, ids, threads=threads, progress=callback) for spec in found.tables]
    dense, tables = found.nbytes
    values = {
        "vocab": found.vocab,
        "dim": found.dim,
        "hidden": found.hidden,
        "layers": len(found.tables),
        "tables": [vars(spec) for spec in found.tables],
        "dense_bytes": dense,
        "table_bytes": tables,
        "file_bytes": model.stat().st_size,
        "training": found.training,
    }
    if text is not None:
        values["text"] = loads
    if json_:
        common.emit(values)
        return
    first = found.tables[0]
    shown = {name: f"{value:,}" for name, value in values.items() if isinstance(value, int)}
    shown["table"] = ", ".join(
        f"{name} {value}" for name, value in vars(first).items() if name not in ("vocab", "seed")
    )
    shown |= {name: str(value) for name, value in found.training.items()}
    common.table(str(model), list(shown.items()))
    for layer, load in enumerate(loads):
        common.table(f"{text}, layer {layer}", _load(load))


def _load(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return how a text loads a table, of several heads the farthest from what one wants."""
    return [
        ("ids", f"{found['tokens']:,}"),
        ("distinct pairs", f"{found['distinct_pairs']:,} of {found['pairs']:,}"),
        ("bytes of rows read an id", f"{found['bytes_per_token']:,.0f}"),
        ("rows touched", f"{min(found['rows_touched']):.1%}"),
        ("pairs of a row", f"{found['load_mean']:.3g} in the mean, {max(found['load_max'])} at most"),
        ("pairs that share a row", f"{max(found['collisions']):.2%}; in every head {found['collisions_in_all']:.3%}"),
        ("chance of such loads", f"{min(found['chi_square_p']):.2g}"),
    ]
