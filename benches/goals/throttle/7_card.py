"""Joules a token of a decoder on a card, under a latency limit: batch x dtype x graph x attention, reading alone.

No clock, limit or mode is set. A decoder of 435 million parameters serves a batch behind caches of 512 ids. The default
is a batch of 8 in bfloat16, as torch runs it by itself; the limit is twice its time a token (95th percentile of calls).
Combinations that torch refuses are found first and left out; what fails later (memory) counts as far over the limit.

tune: the best setting found against the default by turns (ABBA): its saving with a 95 % interval, its time a token
against the limit, settings measured; and what its dtype, graph and attention save at the default's batch.
agree: the card's energy counter over its power summed up, in steady work of the default and of the best.

Measurements are kept in --kept as they come and are not made again; where there is no card they are judged alone.
--minutes is for all of it. --toy yes rehearses on a CPU, at toy size, with CPU-seconds for joules.

--planted has the default in the place of the best (where there is a card), and a counter that counts a tenth too much.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from rows import Goal

from cases.serving import BACKENDS, DTYPES, Server, Sizes, weights
from thrifty.device import Meter, Saving, compare, measure
from thrifty.device.nvml import cards
from thrifty.errors import CounterFault
from thrifty.throttle import Constraint, Knob, Space, Tuner

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(
    __file__,
    __doc__,
    ("torch", "scipy"),
    {"kept": str(Path(tempfile.gettempdir()) / "throttle_card.jsonl"), "minutes": "8", "toy": "no"},
)
TOY = goal.options["toy"] == "yes"
if TOY:
    torch.set_num_threads(1)
CARD = torch.cuda.is_available() and not TOY
if TOY:
    SIZES = Sizes(vocab=256, dim=64, layers=2, heads=4, hidden=128, cache=32)
    WINDOW, WARM, CALL, STEADY, ROUNDS, MOST = 0.3, 0.5, 0.005, 0.5, 3, 12
    BATCHES, DEFAULT_BATCH = [1, 2, 4, 8, 16], 2
else:
    SIZES = Sizes(vocab=32_000, dim=1024, layers=24, heads=16, hidden=4096, cache=512)
    WINDOW, WARM, CALL, STEADY, ROUNDS, MOST = 5.0, 3.0, 0.05, 10.0, 4, 40
    BATCHES, DEFAULT_BATCH = [1, 2, 4, 8, 16, 32, 64, 128], 8
DEFAULT = {"batch": DEFAULT_BATCH, "dtype": "bfloat16", "graph": "no", "attention": "auto"}
#: Seconds that all but the search takes: two comparisons, two visits of steady work, and making servers.
REST = 2 * ROUNDS * 4 * WINDOW + 2 * (STEADY + WARM) + 6 * WARM + 5
PLANTED = 1.1


class Kept:
    """Measurements by name, as lines of a file; those of another device are none of ours."""

    def __init__(self, path: Path, device: str | None) -> None:
        self.path, lines = path, []
        if path.exists():
            # The last line is half a line where a command was stopped.
            lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        self.device = device or (lines[-1]["device"] if lines else None)
        if goal.planted:
            lines = [line for line in lines if device is None or not line["key"].startswith("against")]
        self.there = {line["key"]: line for line in lines if line["device"] == self.device}

    def get(self, key: str, work: Callable[[], dict[str, Any]] | None) -> dict[str, Any]:
        if key not in self.there:
            if work is None or not (CARD or TOY):
                raise goal.absent(f"{key}: not measured, and there is no card")
            self.there[key] = {"key": key, "device": self.device, **work()}
            if not goal.planted:
                with self.path.open("a") as file:
                    file.write(json.dumps(self.there[key]) + "\n")
            print(json.dumps(self.there[key]), file=sys.stderr, flush=True)
            release()
        return self.there[key]


class Bench:
    """Servers of settings, and the meters that read beside them."""

    def __init__(self) -> None:
        device = "cuda" if CARD else "cpu"
        self.weights = weights(SIZES, device, goal.seed)
        if CARD:
            uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
            card: int | str = uuid if uuid in {one.uuid for one in cards()[0]} else 0
            try:
                self.meter, self.power = Meter("nvml", card=card), Meter("nvml-power", card=card)
            except CounterFault as fault:
                raise goal.absent(f"the card tells no joules: {fault}") from None
        else:
            self.meter = self.power = Meter("cpu")

    def server(self, setting: dict[str, Any]) -> Server:
        one = Server(
            SIZES,
            self.weights,
            batch=setting["batch"],
            dtype=setting["dtype"],
            graph=setting["graph"] == "yes",
            attention=setting["attention"],
        )
        for _ in range(3):
            one.step()
        one.wait()
        return one

    def work(self, setting: dict[str, Any]) -> tuple[Callable[[], None], int]:
        """Work of about CALL seconds that is done when it returns, and its steps."""
        one = self.server(setting)
        begun = time.perf_counter()
        for _ in range(5):
            one.step()
        one.wait()
        steps = max(1, round(CALL / ((time.perf_counter() - begun) / 5)))

        def call() -> None:
            for _ in range(steps):
                one.step()
            one.wait()

        return call, steps

    def runs(self, setting: dict[str, Any]) -> dict[str, Any]:
        """Whether torch can do it at all."""
        try:
            self.server(setting)
        except Exception as error:
            return {"runs": False, "why": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        return {"runs": True}

    def measured(self, setting: dict[str, Any]) -> dict[str, Any]:
        """What a setting takes; what fails is said and no error."""
        try:
            call, steps = self.work(setting)
            found = measure(call, meter=self.meter, window=WINDOW, max_seconds=WINDOW, warm=WARM)
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        return {
            "energy": found.cost / (steps * setting["batch"]),
            "tpot_s": float(np.quantile(found.latency_s, 0.95)) / steps,
            "unit": found.unit,
            "source": found.source,
            "watts": found.power_w,
            "celsius": found.temperature_c,
            "calls": found.n,
            "notes": list(found.notes),
        }

    def against(self, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        """The saving a token of one setting against another."""
        (first, steps_a), (second, steps_b) = self.work(a), self.work(b)
        found: Saving = compare(first, second, meter=self.meter, rounds=ROUNDS, window=WINDOW, warm=WARM)
        tokens_a, tokens_b = steps_a * a["batch"], steps_b * b["batch"]
        scale = tokens_a / tokens_b
        return {
            "share": 1 - (1 - found.share) * scale,
            "low": 1 - (1 - found.low) * scale,
            "high": 1 - (1 - found.high) * scale,
            "a": found.a.cost / tokens_a,
            "b": found.b.cost / tokens_b,
            "tpot_a": float(np.quantile(found.a.latency_s, 0.95)) / steps_a,
            "tpot_b": float(np.quantile(found.b.latency_s, 0.95)) / steps_b,
            "watts": [found.a.power_w, found.b.power_w],
            "source": found.a.source,
            "unit": found.a.unit,
        }

    def agreement(self, setting: dict[str, Any]) -> dict[str, Any]:
        """Joules of the counter over joules of power, in the same seconds."""
        call, _ = self.work(setting)
        until(call, WARM)
        with self.meter, self.power:
            before = self.meter.read(), self.power.read()
            until(call, STEADY)
            after = self.meter.read(), self.power.read()
        counted, summed = (b.joules - a.joules for a, b in zip(before, after, strict=True))
        counted *= PLANTED if goal.planted else 1.0
        seconds = after[0].seconds - before[0].seconds
        return {
            "counted": counted,
            "summed": summed,
            "seconds": seconds,
            "names": [self.meter.source, self.power.source],
        }


def until(call: Callable[[], None], seconds: float) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        call()


def release() -> None:
    """Give memory back; where a failure broke the card's context for good, the next command goes on behind it."""
    if CARD:
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except RuntimeError as error:
            sys.exit(f"the card's context is broken; run the same command again, which goes on: {error}")


def search(kept: Kept, bench: Bench | None, ends: float) -> Tuner:
    """Tune until the time for it is over, or MOST settings were measured."""
    combinations = product(DTYPES, ("no", "yes"), ("auto", *BACKENDS))
    able = []
    for dtype, graph, attention in combinations:
        setting = {"batch": 1, "dtype": dtype, "graph": graph, "attention": attention}
        found = kept.get(f"runs {dtype} {graph} {attention}", bench and (lambda s=setting: bench.runs(s)))
        if found["runs"]:
            able.append((dtype, graph, attention))
    if tuple(DEFAULT[name] for name in ("dtype", "graph", "attention")) not in able:
        raise goal.absent("the default itself does not run")

    def among(place: int, default: str) -> list[str]:
        return sorted({one[place] for one in able}, key=lambda name: (name != default, name))

    knobs = [
        Knob("batch", BATCHES, default=DEFAULT["batch"]),
        *(Knob(name, among(i, str(DEFAULT[name]))) for i, name in enumerate(("dtype", "graph", "attention"))),
    ]
    settings = [
        {"batch": batch, "dtype": dtype, "graph": graph, "attention": attention}
        for batch, (dtype, graph, attention) in product(BATCHES, able)
    ]
    key = lambda s: "measured " + " ".join(str(s[name]) for name in DEFAULT)  # noqa: E731
    first = kept.get(key(DEFAULT), bench and (lambda: bench.measured(DEFAULT)))
    if "failed" in first:
        raise goal.absent(f"the default itself fails: {first['failed']}")
    limit = 2 * first["tpot_s"]
    tuner = Tuner(Space(knobs, settings), "energy", [Constraint("tpot_s", limit)], seed=goal.seed)
    while len(tuner) < MOST and (setting := tuner.ask()) is not None:
        over = time.monotonic() > ends or bench is None
        if over and key(setting) not in kept.there:
            break
        found = kept.get(key(setting), bench and (lambda s=setting: bench.measured(s)))
        if "failed" in found:
            worst = max(e.measured["energy"] for e in tuner.evaluations)
            found = {"energy": worst, "tpot_s": 4 * limit}
        tuner.tell(setting, {name: found[name] for name in ("energy", "tpot_s")})
    return tuner


def main() -> None:
    """Measure what is not yet there, then judge."""
    begun = time.monotonic()
    where = torch.cuda.get_device_name() if CARD else "toy" if TOY else None
    kept = Kept(Path(goal.options["kept"]), where)
    if kept.device is None:
        raise goal.absent("there is no card, and no measurement of one in --kept")
    bench = Bench() if CARD or TOY else None
    tuner = search(kept, bench, begun + 60 * float(goal.options["minutes"]) - REST)
    best = tuner.best
    assert best is not None, "the default keeps its own limit"
    chosen = dict(DEFAULT) if goal.planted and bench else best.setting
    same = {**chosen, "batch": DEFAULT["batch"]}
    limit = tuner.constraints[0].upper
    name = lambda setting: " ".join(f"{k} {v}" for k, v in setting.items())  # noqa: E731
    if goal.wants("tune"):
        found = kept.get(f"against {name(chosen)}", bench and (lambda: bench.against(DEFAULT, chosen)))
        unit, interval = found["unit"], "{low:.1%} to {high:.1%}".format(**found)
        what = (
            f"{name(chosen)} against {name(DEFAULT)}: saves {found['share']:.1%} (95 %: {interval}) of"
            f" {found['a']:.4g} {unit} a token, counted by {found['source']}; low end"
        )
        goal.row("tune/saving", what, ">= 0.01", found["low"], "", kept.device)
        what = (
            f"its time a token, 95th percentile ({1e3 * found['tpot_b']:.3g} ms), over the limit ({1e3 * limit:.3g} ms)"
        )
        goal.row("tune/limit", what, "<= 1", found["tpot_b"] / limit, "", kept.device)
        what = f"settings measured, of {len(tuner.space)} ({tuner.violations} over the limit or failed)"
        goal.row("tune/settings", what, f"<= {MOST}", len(tuner), "", kept.device)
        if same not in (DEFAULT, chosen):
            found = kept.get(f"against {name(same)}", bench and (lambda: bench.against(DEFAULT, same)))
            interval = "{low:.1%} to {high:.1%}".format(**found)
            what = f"{name(same)} against the default: saves {found['share']:.1%} (95 %: {interval}); low end"
            goal.row("tune/same", what, ">= 0", found["low"], "", kept.device)
    if goal.wants("agree") and not TOY:
        for which, setting in (("default", DEFAULT), ("best", chosen)):
            found = kept.get(f"agree {name(setting)}", bench and (lambda s=setting: bench.agreement(s)))
            counted, summed = found["counted"] * (PLANTED if goal.planted else 1.0), found["summed"]
            what = "{names[0]} ({counted:.1f} J) over {names[1]}, {seconds:.1f} s of the " + which
            goal.row(f"agree/{which}", what.format(**found), "0.95..1.05", counted / summed, "", kept.device)
    goal.end()


if __name__ == "__main__":
    main()
