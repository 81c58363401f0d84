"""Joules of counters, of summed power, and what no counter can tell."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device.machine import Clock, Counting, nvml, put, rapl
from thrifty.device import Meter, compare, measure
from thrifty.device.counters import LAG, MOST_WATTS, Integrated, Raw, packages
from thrifty.device.windows import interval
from thrifty.errors import CounterFault

WRAPS = 262_143.0


def raw_of(values: list[tuple[float, float]], wraps: float | None = WRAPS) -> list[float]:
    """What a counter makes of (seconds, raw joules)."""
    told, clock = iter([joules for _, joules in values]), iter([seconds for seconds, _ in values])
    counter = Raw("rapl:package-0", lambda: next(told), wraps, lambda: next(clock))
    return [counter.joules() for _ in values[1:]]


@given(
    st.lists(st.tuples(st.floats(0.1, 100), st.floats(0.1, 1_000)), min_size=1, max_size=50), st.floats(0, WRAPS - 1)
)
def test_joules_are_what_was_spent_however_often_it_wraps(spent: list[tuple[float, float]], begin: float) -> None:
    seconds, joules, values = 0.0, 0.0, [(0.0, begin)]
    for more, watts in spent:
        seconds += more
        joules += more * watts
        values.append((seconds, math.fmod(begin + joules, WRAPS)))
    assert raw_of(values)[-1] == pytest.approx(joules, rel=1e-9, abs=1e-6)


@given(st.floats(MOST_WATTS * (1 + LAG) + 1, WRAPS - MOST_WATTS * (1 + LAG) - 1))
def test_a_counter_that_is_reset_is_no_wrap(before: float) -> None:
    with pytest.raises(CounterFault, match=r"rapl:package-0: the energy counter went back from .* has not wrapped"):
        raw_of([(0, before), (1, 0.0)])
    with pytest.raises(CounterFault, match="went back"):
        raw_of([(0, before), (1, before - 1)], wraps=None)


def test_a_counter_that_jumps() -> None:
    assert raw_of([(0, 0.0), (1, 400.0)]) == [400.0]
    with pytest.raises(CounterFault, match="jumped by 20000 J in 1 s"):
        raw_of([(0, 0.0), (1, 20_000.0)])


def test_a_counter_that_stands_still() -> None:
    assert raw_of([(0, 7.0), (0.5, 7.0), (1, 7.0), (1.5, 7.0), (1.9, 7.0), (2.2, 8.0)])[-1] == 1.0
    with pytest.raises(CounterFault, match=r"stood still for 2\.5 s"):
        raw_of([(0, 7.0), (0.5, 7.0), (1, 7.0), (1.5, 7.0), (2.5, 7.0)])
    # Work of an hour that is read twice says nothing about steps.
    assert raw_of([(0, 7.0), (3600, 8.0)]) == [1.0]


def test_packages_are_read_and_neither_their_parts_nor_the_platform(tmp_path: Path) -> None:
    energy = rapl(tmp_path)
    meter = Meter(root=tmp_path, library="/nowhere")
    assert (meter.source, meter.counts, meter.notes) == ("rapl:package-0 + rapl:package-1", True, [])
    with meter:
        before = meter.read()
        energy.write_text("3500000\n")
        after = meter.read()
        assert after.joules is not None
        assert before.joules is not None
        assert after.joules - before.joules == pytest.approx(2.5)
        assert meter.celsius() == 51.0
        energy.write_text("what\n")
        with pytest.raises(CounterFault, match="'what' is no number"):
            meter.read()
        energy.unlink()
        with pytest.raises(CounterFault, match="energy_uj: No such file"):
            meter.read()


def test_a_package_that_wraps(tmp_path: Path) -> None:
    energy = rapl(tmp_path, energy=262_143_000_000)
    with Meter("rapl", root=tmp_path) as meter:
        before = meter.read()
        energy.write_text("671150\n")
        after = meter.read()
    assert after.joules is not None
    assert before.joules is not None
    assert after.joules - before.joules == pytest.approx(1.0)


def test_what_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    energy = rapl(tmp_path)
    opened = Path.open

    def refuse(path: Path, *arguments: object, **named: object) -> object:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    meter = Meter(root=tmp_path, library="/nowhere")
    assert not meter.counts
    assert meter.source == "CPU-seconds of the process and its children"
    assert str(energy) in meter.notes[0]
    assert "superuser" in meter.notes[0]
    with pytest.raises(CounterFault, match="energy_uj: permission denied"):
        Meter("rapl", root=tmp_path)


def test_a_root_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rapl(tmp_path)
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(tmp_path))
    assert Meter("rapl").source == "rapl:package-0 + rapl:package-1"


def test_no_source_no_joules(tmp_path: Path) -> None:
    found = measure(lambda: sum(range(20_000)), meter=Meter(root=tmp_path, library="/nowhere"), max_seconds=0.3, warm=0)
    assert found.energy_j is None
    assert found.power_w is None
    assert (found.unit, found.source) == ("CPU-s", "CPU-seconds of the process and its children")
    assert found.cost == found.cpu_seconds > 0
    with pytest.raises(CounterFault, match="source rapl: this machine has none"):
        Meter("rapl", root=tmp_path)
    with pytest.raises(ValueError, match="source: 'sun' is none of"):
        Meter("sun", root=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="inside 'with meter:'"):
        Meter("cpu").read()


def test_power_of_chips_is_summed_up(tmp_path: Path) -> None:
    put(tmp_path, "class/hwmon/hwmon0/name", "nvme")
    put(tmp_path, "class/hwmon/hwmon1/name", "amdgpu")
    put(tmp_path, "class/hwmon/hwmon1/power1_average", 80_000_000)
    meter = Meter(root=tmp_path, library="/nowhere")
    assert meter.source == "hwmon:amdgpu/power1_average (power, integrated)"
    with meter:
        before = meter.read()
        time.sleep(0.3)  # the work
        after = meter.read()
    assert after.joules is not None
    assert before.joules is not None
    assert (after.joules - before.joules) / (after.seconds - before.seconds) == pytest.approx(80, rel=1e-3)


@given(st.lists(st.tuples(st.floats(0.01, 0.5), st.floats(0, 900)), min_size=1, max_size=30))
def test_sums_are_trapezoids(steps: list[tuple[float, float]]) -> None:
    seconds, watts = [0.0], [100.0]
    for more, power in steps:
        seconds.append(seconds[-1] + more)
        watts.append(power)
    clock, powers = iter(seconds), iter(watts)
    counter = Integrated("x", lambda: next(powers), clock=lambda: next(clock))
    found = [counter.joules() for _ in steps]
    assert found[-1] == pytest.approx(float(np.trapezoid(watts, seconds)))


def test_power_that_nobody_could_read_is_not_made_up() -> None:
    clock, powers = iter([0.0, 0.1, 3.0]), iter([100.0, 100.0, 100.0])
    counter = Integrated("x", lambda: next(powers), clock=lambda: next(clock))
    counter.joules()
    with pytest.raises(CounterFault, match=r"no power was read for 2\.9 s"):
        counter.joules()
    with pytest.raises(CounterFault, match="the power is nan W"):
        Integrated("x", lambda: math.nan)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nvml(tmp_path_factory.mktemp("nvml"))


class FakeCard:
    """What the fake library tells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tell()

    def tell(self, millijoules: int = 1_000_000, milliwatts: int = 250_000, celsius: int = 61, code: int = 0) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(f"{millijoules} {milliwatts} {celsius} {code}")
        beside.replace(self.path)


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCard:
    monkeypatch.setenv("FAKE_NVML", str(tmp_path / "told"))
    return FakeCard(tmp_path / "told")


def test_a_card_counts(library: Path, card: FakeCard, tmp_path: Path) -> None:
    with Meter("nvml", library=str(library)) as meter:
        assert meter.source == "nvml:GPU-fake"
        before = meter.read()
        card.tell(1_004_500)
        after = meter.read()
        assert (meter.watts(), meter.celsius()) == (250.0, 61.0)
    assert after.joules is not None
    assert before.joules is not None
    assert after.joules - before.joules == pytest.approx(4.5)
    with pytest.raises(ValueError, match="card: 'GPU-other' is none of"):
        Meter("nvml", card="GPU-other", library=str(library))
    assert Meter(root=tmp_path, card=0, library=str(library)).source == "nvml:GPU-fake"


def test_a_card_without_a_counter_is_read_by_its_power(library: Path, card: FakeCard, tmp_path: Path) -> None:
    card.tell(millijoules=0)
    assert Meter(root=tmp_path, library=str(library)).source == "nvml:GPU-fake (power, integrated)"
    card.tell(celsius=0)
    assert Meter(root=tmp_path, library=str(library)).celsius() is None
    card.tell(code=3)
    meter = Meter(root=tmp_path, library=str(library))
    assert not meter.counts
    assert meter.notes == ["nvml:GPU-fake: a card tells neither energy nor power"]


def test_a_lost_card_is_an_error_that_names_the_call(library: Path, card: FakeCard) -> None:
    def work() -> None:
        card.tell(code=15)

    with pytest.raises(CounterFault, match=r"GPU-fake: nvmlDeviceGet.*: GPU is lost \(code 15\)"):
        measure(work, meter=Meter("nvml", library=str(library)), warm=0, window=0.01)


def test_a_library_without_a_driver_is_a_note(
    library: Path, card: FakeCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_INIT", "9")
    rapl(tmp_path)
    meter = Meter(root=tmp_path, library=str(library))
    assert meter.source == "rapl:package-0 + rapl:package-1"
    assert meter.notes == ["nvml: nvmlInit_v2: Unknown (code 9)"]
    with pytest.raises(CounterFault, match="source nvml: nvml: nvmlInit_v2: Unknown"):
        Meter("nvml", root=tmp_path, library=str(library))
    with pytest.raises(CounterFault, match="card 0: nvml: nvmlInit_v2: Unknown"):
        Meter(root=tmp_path, card=0, library=str(library))
    other = Meter(root=tmp_path, library="libm.so.6")
    assert other.counts
    assert "the driver's library has no nvmlInit_v2" in other.notes[0]


def test_a_lost_card_leaves_the_others(
    library: Path, card: FakeCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_CARDS", "2")
    meter = Meter(root=tmp_path, library=str(library))
    assert meter.source == "nvml:GPU-fake"
    assert meter.notes == ["nvml: card 0: nvmlDeviceGetHandleByIndex_v2: GPU is lost (code 15)"]
    assert Meter("nvml", card=1, library=str(library)).source == "nvml:GPU-fake"
    with pytest.raises(CounterFault, match="card 0: nvml: card 0: .* GPU is lost"):
        Meter("nvml", card=0, library=str(library))


def test_a_card_of_impossible_power_is_left_out(library: Path, card: FakeCard, tmp_path: Path) -> None:
    card.tell(milliwatts=9_000_000)
    rapl(tmp_path)
    meter = Meter(root=tmp_path, library=str(library))
    assert meter.source == "rapl:package-0 + rapl:package-1"
    assert "the power is 9000 W, which can't be" in meter.notes[0]


@pytest.mark.parametrize("fault", ["back", "still", "jump"])
def test_a_broken_total_is_replaced_by_power_and_that_is_said(library: Path, card: FakeCard, fault: str) -> None:
    told = {"back": 5_000, "still": 1_000_000, "jump": 10**12}[fault]
    card.tell(1_000_000 if fault != "still" else told)
    stop = threading.Event()

    def count() -> None:
        total = 1_000_000
        while not stop.wait(0.002):
            total += 500
            card.tell(total)

    def work() -> None:
        if fault != "still":
            stop.set()
            thread.join()
            card.tell(told)
        time.sleep(0.02)

    thread = threading.Thread(target=count)
    if fault != "still":
        thread.start()
    meter = Meter("nvml", library=str(library))
    found = measure(work, meter=meter, warm=0, window=0.05, max_seconds=0.3)
    assert found.source == "nvml:GPU-fake (power, integrated)"
    words = {"back": "went back", "still": "stood still", "jump": "jumped"}[fault]
    assert any(words in note and "power is summed up instead" in note for note in found.notes)
    assert found.power_w == pytest.approx(250, rel=0.01)


def test_only_what_is_broken_is_replaced(library: Path, card: FakeCard, tmp_path: Path) -> None:
    """A package that stands still has nothing to take its place, whatever the card has."""
    rapl(tmp_path)
    card.tell(5_000)
    with Meter(root=tmp_path, library=str(library)) as meter:
        card.tell(4_000)
        with pytest.raises(CounterFault, match="GPU-fake: the energy counter went back") as fault:
            meter.read()
        assert meter.fall_back(fault.value)
        assert meter.source == "rapl:package-0 + rapl:package-1 + nvml:GPU-fake (power, integrated)"
        put(tmp_path, "class/powercap/intel-rapl:1/energy_uj", "?")
        with pytest.raises(CounterFault, match="is no number") as fault:
            meter.read()
        assert not meter.fall_back(fault.value)


def on(clock: Clock, watts: float | list[float] = 100.0, step: float = 0.1) -> Meter:
    """A meter of a machine that takes some watts now."""
    power = watts if isinstance(watts, list) else [watts]
    return Meter(counters=[Counting(clock, lambda: power[0], step)], clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize("step", [0.001, 0.02, 0.1])
def test_the_counters_step_is_found(step: float) -> None:
    clock = Clock()
    with on(clock, step=step) as meter:
        assert meter.step() == pytest.approx(step, rel=0.55 if step == 0.001 else 0.03)


def test_windows_fit_the_step() -> None:
    clock = Clock()
    found = measure(lambda: clock.sleep(0.01), meter=on(clock), warm=0)
    assert found.energy_j == pytest.approx(1.0, rel=0.01)
    assert found.power_w == pytest.approx(100, rel=0.01)
    assert len(found.costs) == 3
    assert found.seconds == pytest.approx(15, rel=0.02)
    assert found.temperature_c == 40.0
    assert found.latency_s == pytest.approx(0.01, rel=0.01)
    assert found.notes == ()


def test_calls_are_repeated_until_the_error_is_met() -> None:
    spread = {}
    for error in (0.02, 0.01):
        clock, watts, rng = Clock(), [100.0], np.random.default_rng(3)

        def work(clock: Clock = clock, watts: list[float] = watts, rng: np.random.Generator = rng) -> None:
            watts[0] = 100 * float(rng.lognormal(0, 0.05))
            clock.sleep(0.5)

        found = measure(work, meter=on(clock, watts, 0.001), error=error, warm=0, window=0.5, max_seconds=1000)
        assert found.stderr is not None
        assert found.stderr <= error * found.cost
        spread[error] = len(found.costs)
    assert spread[0.01] > spread[0.02] > 3
    capped = measure(work, meter=on(clock, watts, 0.001), error=0.001, warm=0, window=0.5, max_seconds=5)
    assert "the standard error is" in capped.notes[-1]


def test_the_number_of_calls_can_be_given() -> None:
    clock, calls = Clock(), []
    found = measure(
        lambda: (calls.append(1), clock.sleep(0.4)), meter=on(clock), warm=0, min_reps=7, max_reps=7, error=1e-9
    )
    assert found.n == len(calls) == 7
    assert "28.0 steps of the counter" in found.notes[-1]


def test_calls_that_are_shorter_than_the_step_are_measured() -> None:
    """A call of a millisecond, of a counter that moves every tenth of a second."""
    clock = Clock()
    found = measure(lambda: clock.sleep(0.001), meter=on(clock), warm=0, window=0.0, min_reps=5)
    assert found.energy_j == pytest.approx(0.1, rel=0.03)
    assert len(found.costs) == 3
    saving = compare(
        lambda: clock.sleep(0.002), lambda: clock.sleep(0.001), meter=on(clock), warm=0, window=0.0, calls=1
    )
    assert saving.share == pytest.approx(0.5, abs=0.03)
    assert saving.a.energy_j == pytest.approx(0.2, rel=0.03)
    with pytest.raises(CounterFault, match="nothing was counted in a window"):
        compare(lambda: clock.sleep(0.002), lambda: clock.sleep(0.001), meter=on(clock), warm=0, window=0.01, calls=1)


def test_windows_that_counted_nothing_do_not_meet_an_error() -> None:
    clock = Clock()
    found = measure(lambda: clock.sleep(0.001), meter=on(clock), warm=0, window=0.001, max_seconds=30)
    assert found.energy_j == pytest.approx(0.1, rel=0.05)


def test_a_call_that_takes_long_is_a_window() -> None:
    clock, calls = Clock(), []
    found = measure(lambda: (calls.append(1), clock.sleep(10)), meter=on(clock), warm=0, window=0.0, min_reps=4)
    assert found.n == len(found.costs) == len(calls) == 4
    without = measure(lambda: sum(range(2_000)), meter=Meter("cpu"), warm=0, window=0.0, max_reps=5, min_reps=5)
    assert len(without.costs) == 5


def test_warm_up_ends_where_power_is_steady() -> None:
    clock, watts = Clock(), [300.0]

    def work() -> None:
        watts[0] = 100 + 0.9 * (watts[0] - 100)
        clock.sleep(0.1)

    found = measure(work, meter=on(clock, watts, 0.001), warm=60)
    assert found.notes == ()
    assert found.power_w == pytest.approx(100, rel=0.02)
    cold = measure(lambda: (work(), watts.__setitem__(0, watts[0] * 1.1)), meter=on(clock, watts, 0.001), warm=3)
    assert cold.notes[0] == "not steady after 3 s of warm-up"


def test_a_saving_comes_with_an_interval_that_holds_it() -> None:
    """A tenth is saved, while the machine warms up and takes ever more; one after the other would not see it."""
    clock, watts, rng = Clock(), [100.0], np.random.default_rng(5)

    def work(share: float) -> None:
        watts[0] = share * (100 + 0.05 * (clock.now - 1000)) * float(rng.lognormal(0, 0.01))
        clock.sleep(0.1)

    inside = 0
    for _ in range(40):
        found = compare(lambda: work(1.0), lambda: work(0.9), meter=on(clock, watts, 0.001), window=2, warm=0)
        inside += found.low <= 0.1 <= found.high
        assert found.high - found.low < 0.06
    assert inside >= 34  # 38 of 40 are expected; fewer than 34 come once in 5,000
    same = compare(lambda: work(1.0), lambda: work(1.0), meter=on(clock, watts, 0.001), window=2, warm=0, rounds=8)
    assert same.low < 0.01
    assert same.high > -0.01
    with pytest.raises(ValueError, match="rounds: 1"):
        compare(lambda: None, lambda: None, rounds=1)


def test_wall_time_plays_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def back() -> float:
        raise AssertionError("the wall clock may jump")

    monkeypatch.setattr(time, "time", back)
    assert measure(lambda: sum(range(5_000)), meter=Meter("cpu"), max_seconds=0.2, warm=0).cost > 0


def test_intervals_are_students() -> None:
    rng = np.random.default_rng(1)
    inside = sum(low <= 0 <= high for low, high in (interval(rng.normal(size=5)) for _ in range(2_000)))
    assert 1_860 <= inside <= 1_940
    assert interval([1.0]) == (-math.inf, math.inf)


def test_bad_arguments() -> None:
    for name, value in (("error", 0.0), ("max_seconds", -1.0), ("min_reps", 0)):
        with pytest.raises(ValueError, match=f"{name}: {value}"):
            measure(lambda: None, meter=Meter("cpu"), **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_reps: 1 is below min_reps, 2"):
        measure(lambda: None, meter=Meter("cpu"), min_reps=2, max_reps=1)


def test_a_tree_of_nonsense(tmp_path: Path) -> None:
    rapl(tmp_path, wraps=-1)
    put(tmp_path, "class/powercap/intel-rapl:0/max_energy_range_uj", "x" * 10_000)
    found, out = packages(tmp_path)
    assert found == []
    assert len(out) == 2
    assert all("is no number" in why for why in out)
