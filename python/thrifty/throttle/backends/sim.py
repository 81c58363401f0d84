"""A simulated board: a formula in the place of hardware. Nothing that it tells was measured on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thrifty.throttle.device import Permission, check, known
from thrifty.throttle.space import Knob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thrifty.throttle.space import Value

__all__ = ["WORKLOADS", "Sim"]

#: Clocks of a Jetson TX2, in MHz.
CLOCKS = {
    "cpu_mhz": (345.6, 499.2, 652.8, 806.4, 960, 1113.6, 1267.2, 1420.8),
    "gpu_mhz": (
        *(114.75, 216.75, 318.75, 420.75, 522.75, 624.75, 726.75),
        *(854.25, 930.75, 1032.75, 1122, 1236.75, 1300.5),
    ),
    "emc_mhz": (40.8, 68, 102, 204, 408, 665.6, 800, 1062.4, 1331.2, 1600, 1866),
}
#: What clocks are divided by, in MHz.
UNITS = {"cpu_mhz": 1420.0, "gpu_mhz": 1300.0, "emc_mhz": 1866.0}
#: Seconds of a run: a constant, and what is divided by each clock. Fits to measured runs on a Jetson TX2 (mean errors
#: of 2.1 to 7.0 %).
WORKLOADS = {
    "sssp": (0.30, {"cpu_mhz": 1.11, "gpu_mhz": 0.18, "emc_mhz": 0.46}),
    "mixbench": (0.0, {"gpu_mhz": 9.47, "emc_mhz": 0.51}),
    "memory": (37.97, {"cpu_mhz": 33.37, "emc_mhz": 2.69}),
}


class Sim:
    """A simulated Jetson TX2 that runs one workload.

    Parameters
    ----------
    workload : {"sssp", "mixbench", "memory"}
    watts : sequence of 4 numbers, optional
        Idle power, and what processors, graphics and memory draw at their largest clocks; each goes with the third
        power of its clock. They are an assumption of who gives them; without them there is no power and no energy.

    Raises
    ------
    ValueError
        For an unknown workload, or watts that are not 4 numbers of at least 0.

    Examples
    --------
    >>> device = Sim("mixbench", watts=(3, 1, 8, 2))
    >>> device.apply({"gpu_mhz": 1122, "emc_mhz": 800})
    {'gpu_mhz': 1122, 'emc_mhz': 800}
    >>> measured = device.measure()
    >>> round(measured["time_s"], 2), round(measured["energy_j"], 1)
    (12.16, 113.1)
    """

    simulated = True

    def __init__(self, workload: str = "sssp", watts: Sequence[float] | None = None) -> None:
        if workload not in WORKLOADS:
            raise ValueError(f"workload: {workload!r} is none of {', '.join(WORKLOADS)}")
        if watts is not None and (len(watts) != 1 + len(CLOCKS) or min(watts) < 0):
            raise ValueError(f"watts: {list(watts)}; there must be {1 + len(CLOCKS)} numbers of at least 0")
        self.id = f"simulated:tx2/{workload}"
        self._constant, self._shares = WORKLOADS[workload]
        self._watts = None if watts is None else tuple(map(float, watts))
        self._knobs = [Knob(name, clocks, unit="MHz") for name, clocks in CLOCKS.items()]
        self._now: dict[str, Value] = {name: clocks[-1] for name, clocks in CLOCKS.items()}

    def knobs(self) -> list[Knob]:
        """Return the clocks of processors, graphics and memory."""
        return list(self._knobs)

    def _parts(self) -> dict[str, float]:
        return {name: float(clock) / UNITS[name] for name, clock in self._now.items()}

    def measure(self) -> dict[str, float]:
        """Return ``time_s`` of a run and, where watts were given, ``power_w`` and ``energy_j``."""
        parts = self._parts()
        seconds = self._constant + sum(share / parts[name] for name, share in self._shares.items())
        if self._watts is None:
            return {"time_s": seconds}
        idle, *rest = self._watts
        power = idle + sum(watts * part**3 for watts, part in zip(rest, parts.values(), strict=True))
        return {"time_s": seconds, "power_w": power, "energy_j": power * seconds}

    def read(self) -> dict[str, Value]:
        """Return the clocks."""
        return dict(self._now)

    def can_set(self, name: str) -> Permission:
        """Say yes."""
        known(self._knobs, name, self.id)
        return Permission(True)

    def apply(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """Set clocks."""
        check(self._knobs, setting, self.id)
        self._now |= setting
        return dict(setting)

    def restore(self) -> None:
        """Set the largest clocks, which were there first."""
        self._now = {name: clocks[-1] for name, clocks in CLOCKS.items()}
