"""The head's loss as operators of torch, so that torch.compile sees it as one node of a graph.

A head is named by a number, its ``handle``. Its weights change inside :func:`_step`, which the graph does not see:
were they declared as changed, compilers would copy all of them for each step. What the graph sees is a clock, one
number that the step moves and the loss reads, which keeps the two in order.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from thrifty._torch import require_torch

if TYPE_CHECKING:
    import torch

    from thrifty.slide.linear import LSHLinear
else:
    torch = require_torch()

__all__ = ["loss", "register"]

heads: WeakValueDictionary[int, LSHLinear] = WeakValueDictionary()
"""Living heads by their handles."""
_handles = count(1)
_watched: list[object] = []


def register(head: LSHLinear) -> int:
    """Give a head a handle of its own; heads without an optimizer learn of the steps of others."""
    handle = next(_handles)
    heads[handle] = head
    if not head.fused and not _watched:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        _watched.append(register_optimizer_step_post_hook(_stepped))
    return handle


def _stepped(optimizer: torch.optim.Optimizer, *_: object) -> None:
    for head in list(heads.values()):
        if not head.fused:
            head._engine.after(head.weight, optimizer)


def _loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    clock: torch.Tensor,
    labels: torch.Tensor,
    indptr: torch.Tensor | None,
    handle: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss of a batch, and a number by which its gradients are asked for."""
    head = heads[handle]
    return head._engine.ahead(head.weight, head.bias, hidden, labels, indptr)


def _step(
    grad: torch.Tensor, token: torch.Tensor, clock: torch.Tensor, rows: int, length: int, train: bool, handle: int
) -> torch.Tensor:
    """Gradient of the hidden values; with ``train`` the active neurons of the batch are updated."""
    head = heads[handle]
    gradient = head._engine.back(head.weight, head.bias, float(grad), int(token), train)
    clock.add_(1)
    return gradient.view(rows, length)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    hidden, _, _, ctx.clock, _, _, ctx.handle = inputs  # not saved: backward passes of other losses may move the clock
    ctx.shape = hidden.shape
    ctx.save_for_backward(output[1])


def _backward(ctx: Any, grad: torch.Tensor, _: object) -> tuple[torch.Tensor | None, ...]:
    (token,) = ctx.saved_tensors
    head, train = heads[ctx.handle], bool(ctx.needs_input_grad[1])
    if train and not head.fused:
        hidden, weight, bias = head._engine.gradients(head.weight, head.bias, float(grad), int(token))
        return hidden.view(ctx.shape), weight, bias, None, None, None, None
    hidden = torch.ops.thrifty.slide_step(grad, token, ctx.clock, *ctx.shape, train, ctx.handle)
    return hidden, None, None, None, None, None, None


def _define() -> Any:
    """Define the operators; their types come from the annotations, which are text here."""
    from torch import library

    tags = (torch.Tag.nondeterministic_seeded,)
    loss = library.custom_op(
        "thrifty::slide_loss",
        _loss,
        mutates_args=(),
        tags=tags,
        schema="(Tensor hidden, Tensor weight, Tensor? bias, Tensor clock, Tensor labels, Tensor? indptr, int handle)"
        " -> (Tensor, Tensor)",
    )
    step = library.custom_op(
        "thrifty::slide_step",
        _step,
        mutates_args=("clock",),
        schema="(Tensor grad, Tensor token, Tensor(a!) clock, SymInt rows, SymInt length, bool train, int handle)"
        " -> Tensor",
    )
    loss.register_fake(lambda hidden, *_: (hidden.new_empty(()), hidden.new_empty((), dtype=torch.int64)))
    step.register_fake(lambda grad, token, clock, rows, length, *_: grad.new_empty((rows, length)))
    loss.register_autograd(_backward, setup_context=_setup)
    return loss


loss = _define()
