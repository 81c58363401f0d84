"""Answers that are not letters of choices: the rules in turn, the cheap and certain ones first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from thrifty.exam.grading.clean import plain
from thrifty.exam.grading.dates import Moment, read_moments, same_moment
from thrifty.exam.grading.formal import compare_formal, is_strict, keeps_case
from thrifty.exam.grading.lists import Items, compare_chains, compare_ranges, compare_ratios, items_of, same_items
from thrifty.exam.grading.number import read_number, same_number
from thrifty.exam.grading.numeric import behind_verb, compare_number
from thrifty.exam.grading.phrases import strip_lead
from thrifty.exam.grading.quantity import read_quantities
from thrifty.exam.grading.recognise import is_maths, named_alike
from thrifty.exam.grading.sentence import narrowed
from thrifty.exam.grading.sides import Same, Side, Told, compare_maths, told
from thrifty.exam.grading.signs import compare_logic, keeps_capitals, same_signs
from thrifty.exam.grading.text import compare_text
from thrifty.exam.grading.units import read_unit
from thrifty.exam.grading.wording import roman, same_words

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compare_exact"]

# Lists within lists within lists are left to mathematics.
_DEEPEST = 2
_INTEGER = re.compile(r"-?\d{1,18}")
_LETTER = re.compile(r"(?:(?:option|choice|answer)\s)?[(\[]?([A-Za-z])[)\]]?[.:]?", re.I)
_MONTHS = re.compile(
    r"\d|january|february|march|april|may|june|july|august|september|october|november|december|noon|midnight|century",
    re.I,
)
_CUT = re.compile(r"\b(?:on|in|at|is|was|were|are)\s|[a-z],\s")
_OPEN = re.compile(r"\b(?:or|not|instead|rather|unlike)\b|n't\b")
_HEAD = re.compile(
    r"([^\n]{1,160}?)(?:\.\s+(?=[A-Z])|,\s(?:i\.e\.|that\sis|because|since|where|which)[,\s]|\s-{1,2}\s(?:since|because)\b"
    r"|,\s\w{3,20}ing\s(?:the|an?|its|to|in|on)\b)"
)
# A text that does not mark its answer may tell a story.
_STORY = re.compile(r"(?:i|we|so|then|thus|first|it|the|let|if|for|since)\b", re.I)
# After these the reasons are second thoughts.
_TURNS = re.compile(
    r"\b(?:actually|however|but|or|wait|rather|instead|correction|alternatively|unless|also|maybe|perhaps|wrong|incorrect"
    r"|not\s(?:sure|certain|correct|right))\b",
    re.I,
)
_BUT = re.compile(r"(?:it(?:\sis|'s)\s)?not\b.{1,200}?\bbut\s(?:rather\s)?(.+)", re.I | re.S)
_DENIED = re.compile(r"(?:it(?:\sis|'s)\s)?(?:not|isn't|never)\b", re.I)
_LABEL = re.compile(r"([A-Za-z][\w ]{0,30}?)\s?[:=]\s?(.+)")


def compare_exact(gold: Side, answer: Side) -> Told:
    """Verdict, and the rule that decided: of all of the answer, or of what stands before the reasons for it."""
    head = _HEAD.match(answer.raw)
    first = Side(head[1], plain(head[1]), answer.marked) if head is not None else None
    found = _compared(gold, answer, 0)
    if first is not None and not answer.marked and found[1] == "quantity" and read_quantities(first.text):
        # "41. The value 42 is too large" says 41, marked or not.
        return _compared(gold, first, 0)
    if found[0] == "equal" or first is None or head is None or _TURNS.search(answer.raw, head.end()):
        return found
    if not answer.marked and _STORY.match(answer.raw):
        return found
    before = _compared(gold, first, 0)
    return before if before[0] == "equal" else found


def _compared(gold: Side, answer: Side, depth: int) -> Told:
    g, a = gold.text, answer.text
    if g == a:
        return "equal", "same"
    if _INTEGER.fullmatch(g) and _INTEGER.fullmatch(a):
        return told(int(g) == int(a), "number")
    x, y = read_number(g), read_number(a)
    if x is not None and y is not None and (same_number(x, y) or not ("," in g or "," in a)):
        return told(same_number(x, y), "number")
    if depth <= _DEEPEST and (turned := _BUT.fullmatch(a)) is not None and not _BUT.fullmatch(g):
        return _compared(gold, Side(turned[1], turned[1], answer.marked), depth + 1)
    if (
        answer.marked
        and _DENIED.match(a)
        and (is_maths(g) or read_quantities(g) or read_moments(g) or compare_formal(g, g))
    ):
        return "different", "denied"
    for rule in (_alike, _letter, _unit, _moment, _notation, _several):
        found = rule(g, a)
        if found is not None:
            return found
    if golds := read_quantities(g):
        return compare_number(golds, gold, answer)
    verdict = _mathematics(gold, answer, depth) if is_maths(g) else _words(gold, answer, depth)
    if verdict[0] == "equal" and verdict[1] in ("text", "list"):
        if is_strict(g) and not keeps_case(g, a):
            return "different", "formal"
        if not keeps_capitals(g, a):
            return "different", "case"
        if verdict[1] == "text" and not same_signs(g, a):
            return "different", "signs"
    return verdict


def _alike(g: str, a: str) -> Told | None:
    if len(g) > 1 and a.isdecimal() and roman(g) == int(a[:9]):
        return told(True, "roman")
    return told(True, "name") if named_alike(g, a) else None


def _letter(g: str, a: str) -> Told | None:
    """One letter, perhaps of a choice: its case counts, its brackets do not."""
    letter, taken = _LETTER.fullmatch(g), _LETTER.fullmatch(a)
    return None if letter is None or taken is None else told(letter[1] == taken[1], "letter")


def _unit(g: str, a: str) -> Told | None:
    """Match a unit by its sign with its name: kg, kilogram."""
    if not 4 <= len(a) <= 40 or len(g) > 8 or any(c.isdigit() for c in g + a):
        return None
    units, names = read_unit(g), read_unit(a)
    same = any(x.kind == "physical" and x[1:] == y[1:] for x in units for y in names)
    return told(True, "unit") if same else None


def _moment(g: str, a: str) -> Told | None:
    """Dates and times of day; a year alone takes any date in it."""
    moments = read_moments(g)
    year = len(g) == 4 and g.isdigit()
    if not (moments or year):
        return None
    said = read_moments(a) or read_moments(strip_lead(a)) or _moment_in(a)
    if moments and moments[0].finest == "year" and a.isdigit():
        return told(moments[0].year == int(a[:9]), "date")
    if moments and said:
        return told(same_moment(moments, said), "date")
    if year and said and said[0].year is not None and said[0].finest in ("year", "month", "day", "time"):
        return told(any(moment.year == int(g) for moment in said), "date")
    # A time of day may also be a ratio, or a quantity.
    return told(False, "date") if moments and moments[0].finest != "time" else None


def _moment_in(text: str) -> list[Moment]:
    """Read a date behind one of the last prepositions or verbs of a sentence."""
    if len(text) > 400 or not _MONTHS.search(text) or _OPEN.search(text):
        return []
    for cut in list(_CUT.finditer(text))[::-1][:3]:
        before = text[: cut.start() + 1]
        if cut[0][-2:] == ", " and (re.search(r"\d", before) or read_moments(before)):
            # "Noon, 15:00" says two things.
            continue
        if found := read_moments(text[cut.end() :].strip(" .")):
            return found
    return []


def _notation(g: str, a: str) -> Told | None:
    found = compare_formal(g, a)
    return None if found is None else (found, "formal")


def _several(g: str, a: str) -> Told | None:
    """Ratios, ranges and sequences."""
    for name, rule in (("ratio", compare_ratios), ("range", compare_ranges)):
        if (found := rule(g, a)) is not None:
            return found, name
    found = compare_chains(g, a, same_words)
    return None if found is None else (found, "sequence")


def _same_leaf(depth: int) -> Callable[[str, str], bool]:
    def same(gold: str, answer: str) -> bool:
        return _compared(Side(gold, gold), Side(answer, answer), depth + 1)[0] == "equal"

    return same


def _listed(gold: Side, answer: Side, depth: int) -> Same | None:
    """Compare lists of plain things; None where one is no list."""
    if depth > _DEEPEST or (g := items_of(gold.text)) is None:
        return None
    a = items_of(answer.text) or items_of(strip_lead(answer.text))
    if a is None:
        return None
    same = _same_leaf(depth)
    left, right = _labels(g), _labels(a)
    if left and left.keys() == right.keys():
        return "equal" if all(same(value, right[label]) for label, value in left.items()) else "different"
    return "equal" if same_items(g, a, same) else "different"


def _labels(items: Items) -> dict[str, str]:
    """Values by name of a list like "length: 5 m, width: 3 m"; empty where not all have one."""
    found = [_LABEL.fullmatch(text) for text in items.texts]
    return {label[1].strip().casefold(): label[2] for label in found if label} if all(found) else {}


def _words(gold: Side, answer: Side, depth: int) -> Told:
    """Compare where the gold answer is in words."""
    if (logic := compare_logic(gold.text, answer.text)) is not None:
        return told(logic, "signs")
    found = compare_text(gold.text, answer.text)
    if found == "equal":
        return found, "text"
    listed = _listed(gold, answer, depth)
    items = items_of(gold.text)
    if listed == "equal" or (listed and items and all(read_quantities(text) for text in items.texts)):
        return listed, "list"
    if re.search(r"[\\$=<>]|\d", gold.raw) and (maths := compare_maths(gold.raw, answer.raw)) is not None:
        return maths, "maths"
    if any(same_words(gold.text, plain(segment)) for segment in narrowed(answer.raw, marked=answer.marked)):
        return "equal", "text"
    return (found or listed or "abstain"), "text"


def _mathematics(gold: Side, answer: Side, depth: int) -> Told:
    """Compare where the gold answer is mathematics, or a list of numbers."""
    g, a = gold.text, answer.text
    if not any(c in g + a for c in "()[]{}\\=^") and (listed := _listed(gold, answer, depth)) is not None:
        return listed, "list"
    if "".join(g.split()) == "".join(a.split()):
        return "equal", "same"
    found = compare_maths(gold.raw, answer.raw)
    if found == "equal":
        return found, "maths"
    for candidate in (*narrowed(answer.raw, marked=answer.marked), strip_lead(answer.raw), behind_verb(answer.raw)):
        if candidate and candidate != answer.raw and (other := compare_maths(gold.raw, candidate)) is not None:
            return other, "maths"
    if found is None and _listed(gold, answer, depth) == "equal":
        return "equal", "list"
    return (found or ("abstain" if is_maths(a) else "different")), "maths"
