"""Signs and capital letters that make another answer of the same words: a prime, an arrow, a genotype."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["compare_logic", "keeps_capitals", "same_signs"]

# Beside letters, digits and punctuation of sentences: each of these says something.
_ASCII = frozenset("~^_|<>=+@#$*\\`")
_PRIMES = re.compile(r"(?:(?<=[)\]\d])|(?<![A-Za-z'][A-Za-z])(?<=[A-Za-z]))'+(?![A-Za-z])")
_BEFORE = re.compile(r"(?:(?<=[\s(])|^)[-!](?=[A-Za-z](?![A-Za-z]))")
# "pH = 7" is "pH 7".
_VALUED = re.compile(r"(?<=[A-Za-z ])=(?=\s?-?\d)")
_BETWEEN = re.compile(r"(?<=\d);(?=\d)")
_BRACKETS = re.compile(r"(?<=[A-Za-z\d])\[[^\[\]]*\]")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_LONG = re.compile(r"[^\W\d_]{3,}")
_PREFIX = re.compile(r"\bre-(?=[b-df-hj-np-tv-z])", re.I)
_SCRIPTS, _SCRIPTED = frozenset("^_"), re.compile(r"[A-Za-z)\]][\^_][\d(]")
_PLAIN = frozenset("°‰…§©®™№")


def _signs(text: str) -> list[str]:
    """Signs of a text in their order, primes and what stands before a single letter among them."""
    found: list[tuple[int, str]] = []
    if "'" in text:
        found += [(m.start(), m[0]) for m in _PRIMES.finditer(text)]
    if "-" in text or "!" in text:
        found += [(m.start(), m[0]) for m in _BEFORE.finditer(text)]
        found += [(m.start(), "re-") for m in _PREFIX.finditer(text)]
    if "::" in text:
        found.append((text.index("::"), "::"))
    if ";" in text:
        found += [(m.start(), ";") for m in _BETWEEN.finditer(text)]
    if "[" in text:
        found += [(m.start(), "[]") for m in _BRACKETS.finditer(text)]
    text = text.replace('\\"', "  ")
    found += [(k, c) for k, c in enumerate(text) if c in _ASCII or (c > "\x7f" and _speaks(c))]
    return [sign for _, sign in sorted(found)]


def _speaks(c: str) -> bool:
    """Whether a character beyond ASCII is a sign, or a mark on a letter that no alphabet has as one."""
    category = unicodedata.category(c)
    return c not in _PLAIN and category in ("Sm", "Sk", "So", "Mn", "Ps", "Pe", "Pd", "Po")


def _unwrapped(text: str) -> str:
    """Leave out marks of markup around all of a text."""
    return text[1:-1] if len(text) > 4 and text[0] + text[-1] in ("__", "<>", "**", "||") else text


def same_signs(gold: str, answer: str) -> bool:
    """Whether two texts of the same words have the same signs in the same order.

    A text of single letters that has signs must have its letters in the same order as well.

    >>> same_signs("p ∧ q", "p ∨ q"), same_signs("f'", "f"), same_signs("Paris", "Paris!")
    (False, False, True)
    """
    g, a = (_signs(_VALUED.sub(" ", text)) for text in (gold, _unwrapped(answer)))
    if g != a and not (_SCRIPTS.isdisjoint(g) and _SCRIPTS.isdisjoint(a)) and _SCRIPTED.search(gold + answer):
        # "sp3" may be written with its script raised or not, but not lowered by one and raised by the other.
        one, other = (_SCRIPTS & set(signs) for signs in (g, a))
        if not (one and other):
            g, a = ([sign for sign in signs if sign not in _SCRIPTS] for signs in (g, a))
    if g != a:
        return False
    if not g or _LONG.search(_COMMAND.sub(" ", gold)):
        return True
    return _LETTERS.findall(gold) == _LETTERS.findall(answer)


_LOGIC = re.compile("[∧∨¬⊆⊇⊂⊃∀∃]")


def compare_logic(gold: str, answer: str) -> bool | None:
    """Whether signs of logic and sets are the same between the same letters; None for other texts.

    >>> compare_logic("p ∧ q", "p ∨ q"), compare_logic("p ∧ q", "q ∧ p")
    (False, None)
    """
    if not (_LOGIC.search(gold) or _LOGIC.search(answer)) or _LETTERS.findall(gold) != _LETTERS.findall(answer):
        return None
    return same_signs(gold, answer)


_TOKEN = re.compile(r"[^\W_]+")
_GENOTYPE = re.compile(r"(?:([A-Za-z])(?i:\1))+")
_MIXED = re.compile(r"[a-z\d][A-Z]|[A-Z]{2}[a-z]")
# Two words written as one: JavaScript, McDonald.
_CAMEL = re.compile(r"[A-Z]?[a-z]+(?:[A-Z][a-z]{2,})+")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_UNIT = re.compile(r"\d\s?([A-Za-z])(?![A-Za-z])")
_SYLLABLE = re.compile(
    r"[bcdfghj-np-tv-z]{0,2}[aeiouy]{1,2}[bcdfghj-np-tv-z]?|[aeiou](?:[lmnr][a-z]|[bdgkpst][eks]|dd|gg)", re.I
)
#: Short abbreviations that are known in small letters, too.
_KNOWN = frozenset(
    """
    dna rna atp adp gdp gnp usa uk uae eu un us hiv nasa nato cpu gpu ram rom ibm bbc fbi cia lcd led cd dvd tv pc mit
    mri ct iq iv ii iii vi vii xi ufo ceo phd nyc la ok am pm bc ad bce ce ww wwi xml sql css php tcp udp ip dns ssh
    ph jr sr mr mrs ms dr st mt vs th nd rd
    """.split()
)


def _strict(token: str) -> bool:
    """Whether the case of a word's letters says something: genotypes, units, abbreviations, names of genes."""
    if len(token) < 2 or token.isdigit() or not token.isascii():
        return False
    if token.casefold() in _KNOWN:
        return False
    if len(token) % 2 == 0 and _GENOTYPE.fullmatch(token):
        return True
    if len(token) <= 3 and token.isalpha():
        if _MIXED.search(token) is not None:
            return True
        if len(token) == 3:
            # A run of the alphabet, or one letter in several cases.
            return token.casefold() in _ALPHABET or len(set(token.casefold())) == 1
        return _SYLLABLE.fullmatch(token) is None
    return _MIXED.search(token) is not None and not (len(token) > 5 and _CAMEL.fullmatch(token))


def keeps_capitals(gold: str, answer: str) -> bool:
    """Whether words whose case says something have it in both texts.

    >>> keeps_capitals("AaBb", "AABb"), keeps_capitals("DNA", "dna"), keeps_capitals("Paris", "PARIS")
    (False, True, True)
    """
    if gold in answer:
        return True
    units = set(_UNIT.findall(gold))
    said: dict[str, set[str]] = {}
    for token in _TOKEN.findall(answer):
        said.setdefault(token.casefold(), set()).add(token)
    return not any(
        (others := said.get(token.casefold()))
        and token not in others
        and (token in units or _strict(token) or any(map(_strict, others)))
        for token in _TOKEN.findall(gold)
    )
