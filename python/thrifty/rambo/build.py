"""Building an index from files."""

from __future__ import annotations

import json
from os import PathLike
from typing import TYPE_CHECKING, Literal

from thrifty import _core
from thrifty.rambo.index import RamboIndex
from thrifty.rambo.items import Items
from thrifty.rambo.plan import RamboPlan, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Progress = Callable[[str, int, int], object]
    Inputs = str | PathLike[str] | Sequence[str | PathLike[str]]
    Pairs = Sequence[tuple[str | PathLike[str], str]]

__all__ = ["build", "list_inputs", "plan_files"]


def list_inputs(
    inputs: Inputs, items: Items, list_file: str | PathLike[str] | None = None
) -> tuple[list[tuple[Path, str]], int]:
    """Expand files, folders and a list file to (path, document name) pairs.

    Returns
    -------
    pairs : list
        In the order given; files of a folder by name, those with a suffix of the format only.
    passed_over : int
        Other files of the folders.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from thrifty.rambo import Items, list_inputs
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("b.fa", "a.fq.gz", "notes.md"):
    ...         Path(folder, name).touch()
    ...     pairs, passed_over = list_inputs(folder, Items())
    >>> [name for _, name in pairs], passed_over
    (['a', 'b'], 1)
    """
    paths = [inputs] if isinstance(inputs, (str, PathLike)) else list(inputs)
    return _core.rambo_list_inputs(paths, list_file, items)


def plan_files(
    inputs: Inputs,
    *,
    by: Literal["file", "record"] = "file",
    items: Items | None = None,
    list_file: str | PathLike[str] | None = None,
    pairs: Pairs | None = None,
    fpr: float = 1e-3,
    max_bytes: int | None = None,
    nodes: int = 1,
    seed: int = 0,
    threads: int = 0,
    progress: Progress | None = None,
) -> RamboPlan:
    r"""Count the documents of files and plan an index for them; see :func:`build`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thrifty.rambo import Items, plan_files
    >>> with TemporaryDirectory() as folder:
    ...     with open(f"{folder}/a.fa", "w") as file:
    ...         _ = file.write(">x\nACGTTGCAAC\n")
    ...     plan = plan_files(f"{folder}/a.fa", items=Items(k=5))
    >>> plan.documents
    1
    """
    items = items or Items()
    if pairs is None:
        pairs, _ = list_inputs(inputs, items, list_file)
    wish = Wish(fpr=fpr, max_bytes=max_bytes, nodes=nodes, seed=seed)
    return RamboPlan.from_json(_core.rambo_plan_files(list(pairs), by, items, wish, threads, progress))


def build(
    path: str | PathLike[str],
    inputs: Inputs,
    *,
    by: Literal["file", "record"] = "file",
    items: Items | None = None,
    list_file: str | PathLike[str] | None = None,
    pairs: Pairs | None = None,
    fpr: float = 1e-3,
    max_bytes: int | None = None,
    plan: RamboPlan | None = None,
    shard: tuple[int, int] | None = None,
    seed: int = 0,
    threads: int = 0,
    checkpoint_seconds: float = 60.0,
    progress: Progress | None = None,
) -> RamboIndex:
    r"""Build an index file from documents.

    The documents are read twice: counted, then inserted. An index at ``path`` stays until the new one is complete.
    After an interruption the same call goes on from the last checkpoint (``path`` + ``.build``).

    Parameters
    ----------
    path : path
        The index.
    inputs : path or sequence of paths
        FASTA, FASTQ or text files, plain or compressed (gzip, bgzip, zstd, xz, bzip2), folders of them, or ``-`` for
        standard input (which needs a ``plan``).
    by : {"file", "record"}
        One document a file, named by the file without its suffixes; or one a record, named by the first word of its
        header (for text: one a line, named by file and line number).
    items : Items, optional
        Canonical 31-mers by default.
    list_file : path, optional
        More inputs, one path a line, optionally with a tab and a name.
    pairs : sequence of (path, name), optional
        The inputs as :func:`list_inputs` gives them, in the place of ``inputs`` and ``list_file``.
    fpr : float
        Rate of false positives of a (item, document) pair, for items that no document holds.
    max_bytes : int, optional
        Largest file; the best rate within it is taken.
    plan : RamboPlan, optional
        Skip counting; documents are read once and must fit the plan.
    shard : (i, n), optional
        Build only shard i of n, i from 0; :meth:`RamboIndex.stack` joins the shards.
    seed : int
        Key of hashes and partitions.
    threads : int
        0 for all cores. The file does not depend on it.
    checkpoint_seconds : float
        Time between two savings of unfinished work; 0 saves at every chance.
    progress : callable, optional
        Called as ``progress(phase, done, total)``; an exception from it stops the build.

    Returns
    -------
    RamboIndex
        Opened; its ``report`` tells what was done.

    Raises
    ------
    FormatError
        A file is not what it should be; the message names file and line.
    DuplicateName
        Two documents have one name.
    ResumeMismatch
        An unfinished build of something else is there.
    CapacityError
        A document does not fit the plan, or the index does not fit into memory while it is built.
    LockedError
        Another process is building the same index.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thrifty.rambo import Items, build
    >>> with TemporaryDirectory() as folder:
    ...     with open(f"{folder}/a.fa", "w") as file:
    ...         _ = file.write(">x\nACGTTGCAAC\n")
    ...     index = build(f"{folder}/index", f"{folder}/a.fa", items=Items(k=5))
    ...     index.search("ACGTTG").hits[0].document
    'a'
    """
    items = items or Items()
    if pairs is None:
        pairs, _ = list_inputs(inputs, items, list_file)
    node, nodes = shard if shard is not None else (None, 1)
    wish = Wish(fpr=fpr, max_bytes=max_bytes, nodes=nodes, seed=seed)
    core, report, made = _core.rambo_build(
        path,
        list(pairs),
        by,
        items,
        wish,
        plan.core() if plan is not None else None,
        node,
        threads,
        checkpoint_seconds,
        progress,
    )
    index = RamboIndex(core)
    index.report = {"plan": RamboPlan.from_json(made).to_dict(), **json.loads(report)}
    return index
