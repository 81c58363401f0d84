"""Units that answers are given in: factors to SI units and what they measure.

Sources: BIPM, The International System of Units, 9th edition; NIST Special Publication 811, appendix B.
"""

from __future__ import annotations

from fractions import Fraction as F  # noqa: N817 - a table of them

__all__ = ["ALIASES", "CURRENCIES", "OFFSETS", "PREFIXES", "SPELLED_PREFIXES", "UNITS"]

#: Prefixes of symbols.
PREFIXES = {
    "Q": 30, "R": 27, "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1, "d": -1,
    "c": -2, "m": -3, "μ": -6, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24, "r": -27, "q": -30,
}  # fmt: skip
#: Prefixes of names.
SPELLED_PREFIXES = {
    "quetta": 30, "ronna": 27, "yotta": 24, "zetta": 21, "exa": 18, "peta": 15, "tera": 12, "giga": 9, "mega": 6,
    "kilo": 3, "hecto": 2, "deca": 1, "deka": 1, "deci": -1, "centi": -2, "milli": -3, "micro": -6, "nano": -9,
    "pico": -12, "femto": -15, "atto": -18, "zepto": -21, "yocto": -24,
}  # fmt: skip

# Angles, counts of decays, doses and information have dimensions of their own: 5 Hz is not 5 rad/s, 5 Gy not 5 Sv.
_M, _KG, _S, _A, _K, _MOL, _CD, _RAD = ({name: 1} for name in ("m", "kg", "s", "A", "K", "mol", "cd", "rad"))
_BIT, _SV, _BQ, _DB = ({name: 1} for name in ("bit", "Sv", "Bq", "dB"))
_HZ = {"s": -1}
_N = {"kg": 1, "m": 1, "s": -2}
_PA = {"kg": 1, "m": -1, "s": -2}
_J = {"kg": 1, "m": 2, "s": -2}
_W = {"kg": 1, "m": 2, "s": -3}
_C = {"A": 1, "s": 1}
_V = {"kg": 1, "m": 2, "s": -3, "A": -1}
_OHM = {"kg": 1, "m": 2, "s": -3, "A": -2}
_SIEMENS = {"kg": -1, "m": -2, "s": 3, "A": 2}
_M2, _M3 = {"m": 2}, {"m": 3}
_PI = F("3.14159265358979323846264338327950288419716939937510")

#: Symbol or singular name: (factor to SI, dimensions, takes prefixes).
UNITS: dict[str, tuple[F, dict[str, int], bool]] = {
    # SI
    "m": (F(1), _M, True), "meter": (F(1), _M, True),
    "g": (F(1, 1000), _KG, True), "gram": (F(1, 1000), _KG, True),
    "s": (F(1), _S, True), "second": (F(1), _S, True),
    "A": (F(1), _A, True), "ampere": (F(1), _A, True),
    "K": (F(1), _K, True), "kelvin": (F(1), _K, True),
    "mol": (F(1), _MOL, True), "mole": (F(1), _MOL, True),
    "cd": (F(1), _CD, True), "candela": (F(1), _CD, True),
    "rad": (F(1), _RAD, True), "radian": (F(1), _RAD, True),
    "sr": (F(1), {"sr": 1}, True), "steradian": (F(1), {"sr": 1}, True),
    "Hz": (F(1), _HZ, True), "hertz": (F(1), _HZ, True),
    "N": (F(1), _N, True), "newton": (F(1), _N, True),
    "Pa": (F(1), _PA, True), "pascal": (F(1), _PA, True),
    "J": (F(1), _J, True), "joule": (F(1), _J, True),
    "W": (F(1), _W, True), "watt": (F(1), _W, True),
    "C": (F(1), _C, True), "coulomb": (F(1), _C, True),
    "V": (F(1), _V, True), "volt": (F(1), _V, True),
    "F": (F(1), {"kg": -1, "m": -2, "s": 4, "A": 2}, True), "farad": (F(1), {"kg": -1, "m": -2, "s": 4, "A": 2}, True),
    "Ω": (F(1), _OHM, True), "ohm": (F(1), _OHM, True),
    "S": (F(1), _SIEMENS, True), "siemens": (F(1), _SIEMENS, True),
    "Wb": (F(1), {"kg": 1, "m": 2, "s": -2, "A": -1}, True), "weber": (F(1), {"kg": 1, "m": 2, "s": -2, "A": -1}, True),
    "T": (F(1), {"kg": 1, "s": -2, "A": -1}, True), "tesla": (F(1), {"kg": 1, "s": -2, "A": -1}, True),
    "H": (F(1), {"kg": 1, "m": 2, "s": -2, "A": -2}, True), "henry": (F(1), {"kg": 1, "m": 2, "s": -2, "A": -2}, True),
    "lm": (F(1), {"cd": 1, "sr": 1}, True), "lumen": (F(1), {"cd": 1, "sr": 1}, True),
    "lx": (F(1), {"cd": 1, "sr": 1, "m": -2}, True), "lux": (F(1), {"cd": 1, "sr": 1, "m": -2}, True),
    "Bq": (F(1), _BQ, True), "becquerel": (F(1), _BQ, True), "Ci": (F(37_000_000_000), _BQ, True),
    "curie": (F(37_000_000_000), _BQ, True),
    "Gy": (F(1), {"m": 2, "s": -2}, True), "gray": (F(1), {"m": 2, "s": -2}, True),
    "Sv": (F(1), _SV, True), "sievert": (F(1), _SV, True), "rem": (F(1, 100), _SV, True),
    "kat": (F(1), {"mol": 1, "s": -1}, True), "katal": (F(1), {"mol": 1, "s": -1}, True),
    # time
    "min": (F(60), _S, False), "minute": (F(60), _S, False),
    "h": (F(3600), _S, False), "hr": (F(3600), _S, False), "hour": (F(3600), _S, False),
    "d": (F(86400), _S, False), "day": (F(86400), _S, False), "week": (F(604800), _S, False),
    "fortnight": (F(1209600), _S, False),
    # Months and years have no fixed length in days: they are compared with each other alone.
    "month": (F(1), {"month": 1}, False), "year": (F(12), {"month": 1}, False), "yr": (F(12), {"month": 1}, False),
    "decade": (F(120), {"month": 1}, False), "century": (F(1200), {"month": 1}, False),
    "millennium": (F(12000), {"month": 1}, False), "Myr": (F(12_000_000), {"month": 1}, False),
    "Gyr": (F(12_000_000_000), {"month": 1}, False), "kyr": (F(12_000), {"month": 1}, False),
    "Ma": (F(12_000_000), {"month": 1}, False), "Ga": (F(12_000_000_000), {"month": 1}, False),
    # length
    "Å": (F(1, 10**10), _M, False), "angstrom": (F(1, 10**10), _M, False), "micron": (F(1, 10**6), _M, False),
    "fermi": (F(1, 10**15), _M, False),
    "in": (F("0.0254"), _M, False), "inch": (F("0.0254"), _M, False),
    "ft": (F("0.3048"), _M, False), "foot": (F("0.3048"), _M, False),
    "yd": (F("0.9144"), _M, False), "yard": (F("0.9144"), _M, False),
    "mi": (F("1609.344"), _M, False), "mile": (F("1609.344"), _M, False),
    "nmi": (F(1852), _M, False), "nautical mile": (F(1852), _M, False),
    "AU": (F(149_597_870_700), _M, False), "astronomical unit": (F(149_597_870_700), _M, False),
    "ly": (F(9_460_730_472_580_800), _M, True), "light year": (F(9_460_730_472_580_800), _M, False),
    "pc": (F(30_856_775_814_913_673), _M, True), "parsec": (F(30_856_775_814_913_673), _M, True),
    "furlong": (F("201.168"), _M, False), "fathom": (F("1.8288"), _M, False),
    # area and volume
    "ha": (F(10_000), _M2, False), "hectare": (F(10_000), _M2, False), "acre": (F("4046.8564224"), _M2, False),
    "barn": (F(1, 10**28), _M2, True),
    "L": (F(1, 1000), _M3, True), "l": (F(1, 1000), _M3, True), "liter": (F(1, 1000), _M3, True),
    "cc": (F(1, 10**6), _M3, False),
    "gal": (F("0.003785411784"), _M3, False), "gallon": (F("0.003785411784"), _M3, False),
    "quart": (F("0.000946352946"), _M3, False), "pint": (F("0.000473176473"), _M3, False),
    "floz": (F("0.0000295735295625"), _M3, False), "fluid ounce": (F("0.0000295735295625"), _M3, False),
    # mass
    "t": (F(1000), _KG, True), "tonne": (F(1000), _KG, True), "metric ton": (F(1000), _KG, False),
    "ton": (F("907.18474"), _KG, True),
    "lb": (F("0.45359237"), _KG, False), "pound": (F("0.45359237"), _KG, False),
    "oz": (F("0.028349523125"), _KG, False), "ounce": (F("0.028349523125"), _KG, False),
    "stone": (F("6.35029318"), _KG, False),
    "u": (F("1.66053906892e-27"), _KG, False), "amu": (F("1.66053906892e-27"), _KG, False),
    "Da": (F("1.66053906892e-27"), _KG, True), "dalton": (F("1.66053906892e-27"), _KG, True),
    # force, pressure, energy, power
    "Nm": (F(1), _J, True), "Ns": (F(1), {"kg": 1, "m": 1, "s": -1}, False),
    "Js": (F(1), {"kg": 1, "m": 2, "s": -1}, False),
    "dyn": (F(1, 10**5), _N, False), "dyne": (F(1, 10**5), _N, False), "lbf": (F("4.4482216152605"), _N, False),
    "kgf": (F("9.80665"), _N, False),
    "bar": (F(10**5), _PA, True), "atm": (F(101325), _PA, False), "atmosphere": (F(101325), _PA, False),
    "Torr": (F(101325, 760), _PA, True), "torr": (F(101325, 760), _PA, False), "mmHg": (F("133.322387415"), _PA, False),
    "psi": (F("6894.757293168"), _PA, False),
    "eV": (F("1.602176634e-19"), _J, True), "electron volt": (F("1.602176634e-19"), _J, True),
    "electronvolt": (F("1.602176634e-19"), _J, True),
    "cal": (F("4.184"), _J, True), "calorie": (F("4.184"), _J, True), "Cal": (F(4184), _J, False),
    "BTU": (F("1055.05585262"), _J, False), "erg": (F(1, 10**7), _J, False),
    "hartree": (F("4.3597447222060e-18"), _J, False),
    "Wh": (F(3600), _J, True), "watt hour": (F(3600), _J, True), "hp": (F("745.69987158227022"), _W, False),
    "horsepower": (F("745.69987158227022"), _W, False),
    # charge, field, concentration, viscosity
    "Ah": (F(3600), _C, True), "G": (F(1, 10**4), {"kg": 1, "s": -2, "A": -1}, True),
    "gauss": (F(1, 10**4), {"kg": 1, "s": -2, "A": -1}, True),
    "M": (F(1000), {"mol": 1, "m": -3}, True), "molar": (F(1000), {"mol": 1, "m": -3}, True),
    "P": (F(1, 10), {"kg": 1, "m": -1, "s": -1}, True), "poise": (F(1, 10), {"kg": 1, "m": -1, "s": -1}, True),
    "D": (F("3.33564e-30"), {"A": 1, "s": 1, "m": 1}, False),
    "debye": (F("3.33564e-30"), {"A": 1, "s": 1, "m": 1}, False),
    # speed
    "mph": (F("0.44704"), {"m": 1, "s": -1}, False), "kph": (F(5, 18), {"m": 1, "s": -1}, False),
    "kmph": (F(5, 18), {"m": 1, "s": -1}, False), "mps": (F(1), {"m": 1, "s": -1}, False),
    "knot": (F(1852, 3600), {"m": 1, "s": -1}, False), "kn": (F(1852, 3600), {"m": 1, "s": -1}, False),
    "fps": (F("0.3048"), {"m": 1, "s": -1}, False),
    # angle and turning
    "°": (_PI / 180, _RAD, False), "degree": (_PI / 180, _RAD, False), "deg": (_PI / 180, _RAD, False),
    "arcmin": (_PI / 10_800, _RAD, False), "arcminute": (_PI / 10_800, _RAD, False),
    "arcsec": (_PI / 648_000, _RAD, True), "arcsecond": (_PI / 648_000, _RAD, True),
    "mas": (_PI / 648_000_000, _RAD, False), "gon": (_PI / 200, _RAD, False),
    "rev": (2 * _PI, _RAD, False), "revolution": (2 * _PI, _RAD, False), "turn": (2 * _PI, _RAD, False),
    "rpm": (_PI / 30, {"rad": 1, "s": -1}, False),
    # temperature; what has an offset is in OFFSETS
    "°C": (F(1), _K, False), "°F": (F(5, 9), _K, False), "°R": (F(5, 9), _K, False),
    # information and level
    "bit": (F(1), _BIT, True), "b": (F(1), _BIT, True), "byte": (F(8), _BIT, True), "B": (F(8), _BIT, True),
    "KB": (F(8000), _BIT, False),
    "KiB": (F(8 * 2**10), _BIT, False), "MiB": (F(8 * 2**20), _BIT, False), "GiB": (F(8 * 2**30), _BIT, False),
    "TiB": (F(8 * 2**40), _BIT, False), "kibibyte": (F(8 * 2**10), _BIT, False),
    "mebibyte": (F(8 * 2**20), _BIT, False), "gibibyte": (F(8 * 2**30), _BIT, False),
    "bps": (F(1), {"bit": 1, "s": -1}, True),
    "dB": (F(1), _DB, False), "decibel": (F(1), _DB, False), "dBm": (F(1), {"dBm": 1}, False),
    # nothing but a number
    "ppm": (F(1, 10**6), {"part": 1}, False), "ppb": (F(1, 10**9), {"part": 1}, False),
    "parts per million": (F(1, 10**6), {"part": 1}, False), "parts per billion": (F(1, 10**9), {"part": 1}, False),
    "Mach": (F(1), {"Mach": 1}, False),
}  # fmt: skip
#: Kelvins at the zero of scales that do not begin at absolute zero.
OFFSETS = {"°C": F("273.15"), "°F": F("459.67") * F(5, 9)}
#: Other ways to write a unit.
ALIASES = {
    "metre": "meter", "litre": "liter", "gramme": "gram", "amp": "ampere", "sec": "s", "secs": "s", "mins": "min",
    "hrs": "h", "yrs": "yr", "feet": "foot", "inches": "inch", "lbs": "lb", "centuries": "century", "cm3": "cc",
    "millennia": "millennium", "kmh": "kph", "hertz": "hertz", "mile per hour": "mph", "cps": "Hz", "sqm": "m2",
    "lightyear": "light year", "light-year": "light year", "ml": "mL", "kilo": "kg", "kilos": "kg", "mcg": "μg",
    "celsius": "°C", "centigrade": "°C", "fahrenheit": "°F", "degree celsius": "°C", "degree centigrade": "°C",
    "degree fahrenheit": "°F", "degree kelvin": "K", "°K": "K", "° C": "°C", "° F": "°F", "degC": "°C", "degF": "°F",
    "degree C": "°C", "degree F": "°F", "deg C": "°C", "deg F": "°F", "° celsius": "°C", "° fahrenheit": "°F",
    "'": "ft", "''": "in", '"': "in", "Ohm": "ohm", "Angstrom": "angstrom", "ångström": "angstrom",
    "atmospheres": "atm",
    "degrees": "degree", "minute of arc": "arcmin", "second of arc": "arcsec", "arc minute": "arcmin",
    "arc second": "arcsec", "millimeter of mercury": "mmHg", "mm Hg": "mmHg", "atomic mass unit": "u",
    "nautical miles": "nmi", "fl oz": "floz", "kWhr": "kWh", "revolution per minute": "rpm", "cycle per second": "Hz",
    "part per million": "ppm", "part per billion": "ppb", "pounds per square inch": "psi", "horse power": "hp",
}  # fmt: skip
#: Money: symbol or name, the code it stands for and its factor.
CURRENCIES = {
    "$": ("USD", F(1)), "US$": ("USD", F(1)), "USD": ("USD", F(1)), "dollar": ("USD", F(1)), "US dollar": ("USD", F(1)),
    "buck": ("USD", F(1)), "cent": ("USD", F(1, 100)), "¢": ("USD", F(1, 100)), "penny": ("USD", F(1, 100)),
    "€": ("EUR", F(1)), "EUR": ("EUR", F(1)), "euro": ("EUR", F(1)),
    "£": ("GBP", F(1)), "GBP": ("GBP", F(1)), "pound sterling": ("GBP", F(1)), "pence": ("GBP", F(1, 100)),
    "¥": ("JPY", F(1)), "JPY": ("JPY", F(1)), "yen": ("JPY", F(1)),
    "₹": ("INR", F(1)), "INR": ("INR", F(1)), "Rs": ("INR", F(1)), "rupee": ("INR", F(1)),
    "yuan": ("CNY", F(1)), "CNY": ("CNY", F(1)), "RMB": ("CNY", F(1)), "renminbi": ("CNY", F(1)),
    "CHF": ("CHF", F(1)), "franc": ("CHF", F(1)), "₽": ("RUB", F(1)), "RUB": ("RUB", F(1)), "ruble": ("RUB", F(1)),
    "₩": ("KRW", F(1)), "won": ("KRW", F(1)), "₿": ("BTC", F(1)), "BTC": ("BTC", F(1)), "bitcoin": ("BTC", F(1)),
    "A$": ("AUD", F(1)), "AUD": ("AUD", F(1)), "C$": ("CAD", F(1)), "CAD": ("CAD", F(1)), "NZ$": ("NZD", F(1)),
    "peso": ("peso", F(1)), "krona": ("krona", F(1)), "krone": ("krone", F(1)),
}  # fmt: skip
