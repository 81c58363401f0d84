"""``thrifty rambo query``: queries in, one line each out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from thrifty.cli import common

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.rambo import SearchResult

__all__ = ["run"]

#: Letters of queries that are searched together.
BATCH = 4 << 20


def run(
    index: Path,
    queries: Path,
    *,
    theta: float,
    top: int | None,
    exact: list[Path] | None,
    by: Literal["file", "record"] | None,
    as_json: bool,
    load: bool,
    threads: int,
) -> None:
    """Search and print."""
    from thrifty.rambo import RamboIndex, read_queries

    opened = RamboIndex.open(index, load=load)
    head = "" if as_json else "query\titems\tdocument\tfound\texpected_false\n"
    skipped = 0
    for batch in read_queries(queries, opened.items, letters=BATCH):
        results = opened.search_hashes(
            batch.hashes, batch.ends, theta=theta, top=top, exact=exact, by=by, threads=threads
        )
        skipped += sum(batch.skipped)
        for name, result in zip(batch.names, results, strict=True):
            sys.stdout.write(head)  # once the first answer is there: an error prints nothing on stdout
            head = ""
            if result.items == 0:
                common.note(f"query '{name}' has no valid item ({opened.items.describe()})")
            if as_json:
                _emit(name, result)
            else:
                sys.stdout.writelines(
                    f"{name}\t{result.items}\t{h.document}\t{h.found}\t{h.expected_false:.3g}\n" for h in result.hits
                )
    sys.stdout.write(head)
    if skipped:
        common.note(f"{skipped} windows of queries hold letters other than A, C, G, T and were skipped")


def _emit(name: str, result: SearchResult) -> None:
    hits = [{"document": h.document, "found": h.found, "expected_false": h.expected_false} for h in result.hits]
    common.emit(
        {
            "query": name,
            "items": result.items,
            "hits": hits,
            "expected_false_documents": result.expected_false_documents,
        }
    )
