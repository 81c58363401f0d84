"""Words of an answer: what is left of them when case, accents, articles, hyphens and spelling do not count."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from thrifty.exam.grading.vocabulary import ARTICLES, SHORT
from thrifty.exam.grading.words import ORDINALS, spelled

__all__ = ["fold", "numbered", "roman", "same_words", "words_of"]

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma",
    "ς": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"})
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[&+#%]")
_DOTTED = re.compile(r"\b(?:[A-Za-z]\.){2,}|\b[A-Za-z](?:\.[A-Za-z])+\b")
_ROMAN = re.compile(r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def fold(text: str) -> str:
    """Put into small letters without accents, Greek letters by name."""
    text = text.casefold()
    if text.isascii():
        return text
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)).translate(_LETTERS)
    return "".join(f" {_GREEK[c]} " if c in _GREEK else c for c in text)


def words_of(text: str) -> list[str]:
    """List the words that count, folded: no articles, no punctuation, abbreviations in full.

    >>> words_of("The U.S. café")
    ['us', 'cafe']
    """
    if "." in text:
        text = _DOTTED.sub(lambda m: m[0].replace(".", ""), text)
    words = [
        word.removesuffix("'s").replace("'", "")
        for word in _WORD.findall(fold(text.replace("-", " ").replace("/", " / ")))
    ]
    # An "a" at the end is a letter: vitamin A.
    return [SHORT.get(word, word) for k, word in enumerate(words) if word not in ARTICLES or k == len(words) - 1 > 0]


def roman(text: str) -> int | None:
    """Value of a Roman numeral in capitals; None where the text is none."""
    if not text.isupper() or not _ROMAN.fullmatch(text):
        return None
    values = [_ROMAN_VALUES[c] for c in text]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def numbered(text: str) -> list[str]:
    """List the words that count, with Roman and spelled numbers in digits."""
    first, *others = text.replace("-", " ").split(" ")
    turned = [first, *(str(value) if (value := roman(part)) is not None else part for part in others)]
    return [_digits(word) for word in words_of(" ".join(turned))]


def _digits(word: str) -> str:
    if word in ORDINALS:
        return str(ORDINALS[word])
    if _ORDINAL.fullmatch(word):
        return word[:-2]
    value = spelled(word) if word.isalpha() else None
    return str(value) if value is not None and value.denominator == 1 else word


_ENDINGS = (
    (re.compile(r"isation"), "ization"), (re.compile(r"is(e[ds]?|ing|er|ers)$"), r"iz\1"), (re.compile(r"yse"), "yze"),
    (re.compile(r"ae"), "e"), (re.compile(r"oe"), "e"), (re.compile(r"our"), "or"), (re.compile(r"tre$"), "ter"),
    (re.compile(r"ll"), "l"), (re.compile(r"ogue$"), "og"), (re.compile(r"sulph"), "sulf"),
    (re.compile(r"grey"), "gray"), (re.compile(r"aluminium"), "aluminum"), (re.compile(r"ence$"), "ense"),
)  # fmt: skip
_UMLAUTS = (("ae", "a"), ("oe", "o"), ("ue", "u"))
_LATIN = (
    ("a", "um"), ("a", "on"), ("i", "us"), ("ae", "a"), ("ices", "ix"), ("ices", "ex"), ("es", "is"), ("ata", "a"),
)  # fmt: skip


def _american(word: str) -> str:
    """Spell as in America; both sides are, so words of other endings lose nothing."""
    for pattern, other in _ENDINGS:
        word = pattern.sub(other, word)
    return word


def _plain_vowels(word: str) -> str:
    for two, one in _UMLAUTS:
        word = word.replace(two, one)
    return word


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _same_end(gold: list[str], answer: list[str]) -> bool:
    """Whether only the last words differ, and those as singular and plural do."""
    if gold[:-1] != answer[:-1]:
        return False
    g, a = gold[-1], answer[-1]
    if min(len(g), len(a)) >= 5 and any(
        many.endswith(plural) and one.endswith(single) and many[: -len(plural)] == one[: -len(single)]
        for many, one in ((g, a), (a, g))
        for plural, single in _LATIN
    ):
        return True
    g, a = _singular(g), _singular(a)
    if len(gold) > 1:
        # Of a phrase: hydrogen bond, hydrogen bonding.
        g, a = (word[:-3] if len(word) > 6 and word.endswith("ing") else word for word in (g, a))
    return g == a


def same_words(gold: str, answer: str) -> bool:
    """Whether two phrases are the same words: case, accents, articles, hyphens, spelling and number aside."""
    g, a = words_of(gold), words_of(answer)
    if not g or not a:
        return bool(_squashed(gold)) and _squashed(gold) == _squashed(answer)
    if _joined(g) == _joined(a):
        return True
    g, a = numbered(gold), numbered(answer)
    if g == a:
        return True
    if len(g) == len(a) == 1 and min(len(g[0]), len(a[0])) < 4:
        return False
    return (
        [*map(_american, g)] == [*map(_american, a)]
        or [*map(_plain_vowels, g)] == [*map(_plain_vowels, a)]
        or _same_end(g, a)
        or [*map(_singular, g)] == [*map(_singular, a)]
    )


def _joined(words: list[str]) -> str:
    """Words in one piece, but for digits that would run together."""
    text = words[0]
    for before, word in pairwise(words):
        text += f",{word}" if before[-1].isdigit() and word[0].isdigit() else word
    return text


def _squashed(text: str) -> str:
    return "".join(fold(text).split())
