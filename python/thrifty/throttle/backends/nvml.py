"""NVIDIA cards: locked clocks and power limit are set, energy, power, clocks and temperature read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from thrifty.errors import DeviceLost, NotPermitted, ThriftyError
from thrifty.throttle.backends.files import knob_of
from thrifty.throttle.backends.nvml_handles import LIMIT, call, card, library, refusal
from thrifty.throttle.device import Permission, Settable, known

if TYPE_CHECKING:
    from collections.abc import Callable

    from thrifty.throttle.space import Knob, Value

__all__ = ["Nvml", "nvml_cards"]

#: Watts between the power limits that the knob has.
STEP_W = 25
#: The first architectures whose clocks can be locked: Volta, and Ampere for memory.
VOLTA, AMPERE = 5, 7
SETTINGS = {"gpu_mhz": "locked_gpu_mhz", "memory_mhz": "locked_memory_mhz", "power_limit_w": LIMIT}
IDLE = 0x1
REASONS = {
    IDLE: "idle",
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
    0x100: "display clock",
}


class Nvml(Settable):
    """One card.

    Clocks are locked to one value; putting back unlocks them, since no call tells whether somebody had locked them.

    Parameters
    ----------
    uuid : str, optional
        "GPU-…", as nvidia-smi -L tells; the first card by default.

    Raises
    ------
    MissingExtra
        Without nvidia-ml-py.
    DeviceLost
        Without a driver or a card.
    """

    backend: ClassVar[str] = "nvml"

    def __init__(self, uuid: str | None = None) -> None:
        uuid = uuid or next(iter(cards()), None)
        if uuid is None:
            raise DeviceLost("nvmlDeviceGetCount: there is no NVIDIA card here")
        super().__init__(uuid)
        self._card = card(uuid)
        self.name: str = call("nvmlDeviceGetName", self._card)
        self._asked: dict[str, Value] = {}
        self._knobs = {knob.name: knob for knob in self._find()}

    def _find(self) -> list[Knob]:
        found = []
        architecture = _maybe("nvmlDeviceGetArchitecture", self._card) or 0
        memory = _maybe("nvmlDeviceGetSupportedMemoryClocks", self._card) or []
        clocks = _maybe("nvmlDeviceGetSupportedGraphicsClocks", self._card, max(memory)) if memory else None
        if clocks and architecture >= VOLTA:
            found.append(knob_of("gpu_mhz", clocks, "MHz", max(clocks)))
        if len(memory) > 1 and architecture >= AMPERE:
            found.append(knob_of("memory_mhz", memory, "MHz", max(memory)))
        limits = _maybe("nvmlDeviceGetPowerManagementLimitConstraints", self._card)
        now = _maybe("nvmlDeviceGetPowerManagementLimit", self._card)
        if limits and now:
            least, largest = (limit / 1000 for limit in limits)
            steps = range(-(-int(least) // STEP_W) * STEP_W, int(largest) + 1, STEP_W)
            found.append(knob_of("power_limit_w", [least, *steps, largest, now / 1000], "W", now / 1000))
        return found

    def knobs(self) -> list[Knob]:
        """Return what can be set."""
        return list(self._knobs.values())

    def read(self) -> dict[str, Value]:
        """Return what is set and measured now; what this card does not tell is left out.

        Under load, gpu_mhz and memory_mhz are the clocks that there are, else those that were asked for: an idle card
        lowers them by itself. ``clock_limits`` says in words what keeps clocks low.
        """
        nvml = library()
        reasons = _maybe("nvmlDeviceGetCurrentClocksEventReasons", self._card)
        clocks = {
            "gpu_mhz": _maybe("nvmlDeviceGetClockInfo", self._card, nvml.NVML_CLOCK_GRAPHICS),
            "memory_mhz": _maybe("nvmlDeviceGetClockInfo", self._card, nvml.NVML_CLOCK_MEM),
        }
        found: dict[str, Any] = dict(clocks)
        if reasons is None or reasons & IDLE:
            found |= {name: self._asked.get(name, knob.default) for name, knob in self._knobs.items() if name in clocks}
        milli: dict[str, Callable[[], Any]] = {
            "power_limit_w": lambda: _maybe("nvmlDeviceGetPowerManagementLimit", self._card),
            "power_w": lambda: _maybe("nvmlDeviceGetPowerUsage", self._card),
            "energy_j": lambda: _maybe("nvmlDeviceGetTotalEnergyConsumption", self._card),
        }
        for name, read in milli.items():
            value = read()
            found[name] = None if value is None else value / 1000
        found["temperature_c"] = _maybe("nvmlDeviceGetTemperature", self._card, nvml.NVML_TEMPERATURE_GPU)
        if reasons is not None:
            found["clock_limits"] = ", ".join(text for bit, text in REASONS.items() if reasons & bit) or "none"
        found |= {f"{name.removesuffix('_mhz')}_now_mhz": clock for name, clock in clocks.items()}
        return {name: _plain(value) for name, value in found.items() if value is not None}

    def can_set(self, name: str) -> Permission:
        """Say whether this process may set something; no setter is called."""
        known(self.knobs(), name, self.id)
        why = refusal(SETTINGS[name])
        return Permission(True) if why is None else Permission(False, *why)

    def writes(self, name: str, value: Value) -> list[tuple[str, Any]]:
        """Return the handle of a setting and its value as NVML has it."""
        self._asked[name] = value
        scale = 1000 if name == "power_limit_w" else 1
        return [(f"{self.id}:{SETTINGS[name]}", round(float(value) * scale))]

    def restore(self) -> None:
        """Put back what was found: the power limit, and unlocked clocks."""
        super().restore()
        self._asked.clear()


def cards() -> list[str]:
    """Return the UUIDs of all cards."""
    count = call("nvmlDeviceGetCount")
    return [call("nvmlDeviceGetUUID", call("nvmlDeviceGetHandleByIndex", index)) for index in range(count)]


def nvml_cards() -> tuple[list[Nvml], list[str]]:
    """Return the cards of this machine, and why others are not among them."""
    found, out = [], []
    for index in range(call("nvmlDeviceGetCount")):
        try:
            found.append(Nvml(call("nvmlDeviceGetUUID", call("nvmlDeviceGetHandleByIndex", index))))
        except ThriftyError as error:
            out.append(f"card {index}: {error}")
    return found, out


def _maybe(name: str, *arguments: Any) -> Any:
    """Call a function that not every card has; None where this one has it not."""
    try:
        return call(name, *arguments)
    except NotPermitted:
        return None


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
