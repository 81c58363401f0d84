"""What computes: its name, so that times of one device are not taken for those of another."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from thrifty._torch import require_torch
from thrifty.device.arrays import cores

__all__ = ["card_of", "describe"]


def describe(device: str = "cpu") -> dict[str, str]:
    """Return ``name`` and ``machine`` of a device of this machine.

    Examples
    --------
    >>> from thrifty.device.machine import describe
    >>> sorted(describe())
    ['machine', 'name']
    """
    machine = f"{platform.system()} {platform.machine()}"
    if device == "cpu":
        return {"name": f"{_processor()}, {cores()} cores", "machine": machine}
    torch: Any = require_torch()
    return {"name": str(torch.cuda.get_device_name(device)), "machine": machine}


def card_of(device: str) -> int | str:
    """Return the card of a device of torch as a meter knows it: by its UUID, since numbers may be other ones."""
    from thrifty.device.nvml import cards

    torch: Any = require_torch()
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    return uuid if uuid in {card.uuid for card in cards()[0]} else 0


def _processor() -> str:
    """Name of the processor, as its vendor writes it."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        told = ""
    found = re.search(r"^(?:model name|Model|cpu model)\s*: (.+)$", told, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "unknown processor"
