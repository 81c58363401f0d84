"""The only way to torch: no part imports it before a tensor is there or a torch feature is asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from thrifty.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["is_tensor", "like", "require_torch", "to_numpy"]


def require_torch() -> ModuleType:
    """Return torch, or raise with the command that installs it."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise MissingExtra("this needs torch; install it with: pip install 'thrifty[torch]'") from error


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a torch tensor; false without importing torch when nobody else has."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_numpy(value: Any, name: str) -> Any:
    """Return a CPU tensor as a numpy array that shares its memory; anything else unchanged."""
    if not is_tensor(value):
        return value
    if not value.is_cpu:
        raise ValueError(f"{name}: a tensor on {value.device}; move it with {name}.cpu()")
    return (value.detach() if value.requires_grad else value).numpy()


def like(array: Any, example: object) -> Any:
    """Return ``array`` as a tensor when ``example`` is one, sharing memory; else unchanged."""
    return require_torch().from_numpy(array) if is_tensor(example) else array
