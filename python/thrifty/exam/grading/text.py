"""Answers in words: the same words in another dress are equal, and a denial is not."""

from __future__ import annotations

import re
from typing import Literal

from thrifty.exam.grading.altered import is_past
from thrifty.exam.grading.names import same_acronym, same_kind, same_name, same_species
from thrifty.exam.grading.phrases import denials, is_hedged, last_match, statements, strip_lead, undenied, variants
from thrifty.exam.grading.vocabulary import KINDS, QUALIFIERS, STATES, SYNONYMS, TITLES, VERBS
from thrifty.exam.grading.wording import fold, numbered, same_words, words_of

__all__ = ["compare_text", "same_text"]

_LONGEST = 1000
# Fewer words than these are a name or a term, and another one is another.
_CONTENT = 4


def same_text(gold: str, answer: str) -> bool:
    """Whether an answer says what the gold answer says, as far as words go."""
    return compare_text(gold, answer) == "equal"


def compare_text(gold: str, answer: str) -> Literal["equal", "different"] | None:
    """Compare two answers in words.

    Returns
    -------
    str or None
        None where a long answer shares so much with the gold one that only a reader can tell.

    Examples
    --------
    >>> compare_text("Paris", "It is the city of Paris"), compare_text("Paris", "London, not Paris")
    ('equal', 'different')
    """
    answer = answer[:_LONGEST]
    if same_words(gold, answer):
        return "equal"
    if (right := _TRUTH.match(gold)) is not None:
        return "equal" if _truth(answer) == _TRUTHS[right[1].lower()] else "different"
    if is_past(answer) and not is_past(gold):
        return "different"
    if _elsewhere(gold, answer):
        return "different"
    golds = _alternatives(gold)
    if any(_same_phrase(g, said) for said in variants(answer) for g in golds) or _same_denial(gold, answer):
        return "equal"
    if any(_says(g, undenied(answer)) for g in golds):
        return "equal"
    return _unclear(gold, answer)


def _elsewhere(gold: str, answer: str) -> bool:
    """Whether both name a state, and another one: Portland, Oregon, and Portland, Maine."""
    states = [fold(text.rpartition(", ")[2].strip(" .")) for text in (gold, answer)]
    return states[0] != states[1] and STATES.issuperset(states)


def _alternatives(gold: str) -> tuple[str, ...]:
    """All that the gold answer accepts: "car or automobile", "car / automobile", "ATP (adenosine triphosphate)"."""
    golds = variants(gold)
    if " or " in gold and not denials(gold):
        golds = (*golds, *re.split(r",?\sor\s", gold))
    if " / " in gold or re.fullmatch(r"[A-Za-z ]{3,40}/[A-Za-z ]{3,40}", gold):
        golds = (*golds, *gold.split("/"))
    return tuple(part.strip() for part in golds if len(part.strip()) > 1 or part == gold)


def _same_phrase(gold: str, answer: str) -> bool:
    rules = (same_words, same_name, same_species, same_acronym, same_kind, _synonyms)
    return any(rule(gold, answer) for rule in rules)


def _synonyms(gold: str, answer: str) -> bool:
    """Whether both are everyday names of one thing."""
    group = SYNONYMS.get(" ".join(words_of(gold)))
    return group is not None and SYNONYMS.get(" ".join(words_of(answer))) == group


_TRUTHS = {"yes": True, "true": True, "correct": True, "no": False, "false": False, "incorrect": False}
# "No", and "No, it does not".
_TRUTH = re.compile(
    r"(yes|no|true|false|correct|incorrect)(?:[,;:]\s(?!.*\b(?:yes|no|true|false|correct|incorrect)\b)\w+\s.*|[.!])?$",
    re.I | re.S,
)
_COPULA = re.compile(r"\b(?:is|are|was|were)\b\s")


def _truth(answer: str) -> bool | None:
    """Whether an answer says yes; None where it says neither."""
    said = strip_lead(answer).strip(" \"'*.,!(").lower()
    word = re.match(r"[a-z]+", said)
    if word is not None and word[0] not in _TRUTHS and word[0] != "not":
        # "The statement is true".
        copula = last_match(_COPULA, said)
        said = said[copula.end() :].strip() if copula else ""
        word = re.match(r"[a-z]+", said)
    if word is None or re.match(r"\s?(?:(?:or|and)\b|/)", said[word.end() :]):
        return None
    if word[0] == "not":
        denied = re.match(r"not\s([a-z]+)$", said)
        return not _TRUTHS[denied[1]] if denied is not None and denied[1] in ("true", "correct", "false") else None
    return _TRUTHS.get(word[0])


def _same_denial(gold: str, answer: str) -> bool:
    """Whether one denies in a word of its own what the other denies within a word: not possible, impossible."""
    for one, other in ((gold, answer), (answer, gold)):
        denied = re.fullmatch(r"(?:is |are )?not ([^\W\d_]{3,40})", fold(strip_lead(one)))
        if denied is not None:
            word = re.sub("[- ]", "", fold(strip_lead(other)))
            return word in {prefix + denied[1] for prefix in ("un", "im", "in", "ir", "il", "non", "dis", "a")}
    return False


def _says(gold: str, said: str) -> bool:
    """Whether a sentence, without what it denies, says the gold answer."""
    if not said.strip() or denials(said) > denials(gold) or (is_hedged(said) and not is_hedged(gold)):
        return False
    return any(_same_phrase(gold, statement) for statement in statements(said)) or _within(gold, said)


_MEANS = frozenset(("by", "via", "through", "using", "called"))
_COMPARED = frozenset(("than", "unlike", "versus", "vs", "except", "against", "and", "&", ","))


def _within(gold: str, answer: str) -> bool:
    """Whether the gold words stand once in a sentence, not as a part of a longer name or of an enumeration."""
    g = words_of(gold)
    tokens = re.findall(r"[^\W_]+(?:['-][^\W_]+)*|[,;&]", answer)
    if not g or len(tokens) > 60:
        return False
    places = [(k, word) for k, token in enumerate(tokens) for word in words_of(token)]
    words = [word for _, word in places]
    hits = [k for k in range(len(words) - len(g) + 1) if words[k : k + len(g)] == g]
    if len(hits) != 1:
        return False
    first, last = places[hits[0]][0], places[hits[0] + len(g) - 1][0]
    before, after = tokens[first - 1] if first else "", tokens[last + 1] if last + 1 < len(tokens) else ""
    if not any(word in VERBS for word in words):
        return before.lower() in _MEANS and last == len(tokens) - 1 and first > 1
    return not (
        _longer_name(before, after, first)
        or before.lower() in QUALIFIERS | _COMPARED
        or after.lower() in ("and", "&", "or")
        or (tokens[last].endswith(("'s", "s'")) and not gold.endswith(("'s", "s'")))
    )


def _longer_name(before: str, after: str, first: int) -> bool:
    """Whether what stands beside a name makes a longer one of it."""
    known = TITLES | VERBS | {"the"}
    led = first > 1 and before[:1].isupper() and before.lower() not in known
    return led or (after[:1].isupper() and after.lower() not in KINDS)


def _unclear(gold: str, answer: str) -> Literal["different"] | None:
    """Whether a reader is needed: the gold answer is a whole phrase, and most of it is in the answer."""
    g, a = set(numbered(gold)), set(numbered(answer))
    named = {word for part in gold.split()[1:] if part[:1].isupper() for word in numbered(part)}
    if named - a or len(g) < _CONTENT or denials(gold) != denials(answer) or {word for word in g if word.isdigit()} - a:
        return "different"
    return None if len(g & a) * 3 >= 2 * len(g) else "different"
