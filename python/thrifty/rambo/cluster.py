"""Building over many machines with Dask: shards apart, then stacked.

Every shard is a pure function of the plan, of the documents' names and of their items: the workers exchange nothing,
and ``thrifty rambo build … --plan PLAN --shard i/n`` under SLURM or GNU parallel gives the same files.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from thrifty.errors import MissingExtra
from thrifty.rambo.build import build, list_inputs, plan_files
from thrifty.rambo.index import RamboIndex
from thrifty.rambo.items import Items

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from thrifty.rambo.build import Inputs
    from thrifty.rambo.plan import RamboPlan

__all__ = ["build_on_dask", "connect"]


def connect(address: str) -> Any:
    """Connect to a Dask scheduler; ``local`` or ``local:N`` starts one here with N worker processes (2 by default)."""
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtra("this needs Dask; install it with: pip install 'thrifty[cluster]'") from error
    if address == "local" or address.startswith("local:"):
        workers = int(address.partition(":")[2] or 2)
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        )
        return Client(cluster)
    return Client(address)


def _shard(path: str, pairs: list[tuple[str, str]], settings: dict[str, Any]) -> str:
    """Build one shard; runs on a worker."""
    settings = dict(settings)
    plan = settings.pop("plan")
    node, nodes = settings.pop("shard")
    build(path, [], pairs=pairs, plan=plan, shard=(node, nodes), threads=1, **settings)
    return path


def build_on_dask(
    client: Any,
    path: str | PathLike[str],
    inputs: Inputs,
    *,
    shards: int,
    by: Literal["file", "record"] = "file",
    items: Items | None = None,
    list_file: str | PathLike[str] | None = None,
    fpr: float = 1e-3,
    max_bytes: int | None = None,
    plan: RamboPlan | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], object] | None = None,
) -> RamboIndex:
    """Build an index in shards on the workers of a Dask cluster and stack them.

    Parameters
    ----------
    client : dask.distributed.Client
        See :func:`connect`. Workers and this process must see the same folders.
    path : path
        The index; shards lie beside it while they are built.
    shards : int
        How many; more than there are workers is fine.
    plan : RamboPlan, optional
        A plan for ``shards`` nodes. Without it the documents are counted here first.

    Other parameters are those of :func:`thrifty.rambo.build`, and so is the result: byte for byte the index of one
    build with a plan for ``shards`` nodes.

    Examples
    --------
    >>> with connect("local:2") as client:  # doctest: +SKIP
    ...     index = build_on_dask(client, "viruses.rambo", "genomes", shards=4)
    """
    from dask.distributed import as_completed

    items = items or Items()
    pairs, _ = list_inputs(inputs, items, list_file)
    if plan is None:
        plan = plan_files(
            [],
            pairs=pairs,
            by=by,
            items=items,
            fpr=fpr,
            max_bytes=max_bytes,
            nodes=shards,
            seed=seed,
            progress=progress,
        )
    out = Path(path)
    settings = {"by": by, "items": items, "plan": plan, "seed": seed}
    files = [out.with_name(f"{out.name}.shard-{i}-of-{shards}") for i in range(shards)]
    absolute = [(str(Path(p).absolute()), name) for p, name in pairs]
    futures = [
        client.submit(_shard, str(file.absolute()), absolute, {**settings, "shard": (i, shards)}, pure=False)
        for i, file in enumerate(files)
    ]
    try:
        for done, _ in enumerate(as_completed(futures), start=1):
            if progress is not None:
                progress("shards", done, shards)
        client.gather(futures)  # raises what went wrong on a worker
        index = RamboIndex.stack(out, files, progress=progress)
        index.report = {"plan": plan.to_dict(), "shards": shards, "skipped_windows": None, "empty_documents": None}
        return index
    except BaseException:
        client.cancel(futures)
        raise
    finally:
        for file in files:
            file.unlink(missing_ok=True)
