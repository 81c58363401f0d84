"""``thrifty slide``: train, measure and use networks with many labels."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thrifty.cli import common

__all__ = ["app"]

app = typer.Typer(help="Train output layers of many thousand labels on CPUs.", no_args_is_help=True)


class Family(StrEnum):
    """Where active neurons come from."""

    dwta = "dwta"
    simhash = "simhash"
    doph = "doph"
    minhash = "minhash"
    exact = "exact"
    uniform = "uniform"
    log_uniform = "log_uniform"


class Loss(StrEnum):
    """What is minimised."""

    softmax = "softmax"
    sigmoid = "sigmoid"


class Precision(StrEnum):
    """How the output layer's weights are held."""

    f32 = "f32"
    bf16 = "bf16"
    bf16_stochastic = "bf16-stochastic"


class Adam(StrEnum):
    """What the optimizer does to rows without a gradient."""

    sparse = "sparse"
    dense = "dense"


class Messages(StrEnum):
    """How hidden values and gradients travel between ranks."""

    f32 = "f32"
    bf16 = "bf16"
    i8 = "i8"


class Shares(StrEnum):
    """How much of the network each rank has."""

    equal = "equal"
    measured = "measured"


class Correction(StrEnum):
    """Whether scores of random neurons are corrected for the chance of being drawn."""

    none = "none"
    logq = "logq"


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="The model, a safetensors file.", show_default=False)]
Rows = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="Rows, in the Extreme Classification form.", show_default=False),
]
Sparse = Annotated[bool, typer.Option("--sparse", help="Score only what the hash tables return.")]
Candidates = Annotated[
    int | None,
    typer.Option("--candidates", min=1, help="Neurons of a row with --sparse.  [default: 5 %, at least 100]"),
]


@app.command()
def train(
    rows: Annotated[Path, typer.Argument(metavar="TRAIN", help="Rows to learn from.", show_default=False)],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The file to write.", show_default=False)],
    test: Annotated[Path | None, typer.Option("--test", help="Rows to measure each epoch on.")] = None,
    hidden: Annotated[int, typer.Option("--hidden", min=8, help="Hidden units.")] = 128,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the rows.")] = 4,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="DIR", help="Folder from which the same command goes on.")
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Steps between two checkpoints.")] = 1000,
    max_memory: Annotated[
        int | None,
        typer.Option("--max-memory", parser=common.size, metavar="BYTES", help="Refuse to take more, as 2GB."),
    ] = None,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate.")] = 0.01,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Rows a step.")] = 128,
    family: Annotated[Family, typer.Option("--family", help="Hashes; or what they are compared with.")] = Family.dwta,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Hashes a table.  [default: by the labels]")] = None,
    tables: Annotated[int, typer.Option("--tables", min=1, help="Hash tables.")] = 50,
    active: Annotated[int, typer.Option("--active", min=1, help="Neurons that a batch trains.")] = 1024,
    each: Annotated[int, typer.Option("--each", min=1, help="Neurons that a row asks its tables for.")] = 8,
    rehash: Annotated[
        int | None, typer.Option("--rehash", min=1, help="Rows hashed again a step.  [default: a quarter of --active]")
    ] = None,
    correction: Annotated[Correction, typer.Option("--correction", help="Of scores of random neurons.")] = (
        Correction.none
    ),
    loss: Annotated[Loss, typer.Option("--loss", help="Sigmoid for rows with many labels.")] = Loss.softmax,
    precision: Annotated[Precision, typer.Option("--precision", help="Of the output layer.")] = Precision.f32,
    adam: Annotated[Adam, typer.Option("--adam", help="Dense: rows without a gradient move on as well.")] = Adam.sparse,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Under torchrun: losses do not depend on the number of ranks.")
    ] = False,
    messages: Annotated[
        Messages | None, typer.Option("--messages", help="Under torchrun: of values that travel.  [default: bf16]")
    ] = None,
    shares: Annotated[Shares, typer.Option("--shares", help="Under torchrun: parts of ranks.")] = Shares.equal,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Under torchrun: seconds until a silent rank is lost.")
    ] = 60.0,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Train a network. With --checkpoint, after an interruption the same command goes on.

    Under torchrun many processes train one network: torchrun --nproc-per-node 4 -m thrifty slide train …
    """
    from thrifty.cli import slide_train
    from thrifty.slide import LSHConfig
    from thrifty.slide.torchrun import world

    head = LSHConfig(
        family=family.value,
        k=k,
        tables=tables,
        active=active,
        each=each,
        rehash=rehash,
        random="uniform" if deterministic else "length",
        correction=correction.value,
    )
    network = {
        "hidden": hidden,
        "head": head,
        "loss": loss.value,
        "precision": precision.value,
        "adam": adam.value,
        "lr": lr,
        "batch": batch,
        "seed": seed,
        "threads": threads,
    }
    with world(timeout) as group:
        if group is not None or deterministic:
            network |= {
                "process_group": group,
                "deterministic": deterministic,
                "messages": messages.value if messages else None,
                "shares": shares.value,
            }
        slide_train.run(
            rows,
            model,
            test=test,
            network=network,
            epochs=epochs,
            checkpoint=checkpoint,
            every=every,
            max_memory=max_memory,
            as_json=json_,
        )


@app.command()
def plan(
    labels: Annotated[int, typer.Option("--labels", min=2, help="Labels of the network.")],
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes that train it.")],
    cores: Annotated[int, typer.Option("--cores", min=1, help="Cores of each.")],
    mbit: Annotated[float, typer.Option("--mbit", min=0.001, help="Mbit/s of each node's link.")],
    latency: Annotated[float, typer.Option("--latency", min=0, help="Milliseconds of a message.")] = 0.2,
    features: Annotated[int, typer.Option("--features", min=1, help="Features of the input.")] = 135_909,
    hidden: Annotated[int, typer.Option("--hidden", min=8, help="Hidden units.")] = 128,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Rows a step.")] = 128,
    active: Annotated[int, typer.Option("--active", min=1, help="Neurons that a batch trains.")] = 1024,
    density: Annotated[float, typer.Option("--density", min=0, max=1, help="Share of hidden values above 0.")] = 0.8,
    messages: Annotated[Messages, typer.Option("--messages", help="Of values that travel.")] = Messages.bf16,
    json_: common.Json = False,
) -> None:
    """Tell what a step over nodes will take: bytes, milliseconds, steps a second."""
    from dataclasses import asdict

    from thrifty.slide import LSHConfig
    from thrifty.slide.plan import plan as planned

    sizes = {"features": features, "hidden": hidden, "batch": batch, "density": density}
    found = planned(
        labels,
        nodes=nodes,
        cores=cores,
        mbit=mbit,
        latency_ms=latency,
        head=LSHConfig(active=active),
        messages=messages.value,
        **sizes,  # type: ignore[arg-type]
    )
    if json_:
        common.emit(asdict(found))
        return
    rows = [
        ("bytes a step that a node sends", f"{found.bytes_a_step:,.0f}"),
        ("with dense gradients", f"{found.dense_bytes_a_step:,.0f}"),
        ("compute, measured here", f"{found.compute_ms:.2f} ms"),
        ("network", f"{found.network_ms:.2f} ms"),
        ("steps a second", f"{found.steps_a_second:,.1f}"),
        ("rows a second", f"{found.rows_a_second:,.0f}"),
        ("memory of a node", f"{found.bytes_of_memory / 1e6:,.0f} MB"),
    ]
    common.table(f"{labels:,} labels on {nodes} nodes at {mbit:g} Mbit/s", rows)


@app.command()
def evaluate(
    model: Model,
    rows: Rows,
    sparse: Sparse = False,
    candidates: Candidates = None,
    train: Annotated[
        Path | None, typer.Option("--train", help="The rows it learned from: how rare labels are, for PSP@k.")
    ] = None,
    threads: common.Threads = 0,
    json_: common.Json = False,
) -> None:
    """Measure precision, nDCG and, with --train, propensity-scored precision at 1, 3 and 5."""
    from thrifty.cli import slide_use

    slide_use.evaluate(model, rows, train=train, sparse=_sparse(sparse, candidates), threads=threads, as_json=json_)


@app.command()
def predict(
    model: Model,
    rows: Rows,
    k: Annotated[int, typer.Option("--k", min=1, help="Labels of a row.")] = 5,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Names of labels: one a line, or id, tab, name.")
    ] = None,
    sparse: Sparse = False,
    candidates: Candidates = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write, instead of stdout.")] = None,
    threads: common.Threads = 0,
    json_: common.Json = False,
) -> None:
    """Print the best labels of each row, a line a row: label:score label:score …."""
    from thrifty.cli import slide_use

    slide_use.predict(
        model, rows, k=k, names=labels, sparse=_sparse(sparse, candidates), out=out, threads=threads, as_json=json_
    )


def _sparse(sparse: bool, candidates: int | None) -> int | None:
    """Candidates of a row; 0 for as many as is usual, None for all labels."""
    if candidates is not None and not sparse:
        raise typer.BadParameter("--candidates belongs to --sparse")
    return (candidates or 0) if sparse else None
