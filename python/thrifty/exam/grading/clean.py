"""Text made comparable: one form for characters that look alike, and LaTeX that only dresses text taken off."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["CAP", "characters", "plain", "squeeze"]

#: Characters of an answer that are looked at.
CAP = 4096

_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+-()ni", strict=True))
_SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎", "0123456789+-()", strict=True))
_SUPERS, _SUBS = re.compile(f"[{''.join(_SUPER)}]+"), re.compile(f"[{''.join(_SUB)}]+")
# Vulgar fractions stand apart from the whole number before them.
_VULGAR = re.compile("([0-9])?([¼-¾⅐-⅞↉])")
_LOOKALIKE = {
    **dict.fromkeys(map(ord, "‐‑‒–—―−﹣－⁃"), "-"),
    **dict.fromkeys(map(ord, "‘’‚‛′ʹʼ`´"), "'"),
    **dict.fromkeys(map(ord, "“”„‟«»"), '"'),
    ord("″"): "''",
    ord("⁄"): "/",
    ord("∕"): "/",
    ord("÷"): "/",
    ord("∶"): ":",
    ord("∗"): "*",
    ord("⋅"): "·",
    ord("∙"): "·",
    ord("•"): "·",
    ord("µ"): "μ",
    ord("º"): "°",
    ord("˚"): "°",
    ord("𝑒"): "e",
}
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff\u2600-\u2653\u2660-\u266c\u2670-\u26ff\u2700-\u27bf\u2b50\U0001f300-\U0001faff]+"
)
_SPACES = re.compile(r"\s+")


def _script(found: re.Match[str], table: dict[str, str], mark: str) -> str:
    inner = "".join(table[c] for c in found[0])
    return f"{mark}{inner}" if len(inner) == 1 else f"{mark}{{{inner}}}"


def characters(text: str) -> str:
    """One character for those that mean the same (NFKC and more); scripts become ``^`` and ``_``, nothing is hidden.

    >>> characters("10⁻³ − ½")
    '10^{-3} - 1/2'
    """
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text)
    for sign, word in _ACCIDENTALS.items():
        text = text.replace(sign, word)
    text = _VULGAR.sub(lambda m: f"{m[1] or ''}{' ' if m[1] else ''}{unicodedata.normalize('NFKC', m[2])}", text)
    text = _SUPERS.sub(lambda m: _script(m, _SUPER, "^"), text)
    text = _SUBS.sub(lambda m: _script(m, _SUB, "_"), text)
    text = text.translate(_LOOKALIKE)
    text = unicodedata.normalize("NFKC", text).translate(_LOOKALIKE)
    if not text.isascii():
        text = "".join(_digit(c) for c in _INVISIBLE.sub("", text))
    return text


# A note that is raised or lowered: C♯, B♭.
_ACCIDENTALS = {"♯": " sharp", "♭": " flat", "♮": " natural"}


def _digit(c: str) -> str:
    """Decimal digits of all scripts are digits."""
    if c > "\u02ff" and (value := unicodedata.decimal(c, None)) is not None:
        return str(value)
    return c


def squeeze(text: str) -> str:
    """Single blanks, none at the ends."""
    return _SPACES.sub(" ", text).strip()


_WRAP = re.compile(
    r"\\(?:text(?:rm|bf|it|sf|tt|normal|up|sc)?|math(?:rm|bf|it|sf|tt|bb|cal|frak|normal|ord)|mbox|hbox|boldsymbol|bm"
    r"|operatorname\*?|ce|fbox|boxed|emph|underline|unit|ensuremath|displaystyle|SI|si|pu|bold)\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{\s*(-?\s*[\d.,]+)\s*\}|(\d))\s*(?:\{\s*([\d.,]+)\s*\}|(\d))")
_OVER = re.compile(r"(\d)\s?\\over\s?(\d)")
_DEGREE = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree\b|\\circ(?=\s*[CF]\b)|\^o(?=[CF]\b)")
_COMMAND = re.compile(r"\\([A-Za-z]+|[^A-Za-z])\s?")
_TIGHT = re.compile(r"\\!\s*")
_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "omicron",
    "pi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "chi",
    "psi",
    "omega",
]
_GREEK_LETTER = dict(zip(_GREEK, "αβγδεζηθικλμνξοπρστυφχψω", strict=True))
_PLAIN = {
    **_GREEK_LETTER,
    **{name.capitalize(): letter.upper() for name, letter in _GREEK_LETTER.items()},
    "varepsilon": "ε",
    "varphi": "φ",
    "times": "×",
    "cdot": "·",
    "ast": "*",
    "div": "/",
    "pm": "±",
    "infty": "∞",
    "degree": "°",
    "circ": "°",
    "approx": "≈",
    "sim": "~",
    "simeq": "≈",
    "le": "≤",
    "leq": "≤",
    "leqslant": "≤",
    "ge": "≥",
    "geq": "≥",
    "geqslant": "≥",
    "lt": "<",
    "gt": ">",
    "ne": "≠",
    "neq": "≠",
    "to": "->",
    "rightarrow": "->",
    "longrightarrow": "->",
    "Rightarrow": "=>",
    "rightleftharpoons": "<->",
    "leftrightarrow": "<->",
    "land": "∧",
    "wedge": "∧",
    "lor": "∨",
    "vee": "∨",
    "neg": "¬",
    "lnot": "¬",
    "subseteq": "⊆",
    "supseteq": "⊇",
    "subset": "⊂",
    "supset": "⊃",
    "forall": "∀",
    "exists": "∃",
    "emptyset": "∅",
    "varnothing": "∅",
    "AA": "Å",
    "angstrom": "Å",
    "ohm": "Ω",
    "micro": "μ",
    "percent": "%",
    "euro": "€",
    "pounds": "£",
    "prime": "'",
    "ldots": "...",
    "dots": "...",
    "cdots": "...",
    "colon": ":",
    "quad": " ",
    "qquad": " ",
    "left": "",
    "right": "",
    "big": "",
    "Big": "",
    "bigl": "",
    "bigr": "",
    "displaystyle": "",
    "textstyle": "",
    "limits": "",
    "rm": "",
    "bf": "",
    "it": "",
    "mathrm": "",
    "text": "",
    "textdegree": "°",
    "%": "%",
    "$": "$",
    "&": "&",
    "#": "#",
    "_": "_",
    "{": "{",
    "}": "}",
    ",": " ",
    ";": " ",
    ":": " ",
    "!": "",
    " ": " ",
    "\\": " ",
    "(": "",
    ")": "",
    "[": "",
    "]": "",
}
_MARKUP = re.compile(r"</?(?:b|i|em|strong|span|code|u|p|div|mark|math|mn|mi|mrow|font|big|small|center)>", re.I)
_SCRIPTS = re.compile(r"<(su[bp])>([^<>]*)</su[bp]>", re.I)
_ENTITIES = {"nbsp": " ", "lt": "<", "gt": ">", "deg": "°", "times": "×", "minus": "-", "micro": "μ", "quot": '"'}
_ENTITY = re.compile(r"&(nbsp|lt|gt|deg|times|minus|micro|quot);")
_SHARP = re.compile(r"(?<![A-Za-z\d=])([A-G])#(?![\w#+])")
_FLAT = re.compile(r"(?<![A-Za-z\d])([A-G])b\s(major|minor)\b")
_PERIOD = re.compile(r"(\d\.\d{0,20})\\overline\s?\{\s?(\d{1,6})\s?\}")
_COMMA = re.compile(r"\s?\{\s?,\s?\}\s?")
_BRACED = re.compile(r"([\^_])\{([^{}]*)\}")


def _raised(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}" if len(found[2]) == 1 else f"{found[1]}({found[2]})"


def _bare(found: re.Match[str]) -> str:
    name = found[1]
    if name in _PLAIN:
        return _PLAIN[name]
    return found[0]


def _fraction(found: re.Match[str]) -> str:
    before = found.string[: found.start()].rstrip()[-1:] if found.start() < CAP else ""
    return f"{' ' if before.isdigit() else ''}{found[1] or found[2]}/{found[3] or found[4]}"


def plain(text: str) -> str:
    r"""Turn into what a reader sees: signs of mathematics, text macros and spacing taken off, fractions on one line.

    >>> plain(r"$\frac{3}{4} \text{ km}$")
    '3/4 km'
    """
    if "<" in text:
        text = _SCRIPTS.sub(lambda m: ("_" if m[1][2] in "bB" else "^") + "{" + m[2] + "}", text)
        text = _MARKUP.sub("", text)
    if "&" in text:
        text = _ENTITY.sub(lambda m: _ENTITIES[m[1]], text)
    if "\\" in text:
        if "overline" in text:
            text = _PERIOD.sub(lambda m: f"{m[1]}{m[2] * 3}...", text)
        text = _BRACED.sub(_raised, _DEGREE.sub("°", text.replace("\\\\", "\\")))
        for _ in range(4):
            unwrapped = _WRAP.sub(r"\1", text)
            if unwrapped == text:
                break
            text = unwrapped
        text = _FRACTION.sub(_fraction, _OVER.sub(r"\1/\2", text))
        text = _TIGHT.sub("", text).replace("\\$", "\x00")
        text = _COMMAND.sub(_bare, text)
    if "{" in text:
        text = _COMMA.sub(",", text)
        text = _BRACED.sub(_raised, text)
    if "b m" in text:
        text = _FLAT.sub(r"\1 flat \2", text)
    if "#" in text:
        text = _SHARP.sub(r"\1 sharp", text)
    if "$" in text:
        text = undollar(text)
    return squeeze(text.replace("\x00", "$"))


_MATHS = re.compile(r"\$\$([^$]*)\$\$|\$([^$]*)\$(?!\d)")


def undollar(text: str) -> str:
    """Take off dollar signs that delimit mathematics; one that stands for money stays."""
    return _MATHS.sub(lambda m: m[1] if m[1] is not None else m[2], text)
