"""What NVIDIA's management library tells of a card; nothing is ever set. It is loaded as it lies, without a package."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from thrifty.errors import CounterFault

__all__ = ["Card", "cards"]

#: Where the loader finds it, and where containers have the driver.
LIBRARIES = ("libnvidia-ml.so.1", "/usr/local/nvidia/lib64/libnvidia-ml.so.1")
#: Sensor 0 is the chip; of the library's return codes only these are told apart.
CHIP, DONE, NOT_SUPPORTED = 0, 0, 3


class Card:
    """A card: totals, power and temperature, each as the library has it.

    Parameters
    ----------
    library : ctypes library
        Initialised.
    handle : ctypes.c_void_p
        Of the card.

    Attributes
    ----------
    uuid, name : str
        As ``nvidia-smi -L`` prints them.
    """

    def __init__(self, library: Any, handle: Any) -> None:
        self._library, self._handle = library, handle
        self.uuid = self._text("nvmlDeviceGetUUID")
        self.name = self._text("nvmlDeviceGetName")

    def millijoules(self) -> int:
        """Return the energy since the driver was loaded."""
        return self._number("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong())

    def watts(self) -> float:
        """Return the power; on cards of today a mean of the last second."""
        return self._number("nvmlDeviceGetPowerUsage", ctypes.c_uint()) / 1e3

    def celsius(self) -> float:
        """Return the temperature of the chip."""
        return float(self._number("nvmlDeviceGetTemperature", ctypes.c_uint(), CHIP))

    def has(self, what: str) -> bool:
        """Whether the card can tell this: "millijoules", "watts" or "celsius"."""
        try:
            getattr(self, what)()
        except CounterFault:
            return False
        return True

    def _number(self, call: str, value: Any, *arguments: int) -> int:
        function = getattr(self._library, call, None)
        if function is None:
            raise CounterFault(f"{self.uuid}: the driver's library has no {call}; a newer driver is needed")
        code = function(self._handle, *arguments, ctypes.byref(value))
        if code != DONE:
            raise CounterFault(f"{self.uuid}: {call}: {meaning(self._library, code)}")
        return int(value.value)

    def _text(self, call: str) -> str:
        text = ctypes.create_string_buffer(96)
        code = getattr(self._library, call)(self._handle, text, ctypes.c_uint(len(text)))
        if code != DONE:
            raise CounterFault(f"{call}: {meaning(self._library, code)}")
        return text.value.decode(errors="replace")


def meaning(library: Any, code: int) -> str:
    """Return the library's own words for a return code."""
    words = library.nvmlErrorString
    words.restype = ctypes.c_char_p
    return f"{(words(ctypes.c_int(code)) or b'unknown error').decode(errors='replace')} (code {code})"


def cards(library: str | None = None) -> list[Card]:
    """Return the cards of this machine; none where there is no driver.

    Parameters
    ----------
    library : str, optional
        Of the management library, another than the driver's (or ``THRIFTY_NVML``).

    Raises
    ------
    CounterFault
        Where there is a driver and it does not answer.
    """
    given = library or os.environ.get("THRIFTY_NVML")
    found = _loaded((given,) if given else LIBRARIES)
    if found is None:
        return []
    code = found.nvmlInit_v2()
    if code != DONE:
        raise CounterFault(f"nvmlInit_v2: {meaning(found, code)}")
    count = ctypes.c_uint()
    code = found.nvmlDeviceGetCount_v2(ctypes.byref(count))
    if code != DONE:
        raise CounterFault(f"nvmlDeviceGetCount_v2: {meaning(found, code)}")
    there = []
    for number in range(count.value):
        handle = ctypes.c_void_p()
        code = found.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), ctypes.byref(handle))
        if code != DONE:
            raise CounterFault(f"nvmlDeviceGetHandleByIndex_v2 of card {number}: {meaning(found, code)}")
        there.append(Card(found, handle))
    return there


def _loaded(names: tuple[str, ...]) -> Any:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None
