"""Decoders with a cache of keys and values, one for all requests of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.models.decoder import Decoder

    Ints = NDArray[np.int64]

torch: Any = require_torch()

__all__ = ["CachedDecoder"]


class CachedDecoder:
    """A decoder with a cache of slots, as :class:`~thrifty.specdec.CachedTarget` takes it.

    Keys and values of a request stay in its slot, position by position; what was drafted in vain is written over.

    Parameters
    ----------
    model : Decoder
        On any device, in f32.
    slots : int
        Sequences at a time: the engine's ``max_running``.
    length : int
        Ids of a sequence at most: the engine's ``max_length``.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.models import CachedDecoder, Decoder, DecoderConfig
    >>> from thrifty.specdec import CachedTarget, Engine
    >>> model = Decoder(DecoderConfig(vocab=9, dim=32, mixers=("attention",)))
    >>> target = CachedTarget(CachedDecoder(model, slots=2, length=64))
    >>> engine = Engine(target, vocab=9, max_running=2, max_length=64, share_prefixes=False)
    >>> handle = engine.submit([3, 1, 4], max_new=5)
    >>> engine.run()
    >>> len(engine.take(handle).tokens)
    5
    """

    #: Ids behind the longest sequence that rows may be filled up with.
    SPARE = 256

    def __init__(self, model: Decoder, *, slots: int, length: int) -> None:
        self.model, self.length = model.eval(), length
        config, device = model.config, model.embed.weight.device
        size = (slots, config.heads, length + self.SPARE, config.dim // config.heads)
        kinds = enumerate(config.mixers)
        self._kept = {i: torch.zeros(2, *size, device=device) for i, kind in kinds if kind == "attention"}
        self._ids = torch.zeros(slots, size[2], dtype=torch.int64, device=device)
        self._places = torch.arange(size[2], device=device)

    def __call__(self, slots: Ints, begin: Ints, ids: Ints, keep: int) -> NDArray[np.float32]:
        """Return scores behind the last ``keep`` ids of each row, all where 0: shape (rows, keep, vocab).

        Raises
        ------
        ValueError
            When the ids go beyond ``length``.
        """
        last = int(begin.max()) + ids.shape[1]
        if last > len(self._places):
            raise ValueError(f"length: a call ends at position {last}; the cache has {self.length}")
        device = self._ids.device
        with torch.inference_mode():
            given = torch.from_numpy(ids).to(device)
            rows, at = torch.from_numpy(slots).to(device), torch.from_numpy(begin[:, None] + np.arange(ids.shape[1]))
            seen = _Pass(self, rows, at.to(device), last)
            self._ids[rows[:, None], seen.at] = given
            scores = self.model(given, seen, keep)
        found: NDArray[np.float32] = scores.float().cpu().numpy()
        return found


class _Pass:
    """Where the ids of a pass stand, and what they see."""

    def __init__(self, of: CachedDecoder, rows: Any, at: Any, last: int) -> None:
        self._of, self._rows, self._last, self.at = of, rows, last, at
        self.mask = (of._places[:last] <= at[..., None])[:, None]

    def keep(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Keep keys and values of a layer, and return all that may be seen."""
        kept = self._of._kept[layer]
        for cache, new in zip(kept, (keys, values), strict=True):
            cache[self._rows[:, None], :, self.at] = new.transpose(1, 2)
        keys, values = kept[:, self._rows, :, : self._last]
        return keys, values

    def ids(self) -> Any:
        """Return all ids of the sequences, up to the last of the pass."""
        return self._of._ids[self._rows, : self._last]
