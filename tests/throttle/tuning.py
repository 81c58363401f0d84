"""Sets a device at random until it is killed: `python -m tests.throttle.tuning KIND ROOT SEED STARTED`."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from tests.throttle.trees import KINDS
from thrifty.throttle import Nvml


def main(kind: str, root: str, seed: str, started: str) -> None:
    device = Nvml() if kind == "nvml" else KINDS[kind][1](Path(root))
    rng = random.Random(int(seed))
    while True:
        device.apply({knob.name: rng.choice(knob.values) for knob in device.knobs()})
        Path(started).touch()


main(*sys.argv[1:])
