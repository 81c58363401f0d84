"""Sequences for which a PairLM proposes what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from thrifty import _core
from thrifty._torch import to_numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from thrifty.pairconnect.model import PairLM

__all__ = ["Laws", "PairDraft", "Proposals"]


class Laws(NamedTuple):
    """Laws one after the other: ids in ascending order, their probabilities, and where each law ends."""

    ids: NDArray[np.uint32]
    chances: NDArray[np.float32]
    ends: NDArray[np.uint64]


class Proposals(NamedTuple):
    """Ids of shape (sequences, tokens), the probability that each had, and the laws that they were drawn from."""

    ids: NDArray[np.uint32]
    chances: NDArray[np.float32]
    laws: Laws | None


class PairDraft:
    """Sequences of a model: ids are all that it keeps of them.

    Ids that it draws become a part of their sequence; whoever verifies them truncates it to what was accepted and
    appends the rest. With a shortlist (:meth:`PairLM.with_shortlist`) only its ids are scored, and the law that is told
    is the sparse one that was sampled.

    Parameters
    ----------
    model : PairLM
    temperature, top_k, top_p, min_p : numbers
        As for :meth:`PairLM.generate`.

    Examples
    --------
    >>> draft = model.drafter(temperature=0.8)  # doctest: +SKIP
    >>> first = draft.open(model.ids("It was a "))  # doctest: +SKIP
    >>> draft.propose([first], 4, seeds=[1]).ids.shape  # doctest: +SKIP
    (1, 4)
    >>> draft.truncate(first, 10)  # doctest: +SKIP
    """

    def __init__(
        self, model: PairLM, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
    ) -> None:
        self._core = _core.PairDraft(model._core)
        self._settings = (float(temperature), int(top_k), float(top_p), float(min_p))

    def open(self, ids: Any) -> int:
        """Begin a sequence of ids, an integer array of shape (tokens,); return its name."""
        return self._core.open(to_numpy(ids, "ids"))

    def fork(self, sequence: int) -> int:
        """Begin a sequence that is as another is now; return its name."""
        return self._core.fork(sequence)

    def close(self, sequence: int) -> None:
        """End a sequence; its name may be given again."""
        self._core.close(sequence)

    def append(self, sequence: int, ids: Any) -> None:
        """Append an id, or an integer array of shape (tokens,)."""
        self._core.append(sequence, ids)

    def truncate(self, sequence: int, length: int) -> None:
        """Take back all ids from ``length`` on."""
        self._core.truncate(sequence, length)

    def ids(self, sequence: int) -> NDArray[np.uint32]:
        """Return the ids of a sequence."""
        return self._core.ids(sequence)

    def law(self, sequence: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Return the ids that may follow a sequence, ascending, and their probabilities."""
        return self._core.law(sequence, self._settings)

    def draw(self, sequence: int, *, seed: int = 0) -> int:
        """Draw an id, append it and return it: the id that ``generate`` draws there with the same seed."""
        return self._core.draw(sequence, self._settings, seed)

    def propose(
        self, sequences: Sequence[int], tokens: int, *, seeds: Sequence[int] | None = None, laws: bool = False
    ) -> Proposals:
        """Draw ids for many sequences in one call, and append them.

        Parameters
        ----------
        sequences : sequence of int
            Each once.
        tokens : int
            How many ids each gets.
        seeds : sequence of int, optional
            Of each; by default 0. What a sequence gets does not depend on those beside it.
        laws : bool
            Whether to return the laws as well.

        Returns
        -------
        Proposals
            Laws come sequence after sequence, ``tokens`` of each.

        Raises
        ------
        ModelError
            When the model's scores are no numbers; then nothing is appended.
        """
        seeds = [0] * len(sequences) if seeds is None else list(seeds)
        ids, chances, found = self._core.propose(list(sequences), tokens, self._settings, seeds, laws)
        shape = (len(sequences), tokens)
        return Proposals(ids.reshape(shape), chances.reshape(shape), None if found is None else Laws(*found))
