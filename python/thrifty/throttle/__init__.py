"""Least energy under a latency limit: settings of a device and a workload, found by few measurements (2310.19991).

>>> from thrifty.throttle import Constraint, Knob, Tuner
>>> knobs = [Knob("clock_mhz", [600, 900, 1200, 1500]), Knob("batch", [1, 2, 4, 8])]
>>> tuner = Tuner(knobs, objective="energy_j", constraints=[Constraint("latency_s", upper=0.02)], seed=1)
>>> while (setting := tuner.ask()) is not None and len(tuner) < 8:
...     clock, batch = setting["clock_mhz"], setting["batch"]
...     seconds = 0.004 + 3.0 * batch / clock
...     _ = tuner.tell(setting, {"energy_j": seconds * (20 + (clock / 400) ** 3) / batch, "latency_s": seconds})
>>> tuner.best.setting
{'clock_mhz': 900, 'batch': 4}
"""

from thrifty.throttle.admission import Admission
from thrifty.throttle.backends.amd import Amd
from thrifty.throttle.backends.call import Call
from thrifty.throttle.backends.cpufreq import CpuFreq
from thrifty.throttle.backends.find import find
from thrifty.throttle.backends.jetson import Jetson
from thrifty.throttle.backends.nvml import Nvml
from thrifty.throttle.backends.powercap import PowerCap
from thrifty.throttle.backends.sim import Sim
from thrifty.throttle.device import Device, Joined, Permission
from thrifty.throttle.evaluation import Constraint, Evaluation
from thrifty.throttle.latency import LatencyModel, Prediction, Work
from thrifty.throttle.replay import Replay
from thrifty.throttle.restore import Recovered, recover
from thrifty.throttle.space import Knob, Space
from thrifty.throttle.tuner import Tuner
from thrifty.throttle.watch import Watcher

__all__ = [
    "Admission",
    "Amd",
    "Call",
    "Constraint",
    "CpuFreq",
    "Device",
    "Evaluation",
    "Jetson",
    "Joined",
    "Knob",
    "LatencyModel",
    "Nvml",
    "Permission",
    "PowerCap",
    "Prediction",
    "Recovered",
    "Replay",
    "Sim",
    "Space",
    "Tuner",
    "Watcher",
    "Work",
    "find",
    "recover",
]
