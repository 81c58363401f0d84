"""Causal models of transformers for an engine: one cache for all of its requests."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["HFModel"]

#: Rows of so many ids come again and again.
SHORT = 17


class HFModel:
    """A causal model of transformers with a cache of slots, as :class:`~thrifty.specdec.CachedTarget` takes it.

    Keys and values of a request stay in its slot, position by position; rows of a call may be of any lengths, and what
    was drafted in vain is written over. No row is padded on the left.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        On a CPU or a GPU; attention "sdpa" or "eager". Not those that keep something else than keys and values.
    slots : int
        Sequences at a time: the engine's ``max_running``.
    length : int
        Ids of a sequence at most: the engine's ``max_length``.

    Raises
    ------
    ValueError
        When a call goes beyond ``length``.

    Examples
    --------
    >>> import torch, numpy as np
    >>> from transformers import LlamaConfig, LlamaForCausalLM  # doctest: +SKIP
    >>> from thrifty.models import HFModel
    >>> from thrifty.specdec import CachedDraft, CachedTarget, Engine
    >>> target, draft = HFModel(large, slots=8, length=512), HFModel(small, slots=8, length=512)  # doctest: +SKIP
    >>> engine = Engine(CachedTarget(target), CachedDraft(draft), vocab=256, max_running=8, max_length=512,
    ...                 share_prefixes=False)  # doctest: +SKIP
    """

    #: Ids behind the longest sequence that rows may be filled up with.
    SPARE = 256

    def __init__(self, model: Any, *, slots: int, length: int) -> None:
        self._torch = torch = require_torch()
        self.model, self.length = model.eval(), length
        names = inspect.signature(model.forward).parameters
        self._cache_name = "cache" if "cache" in names else "past_key_values"
        self._keep_name = "logits_to_keep" if "logits_to_keep" in names else None
        parameter = next(model.parameters())
        self._device = parameter.device
        self._cache = _Slots(slots, length + self.SPARE)
        size = length + self.SPARE
        seen = torch.ones(size, size, dtype=torch.bool, device=self._device).tril()
        if model.config._attn_implementation != "sdpa":
            least = torch.finfo(parameter.dtype).min
            seen = torch.zeros(size, size, dtype=parameter.dtype, device=self._device).masked_fill(~seen, least)
        self._seen = seen[None, None]
        self._kept: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._positions = torch.arange(size, device=self._device)[None]
        self._elsewhere = self._device.type != "cpu"
        self._plain = not self._elsewhere and parameter.dtype == torch.float32
        self._hooks = _hooks(model)
        self._call: Callable[..., Any] = model
        self._named: dict[int, dict[str, Any]] = {}

    def within(self) -> Any:
        """Return a context for calls: no gradients are kept. What hooks into the model then stays until its end."""
        # Where nothing does, a call is its forward. To look each time would take as long as it spares.
        model = self.model
        self._call = model if any(self._hooks) or model._compiled_call_impl is not None else model.forward
        return self._torch.inference_mode()

    def __call__(self, slots: Ints, begin: Ints, ids: Ints, keep: int) -> Any:
        """Return scores behind the last ``keep`` ids of each row, all where 0: shape (rows, keep, vocab).

        On a CPU in float32 they are an array, else a tensor.
        """
        torch = self._torch
        rows, width = ids.shape
        with self.within():
            if rows == 1:
                placed = self._one(int(slots[0]), int(begin[0]), width)
            else:
                positions = torch.from_numpy(begin[:, None] + np.arange(width))
                placed = self._many(slots.tolist(), positions, int(begin.max()) + width)
            scores = self._scores(torch.from_numpy(ids), *placed, keep)
        return scores.numpy() if self._plain else scores

    def fed(self, arrays: dict[str, Ints]) -> Callable[[int, int, int, int, int], Any]:
        """Return what does passes of rows that lie in arrays whose memory lasts; see ``SpecFeed`` of the core.

        It is called, within :meth:`within`, with rows, slot and position of the first, ids of a row, and how many of
        the last need scores, 0 for all. It returns them as float32, contiguous and on the CPU.
        """
        torch = self._torch
        ids, positions = torch.from_numpy(arrays["ids"]), torch.from_numpy(arrays["positions"])
        # Views take longer to make than to find.
        short = [ids[:width][None] for width in range(SHORT + 1)]

        def run(rows: int, slot: int, begin: int, width: int, keep: int) -> Any:
            if rows == 1:
                placed = self._one(slot, begin, width)
                fed = short[width] if width <= SHORT else ids[:width][None]
            else:
                places = positions[: rows * width].view(rows, width)
                placed = self._many(arrays["slots"][:rows].tolist(), places, int(places.max()) + 1)
                fed = ids[: rows * width].view(rows, width)
            scores = self._scores(fed, *placed, keep)
            return scores if self._plain else scores.float().cpu()

        return run

    def _scores(self, ids: Any, positions: Any, mask: Any, keep: int) -> Any:
        """Return the scores of a pass."""
        named = self._named.get(keep)
        if named is None:
            named = self._named[keep] = {self._cache_name: self._cache, "use_cache": True}
            if self._keep_name is not None and keep:
                named[self._keep_name] = keep
        named["input_ids"] = ids.to(self._device) if self._elsewhere else ids
        named["position_ids"], named["attention_mask"] = positions, mask
        scores = self._call(**named).logits
        return scores if not keep or self._keep_name is not None else scores[:, -keep:].contiguous()

    def _one(self, slot: int, at: int, width: int) -> tuple[Any, Any]:
        """Make ready for one row: positions and mask. Those of short rows are kept: making them takes longer."""
        self._cache.one, self._cache.many = (slot, at, at + width), None
        found = self._kept.get((at, width))
        if found is None:
            self._fits(at + width)
            positions = self._positions[:, at : at + width]
            found = positions, self._seen[:, :, at : at + width, : at + width]
            if width <= SHORT:
                self._kept[at, width] = found
        return found

    def _many(self, slots: list[int], positions: Any, last: int) -> tuple[Any, Any]:
        """Make ready for several rows: positions and mask."""
        self._fits(last)
        positions = positions.to(self._device)
        self._cache.turns(slots, positions, last)
        rows, width = positions.shape
        return positions, self._seen[0, 0, positions.reshape(-1), :last].view(rows, 1, width, last)

    def _fits(self, last: int) -> None:
        if last > self.length + self.SPARE:
            raise ValueError(f"length: a call ends at position {last}; the cache has {self.length}")


def _hooks(model: Any) -> tuple[Any, ...]:
    """Return the tables of what is called before and behind a model's forward where no gradients are kept."""
    torch = require_torch()
    if type(model).__call__ is not torch.nn.Module.__call__:
        return ("a call of its own",)
    everywhere = torch.nn.modules.module
    own = model._forward_hooks, model._forward_pre_hooks
    return (*own, everywhere._global_forward_hooks, everywhere._global_forward_pre_hooks)


class _Slots:
    """Keys and values by slot and position, with the interface that models of transformers have for caches."""

    is_compileable = False

    def __init__(self, slots: int, length: int) -> None:
        self._size = (slots, length)
        self._layers: dict[int, tuple[Any, Any]] = {}
        #: What the next call is of: slot, begin and end of one row; or slots, places, the last place and the first slot
        #: where they are in order.
        self.one: tuple[int, int, int] | None = None
        self.many: tuple[Any, Any, int, int | None] | None = None

    def turns(self, slots: list[int], places: Any, last: int) -> None:
        """Say that the next call is of several rows."""
        first = slots[0]
        in_order = slots == list(range(first, first + len(slots)))
        rows = require_torch().tensor(slots, device=places.device)
        self.one, self.many = None, (rows, places, last, first if in_order else None)

    def update(self, keys: Any, values: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Write keys and values of a layer, of shape (rows, heads, width, dim); return all that may be seen."""
        kept = self._layers.get(layer)
        if kept is None:
            slots, length = self._size
            shape = (slots, keys.shape[1], length, keys.shape[3])
            kept = self._layers[layer] = (keys.new_zeros(shape), values.new_zeros(shape))
        if self.one is not None:
            slot, begin, end = self.one
            for cache, new in zip(kept, (keys, values), strict=True):
                cache[slot, :, begin:end] = new[0]
            return kept[0][slot : slot + 1, :, :end], kept[1][slot : slot + 1, :, :end]
        assert self.many is not None
        slots, places, last, first = self.many
        for cache, new in zip(kept, (keys, values), strict=True):
            cache[slots[:, None], :, places] = new.transpose(1, 2)
        if first is not None:
            own = slice(first, first + len(slots))
            return kept[0][own, :, :last], kept[1][own, :, :last]
        return kept[0][slots, :, :last], kept[1][slots, :, :last]

    def get_seq_length(self, *_: Any) -> int:
        """Return how many ids the longest row has seen; positions and masks are given, so it decides nothing."""
        if self.one is not None:
            return self.one[1]
        return 0 if self.many is None else self.many[2] - int(self.many[1].shape[1])
