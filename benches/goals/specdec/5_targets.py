"""A quarter of the requests want ids within some milliseconds of each other: how many come in time, at what price.

An hour of a conversation service (Azure, 19,366 requests) on the simulated H100 of 5_replay: noise, padded sizes, 20 %
longer steps from the middle on, kinds of requests that nobody is told. The planner that hears of targets is held
against the same that does not; both meet the same luck. Requests come as they did, or half as fast again.

in time/: share of the ids that have a time to come at which came by then.
misses/: of the ids that are late without targets, those that are not with them.
price/: time of the device, and from arrival to end of all requests in the mean, over those without targets.
harm/: where requests come twice and four times as fast, most can't have what they want; then targets are to cost nobody
anything: the late ids over those without targets, and time of the device.
same/: requests whose times or steps differ by a bit between a planner that has no targets and one without any.

--planted: nobody is told of targets, and who has none meets other luck.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import Goal

from device import h100
from thrifty.specdec import Replay, SimulatedDevice, Simulator, Trace

goal = Goal(__file__, __doc__, ("scipy",))
MIXES = {"alike": [0.55, 0.65, 0.75], "mixed": [0.2, 0.6, 0.95]}
SHARE = 0.25
OURS = "planner deaf" if goal.planted else "planner"
CASES = [(1.0, 12.0), (1.0, 15.0), (1.5, 15.0)]
CROWDED = [(2.0, 20.0), (4.0, 30.0)]

TRACE = Trace.read(goal.data("specdec/azure_llm_2023_conv.csv"))
DEVICE = SimulatedDevice(**h100(goal))


def simulator(mix: str, tbt_ms: float | None) -> Simulator:
    return Simulator(TRACE, DEVICE, MIXES[mix], fall=0.97, turn=0.3, tbt_ms=tbt_ms, tbt_share=SHARE)


def late(replay: Replay) -> int:
    return replay.paced - replay.in_time


def both(mix: str, speed: float, tbt_ms: float) -> tuple[Replay, Replay]:
    ours, deaf = simulator(mix, tbt_ms).compare([OURS, "planner deaf"], speeds=[speed], seed=goal.seed)
    assert ours.lost == deaf.lost == 0
    assert ours.paced == deaf.paced > 0
    return ours, deaf


def price(name: str, part: str, ours: Replay, deaf: Replay) -> None:
    what = f"{name}: time of the device, over that without targets"
    goal.row(f"{part}/{name} device", what, "<= 1.05", ours.busy_seconds / deaf.busy_seconds, "times")


def main() -> None:
    for mix in MIXES:
        for speed, tbt_ms in CASES:
            name = f"{speed:g}x {mix} {tbt_ms:g} ms"
            ours, deaf = both(mix, speed, tbt_ms)
            share, before = ours.in_time / ours.paced, deaf.in_time / deaf.paced
            what = f"{name}: share of {ours.paced:,} ids in time; {before:.4f} without targets"
            goal.row(f"in time/{name}", what, ">= 0.95", share)
            gone = 1 - late(ours) / late(deaf)
            goal.row(f"misses/{name}", f"{name}: of {late(deaf):,} late ids, those that are not", ">= 0.5", gone)
            price(name, "price", ours, deaf)
            ratio = float(ours.end_ms.mean() / deaf.end_ms.mean())
            what = f"{name}: mean from arrival to end, over that without targets"
            goal.row(f"price/{name} end", what, "<= 1.1", ratio, "times")
        for speed, tbt_ms in CROWDED:
            name = f"{speed:g}x {mix} {tbt_ms:g} ms"
            ours, deaf = both(mix, speed, tbt_ms)
            what = f"{name}: late ids over {late(deaf):,} without targets"
            goal.row(f"harm/{name} late", what, "<= 1", late(ours) / late(deaf), "times")
            price(name, "harm", ours, deaf)
        for speed in (1.0, 4.0):
            plain = simulator(mix, None).run("planner", speed=speed, seed=goal.seed + goal.planted)
            deaf = simulator(mix, 20.0).run("planner deaf", speed=speed, seed=goal.seed)
            differ = int(((plain.end_ms != deaf.end_ms) | (plain.first_ms != deaf.first_ms)).sum())
            differ += abs(plain.steps - deaf.steps) + abs(plain.drafted - deaf.drafted)
            goal.row(f"same/{speed:g}x {mix}", f"{speed:g}x {mix}: differences without targets", "== 0", differ)


main()
goal.end()
