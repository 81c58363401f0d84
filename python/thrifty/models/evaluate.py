"""How well a decoder predicts a text, by the windows of :meth:`thrifty.pairconnect.PairLM.losses`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch
from thrifty.pairconnect.windows import encoded, joined, scored, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.pairconnect.text import Encoding

torch: Any = require_torch()
functional: Any = torch.nn.functional

__all__ = ["evaluate", "log_likelihoods", "losses"]


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


def log_likelihoods(
    model: Any, pairs: Sequence[tuple[str, str]], encoding: Encoding, *, batch: int = 64
) -> NDArray[np.float64]:
    """Return what :meth:`thrifty.pairconnect.PairLM.log_likelihoods` does, for a decoder of any layers.

    Parameters
    ----------
    model : torch module
        As for :func:`losses`.
    pairs : sequence of (context, continuation)
    encoding : Bytes or Tokenizer
        How the texts become ids.
    batch : int
        Texts at a time; shorter ones are filled up behind, where causal layers do not look.
    """
    text = joined(pairs, encoding)
    bounds = np.append(np.flatnonzero(np.diff(text.begin, prepend=-1)), len(text.at))
    device = next(model.parameters()).device
    out = np.empty(len(pairs))
    model.eval()
    with torch.no_grad():
        for first in range(0, len(pairs), batch):
            chosen = range(first, min(first + batch, len(pairs)))
            places = [text.at[bounds[i] : bounds[i + 1]] for i in chosen]
            starts = [int(text.begin[bounds[i]]) for i in chosen]
            rows = torch.zeros(len(places), max(int(at[-1]) - s for at, s in zip(places, starts, strict=True)) + 1)
            rows = rows.long().to(device)
            for row, at, start in zip(rows, places, starts, strict=True):
                row[: at[-1] + 1 - start] = torch.from_numpy(text.ids[start : at[-1] + 1].astype(np.int64))
            logs = functional.log_softmax(model(rows[:, :-1]).float(), -1)
            told = logs.gather(2, rows[:, 1:, None])[..., 0].double().cpu().numpy()
            for i, row, at, start in zip(chosen, told, places, starts, strict=True):
                out[i] = row[at - start - 1].sum()
    return out
