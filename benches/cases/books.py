"""The novels of the held-back text, told apart by how they end.

The text holds the end of seven novels, one after the other, a paragraph a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: The last words of each, in the order of the text.
ENDINGS = {
    "War and Peace": "recognize a dependence of which we are not conscious.",
    "Middlemarch": "rest in unvisited tombs.",
    "Bleak House": 'even supposing--."',
    "David Copperfield": "pointing upward!",
    "Moby Dick": "only found another orphan.",
    "Anna Karenina": 'which I have the power to put into it."',
    "Great Expectations": "another parting from her.",
}


def books(path: Path) -> dict[str, str]:
    """Text of each novel.

    Raises
    ------
    ValueError
        When one of them does not end in it.
    """
    out, rest = {}, path.read_text(encoding="utf-8")
    for name, ending in ENDINGS.items():
        own, found, rest = rest.partition(ending + "\n")
        if not found:
            raise ValueError(f"{path}: {name} does not end in it, or not behind the novels before")
        out[name] = own + ending
    return out
