"""Models as targets of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from thrifty.specdec.step import Step

__all__ = ["PairTarget"]


@dataclass(frozen=True)
class PairTarget:
    """A :class:`~thrifty.pairconnect.PairLM` as a target: it needs the ids before a token and no cache.

    Parameters
    ----------
    model : PairLM
    threads : int
        0 for all cores. Scores do not depend on it, nor on what else is in a step.
    """

    model: Any
    threads: int = 0

    def __call__(self, step: Step) -> NDArray[np.float32]:
        """Return the scores of a step: float32 of shape (outputs, vocab)."""
        return step._core.pair_scores(self.model._core, self.threads).reshape(len(step.outputs), -1)
