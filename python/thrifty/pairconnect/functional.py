"""A lookup as an operator of torch: the core's on the CPU, on the memory of the tensors; torch's own elsewhere.

The operators are opaque to compilers, which see their shapes and gradients: a graph has no break at them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty._torch import require_torch
from thrifty.pairconnect.spec import PairSpec
from thrifty.pairconnect.torch_rows import pair_rows, pooled

if TYPE_CHECKING:
    import torch
else:
    torch = require_torch()

__all__ = ["pair_lookup"]


def pair_lookup(
    weight: torch.Tensor,
    logit: torch.Tensor | None,
    ids: torch.Tensor,
    spec: PairSpec,
    pos_weight: torch.Tensor | None = None,
    *,
    sparse: bool = False,
) -> torch.Tensor:
    """Return what the positions of sequences look up in rows that are tensors.

    On the CPU, rows of float32 are read where they lie, and gradients come from the core: pairs sorted by row, the
    terms of a row summed in the order of positions, whatever the number of threads. Other devices and dtypes take
    operators of torch, with the same rows.

    Parameters
    ----------
    weight : float tensor of shape (heads * rows, head_dim)
    logit : float tensor of shape (heads * rows,) or None
        With ``pool="softmax"``.
    ids : int32 or int64 tensor of shape (sequences, tokens)
        Below ``vocab``.
    spec : PairSpec
        Its dtype does not count.
    pos_weight : float tensor of shape (heads, window), optional
        Rows are multiplied by the weight of their distance, nearest first; with softmax it is added to the logits.
    sparse : bool
        Whether gradients of ``weight`` and ``logit`` are sparse tensors of the rows touched, each once, ascending.
        Dense ones suit any optimizer and compiler, and cost what the whole table does. Where torch's operators
        work, the gradient of ``logit`` is always dense, and rows of that of ``weight`` come more than once.

    Returns
    -------
    float tensor of shape (sequences, tokens, heads * head_dim)

    Raises
    ------
    ValueError
        For a shape that does not fit the spec; on the CPU also for an id that is not below ``vocab``.

    Examples
    --------
    >>> import torch
    >>> from thrifty.pairconnect import PairSpec
    >>> from thrifty.pairconnect.functional import pair_lookup
    >>> spec = PairSpec(vocab=10, rows=100, heads=2, head_dim=16, window=2)
    >>> weight = torch.ones(200, 16, requires_grad=True)
    >>> found = pair_lookup(weight, None, torch.tensor([[3, 1, 4]]), spec, sparse=True)
    >>> found.sum().backward()
    >>> float(weight.grad.to_dense().sum())
    64.0
    """
    _check(weight, logit, ids, spec, pos_weight)
    if _is_native(weight) and _is_native(logit) and _is_native(pos_weight) and ids.device.type == "cpu":
        found: torch.Tensor = _lookup(weight, logit, ids, pos_weight, _text(spec), sparse)
        return found
    return by_torch(weight, logit, ids, spec, pos_weight, sparse=sparse)


def by_torch(
    weight: torch.Tensor,
    logit: torch.Tensor | None,
    ids: torch.Tensor,
    spec: PairSpec,
    pos_weight: torch.Tensor | None = None,
    *,
    sparse: bool = False,
) -> torch.Tensor:
    """Return the same by operators of torch, on any device and of any dtype."""
    rows, there = pair_rows(ids, spec)
    weights = None if pos_weight is None else pos_weight[:, : rows.shape[-1]]
    found: torch.Tensor = pooled(rows, there, weight, logit, spec.pool, weights, sparse=sparse)
    return found


def _check(weight: Any, logit: Any, ids: Any, spec: PairSpec, pos_weight: Any) -> None:
    shape = (spec.heads * spec.rows, spec.head_dim)
    if tuple(weight.shape) != shape:
        raise ValueError(f"weight: shape (heads * rows, head_dim) = {shape} is needed, got {tuple(weight.shape)}")
    if (logit is not None) != (spec.pool == "softmax"):
        raise ValueError("logit: one a row is needed where rows are pooled by softmax, and none elsewhere")
    if logit is not None and tuple(logit.shape) != shape[:1]:
        raise ValueError(f"logit: shape (heads * rows,) = {shape[:1]} is needed, got {tuple(logit.shape)}")
    if ids.ndim != 2 or ids.dtype not in (torch.int32, torch.int64):
        raise ValueError(
            f"ids: int32 or int64 of shape (sequences, tokens) is needed, got {ids.dtype} of {tuple(ids.shape)}"
        )
    if pos_weight is not None and tuple(pos_weight.shape) != (spec.heads, spec.window):
        raise ValueError(
            f"pos_weight: shape (heads, window) = {(spec.heads, spec.window)} is needed, got {tuple(pos_weight.shape)}"
        )


def _is_native(tensor: Any) -> bool:
    """Whether the core can read a tensor where it lies."""
    return tensor is None or (tensor.device.type == "cpu" and tensor.dtype == torch.float32)


# A step reads the same spec a few times.
_parsed = lru_cache(PairSpec.from_json)


_json = lru_cache(PairSpec.to_json)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _text(spec: PairSpec) -> str:
    return _json(spec)


def _flat(tensor: Any) -> Any:
    """Return the numbers of a tensor, in its memory where they lie close."""
    return None if tensor is None else tensor.detach().contiguous().view(-1).numpy()


def _forward(
    weight: torch.Tensor,
    logit: torch.Tensor | None,
    ids: torch.Tensor,
    pos_weight: torch.Tensor | None,
    spec: str,
    sparse: bool,
) -> torch.Tensor:
    out = torch.empty(*ids.shape, _parsed(spec).width)
    args = (_flat(weight), _flat(logit), _flat(ids), ids.shape[1], _flat(pos_weight))
    _core.pair_lookup(spec, *args, torch.get_num_threads(), _flat(out))
    return out


def _gradients(
    grad: torch.Tensor,
    weight: torch.Tensor | None,
    logit: torch.Tensor | None,
    ids: torch.Tensor,
    pos_weight: torch.Tensor | None,
    spec: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return rows touched, and gradients: of their values, of their logits, of the weights of distances."""
    args = (_flat(weight), _flat(logit), _flat(ids), ids.shape[1], _flat(pos_weight))
    rows, values, logits, weights = _core.pair_backward(spec, *args, _flat(grad), torch.get_num_threads())
    of_weights = grad.new_empty(0)
    if weights is not None and pos_weight is not None:
        of_weights = torch.from_numpy(weights).view(pos_weight.shape)
    return (
        torch.from_numpy(rows.view(np.int64)),
        torch.from_numpy(values).view(len(rows), _dim(spec)),
        grad.new_empty(0) if logits is None else torch.from_numpy(logits),
        of_weights,
    )


def _dim(spec: str) -> int:
    return _parsed(spec).head_dim


def _gradients_like(grad: Any, weight: Any, logit: Any, ids: Any, pos_weight: Any, spec: str) -> Any:
    rows = torch.library.get_ctx().new_dynamic_size()
    return (
        grad.new_empty(rows, dtype=torch.int64),
        grad.new_empty(rows, _dim(spec)),
        grad.new_empty(0 if logit is None else rows),
        grad.new_empty(0 if pos_weight is None else pos_weight.shape),
    )


def _dense(
    grad: torch.Tensor,
    weight: torch.Tensor | None,
    logit: torch.Tensor | None,
    ids: torch.Tensor,
    pos_weight: torch.Tensor | None,
    spec: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the same with a number for each of the table: zeros where no row was touched."""
    rows, values, logits, weights = _gradients(grad, weight, logit, ids, pos_weight, spec)
    of = _parsed(spec)
    total = of.heads * of.rows
    whole = torch.zeros(total, of.head_dim).index_copy_(0, rows, values)
    of_logits = logits if logit is None else torch.zeros(total).index_copy_(0, rows, logits)
    return whole, of_logits, weights


def _dense_like(grad: Any, weight: Any, logit: Any, ids: Any, pos_weight: Any, spec: str) -> Any:
    of = _parsed(spec)
    total = of.heads * of.rows
    return (
        grad.new_empty(total, of.head_dim),
        grad.new_empty(0 if logit is None else total),
        grad.new_empty(0 if pos_weight is None else pos_weight.shape),
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    weight, logit, ids, pos_weight, ctx.spec, ctx.sparse = inputs
    # Sums and means have gradients that no row is needed for, which may then change before the backward pass.
    needed = logit is not None or pos_weight is not None
    ctx.save_for_backward(weight if needed else None, logit, ids, pos_weight)


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
    weight, logit, ids, pos_weight = ctx.saved_tensors
    args = (grad, weight, logit, ids, pos_weight, ctx.spec)
    if ctx.sparse:
        rows, values, logits, weights = torch.ops.thrifty.pair_gradients(*args)
        of = _parsed(ctx.spec)
        total = of.heads * of.rows
        whole = _coo(rows, values, (total, of.head_dim))
        of_logits = None if logit is None else _coo(rows, logits, (total,))
    else:
        whole, of_logits, weights = torch.ops.thrifty.pair_gradients_dense(*args)
    return whole, None if logit is None else of_logits, None, None if pos_weight is None else weights, None, None


def _coo(rows: torch.Tensor, values: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return torch.sparse_coo_tensor(rows[None], values, size, check_invariants=False, is_coalesced=True)


def _define() -> Any:
    """Define the operators; their types come from the schemas, since annotations are text here."""
    from torch import library

    rest = "Tensor? logit, Tensor ids, Tensor? pos_weight, str spec"
    lookup = library.custom_op(
        "thrifty::pair_lookup",
        _forward,
        mutates_args=(),
        device_types="cpu",
        schema=f"(Tensor weight, {rest}, bool sparse) -> Tensor",
    )
    gradients = library.custom_op(
        "thrifty::pair_gradients",
        _gradients,
        mutates_args=(),
        device_types="cpu",
        schema=f"(Tensor grad, Tensor? weight, {rest}) -> (Tensor, Tensor, Tensor, Tensor)",
    )
    dense = library.custom_op(
        "thrifty::pair_gradients_dense",
        _dense,
        mutates_args=(),
        device_types="cpu",
        schema=f"(Tensor grad, Tensor? weight, {rest}) -> (Tensor, Tensor, Tensor)",
    )
    lookup.register_fake(
        lambda weight, logit, ids, pos_weight, spec, sparse: weight.new_empty(*ids.shape, _parsed(spec).width)
    )
    gradients.register_fake(_gradients_like)
    dense.register_fake(_dense_like)
    lookup.register_autograd(_backward, setup_context=_setup)
    return lookup


_lookup = _define()
