"""How ranks meet, and what a step over them is told to take."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.command import thrifty
from thrifty.errors import WorkerLost
from thrifty.slide.plan import plan
from thrifty.slide.shards import payload
from thrifty.slide.torchrun import meet


class Store:
    """What a store of torch does, in this process."""

    def __init__(self) -> None:
        self.lock, self.values = threading.Lock(), {}  # type: ignore[var-annotated]

    def set(self, key: str, value: str) -> None:
        with self.lock:
            self.values[key] = value.encode()

    def get(self, key: str) -> bytes:
        with self.lock:
            found: bytes = self.values[key]
            return found

    def check(self, keys: list[str]) -> bool:
        with self.lock:
            return all(key in self.values for key in keys)


def met(store: Store, size: int) -> list[str]:
    names = [""] * size

    def one(rank: int) -> None:
        names[rank] = meet(store, rank, size, 20)

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return names


@pytest.mark.parametrize("size", [2, 3, 5])
def test_ranks_meet_anew_each_time(size: int) -> None:
    """Also in a store with what earlier ones left, fewer and more of them."""
    store, seen = Store(), set()
    for ranks in (size, size, size + 1, size, 2):
        names = met(store, ranks)
        assert len(set(names)) == 1
        assert names[0] not in seen
        seen.add(names[0])


def test_ranks_that_do_not_come_are_lost() -> None:
    with pytest.raises(WorkerLost, match=r"of 2 ranks not all came within 0\.2 s"):
        meet(Store(), 0, 2, 0.2)


def test_a_plan_is_of_its_arguments() -> None:
    def told(**change: Any) -> Any:
        sizes = {"nodes": 4, "cores": 1, "mbit": 100.0, "features": 2_000, "hidden": 64, "batch": 32}
        return plan(20_000, **(sizes | change))

    base, slow, wide = told(), told(mbit=10.0), told(nodes=8)
    assert base.bytes_a_step == payload(4, 32, 64, 0.8, "bf16")
    assert base.network_ms == pytest.approx(8 * 1.1 * base.bytes_a_step / 100e3 + 0.6)
    assert slow.network_ms > 5 * base.network_ms
    assert slow.steps_a_second < base.steps_a_second
    assert wide.bytes_a_step > base.bytes_a_step
    assert wide.bytes_of_memory < base.bytes_of_memory
    assert told(messages="i8").bytes_a_step < base.bytes_a_step < told(messages="f32").bytes_a_step
    assert base.rows_a_second == pytest.approx(32 * base.steps_a_second)
    assert told(nodes=1).bytes_a_step == told(nodes=1).network_ms == 0
    with pytest.raises(ValueError, match="nodes: 0 is not possible; at least 1"):
        told(nodes=0)


def test_the_command_line_plans() -> None:
    sizes = ["--nodes", "4", "--cores", "1", "--mbit", "100", "--features", "2000", "--hidden", "64", "--batch", "32"]
    done = thrifty("slide", "plan", "--labels", "20000", *sizes, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["bytes_a_step"] == pytest.approx(payload(4, 32, 64, 0.8, "bf16"))
    done = thrifty("slide", "plan", "--labels", "20000", *sizes)
    assert "steps a second" in done.stdout
