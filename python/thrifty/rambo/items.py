"""What an item of a document is, and its hash."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty import _core
from thrifty._torch import to_numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Items", "as_bytes", "as_hashes", "hash_items", "hash_many"]


@dataclass(frozen=True, slots=True)
class Items:
    """How documents and queries are cut into items.

    Parameters
    ----------
    kind : {"dna", "text"}
        Canonical k-mers of A, C, G, T (a k-mer and its reverse complement are one item; windows with other letters are
        skipped; case does not matter), or runs of words (Unicode NFKC, lower case; words are maximal runs of letters
        and digits).
    k : int
        Letters of a k-mer, 1 to 63.
    n : int
        Words of an n-gram.
    within : {"document", "line"}
        Whether n-grams run over line ends.

    Examples
    --------
    >>> from thrifty.rambo import Items
    >>> Items("dna", k=21).describe()
    'canonical 21-mers'
    """

    kind: Literal["dna", "text"] = "dna"
    k: int = 31
    n: int = 13
    within: Literal["document", "line"] = "document"

    def describe(self) -> str:
        """Say it in words."""
        if self.kind == "dna":
            return f"canonical {self.k}-mers"
        return f"word {self.n}-grams" + (" within lines" if self.within == "line" else "")


def as_bytes(data: str | bytes, name: str) -> bytes:
    """Return text as UTF-8, bytes as they are; anything else is a TypeError that names the argument."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes):
        return data
    raise TypeError(f"{name}: str or bytes is needed, got {type(data).__name__}")


def as_hashes(values: Any, name: str) -> NDArray[np.uint64]:
    """Return item hashes as a contiguous array of native uint64; int64 (and tensors of it) are taken bit for bit."""
    array = to_numpy(values, name)
    if not isinstance(array, np.ndarray):
        try:
            array = np.fromiter((index(value) for value in array), np.uint64)
        except (TypeError, OverflowError) as error:
            raise TypeError(f"{name}: an array of uint64 or a list of such numbers is needed: {error}") from None
    if array.ndim != 1:
        raise ValueError(f"{name}: one dimension is needed, got shape {array.shape}")
    if array.dtype.kind not in "ui" or array.dtype.itemsize != 8:
        raise TypeError(f"{name}: dtype uint64 (or int64 with the same bits) is needed, got {array.dtype}")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    aligned: NDArray[Any] = np.require(native, requirements=["C_CONTIGUOUS", "ALIGNED"])
    return aligned.view(np.uint64)


def hash_items(data: str | bytes, items: Items | None = None) -> tuple[NDArray[np.uint64], int]:
    """Hash the items of a sequence or text.

    Parameters
    ----------
    data : str or bytes
        A sequence, line ends in it ignored, or a text.
    items : Items, optional
        Canonical 31-mers by default.

    Returns
    -------
    hashes : uint64 array
        One for each item in order, repeats included. Up to k = 32 two k-mers never share a hash.
    skipped : int
        Windows with letters other than A, C, G, T.

    Examples
    --------
    >>> from thrifty.rambo import Items, hash_items
    >>> forward, _ = hash_items("ACGTT", Items(k=3))
    >>> backward, _ = hash_items("AACGT", Items(k=3))  # the reverse complement
    >>> bool((forward == backward[::-1]).all())
    True
    """
    return _core.rambo_hashes(as_bytes(data, "data"), items or Items())


def hash_many(
    data: Sequence[str | bytes], items: Items | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.int64], list[int]]:
    """Hash the items of many sequences or texts, as ``search_hashes`` and ``match_hashes`` take them.

    Returns
    -------
    hashes : uint64 array
        Of all of them, one after the other.
    ends : int64 array
        Where each one's hashes end.
    skipped : list of int
        Windows with letters other than A, C, G, T, in each.

    Examples
    --------
    >>> from thrifty.rambo import Items, hash_many
    >>> hashes, ends, skipped = hash_many(["ACGTT", "ACNTT", "AC"], Items(k=3))
    >>> len(hashes), ends.tolist(), skipped
    (3, [3, 3, 3], [0, 3, 0])
    """
    if isinstance(data, (str, bytes)):
        raise TypeError("data: a sequence of them is needed; use hash_items for a single one")
    each = [as_bytes(one, f"data {i}") for i, one in enumerate(data)]
    return _core.rambo_hashes_many(each, items or Items())
