"""Numbers, units and times: read exactly, compared as precisely as they are written."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.exam.grading.dates import read_moments, same_moment
from thrifty.exam.grading.number import Number, read_number, same_number
from thrifty.exam.grading.quantity import read_quantities, same_quantity
from thrifty.exam.grading.units import read_unit
from thrifty.exam.grading.words import spelled

WHOLE = st.integers(-(10**15), 10**15)


def same(gold: str, answer: str) -> bool:
    return any(same_quantity(g, a) for g in read_quantities(gold) for a in read_quantities(answer))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", "1234.5"),
        ("1.234,5", "1234.5"),
        ("1 234,5", "1234.5"),
        ("1'234.5", "1234.5"),
        ("12,34,567", "1234567"),
        ("0,111", "0.111"),
        (".5", "0.5"),
        ("-3", "-3"),
        ("minus 3", "-3"),
        ("6.02 × 10^(23)", "602000000000000000000000"),
        ("6.02e23", "602000000000000000000000"),
        ("10^-3", "0.001"),
        ("3 1/2", "3.5"),
        ("7/2", "3.5"),
        ("0.333...", "1/3"),
        ("2.5 million", "2500000"),
        ("twenty-one", "21"),
        ("21st", "21"),
    ],
)
def test_numbers_as_people_write_them(text: str, value: str) -> None:
    number = read_number(text)
    assert number is not None
    assert number.value == Fraction(value)


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1,2,3", "12 apples", "1e9999999", "AZ2", "--3", "1/0", "٣x"])
def test_what_is_no_number(text: str) -> None:
    assert read_number(text) is None


@given(WHOLE)
def test_separators_of_thousands_change_nothing(value: int) -> None:
    for text in (f"{value}", f"{value:,}", f"{value:_}", f"{value:,}".replace(",", " ")):
        assert read_number(text) == Number(Fraction(value))


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=4))
def test_decimal_comma_and_point_are_one(value: object) -> None:
    assert read_number(f"{value}") == read_number(f"{value}".replace(".", ","))


@given(WHOLE, WHOLE)
def test_whole_numbers_are_exact(x: int, y: int) -> None:
    assert same_number(Number(Fraction(x)), Number(Fraction(y))) == (x == y)


@given(st.integers(0, 999_999))
def test_words_are_read_back(value: int) -> None:
    assert spelled(words(value)) == value


SMALL = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
""".split()  # noqa: SIM905 - shorter so
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
MONTHS = """
January February March April May June July August September October November December
""".split()  # noqa: SIM905


def words(value: int) -> str:
    """A number below a million in words, written down apart from the code that reads it."""
    if value < 20:
        return SMALL[value]
    if value < 100:
        return TENS[value // 10] + (f"-{SMALL[value % 10]}" if value % 10 else "")
    if value < 1000:
        return f"{SMALL[value // 100]} hundred" + (f" and {words(value % 100)}" if value % 100 else "")
    return f"{words(value // 1000)} thousand" + (f" {words(value % 1000)}" if value % 1000 else "")


@given(st.integers(1, 10**6), st.sampled_from(("m", "g", "s", "Pa", "J", "V", "Hz", "mol")))
def test_prefixes_convert_exactly(value: int, unit: str) -> None:
    assert same(f"{value} k{unit}", f"{value * 1000} {unit}")
    assert same(f"{value * 1000} m{unit}", f"{value} {unit}")
    assert not same(f"{value} k{unit}", f"{value} {unit}")
    assert not same(f"{value} {unit}", f"{value}")
    assert same(f"{value}", f"{value} {unit}")


@given(st.integers(-200, 1000))
def test_temperatures_have_their_zeros(celsius: int) -> None:
    kelvin, fahrenheit = Fraction(celsius) + Fraction("273.15"), Fraction(celsius) * 9 / 5 + 32
    assert same(f"{celsius} °C", f"{float(kelvin):.2f} K")
    assert same(f"{celsius} °C", f"{float(fahrenheit):.1f} °F")
    assert not same(f"{celsius} °C", f"{celsius} K")


UNITS = "m kg s A K mol rad Hz N Pa J W C V ohm T bit Sv Gy % $ €".split()  # noqa: SIM905


def test_units_of_other_dimensions_differ() -> None:
    for one in UNITS:
        for other in UNITS:
            assert same(f"3 {one}", f"3 {other}") == (one == other), (one, other)


def test_case_of_units_counts() -> None:
    assert not same("5 mW", "5 MW")
    assert not same("8 b", "8 B")
    assert same("5 KM", "5 km")


@pytest.mark.parametrize("text", ["", "xyz m", "m^", "m^99", "/", "()", "m" * 100, "kg kg kg kg kg kg kg kg kg"])
def test_what_is_no_unit(text: str) -> None:
    assert all(unit.kind == "thing" for unit in read_unit(text))


@given(st.text(max_size=40))
def test_no_text_fails(text: str) -> None:
    read_quantities(text)
    read_moments(text)
    read_unit(text)


@given(st.dates())
def test_dates_in_many_forms(day) -> None:
    month = MONTHS[day.month - 1]
    iso = read_moments(f"{day:%Y-%m-%d}" if day.year > 999 else f"{month} {day.day}, {day.year}")
    for text in (
        f"{month} {day.day}, {day.year}",
        f"{day.day} {month} {day.year}",
        f"{month[:3]} {day.day} {day.year}",
    ):
        assert same_moment(iso, read_moments(text)), text


@given(st.times())
def test_both_clocks_tell_the_same_time(time) -> None:
    hour = time.hour % 12 or 12
    text = f"{hour}:{time.minute:02} {'AM' if time.hour < 12 else 'PM'}"
    assert same_moment(read_moments(f"{time.hour:02}:{time.minute:02}"), read_moments(text))
