"""How well a decoder predicts a text, by the windows of :meth:`thrifty.pairconnect.PairLM.losses`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch
from thrifty.pairconnect.windows import encoded, scored, summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.pairconnect.text import Encoding

torch: Any = require_torch()
functional: Any = torch.nn.functional

__all__ = ["evaluate", "losses"]


def losses(
    model: Any, ids: NDArray[Any], *, window: int = 64, stride: int = 32, batch: int = 64, precision: str = "f32"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which ids are scored, and minus the logarithm of the probability of each.

    Windows of ``window`` ids begin every ``stride``; each says what follows its last ``stride`` positions.

    Parameters
    ----------
    model : torch module
        Takes int64 ids of shape (sequences, tokens) and returns scores of shape (sequences, tokens, vocab). Its dropout
        is switched off.
    ids : integer array of shape (tokens,)
    window, stride : int
        Ids of a window, and of them those whose successors are scored.
    batch : int
        Windows at a time.
    precision : str
        Of products, ``"f32"`` or ``"bf16"``.

    Returns
    -------
    positions : int64 array
    losses : float64 array, natural logarithms
    """
    starts, at = scored(len(ids), window, stride)
    device = next(model.parameters()).device
    given = torch.from_numpy(ids.astype(np.int64)).to(device)
    reach = torch.arange(window + 1, device=device)
    found = [np.empty(0)]
    model.eval()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for first in range(0, len(starts), batch):
            rows = given[torch.from_numpy(starts[first : first + batch]).to(device)[:, None] + reach]
            scores = model(rows[:, :-1])[:, -stride:].float()
            loss = functional.cross_entropy(scores.flatten(0, 1), rows[:, -stride:].flatten(), reduction="none")
            found.append(loss.double().cpu().numpy())
    return at, np.concatenate(found)


def evaluate(
    model: Any,
    text: bytes,
    encoding: Encoding,
    *,
    window: int = 64,
    stride: int = 32,
    max_tokens: int | None = None,
    precision: str = "f32",
) -> dict[str, float]:
    """Return what :meth:`thrifty.pairconnect.PairLM.evaluate` does, for a decoder of any layers.

    Parameters
    ----------
    model : torch module
        As for :func:`losses`.
    text : bytes
    encoding : Bytes or Tokenizer
        How the text becomes ids.
    window, stride, precision
        As for :func:`losses`.
    max_tokens : int, optional
        Look at so many ids of the beginning only.

    Returns
    -------
    dict
        ``perplexity`` an id; ``bits_per_byte``; ``tokens``, how many ids were scored.

    Raises
    ------
    DatasetError
        When the text is shorter than a window.
    ModelError
        When scores are no numbers.
    """
    ids, ends = encoded(text, encoding, window, max_tokens)
    at, found = losses(model, ids, window=window, stride=stride, batch=max(1, 16_384 // window), precision=precision)
    return summary(at, found, ends)
