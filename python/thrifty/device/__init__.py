"""What decoders cost on a device: exact counts of a shape, and times measured in a minute that tell those of others.

>>> from thrifty.device import shape_of
>>> llama = shape_of("llama-2-7b")
>>> llama.parameters, llama.flops(context=1023)
(6738415616, 13751025664)
"""

from thrifty.device.config import KNOWN, shape_of
from thrifty.device.measure import Point, Timing
from thrifty.device.profile import DeviceProfile, Latency, calibrate
from thrifty.device.shape import ModelShape

__all__ = ["KNOWN", "DeviceProfile", "Latency", "ModelShape", "Point", "Timing", "calibrate", "shape_of"]
