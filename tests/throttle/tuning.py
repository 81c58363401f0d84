"""Sets a device at random until it is killed: `python -m tests.throttle.tuning KIND ROOT SEED STARTED [alone]`."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from unittest import mock

from tests.throttle.trees import KINDS
from thrifty.throttle import Nvml, hold


def main(kind: str, root: str, seed: str, started: str) -> None:
    device = Nvml("GPU-fake-0") if kind == "nvml" else KINDS[kind][1](Path(root))
    rng = random.Random(int(seed))
    while True:
        device.apply({knob.name: rng.choice(knob.values) for knob in device.knobs()})
        Path(started).touch()


if sys.argv[5:] == ["alone"]:  # a fault for those who look whether it is seen
    hold.Watchdog = mock.MagicMock()  # type: ignore[misc]
main(*sys.argv[1:5])
