"""Answers that are not letters of choices: the rules in turn, the cheap and certain ones first."""

from __future__ import annotations

import re
from typing import NamedTuple

from thrifty.exam.grading.clean import plain
from thrifty.exam.grading.dates import read_moments, same_moment
from thrifty.exam.grading.formal import compare_formal, is_strict, keeps_case
from thrifty.exam.grading.lists import compare_chains, compare_ranges, compare_ratios, items_of, same_items
from thrifty.exam.grading.number import read_number, same_number
from thrifty.exam.grading.quantity import Quantity, read_quantities, same_quantity
from thrifty.exam.grading.sentence import narrowed, quantities_in
from thrifty.exam.grading.text import compare_text, same_words, strip_lead
from thrifty.exam.maths import compare

__all__ = ["Side", "compare_exact"]


class Side(NamedTuple):
    """One of the two answers.

    Attributes
    ----------
    raw : str
        With its markup of mathematics.
    text : str
        As a reader sees it.
    marked : bool
        Whether it was marked as an answer.
    """

    raw: str
    text: str
    marked: bool = True


_LETTER = re.compile(r"(?:(?:option|choice|answer)\s)?[(\[]?([A-Za-z])[)\]]?[.:]?", re.I)
_SIGNS = re.compile(
    r"[=^_{}\[\]|+*/<>≤≥≠∪∩∞√π±\\×÷∈∅]|(?<=[\dA-Za-z)])-(?=[\dA-Za-z(])|\d[a-z]\b|[A-Za-zΘΩ]\(|\d,\s?-?\d|\)\("
)
_LONG_WORD = re.compile(r"[A-Za-z]{3,}")
_FUNCTIONS = frozenset(
    "sin cos tan sec csc cot log ln exp sqrt arcsin arccos arctan sinh cosh tanh max min mod gcd lcm det dim lim inf sup arg "
    "frac dfrac tfrac cfrac cdot times left right begin end pmatrix bmatrix vmatrix matrix array text mathrm pm infty cup cap "
    "alpha beta gamma delta theta lambda sigma omega phi psi rho tau mu leq geq neq sum prod int binom circ mathbb mathbf "
    "quad and boxed cases".split()
)
_NOTHING = frozenset("none n/a null nil unknown undefined unanswerable unsure skip idk".split())
_SAME = (
    frozenset(("∅", "{}", "empty set", "empty", "no solution", "no solutions", "no real solution", "no real solutions", "none", "null set")),
    frozenset(("∞", "+∞", "infinity", "infinite", "positive infinity", "inf", "+infinity", "plus infinity", "infinitely many")),
    frozenset(("-∞", "-infinity", "negative infinity", "minus infinity", "-inf")),
    frozenset(("does not exist", "dne", "d.n.e.", "doesn't exist", "no limit")),
    frozenset(("undefined", "not defined", "is undefined")),
)  # fmt: skip


def is_maths(text: str) -> bool:
    """Whether text is more likely mathematics than words."""
    if len(text) == 1:
        return True
    if _SIGNS.search(text) is None:
        return False
    words = [word for word in _LONG_WORD.findall(text) if word not in _FUNCTIONS]
    return sum(map(len, words)) * 3 < len(text)


def _named(text: str) -> str:
    return strip_lead(text.lower()).strip(" .$")


def compare_exact(gold: Side, answer: Side, depth: int = 0) -> tuple[str, str]:
    """Verdict and the rule that decided."""
    g, a = gold.text, answer.text
    if g == a:
        return "equal", "same"
    x, y = read_number(g), read_number(a)
    if x is not None and y is not None:
        found = "equal" if same_number(x, y) else "different"
        if found == "equal" or not ("," in g or "," in a):
            return found, "number"
    for names in _SAME:
        if _named(g) in names:
            return ("equal" if _named(a) in names else "different"), "name"
    letter, taken = _LETTER.fullmatch(g), _LETTER.fullmatch(a)
    if letter is not None and taken is not None and g[0] != "e":
        return ("equal" if letter[1] == taken[1] else "different"), "letter"
    found = _plain(gold, answer)
    if found is not None:
        return found
    verdict = _mathematics(gold, answer, depth) if is_maths(g) else _words(gold, answer, depth)
    if verdict[0] == "equal" and verdict[1] in ("text", "list") and is_strict(g) and not keeps_case(g, a):
        return "different", "formal"
    return verdict


def _plain(gold: Side, answer: Side) -> tuple[str, str] | None:
    """Dates, quantities, ratios, ranges and notations, where the gold answer is one."""
    g, a = gold.text, answer.text
    moments = read_moments(g)
    if moments or len(g) == 4 and g.isdigit():
        said = read_moments(a) or read_moments(strip_lead(a)) or _moment_in(a)
        if moments and said:
            return ("equal" if same_moment(moments, said) else "different"), "date"
        if not moments and said and said[0].year is not None and said[0].finest in ("year", "month", "day", "time"):
            return ("equal" if any(m.year == int(g) for m in said) else "different"), "date"
        if moments and moments[0].finest != "time":
            return "different", "date"
    formal = compare_formal(g, a)
    if formal is not None:
        return formal, "formal"
    if (found := compare_ratios(g, a)) is not None:
        return found, "ratio"
    if (found := compare_ranges(g, a)) is not None:
        return found, "range"
    if (found := compare_chains(g, a, same_words)) is not None:
        return found, "sequence"
    golds = read_quantities(g)
    if golds:
        return _quantity(golds, gold, answer)
    return None


_MONTHS = re.compile(
    r"\d|january|february|march|april|may|june|july|august|september|october|november|december|noon|midnight|century",
    re.I,
)


def _moment_in(text: str) -> list:
    """A date behind the last preposition or verb of a sentence."""
    if len(text) > 400 or not _MONTHS.search(text) or re.search(r"\bor\b|\bnot\b|n't\b", text):
        return []
    for cut in list(re.finditer(r"\b(?:on|in|at|is|was|were|are)\s", text))[::-1][:3]:
        found = read_moments(text[cut.end() :].strip(" ."))
        if found:
            return found
    return []


def _match(golds: list[Quantity], answers: list[Quantity]) -> str:
    return "equal" if any(same_quantity(x, y) for x in golds for y in answers) else "different"


_ROMAN = re.compile(r"(?=[IVXLCDM]{2})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_EQUATION = re.compile(r"\s?(?:[A-Za-z][\w()']{0,12}\s?)?(?:=|≈|~|:)\s?(.+)", re.S)


def _quantity(golds: list[Quantity], gold: Side, answer: Side) -> tuple[str, str] | None:
    """The gold answer is a number, perhaps with a unit."""
    for text in dict.fromkeys((answer.text, strip_lead(answer.text))):
        answers = read_quantities(text)
        if answers:
            return _match(golds, answers), "quantity"
        outside = re.sub(r"\s?\([^()]{1,200}\)$", "", text)
        if outside != text and (answers := read_quantities(outside)):
            inner = re.sub(r"^.*\(|\)$", "", text)
            if _match(golds, answers) == "equal" or _match(golds, read_quantities(inner)) == "equal":
                # "60 mph (about 96.6 km/h)": both say the same, or the first one counts.
                return (
                    "equal" if _match(golds, answers) == "equal" or _agree(answers, inner) else "different"
                ), "quantity"
            return "different", "quantity"
        parts = re.split(r"\s?[≈=]\s?|,?\s(?:or|i\.e\.,?|that is,?)\s(?:about|approximately|roughly)\s", text)
        if len(parts) > 1 and all(read_quantities(part) for part in parts):
            # A chain of the same value, written ever more coarsely.
            return (
                "equal" if any(_match(golds, read_quantities(part)) == "equal" for part in parts) else "different"
            ), "quantity"
    equation = _EQUATION.fullmatch(answer.text)
    if equation is not None and (answers := read_quantities(equation[1])):
        return _match(golds, answers), "quantity"
    if _ROMAN.fullmatch(answer.text) and golds[0].unit is None:
        return ("equal" if golds[0].number.value == roman(answer.text) else "different"), "roman"
    prose = _prose(answer.text)
    if not prose and (found := _compare(gold.raw, answer.raw)) is not None:
        return found, "maths"
    for segment in narrowed(answer.raw):
        text = plain(segment)
        if answers := read_quantities(text):
            tail = answer.raw[answer.raw.rfind(segment) + len(segment) :]
            with_unit = read_quantities(f"{text} {plain(tail).strip(' $.')}")
            return _match(golds, with_unit or answers), "quantity"
        if re.search(r"\d", segment) and (found := _compare(gold.raw, segment)) is not None:
            return found, "maths"
    answers = quantities_in(answer.text, marked=answer.marked)
    if answers:
        return _match(golds, answers), "quantity"
    if prose and (found := _compare(gold.raw, _behind_verb(answer.raw))) is not None:
        return found, "maths"
    return ("different" if not is_maths(answer.text) or items_of(answer.text) else "abstain"), "quantity"


def _prose(text: str) -> bool:
    """Whether words other than names of functions stand in text."""
    return any(word not in _FUNCTIONS for word in _LONG_WORD.findall(text))


def _agree(answers: list[Quantity], inner: str) -> bool:
    others = read_quantities(inner)
    return bool(others) and any(same_quantity(y, x) or same_quantity(x, y) for x in answers for y in others)


def roman(text: str) -> int:
    """Value of a Roman numeral in capitals."""
    values = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
    total = 0
    for k, c in enumerate(text):
        after = values[text[k + 1]] if k + 1 < len(text) else 0
        total += -values[c] if values[c] < after else values[c]
    return total


def _compare(gold: str, answer: str) -> str | None:
    found = compare(gold, answer)
    if found is None and ("\\" in gold or "\\" in answer):
        return compare(plain(gold), plain(answer))
    return found


def _leaf(depth: int):  # type: ignore[no-untyped-def]
    def same(gold: str, answer: str) -> bool:
        return compare_exact(Side(gold, gold), Side(answer, answer), depth + 1)[0] == "equal"

    return same


def _listed(gold: Side, answer: Side, depth: int) -> str | None:
    """Compare lists of plain things; None where one is no list, or only mathematics can tell."""
    if depth > 2:
        return None
    g = items_of(gold.text)
    if g is None:
        return None
    a = items_of(answer.text) or items_of(strip_lead(answer.text))
    if a is None:
        return None
    labelled = [_label(items) for items in (g, a)]
    if all(labelled) and len(labelled[0]) == len(labelled[1]):
        left, right = labelled
        if {k.casefold() for k in left} == {k.casefold() for k in right}:
            lower = {k.casefold(): v for k, v in right.items()}
            return "equal" if all(_leaf(depth)(v, lower[k.casefold()]) for k, v in left.items()) else "different"
    return "equal" if same_items(g, a, _leaf(depth)) else "different"


_LABEL = re.compile(r"([A-Za-z][\w ]{0,30}?)\s?[:=]\s?(.+)")


def _label(items) -> dict[str, str]:  # type: ignore[no-untyped-def]
    found = [_LABEL.fullmatch(text) for text in items.texts]
    return {m[1].strip(): m[2] for m in found if m} if all(found) else {}


def _words(gold: Side, answer: Side, depth: int) -> tuple[str, str]:
    """The gold answer is in words."""
    g, a = gold.text, answer.text
    if same_words(g, a):
        return "equal", "text"
    chain = (
        compare_chains(
            g, a, lambda x, y: same_words(x, y) or compare_exact(Side(x, x), Side(y, y), depth + 3)[0] == "equal"
        )
        if depth <= 2
        else None
    )
    if chain is not None:
        return chain, "sequence"
    found = compare_text(g, a)
    if found == "equal":
        return "equal", "text"
    listed = _listed(gold, answer, depth)
    if listed == "equal":
        return "equal", "list"
    if listed == "different" and all(read_quantities(text) for text in items_of(g).texts):  # type: ignore[union-attr]
        return "different", "list"
    if re.search(r"[\\$=<>]|\d", gold.raw) and (maths := _compare(gold.raw, answer.raw)) is not None:
        return maths, "maths"
    for segment in narrowed(answer.raw):
        if same_words(g, plain(segment)):
            return "equal", "text"
    return found or "abstain", "text"


def _mathematics(gold: Side, answer: Side, depth: int) -> tuple[str, str]:
    """The gold answer is mathematics, or a list of numbers."""
    g, a = gold.text, answer.text
    if not any(c in g + a for c in "()[]{}\\=^") and (listed := _listed(gold, answer, depth)) is not None:
        return listed, "list"
    if "".join(g.split()) == "".join(a.split()):
        return "equal", "same"
    found = _compare(gold.raw, answer.raw)
    if found == "equal":
        return found, "maths"
    for candidate in (*narrowed(answer.raw), strip_lead(answer.raw), _behind_verb(answer.raw)):
        if candidate and candidate != answer.raw:
            other = _compare(gold.raw, candidate)
            if other is not None:
                return other, "maths"
    if found is not None:
        return found, "maths"
    if (listed := _listed(gold, answer, depth)) == "equal":
        return listed, "list"
    if not is_maths(a):
        return "different", "maths"
    return "abstain", "maths"


def _behind_verb(text: str) -> str:
    """What a sentence says behind its last verb, unless it denies."""
    if len(text) > 2000 or re.search(r"\b(?:not|or|isn't)\b", text):
        return ""
    cut = None
    for cut in re.finditer(r"\b(?:is|are|equals?|be)\b\s?:?\s", text):  # noqa: B007
        pass
    return text[cut.end() :].strip(" .") if cut else ""
