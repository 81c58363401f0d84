"""Locality-sensitive hashes, as the output layer uses them for its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty import _core
from thrifty._torch import to_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hash_codes"]


def hash_codes(
    vectors: Any,
    family: Literal["dwta", "simhash", "doph", "minhash"] = "dwta",
    *,
    k: int = 4,
    tables: int = 50,
    bits: int | None = None,
    seed: int = 0,
) -> NDArray[np.uint32]:
    """Hash vectors: alike ones have equal codes more often than others.

    A code is made of k values:

    - ``dwta`` (densified winner-take-all, Chen and Shrivastava, UAI 2018): which of eight coordinates is largest; zeros
      are absent. Equal more often the higher the rank correlation.
    - ``simhash`` (Charikar, STOC 2002): the sign of a Gaussian projection, equal with probability 1 - angle / pi.
    - ``minhash`` (Broder, 1997): the least hash of the vector's set, equal with the Jaccard similarity of two sets. A
      set are the 30 largest of the coordinates that are not zero.
    - ``doph`` (densified one-permutation hashing, Shrivastava and Li, UAI 2014): nearly the same with a single hash
      function.

    Parameters
    ----------
    vectors : array, tensor or scipy sparse matrix, shape (n, length)
        Taken as float32; a length of at least 8.
    family : str
        Of hash functions.
    k : int
        Values of a code, 1 to 16.
    tables : int
        Codes of a vector, 1 to 1,024.
    bits : int, optional
        Codes are below ``2**bits``, 1 to 24. Values that fit side by side stay so (3 bits each for dwta, 1 for
        simhash); others are mixed. By default what they need side by side, at most 18.
    seed : int
        Of the hash functions.

    Returns
    -------
    uint32 array of shape (n, tables)

    Raises
    ------
    ValueError
        When an argument is out of its range; the message names it.
    CapacityError
        When the projections of simhash do not fit into the memory that is free.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.slide import hash_codes
    >>> x = np.random.default_rng(0).normal(size=(2, 64))
    >>> codes = hash_codes(np.concatenate([x, 3 * x]), tables=5)
    >>> codes.shape, np.array_equal(codes[:2], codes[2:])
    ((4, 5), True)
    """
    if bits is not None and not 1 <= bits <= 24:
        raise ValueError(f"bits: {bits} is not possible; from 1 to 24")
    dense = vectors.toarray() if hasattr(vectors, "toarray") else to_numpy(vectors, "vectors")
    matrix = np.ascontiguousarray(dense, np.float32)
    if matrix.ndim != 2:
        raise ValueError(f"vectors: two dimensions are needed, got shape {matrix.shape}")
    rows, length = matrix.shape
    codes = _core.slide_codes(matrix.ravel(), (rows, length), family, k, tables, bits, seed)
    return codes.reshape(rows, tables)
