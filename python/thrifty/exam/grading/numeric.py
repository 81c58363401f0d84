"""Gold answers that are a number, perhaps with a unit: the number that the other answer comes to is found."""

from __future__ import annotations

import re

from thrifty.exam.grading.altered import is_altered
from thrifty.exam.grading.clean import plain
from thrifty.exam.grading.lists import items_of
from thrifty.exam.grading.phrases import last_match, strip_lead
from thrifty.exam.grading.quantity import Quantity, read_quantities, same_quantity
from thrifty.exam.grading.recognise import has_words, is_maths
from thrifty.exam.grading.sentence import narrowed, quantities_in
from thrifty.exam.grading.sides import Side, Told, compare_maths, told
from thrifty.exam.grading.wording import roman

__all__ = ["behind_verb", "compare_number"]

_EQUATION = re.compile(r"\s?(?:(?!not\b|or\b)[A-Za-z][\w()']{0,12}\s?)?(?:=|≈|~|:)\s?(.+)", re.S)
_CHAIN = re.compile(r"\s?[≈=]\s?|,?\s(?:or|i\.e\.,?|that is,?)\s(?:about|approximately|roughly)\s")
_ASIDE = re.compile(r"(.*\S)\s?\(([^()]{1,200})\)")
_VERB = re.compile(r"\b(?:is|are|equals?|be)\b\s?:?\s|[a-z]:\s")
_CIRCLE = re.compile(r"π|\bpi\b")
_LONGEST = 1000
_DIGITS_ONLY = re.compile(r"[\d\s^*/+(){}.$!=-]{1,1000}")
# The last value of a chain that begins with a function of numbers, or with numbers alone.
_COMPUTED = re.compile(
    r"(?:\\?(?:text|mathrm|operatorname)?\{?[A-Za-z]{2,10}\}?\s?)?[({]?[^A-Za-z=≠<>]*[)}]?\s?=\s?([^=]+)"
)
_OPEN = re.compile(r"\b(?:not|or|isn't)\b")


def compare_number(golds: list[Quantity], gold: Side, answer: Side) -> Told:
    """Verdict and rule for a gold answer whose readings are given."""
    if answer.text.startswith(("≠", "!=")) or (is_altered(answer.text) and not is_altered(gold.text)):
        return "different", "denied"
    for rule in (_direct, _by_maths, _in_sentence):
        found = rule(golds, gold, answer)
        if found is not None:
            return found
    # Mathematics of digits alone that nobody can compute is a trap.
    undecided = is_maths(answer.text) and not items_of(answer.text) and not _is_trap(answer.raw)
    return ("abstain" if undecided else "different"), "quantity"


def _is_trap(text: str) -> bool:
    return len(text) > _LONGEST or _DIGITS_ONLY.fullmatch(text) is not None


def _match(golds: list[Quantity], answers: list[Quantity]) -> bool:
    return any(same_quantity(x, y) for x in golds for y in answers)


def _near(one: list[Quantity], other: list[Quantity]) -> bool:
    """Whether two readings may be one value, the second more coarsely written."""
    return any(
        x.unit == y.unit and abs(x.number.value - y.number.value) * 20 <= abs(x.number.value)
        for x in one
        for y in other
    ) or _match(one, other)


def _direct(golds: list[Quantity], gold: Side, answer: Side) -> Told | None:
    """Try the answer as a quantity, with an aside, or as a chain of the same value."""
    for text in dict.fromkeys((answer.text, strip_lead(answer.text))):
        if answers := read_quantities(text):
            near = _CIRCLE.search(gold.text) is not None and compare_maths(gold.raw, answer.raw) == "equal"
            return told(near or _match(golds, answers), "quantity")
        aside = _ASIDE.fullmatch(text)
        if aside is not None and (answers := read_quantities(aside[1])):
            # "60 mph (about 97 km/h)": the first counts, or the second where it is the same.
            others = read_quantities(aside[2])
            same = any(same_quantity(x, y) or same_quantity(y, x) for x in answers for y in others)
            return told(_match(golds, answers) or (same and _match(golds, others)), "quantity")
        readings = [read_quantities(part) for part in _CHAIN.split(text)]
        if len(readings) > 1 and all(readings) and all(map(_near, readings, readings[1:])):
            return told(any(_match(golds, answers) for answers in readings), "quantity")
    equation = _EQUATION.fullmatch(answer.text)
    if equation is not None and (answers := read_quantities(equation[1])):
        return told(_match(golds, answers), "quantity")
    computed = _COMPUTED.fullmatch(answer.text) if "=" in answer.text else None
    if (
        computed is not None
        and re.search(r"\d", answer.text[: computed.start(1)])
        and "," not in computed[1]
        and (answers := read_quantities(computed[1]))
    ):
        return told(_match(golds, answers), "quantity")
    if len(answer.text) > 1 and golds[0].unit is None and (value := roman(answer.text)) is not None:
        return told(golds[0].number.value == value, "roman")
    return None


def _by_maths(golds: list[Quantity], gold: Side, answer: Side) -> Told | None:
    """Try the answer as mathematics, or as a sentence with mathematics in it."""
    if gold.text[:2].lower() in ("0x", "0b", "0o"):
        # Mathematics would read a product.
        return None
    if len(answer.text) > _LONGEST:
        return None
    if not has_words(answer.text) and (found := compare_maths(gold.raw, answer.raw)) is not None:
        return found, "maths"
    for segment in narrowed(answer.raw, marked=answer.marked):
        text = plain(segment)
        if answers := read_quantities(text):
            behind = answer.raw[answer.raw.rfind(segment) + len(segment) :]
            answers = read_quantities(f"{text} {plain(behind).strip(' $.')}") or answers
            return told(_match(golds, answers), "quantity")
        if re.search(r"\d", segment) and (found := compare_maths(gold.raw, segment)) is not None:
            return found, "maths"
    return None


def _in_sentence(golds: list[Quantity], gold: Side, answer: Side) -> Told | None:
    """Try the answer as a sentence that comes to a quantity."""
    if answers := quantities_in(answer.text, marked=answer.marked):
        return told(_match(golds, answers), "quantity")
    if has_words(answer.text) and (found := compare_maths(gold.raw, behind_verb(answer.raw))) is not None:
        return found, "maths"
    return None


def behind_verb(text: str) -> str:
    """Cut to what a sentence says behind its last verb; nothing where it leaves open or denies."""
    verb = last_match(_VERB, text) if len(text) <= 2000 and not _OPEN.search(text) else None
    return text[verb.end() :].strip(" .") if verb else ""
