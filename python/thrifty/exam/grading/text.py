"""Answers in words: the same words in another dress are equal, and a denial is not."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from thrifty.exam.grading.places import PLACES
from thrifty.exam.grading.words import ORDINALS, spelled

__all__ = ["compare_text", "fold", "same_text", "words_of"]

_ARTICLES = frozenset(("the", "a", "an"))
_NEGATIONS = frozenset(
    "not no never none neither nor without isn't aren't wasn't weren't doesn't don't didn't can't cannot won't false incorrect "
    "untrue wrong impossible except unlike non nobody nothing".split()
)
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma",
    "ς": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"})
_SHORT = {
    "st": "saint", "mt": "mount", "dr": "doctor", "mr": "mister", "prof": "professor", "no": "no", "vs": "versus",
    "&": "and", "jr": "junior", "sr": "senior", "ft": "fort", "govt": "government", "dept": "department",
}  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[&+#%]")
_ROMAN = re.compile(r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def fold(text: str) -> str:
    """Small letters without accents; Greek letters by name."""
    text = text.casefold()
    if text.isascii():
        return text
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)).translate(_LETTERS)
    return "".join(f" {_GREEK[c]} " if c in _GREEK else c for c in text)


def words_of(text: str) -> list[str]:
    """The words that count, folded: no articles, no punctuation, numbers in digits."""
    found = []
    for word in _WORD.findall(fold(text.replace("-", " ").replace("/", " / "))):
        word = word.removesuffix("'s") if word.endswith("'s") else word.replace("'", "")
        if word not in _ARTICLES:
            found.append(_SHORT.get(word, word))
    return found


def _roman(word: str) -> str:
    if not word.isupper() or not _ROMAN.fullmatch(word):
        return word
    total = 0
    for this, after in zip(word, word[1:] + "I", strict=True):
        value = _ROMAN_VALUES[this]
        total += -value if value < _ROMAN_VALUES[after] and after != this else value
    return str(total)


def _numbered(text: str) -> list[str]:
    """Words with Roman and spelled numbers in digits."""
    parts = text.replace("-", " ").split(" ")
    parts = [parts[0], *(_roman(part) for part in parts[1:])]
    found = []
    for word in words_of(" ".join(parts)):
        value = spelled(word) if word.isalpha() else None
        if word in ORDINALS:
            value = None
            word = str(ORDINALS[word])
        elif re.fullmatch(r"\d+(?:st|nd|rd|th)", word):
            word = word[:-2]
        found.append(str(value) if value is not None and value.denominator == 1 else word)
    return found


_ENDINGS = (
    (re.compile(r"isation"), "ization"), (re.compile(r"is(e[ds]?|ing|er|ers)$"), r"iz\1"), (re.compile(r"yse"), "yze"),
    (re.compile(r"ae"), "e"), (re.compile(r"oe"), "e"), (re.compile(r"our"), "or"), (re.compile(r"tre$"), "ter"),
    (re.compile(r"ll"), "l"), (re.compile(r"ogue$"), "og"), (re.compile(r"sulph"), "sulf"), (re.compile(r"grey"), "gray"),
    (re.compile(r"aluminium"), "aluminum"), (re.compile(r"caesium"), "cesium"), (re.compile(r"ence$"), "ense"),
)  # fmt: skip
_UMLAUTS = (("ae", "a"), ("oe", "o"), ("ue", "u"))


def _american(word: str) -> str:
    for pattern, other in _ENDINGS:
        word = pattern.sub(other, word)
    return word


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def same_words(gold: str, answer: str) -> bool:
    """Whether two phrases are the same words: case, accents, articles, hyphens and spelling aside."""
    g, a = words_of(gold), words_of(answer)
    if not g or not a:
        return squashed(gold) == squashed(answer) and bool(squashed(gold))
    if g == a or "".join(g) == "".join(a):
        return True
    g, a = _numbered(gold), _numbered(answer)
    if g == a:
        return True
    if len(g) == len(a) == 1 and min(len(g[0]), len(a[0])) < 4:
        return False
    if [_american(w) for w in g] == [_american(w) for w in a]:
        return True
    for long, short in _UMLAUTS:
        g, a = [w.replace(long, short) for w in g], [w.replace(long, short) for w in a]
    if g == a:
        return True
    return [*g[:-1], _stem(g)] == [*a[:-1], _stem(a)]


def _stem(words: list[str]) -> str:
    """The last word in the singular; of a phrase without the ending of a verbal noun."""
    word = _singular(words[-1])
    return word[:-3] if len(words) > 1 and len(word) > 6 and word.endswith("ing") else word


def squashed(text: str) -> str:
    """All that is not blank, folded."""
    return "".join(fold(text).split())


def _capital(word: str) -> bool:
    return word[:1].isupper()


# Words that make another place or thing of the name behind them.
_QUALIFIERS = frozenset(
    "north south east west northern southern eastern western new old great greater upper lower central saint san santa los las "
    "el la le non anti pre post semi sub super inner outer first second third young elder little big equatorial papua "
    "democratic republic french british american dutch".split()
)
_GENERIC = frozenset(
    "ocean sea river lake mountain mount mountains city town island islands country state states kingdom republic bridge tower "
    "theorem law effect principle equation method algorithm disease syndrome cycle process reaction bond acid cell cells war "
    "battle treaty act dynasty empire period era age day university college street desert strait bay gulf cape "
    "forest park canal temple cathedral church palace prize constant number theory model test rule lemma conjecture".split()
)
_TITLES = frozenset(
    "mr mrs ms dr prof professor sir lady lord king queen president emperor saint pope general captain doctor mister prince "
    "princess chancellor senator".split()
)


def same_name(gold: str, answer: str) -> bool:
    """Whether two names are one person's: a surname stands for the whole name, initials for first names."""
    g, a = _name(gold), _name(answer)
    if g is None or a is None or len(g) == len(a) == 1:
        return False
    inverted = answer.split(",")
    if len(inverted) == 2 and (turned := _name(f"{inverted[1].strip()} {inverted[0]}")) == g:
        return True
    inverted = gold.split(",")
    if len(inverted) == 2 and _name(f"{inverted[1].strip()} {inverted[0]}") == a:
        return True
    long, short = (g, a) if len(g) >= len(a) else (a, g)
    if fold(long[-1]).rsplit("-", 1)[-1] != fold(short[-1]).rsplit("-", 1)[-1]:
        return False
    if any(fold(word) in _QUALIFIERS or fold(word) in _GENERIC for word in long) or fold(long[-1]) in _GENERIC:
        return False
    if len(short) == 1:
        return len(long) <= 3 and len(short[0]) > 3
    firsts, given = long[:-1], short[:-1]
    if len(given) > len(firsts):
        return False
    return all(_first_name(x, y) for x, y in zip(firsts, given, strict=False)) and (
        len(firsts) == len(given) or all(len(word) <= 2 for word in firsts[len(given) :])
    )


def _name(text: str) -> list[str] | None:
    words = [word.strip(".,") for word in re.split(r"[\s.]+", text) if word.strip(".,")]
    while words and fold(words[0]) in _TITLES:
        words = words[1:]
    if (
        not words
        or len(words) > 4
        or not all(_capital(w) and w.replace("-", "").replace("'", "").isalpha() for w in words)
    ):
        return None
    return words


def _first_name(x: str, y: str) -> bool:
    if fold(x) == fold(y):
        return True
    short, long = sorted((x, y), key=len)
    return len(short) == 1 and fold(long).startswith(fold(short))


_SPLIT = re.compile(r"\s[(\[]([^()\[\]]{1,200})[)\]]")


def _acronym(gold: str, answer: str) -> bool:
    """Whether one is made of the first letters of the other's words."""
    short, long = sorted((re.sub(r"^the\s", "", text, flags=re.I) for text in (gold, answer)), key=len)
    short = short.replace(".", "")
    if not 2 <= len(short) <= 8 or not short.isupper() or not short.isalpha():
        return False
    words = re.findall(r"[^\W\d_]+", long)
    heads = "".join(w[0] for w in words)
    caps = "".join(w[0] for w in words if w.lower() not in ("of", "the", "and", "for", "in", "on", "to", "a"))
    return len(words) > 1 and short in (heads.upper(), caps.upper())


_LEAD = re.compile(
    r"(?:(?:so|thus|therefore|hence|in conclusion|finally|overall|well|ok(?:ay)?|i think|i believe|i'd say|i would say|probably|"
    r"likely|most likely|clearly|obviously|it seems|it must be|i am confident)(?:\s?that)?[\s,:]+)"
    r"|(?:it|this|that|he|she|they|these|those)(?:'s|\s(?:is|was|are|were|would be|must be|should be))\s(?:called\s|known as\s)?"
    r"|(?:(?:the|my)\s)?(?:(?:exact|final|correct|right|best)\s){0,2}(?:answer|result|solution|value|final answer)(?:\s(?:is|was|would be|should be|must be)|:)\s?:?\s?",
    re.I,
)
_TRAIL = re.compile(
    r"\s?(?:\bbecause\b|,\s?(?:which|who|since|as\b|because|where|also\scalled|also\sknown|i\.e\.|the\s|a\s|an\s)|\bsince\b|;"
    r"|\s-{1,3}\s|:\s|\.\s(?=[A-Z])|\bis\s(?:the|my)\s(?:correct\s|final\s|right\s)?(?:answer|solution|result)\b|\sby\s(?=[A-Z])|\balso\s(?:known|called)\b|\bdue\sto\b|\bas\sit\b)",
    re.I,
)
_COPULA = re.compile(
    r"\b(?:is|are|was|were|be|called|named|equals)\b\s(?:called\s|named\s|simply\s|actually\s|indeed\s|the\s)?", re.I
)
_HEDGED = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|might|may be|could be|not sure|unsure|unknown|between)\b|/", re.I
)
_CONTRAST = re.compile(
    r"[,;\s(]*\b(?:(?:and|but)\s)?(?:not|rather\sthan|instead\sof|unlike|as\sopposed\sto|never)\s(?P<other>[^,;.()]{1,80})\)?",
    re.I,
)
_BUT = re.compile(r"\bnot\s[^,;.]{1,80}?,?\s(?:but|rather)\s(?:rather\s)?", re.I)
_YES = re.compile(r"(yes|no|true|false|correct|incorrect)\b", re.I)


def strip_lead(text: str) -> str:
    """Leave out what only introduces an answer."""
    for _ in range(4):
        lead = _LEAD.match(text)
        if lead is None or lead.end() == len(text):
            return text
        text = text[lead.end() :].strip()
    return text


_KIND = re.compile(
    r"(?:the\s)?(?:city|town|country|state|island|planet|element|word|term|process|phenomenon|concept|river|gas|compound|molecule|"
    r"theory|disease|language|author|composer|number|letter|name|color|colour|protein|enzyme|gene|species|genus|metal|philosopher|"
    r"scientist|novel|book|film|movie|play|poem|painting)\s(?:(?:of|called|named|known\sas)\s)?(?=\S)",
    re.I,
)


@lru_cache(maxsize=1024)
def _variants(text: str) -> tuple[str, ...]:
    """An answer and what it comes to without asides: (…), what is only denied, reasons behind it."""
    found = [text]
    lead = strip_lead(text)
    found.append(lead)
    kind = _KIND.match(lead)
    if kind is not None:
        found.append(lead[kind.end() :])
    place = lead.rsplit(", ", 1)
    if len(place) == 2 and fold(place[1].removeprefix("the ")) in PLACES:
        found.append(place[0])
    if "(" in lead or "[" in lead:
        outside = _SPLIT.sub(" ", lead).strip(" .,")
        if outside:
            found.append(outside)
        for inner in _SPLIT.findall(lead)[:2]:
            if (
                not _NEGATED.search(inner)
                and not _HEDGED.search(inner)
                and not re.search(r"\bwas|thought|formerly|wrong", inner)
            ):
                found.append(re.sub(r"^(?:or|aka|also known as|also called|i\.e\.,?|=)\s", "", inner))
    return tuple(dict.fromkeys(part.strip() for part in found if part.strip()))


_NEGATED = re.compile(rf"(?<![\w'])(?:{'|'.join(sorted(_NEGATIONS))})(?![\w'])", re.I)


def _denials(text: str) -> int:
    return len(_NEGATED.findall(text.replace("n't ", " not ")))


def same_text(gold: str, answer: str) -> bool:
    """Whether an answer says what the gold answer says, as far as words go."""
    return compare_text(gold, answer) == "equal"


def _phrase(gold: str, answer: str) -> bool:
    return same_words(gold, answer) or same_name(gold, answer) or _acronym(gold, answer) or _generic(gold, answer)


def _generic(gold: str, answer: str) -> bool:
    """The Pacific and the Pacific Ocean: a word for the kind of thing says nothing more."""
    g, a = words_of(gold), words_of(answer)
    long, short = (g, a) if len(g) > len(a) else (a, g)
    if len(long) != len(short) + 1 or not short or all(word in _GENERIC for word in short):
        return False
    if any(c.islower() for c in gold[:1]) and any(c.islower() for c in answer[:1]):
        return False
    if long[-1] in _GENERIC and long[:-1] == short or long[0] in _GENERIC | _TITLES and long[1:] == short:
        return True
    return False


def compare_text(gold: str, answer: str) -> str | None:
    """Compare two answers in words.

    Returns
    -------
    str or None
        ``"equal"``, ``"different"``, or None where a long answer shares so much with the gold one that only a reader
        can tell.
    """
    answer = answer[:1000]
    if same_words(gold, answer):
        return "equal"
    yes = _YES.fullmatch(gold.strip(" .!"))
    if yes is not None:
        return _yes_no(yes[1].lower(), answer)
    golds = _variants(gold)
    if " or " in gold:
        golds = (*golds, *(part.strip() for part in re.split(r",?\sor\s", gold) if len(part.strip()) > 1))
    if " / " in gold or re.fullmatch(r"[A-Za-z ]{3,}/[A-Za-z ]{3,}", gold):
        golds = (*golds, *(part.strip() for part in gold.split("/")))
    for said in _variants(answer):
        if any(_phrase(g, said) for g in golds):
            return "equal"
    if _says(golds, answer):
        return "equal"
    return _unclear(gold, answer)


def _yes_no(gold: str, answer: str) -> str:
    same = {
        "yes": ("yes", "true", "correct"),
        "true": ("true", "yes", "correct"),
        "correct": ("correct", "true", "yes"),
    }
    other = {
        "no": ("no", "false", "incorrect"),
        "false": ("false", "no", "incorrect"),
        "incorrect": ("incorrect", "false", "no"),
    }
    said = strip_lead(answer).strip(" \"'*.,!(").lower()
    word = re.match(r"[a-z]+", said)
    if word is not None and word[0] not in ("yes", "no", "true", "false", "correct", "incorrect", "not"):
        # "The statement is true".
        copula = None
        for copula in _COPULA.finditer(said):  # noqa: B007
            pass
        said = said[copula.end() :].strip() if copula else ""
        word = re.match(r"[a-z]+", said)
    if word is None:
        return "different"
    accepted = (same | other)[gold]
    if said.startswith("not ") or (len(said) > len(word[0]) and re.match(r"\s?(?:or|and|/)\b", said[len(word[0]) :])):
        return "different"
    return "equal" if word[0] in accepted else "different"


def _says(golds: tuple[str, ...], answer: str) -> bool:
    """Whether a sentence says the gold answer: undenied, as its end, its head, or within it as words of their own."""
    text = strip_lead(answer)
    swapped = _BUT.sub("", text)
    kept = _CONTRAST.sub(" ", swapped)
    if not kept.strip():
        return False
    for gold in golds:
        denials = _denials(gold)
        if _denials(kept) > denials:
            continue
        hedged = _HEDGED.search(kept) is not None and _HEDGED.search(gold) is None
        if hedged:
            continue
        candidates = [kept.strip(" .,")]
        trail = _TRAIL.search(kept)
        if trail is not None and trail.start():
            candidates.append(kept[: trail.start()].strip(" .,"))
        for copula in list(_COPULA.finditer(candidates[-1]))[-2:]:
            candidates.append(candidates[-1][copula.end() :].strip(" .,"))
        if any(_phrase(gold, candidate) for candidate in candidates if candidate):
            return True
        if _within(gold, kept):
            return True
    return False


_VERBS = frozenset(
    "is are was were be been has have had does did do can could will would should must occurs happens takes made makes wrote "
    "discovered invented won wins became lies means refers called known named produces contains uses divide divides located "
    "found born died ruled lived painted composed built founded".split()
)


def _within(gold: str, answer: str) -> bool:
    """Whether the gold words stand in a sentence, not as a part of a longer name or of an enumeration."""
    g = words_of(gold)
    tokens = re.findall(r"[^\W_]+(?:['-][^\W_]+)*|[,;&]", answer)
    folded = [" ".join(words_of(token)) for token in tokens]
    if not g or len(tokens) > 60:
        return False
    if not any(word in _VERBS for word in folded):
        means = len(folded) > len(g) + 2 and folded[len(folded) - len(g) - 1] in (
            "by",
            "via",
            "through",
            "using",
            "called",
        )
        return means and [w for part in folded[-len(g) :] for w in part.split()] == g
    words = [(i, w) for i, word in enumerate(folded) for w in word.split()]
    flat = [w for _, w in words]
    hits = [k for k in range(len(flat) - len(g) + 1) if flat[k : k + len(g)] == g]
    if len(hits) != 1:
        return False
    first, last = words[hits[0]][0], words[hits[0] + len(g) - 1][0]
    before = tokens[first - 1] if first else ""
    after = tokens[last + 1] if last + 1 < len(tokens) else ""
    if tokens[last].endswith(("'s", "s'")) and not gold.endswith(("'s", "s'")):
        return False
    if first > 1 and _capital(before) and before.lower() not in _TITLES | {"the"} and before.lower() not in _VERBS:
        return False
    if _capital(after) and after.lower() not in _GENERIC:
        return False
    if before.lower() in _QUALIFIERS or before in ("and", "&", ",") or after in ("and", "&", "or"):
        return False
    return not before.lower() in (
        "than",
        "from",
        "by",
        "with",
        "unlike",
        "versus",
        "vs",
        "except",
        "against",
    ) or before.lower() in ("by", "from", "with")


_CONTENT = 4


def _unclear(gold: str, answer: str) -> str | None:
    """Whether a reader is needed: the gold answer is a whole phrase, and most of it is in the answer."""
    g, a = set(words_of(gold)), set(words_of(answer))
    if len(g) < _CONTENT or _denials(gold) != _denials(answer):
        return "different"
    if {w for w in g if w.isdigit()} - a:
        return "different"
    return None if len(g & a) * 3 >= 2 * len(g) else "different"
