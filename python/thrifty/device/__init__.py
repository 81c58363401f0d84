"""What work costs on a device: decoders by exact counts and times measured in a minute, anything by counters of energy.

>>> from thrifty.device import shape_of
>>> llama = shape_of("llama-2-7b")
>>> llama.parameters, llama.flops(context=1023)
(6738415616, 13751025664)
>>> from thrifty.device import Meter, measure
>>> found = measure(lambda: sum(range(20_000)), meter=Meter("cpu"), max_seconds=0.5, warm=0)
>>> f"{found.unit} of {found.source}"
'CPU-s of CPU-seconds of the process and its children'
"""

from thrifty.device.calibration import calibrate
from thrifty.device.config import KNOWN, shape_of
from thrifty.device.energy import Energy, Joules
from thrifty.device.generation import Latencies
from thrifty.device.meter import Meter
from thrifty.device.profile import DeviceProfile, Latency
from thrifty.device.saving import Saving, compare
from thrifty.device.shape import ModelShape
from thrifty.device.timing import Point, Timing
from thrifty.device.windows import Measurement, measure

__all__ = [
    "KNOWN",
    "DeviceProfile",
    "Energy",
    "Joules",
    "Latencies",
    "Latency",
    "Measurement",
    "Meter",
    "ModelShape",
    "Point",
    "Saving",
    "Timing",
    "calibrate",
    "compare",
    "measure",
    "shape_of",
]
