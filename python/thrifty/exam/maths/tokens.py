"""Text into tokens: LaTeX and plain styles alike, in one pass."""

from __future__ import annotations

import re
from typing import NamedTuple

from thrifty.exam.maths.names import (
    ALIASES,
    CONNECTIVES,
    DROPPED,
    FUNCTIONS,
    GREEK,
    OPERATORS,
    PLAIN_FUNCTIONS,
    STYLES,
    TEXTS,
    UNICODE,
    UNIT_WORDS,
)
from thrifty.exam.maths.phrases import CONDITIONS, QUANTIFIERS, worded
from thrifty.exam.maths.tree import MAX_LENGTH, NotMathsError

__all__ = ["Token", "tokens"]


class Token(NamedTuple):
    """One token.

    Attributes
    ----------
    kind : str
        ``number``, ``letter``, ``word``, ``function``, ``command``, ``op``, ``text``, ``end``.
    text : str
    space : bool
        Whether white space stood before it.
    """

    kind: str
    text: str
    space: bool = False


_TABLE = str.maketrans({**UNICODE, **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True))})
_SUPER = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_SUB = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_SUBS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_DELIMITERS = re.compile(r"\\?\$|\\[()\[\]](?!\d)")
_KNOWN = "|".join(
    sorted(
        {*OPERATORS, *DROPPED, *TEXTS, *STYLES, *GREEK, *FUNCTIONS, "frac", "dfrac", "tfrac", "cfrac", "pi", "boxed"}
        | {"begin", "end", "overline", "mathbb", "sum", "prod", "int", "lim", "lfloor", "rfloor", "langle", "rangle"}
        | {"pmod", "binom", "angle", "arcsin", "quad"},
        key=len,
        reverse=True,
    )
)
_DOUBLED = re.compile(rf"(?<!\\)\\\\(?=(?:{_KNOWN})(?![A-Za-z]))|(?<!\\)\\\\(?=[()\[\]{{}},;!]|boxed|fbox)")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,\s?\\!\s?|\\,|\\!)(?=\d{3}(?!\d))")
_COMMAS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_PIECE = re.compile(
    r"(?P<space>\s+|~|\\[ ,;:!>])"
    r"|(?P<command>\\[A-Za-z]+\*?)"
    r"|(?P<escaped>\\.)"
    r"|(?P<number>\d+\.\d+|\.\d+|\d+)"
    r"|(?P<word>[A-Za-z]+)"
    r"|(?P<op>\*\*|<=>|<=|>=|=>|->|!=|<>|==|:=|\.\.\.|.)",
    re.S,
)
_SCIENTIFIC = re.compile(r"(?<![A-Za-z\d.])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,6})(?![\d.A-Za-z])")
_GLUED_WORDS = re.compile(r"(?<=[\d)\]}])(and|or)(?=[A-Za-z\d(\\-])")
_LAYOUT = re.compile(
    r"(\\\\)\s?\[\s?\d{1,3}(?:\.\d{1,3})?\s?(?:pt|em|ex|mm|cm|in)\s?\]|\\[hv]space\*?\s?\{[^{}]{0,20}\}|\\tag\*?\s?\{[^{}]{0,20}\}"
    r"|\\(?:text)?color\s?\{[^{}]{0,20}\}|\\(?:left|right)\s?\.|\\phantom\s?\{[^{}]{0,20}\}"
)
_NEGATED = re.compile(r"\\not\s?(?:(\\in)(?![A-Za-z])|=)")
_MEMBER = re.compile(r"(?<![A-Za-z])([A-Za-z])\s{1,3}in\s{1,3}(?=[(\[{\\])")
_WITHOUT = re.compile(r"(?<=[A-Z})\]])\s?\\\s?(?=\\?\{)")
_TAIL = re.compile(r"(?<!\.)[.;,]\s*$")
_RAW = re.compile(r"\s*\{([^{}]*)\}")
_SYMBOLIC = {"**": "^", "==": "=", ":=": "=", "<>": "!=", "\\\\": ";;", "%": "%", "&": "&", "'": "'"}
_ESCAPED = {"\\{": "\\{", "\\}": "\\}", "\\%": "%", "\\|": "|", "\\\\": ";;", "\\&": "and", "\\_": "_", "\\#": " "}


def cleaned(text: str) -> str:
    """One style of signs: no delimiters of mathematics, no separators of thousands."""
    if len(text) > MAX_LENGTH:
        raise NotMathsError("too long")
    if not text.isascii():
        text = _SUPER.sub(lambda m: "^{" + m[0].translate(_TABLE) + "}", text)
        text = _SUB.sub(lambda m: "_{" + m[0].translate(_SUBS) + "}", text).translate(_TABLE)
    text = _LAYOUT.sub(lambda m: m[1] or " ", text) if "\\" in text else text
    if "\\\\" in text:
        text = _DOUBLED.sub(lambda m: "\\", text)
    styled = "\\" in text or "$" in text
    if styled:
        text = _NEGATED.sub(lambda m: r"\notin " if m[1] else r"\ne ", text)
    text = _MEMBER.sub(r"\1 \\in ", text)
    text = worded(_WITHOUT.sub(r" \\setminus ", text))
    text = _GLUED_WORDS.sub(r" \1 ", _DELIMITERS.sub(" ", text))
    text = _THOUSANDS.sub("", text)
    if not styled:
        text = _SCIENTIFIC.sub(r"(\1*10^(\2))", text)
    return _COMMAS.sub(lambda m: m[0] if _inside(text, m.start()) else m[0].replace(",", ""), text)


def _inside(text: str, at: int) -> bool:
    before = text[:at]
    return any(before.count(a) > before.count(b) for a, b in ("()", "[]", "{}"))


def tokens(text: str) -> list[Token]:  # noqa: PLR0912 - one a kind
    """Tokens of an answer, an ``end`` last.

    Raises
    ------
    NotMathsError
        For text that is too long, or has signs that no answer has.
    """
    text = _TAIL.sub("", cleaned(text).strip())
    found: list[Token] = []
    at, space, single = 0, False, 0
    while at < len(text):
        match = _PIECE.match(text, at)
        assert match is not None  # the last alternative takes any sign
        at, kind, piece = match.end(), str(match.lastgroup), match[0]
        if kind == "space":
            space = True
            continue
        if single and kind == "number":  # \frac12 and \sqrt2 take one digit each
            single -= 1
            if len(piece) > 1 and piece[0] != ".":
                at = match.start() + 1
                piece = piece[0]
        elif single and (kind != "op" or piece not in "{["):
            single -= 1
        elif single:
            single = 0
        if kind == "command":
            name = piece[1:].rstrip("*")
            if name in TEXTS:
                at = _words(text, at, name, space, found)
            elif name not in DROPPED:
                _command(name, space, found)
                single = {"frac": 2, "dfrac": 2, "tfrac": 2, "cfrac": 2, "binom": 2, "sqrt": 1}.get(name, 0)
        elif kind == "number":
            found.append(Token("number", piece, space))
        elif kind == "word":
            _word(piece, space, found)
        elif kind == "escaped":
            found.append(Token("op", _ESCAPED.get(piece, piece), space))
        else:
            if piece == "!=" and not space and found and (found[-1].kind == "number" or found[-1].text == ")"):
                piece, at = "!", at - 1  # 5!=120 has a factorial
            if not piece.isprintable():
                raise NotMathsError("a sign that can't be printed")
            found.append(Token("op", _SYMBOLIC.get(piece, piece), space))
        space = False
    found.append(Token("end", ""))
    return found


def _command(name: str, space: bool, found: list[Token]) -> None:
    if name in OPERATORS:
        found.append(Token("op", OPERATORS[name], space))
    elif name in {"choose", "over"}:
        found.append(Token("op", name, space))
    elif name in FUNCTIONS and name != "sqrt":
        found.append(Token("function", name, space))
    elif name in ALIASES:
        found.append(Token("function", ALIASES[name], space))
    elif name == "pi" or name in GREEK:
        found.append(Token("letter", name, space))
    elif name.startswith("var") and name[3:] in GREEK:
        found.append(Token("letter", name[3:], space))
    elif name.startswith("quad") and len(name) > 4:
        _word(name[5:] if name.startswith("qquad") else name[4:], True, found)
    elif name in {"R", "Z", "N", "Q", "C"}:
        found.extend((Token("command", "mathbb", space), Token("letter", name)))
    elif name in {"imath", "jmath"}:
        found.append(Token("letter", name[0], space))
    elif len(name) == 1:
        raise NotMathsError(f"unknown command {name}")
    else:
        found.append(Token("command", name, space))


def _words(text: str, at: int, name: str, space: bool, found: list[Token]) -> int:
    """Read what is in braces after a command around words."""
    match = _RAW.match(text, at)
    if match is None:
        return at
    inside = match[1].strip()
    bare = inside.strip(" ,;.:()").lower()
    if bare.split(" ")[0] in CONDITIONS and set(bare.split()) <= CONDITIONS | QUANTIFIERS:
        found.append(Token("op", ",", space))
    elif bare in CONNECTIVES or not bare:
        found.append(Token("op", CONNECTIVES.get(bare, ","), space)) if bare or "," in inside else None
    elif inside in PLAIN_FUNCTIONS and (name != "text" or inside in _GLUED):
        found.append(Token("function", ALIASES.get(inside, inside), space))
    elif len(inside) == 1 and inside.isalpha():
        found.append(Token("letter", inside, space))
    elif re.fullmatch(r"[\d.,\s+*/^()-]+", inside):
        found.extend(token._replace(space=True) for token in tokens(inside)[:-1])
    elif name in {"mathrm", "mathit", "operatorname"} and re.fullmatch(r"d[a-z]", inside):
        found.extend((Token("letter", "d", True), Token("letter", inside[1])))
    else:
        found.append(Token("text", inside, True))
    return match.end()


def _word(word: str, space: bool, found: list[Token]) -> None:  # noqa: PLR0912 - one a kind
    """Letters without a backslash: a name that is known, a product of letters, or a word."""
    before = found[-1] if found else None
    if word.lower() in CONNECTIVES and len(word) > 1:
        found.append(Token("op", CONNECTIVES[word.lower()], space))
    elif word in CONDITIONS:
        found.append(Token("op", ",", space))
    elif word in QUANTIFIERS and before is not None and before.text == ",":
        return
    elif word in {"pi", "Pi", "PI"}:
        found.append(Token("letter", "pi", space))
    elif word in {"inf", "infinity", "Infinity", "oo", "infty"}:
        found.append(Token("op", "infinity", space))
    elif word in {
        "theta",
        "alpha",
        "beta",
        "gamma",
        "lambda",
        "omega",
        "sigma",
        "phi",
        "mu",
        "delta",
        "rho",
        "epsilon",
    }:
        found.append(Token("letter", word, space))
    elif word in {"mod", "choose", "degrees", "degree", "percent", "pct"}:
        found.append(Token("op", {"degrees": "°", "degree": "°", "percent": "%", "pct": "%"}.get(word, word), space))
    elif word in PLAIN_FUNCTIONS:
        found.append(Token("function", ALIASES.get(word, word), space))
    elif len(word) == 1:
        found.append(Token("letter", word, space))
    elif before is not None and before.kind == "number" and word in UNIT_WORDS and (space or len(word) > 2):
        found.append(Token("word", word, space))
    elif parts := _glued(word):
        for i, part in enumerate(parts):
            kind = "function" if part in PLAIN_FUNCTIONS else "letter"
            found.append(Token(kind, ALIASES.get(part, part), space and not i))
    elif len(word) <= 3 or (len(word) <= 4 and word.isupper()):
        found.extend(Token("letter", letter, space and not i) for i, letter in enumerate(word))
    else:
        found.append(Token("word", word, space))


_GLUED = frozenset(
    [
        "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "sqrt", "sin", "cos", "tan", "cot", "sec", "csc",
        "ln", "log", "exp", "pi",
    ]
)  # fmt: skip
_BEFORE = re.compile(rf"([a-z]?)({'|'.join(sorted(_GLUED, key=len, reverse=True))})([a-z]?)")


def _glued(word: str) -> list[str]:
    match = _BEFORE.fullmatch(word)
    return [part for part in match.groups() if part] if match else []
