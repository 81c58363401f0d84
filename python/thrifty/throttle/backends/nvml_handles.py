"""Settings of NVIDIA cards by NVML: a handle is a card's UUID and a setting, as "GPU-…:power_limit_mw".

No call tells whether clocks are locked, so what is found there is None, unlocked, and putting that back is a reset.
Standard library and nvidia-ml-py alone: the process that restores loads nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Any

from thrifty.errors import DeviceBusy, DeviceLost, MissingExtra, NotPermitted

__all__ = ["CLOCKS", "LIMIT", "call", "card", "get", "library", "put", "refusal"]

LIMIT = "power_limit_mw"
#: Locked clocks, by the part of the calls' names that says which.
CLOCKS = {"locked_gpu_mhz": "Gpu", "locked_memory_mhz": "Memory"}
#: Where containers have the driver's library, which their loader does not always know.
IN_CONTAINERS = "/usr/local/nvidia/lib64/libnvidia-ml.so.1"
_CAP_SYS_ADMIN = 21
_begun: set[int] = set()


def library() -> Any:
    """Return nvidia-ml-py with the driver's library loaded.

    Raises
    ------
    MissingExtra
        Without nvidia-ml-py.
    DeviceLost
        Without the driver's library, or where it does not start.
    """
    try:
        import pynvml
    except ImportError:
        raise MissingExtra("NVIDIA cards need nvidia-ml-py: pip install 'thrifty[nvidia]'") from None
    if os.getpid() not in _begun:
        try:
            _load(pynvml)
        except pynvml.NVMLError as error:
            raise DeviceLost(f"nvmlInit: {error}; there is no NVIDIA driver here, or it is not loaded") from None
        _begun.add(os.getpid())
    return pynvml


def _load(nvml: Any) -> None:
    try:
        nvml.nvmlInit()
    except nvml.NVMLError_LibraryNotFound:
        if not os.path.exists(IN_CONTAINERS):
            raise
        ctypes.CDLL(IN_CONTAINERS)  # the loader finds what is loaded already by its name
        nvml.nvmlInit()


def call(name: str, *arguments: Any) -> Any:
    """Call a function of NVML; its errors become those of thrifty, with its name.

    Raises
    ------
    NotPermitted
        Where the user may not, or the driver does not take a value.
    DeviceBusy, DeviceLost
        Where the card is in use, or gone.
    """
    nvml = library()
    try:
        return getattr(nvml, name)(*arguments)
    except nvml.NVMLError as error:
        raise _meaning(nvml, name, error) from None


def _meaning(nvml: Any, name: str, error: Any) -> Exception:
    code = error.value
    if code == nvml.NVML_ERROR_NO_PERMISSION:
        return NotPermitted(f"{name}: {error}; run as root, in a container with --cap-add SYS_ADMIN")
    if code in {nvml.NVML_ERROR_IN_USE, nvml.NVML_ERROR_NOT_READY}:
        return DeviceBusy(f"{name}: {error}; end what holds the card, and try again")
    if code in {nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED, nvml.NVML_ERROR_NOT_FOUND}:
        return DeviceLost(f"{name}: {error}; the card does not answer")
    return NotPermitted(f"{name}: {error}; this card or driver does not do that")


def card(uuid: str) -> Any:
    """Return what NVML calls a card by."""
    return call("nvmlDeviceGetHandleByUUID", uuid)


def get(handle: str) -> Any:
    """Read a power limit in mW; None for locked clocks, which nothing tells."""
    uuid, setting = _parts(handle)
    return call("nvmlDeviceGetPowerManagementLimit", card(uuid)) if setting == LIMIT else None


def put(handle: str, value: Any) -> None:
    """Set a power limit in mW, or lock clocks to one in MHz; None unlocks."""
    uuid, setting = _parts(handle)
    if setting == LIMIT and type(value) is int:
        call("nvmlDeviceSetPowerManagementLimit", card(uuid), value)
    elif setting in CLOCKS and value is None:
        call(f"nvmlDeviceReset{CLOCKS[setting]}LockedClocks", card(uuid))
    elif setting in CLOCKS and type(value) is int:
        call(f"nvmlDeviceSet{CLOCKS[setting]}LockedClocks", card(uuid), value, value)
    else:
        raise NotPermitted(f"{handle}: {value!r} can't be set there")


def _parts(handle: str) -> tuple[str, str]:
    uuid, _, setting = handle.rpartition(":")
    if setting != LIMIT and setting not in CLOCKS:
        raise NotPermitted(f"{handle}: there is no such setting; known are {LIMIT}, {', '.join(CLOCKS)}")
    return uuid, setting


def refusal(setting: str) -> tuple[str, str] | None:
    """Say what would refuse to set something, and the fix, without trying: setters need CAP_SYS_ADMIN."""
    able = 0
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/self/status", encoding="ascii") as file:
        able = int(next(line for line in file if line.startswith("CapEff:")).split()[1], 16)
    if able >> _CAP_SYS_ADMIN & 1:
        return None
    name = "PowerManagementLimit" if setting == LIMIT else f"{CLOCKS[setting]}LockedClocks"
    return f"nvmlDeviceSet{name}: Insufficient Permissions", "run as root, in a container with --cap-add SYS_ADMIN"
