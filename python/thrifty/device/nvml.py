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
    number : int
        Of the card.

    Attributes
    ----------
    number : int
        As ``nvidia-smi -L`` counts.
    uuid, name : str
        As ``nvidia-smi -L`` prints them.

    Raises
    ------
    CounterFault
        Where it does not answer.
    """

    def __init__(self, library: Any, number: int) -> None:
        self._library, self._handle, self.number = library, ctypes.c_void_p(), number
        _called(library, "nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(number), ctypes.byref(self._handle))
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
        try:
            _called(self._library, call, self._handle, *arguments, ctypes.byref(value))
        except CounterFault as fault:
            raise CounterFault(f"{self.uuid}: {fault}") from None
        return int(value.value)

    def _text(self, call: str) -> str:
        text = ctypes.create_string_buffer(96)
        _called(self._library, call, self._handle, text, ctypes.c_uint(len(text)))
        return text.value.decode(errors="replace")


def _called(library: Any, call: str, *arguments: Any) -> None:
    """Call a function of the library; a CounterFault where there is none, or it says so."""
    function = getattr(library, call, None)
    if function is None:
        raise CounterFault(f"the driver's library has no {call}; a newer driver is needed")
    code = function(*arguments)
    if code != DONE:
        raise CounterFault(f"{call}: {meaning(library, code)}")


def meaning(library: Any, code: int) -> str:
    """Return the library's own words for a return code."""
    words = getattr(library, "nvmlErrorString", None)
    if words is None:
        return f"code {code}"
    words.restype = ctypes.c_char_p
    return f"{(words(ctypes.c_int(code)) or b'unknown error').decode(errors='replace')} (code {code})"


def cards(library: str | None = None) -> tuple[list[Card], list[str]]:
    """Return the cards of this machine, and why others are left out; neither where there is no library.

    Parameters
    ----------
    library : str, optional
        Of the management library, another than the driver's (or ``THRIFTY_NVML``).
    """
    given = library or os.environ.get("THRIFTY_NVML")
    found = _loaded((given,) if given else LIBRARIES)
    there: list[Card] = []
    out: list[str] = []
    if found is None:
        return there, out
    count = ctypes.c_uint()
    try:
        _called(found, "nvmlInit_v2")
        _called(found, "nvmlDeviceGetCount_v2", ctypes.byref(count))
    except CounterFault as fault:
        return there, [f"nvml: {fault}"]
    for number in range(count.value):
        try:
            there.append(Card(found, number))
        except CounterFault as fault:
            out.append(f"nvml: card {number}: {fault}")
    return there, out


def _loaded(names: tuple[str, ...]) -> Any:
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None
