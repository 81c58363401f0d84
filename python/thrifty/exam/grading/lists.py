"""Several answers in one: lists, sets, sequences, ratios and ranges of plain things."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from thrifty.exam.grading.number import read_number, same_number
from thrifty.exam.grading.quantity import Quantity, read_quantities, same_quantity

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from thrifty.exam.grading.sides import Same

__all__ = ["Items", "compare_chains", "compare_ranges", "compare_ratios", "items_of", "same_items"]

_MOST = 100
# So many items are matched each with each; more only by their text.
_MATCHED = 20


class Items(NamedTuple):
    """What a list holds.

    Attributes
    ----------
    texts : tuple of str
    ordered : bool or None
        None where nothing tells.
    bracketed : bool
    either : bool
        Joined by ``or``.
    """

    texts: tuple[str, ...]
    ordered: bool | None
    bracketed: bool
    either: bool


_OPEN, _CLOSE = "([{", ")]}"
_LEAD = re.compile(
    r"(?:both|the\s(?:set|numbers|values|following|elements|answers|solutions)(?:\s(?:are|is|of))?|they\sare|these\sare|all\sof)\s?:?\s",
    re.I,
)
_BLANKS = re.compile(r"-?\d+(?:\.\d+)?(?: -?\d+(?:\.\d+)?)+")
_WORD = re.compile(r"^[^\d=<>]*$")
_AND = re.compile(r"\s?(?:,\s?)?(?:\band\b|&|\bas\swell\sas\b|\bplus\b)\s?", re.I)
_OR = re.compile(r"\s?(?:,\s?)?\bor\b\s?", re.I)


def items_of(text: str) -> Items | None:
    """Take a list apart; None where text is a single thing.

    >>> items_of("red, green and blue").texts
    ('red', 'green', 'blue')
    """
    text = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text
    ordered: bool | None = None
    bracketed = False
    if text and text[0] in _OPEN and text[-1] == _CLOSE[_OPEN.index(text[0])] and _whole(text):
        bracketed, ordered = True, text[0] != "{"
        text = text[1:-1].strip()
    if _BLANKS.fullmatch(text):
        text = ", ".join(text.split())
    mark = ";" if ";" in text else ","
    parts = _split(text, mark)
    if mark == ";" and ordered is None:
        ordered = False
    joined: list[str] = []
    either = False
    for k, part in enumerate(parts):
        pieces = _outside(part, _AND) or _outside(part, _OR)
        if pieces and (k == len(parts) - 1 or len(parts) == 1):
            joined.extend(piece for piece in pieces if piece.strip())
            either = _OR.search(part) is not None
            if ordered is None:
                ordered = False
        else:
            joined.append(part)
    texts = tuple(part.strip(" .") for part in joined if part.strip(" ."))
    if len(texts) > _MOST or (len(texts) < 2 and not bracketed) or not texts:
        return None
    return Items(texts, ordered, bracketed, either)


def _whole(text: str) -> bool:
    depth = 0
    for k, c in enumerate(text):
        depth += (c in _OPEN) - (c in _CLOSE)
        if depth == 0:
            return k == len(text) - 1
    return False


def _split(text: str, mark: str) -> list[str]:
    """Parts between marks that stand outside brackets; a comma between digits is one of a number."""
    if mark == "," and not any(c in text for c in "([{"):
        return re.split(r",(?!\d{3}(?!\d))|(?<!\d),|,(?=\s)", text)
    parts, depth, begin = [], 0, 0
    for k, c in enumerate(text):
        depth += (c in _OPEN) - (c in _CLOSE)
        if c == mark and depth == 0:
            parts.append(text[begin:k])
            begin = k + 1
    return [*parts, text[begin:]]


def _outside(text: str, joint: re.Pattern[str]) -> list[str]:
    if any(c in text for c in "([{"):
        return []
    parts = joint.split(text)
    return parts if len(parts) > 1 else []


def _squeezed(text: str) -> str:
    return "".join(text.casefold().split())


def same_items(gold: Items, answer: Items, same: Callable[[str, str], bool]) -> bool:
    """Whether two lists hold the same things, in the same order where order counts.

    Order counts in round and square brackets, and between numbers where no ``and``, ``;`` or brace says otherwise.
    """
    if len(gold.texts) != len(answer.texts):
        return False
    if (answer.either != gold.either) and any(map(_WORD.search, gold.texts)):
        # Solutions may be joined by "or"; of things it leaves open which, and either one is not both.
        return False
    golds, answers = _shared_unit(gold.texts), _shared_unit(answer.texts)
    if all(same(g, a) for g, a in zip(golds, answers, strict=True)):
        return True
    if gold.ordered or (answer.ordered and gold.ordered is not False):
        return False
    if gold.ordered is None and answer.ordered is None and _in_order(golds):
        return False
    if len(golds) > _MATCHED:
        return sorted(map(_squeezed, golds)) == sorted(map(_squeezed, answers))
    left = list(answers)
    for g in golds:
        for k, a in enumerate(left):
            if same(g, a):
                del left[k]
                break
        else:
            return False
    return True


_TRUTHS = frozenset("true false yes no t f y n correct incorrect 0 1".split())


def _in_order(texts: tuple[str, ...]) -> bool:
    """Whether bare items are likely answers one after the other: numbers, truth values, what repeats."""
    lower = [text.lower() for text in texts]
    return len(set(lower)) < len(lower) or _TRUTHS.issuperset(lower) or all(map(read_number, texts))


_TAIL = re.compile(r"[\d.,]+\s?([A-Za-z°%μΩ][^\d]*)")


def _shared_unit(texts: tuple[str, ...]) -> tuple[str, ...]:
    """3, 4 and 5 cm: the unit at the end is everybody's."""
    if len(texts) < 2 or not all(read_number(text) for text in texts[:-1]):
        return texts
    tail = _TAIL.fullmatch(texts[-1])
    return (*(f"{text} {tail[1]}" for text in texts[:-1]), texts[-1]) if tail else texts


_RATIO = re.compile(
    r"(?:(?:the\s)?ratio\s(?:is|of)?\s?)?(\d[\d.,/]*)((?:\s?(?::|\bto\b|\bis\sto\b)\s?\d[\d.,/]*)+)", re.I
)


def _ratio(text: str) -> list[Fraction] | None:
    found = _RATIO.fullmatch(text)
    if found is None or len(text) > 100:
        return None
    numbers = [read_number(part.strip()) for part in re.split(r":|\bis\sto\b|\bto\b", found[1] + found[2])]
    values = [number.value for number in numbers if number is not None]
    if len(values) != len(numbers) or not all(values):
        return None
    return values


def compare_ratios(gold: str, answer: str) -> Same | None:
    """Compare ratios by what they come to; None where the gold answer is none, or the other no number either."""
    g = _ratio(gold)
    if g is None:
        return None
    a = _ratio(answer)
    if a is None:
        number = read_number(answer)
        if number is None or len(g) != 2:
            return None
        from thrifty.exam.grading.number import Number

        return "equal" if same_number(Number(g[0] / g[1]), number) else "different"
    if len(g) != len(a):
        return "different"
    return "equal" if all(x * a[0] == y * g[0] for x, y in zip(g, a, strict=True)) else "different"


_RANGE = re.compile(
    r"(?:(?P<between>between\s)|from\s)?(?P<low>[^\s].{0,40}?)(?P<mark>(?<![eE^(])\s?-{1,2}\s?|\sto\s|\sthrough\s|\sand\s)(?P<high>\S.{0,40})",
    re.I,
)


def _range(text: str) -> tuple[list[Quantity], list[Quantity]] | None:
    found = _RANGE.fullmatch(text)
    if found is None or ("and" in found["mark"]) != bool(found["between"]):
        return None
    low, high = read_quantities(found["low"]), read_quantities(found["high"])
    if not low or not high or low[0].bound or high[0].bound:
        return None
    if "-" in found["mark"] and low[0].number.value >= high[0].number.value:
        return None
    if low[0].unit is None and high[0].unit is not None:
        low = [q._replace(number=low[0].number) for q in high]
    return low, high


def compare_ranges(gold: str, answer: str) -> Same | None:
    """Compare ranges by their ends; a single number is none of them."""
    g, a = _range(gold), _range(answer)
    if g is None and a is None:
        return None
    if g is None or a is None:
        other = read_quantities(answer if a is None else gold)
        return "different" if other else None
    equal = all(any(same_quantity(x, y) for x in mine for y in theirs) for mine, theirs in zip(g, a, strict=True))
    return "equal" if equal else "different"


_ARROW = re.compile(r"\s?(?:-{1,2}>|=>|→|⟶|⇒)\s?|,?\s?\bthen\b\s?", re.I)
_LESS = re.compile(r"\s?<\s?")
_MORE = re.compile(r"\s?>\s?")


def compare_chains(gold: str, answer: str, same: Callable[[str, str], bool]) -> Same | None:
    """Compare sequences joined by arrows, or by signs of order between words."""
    for pattern in (_ARROW, _LESS, _MORE):
        if pattern is _ARROW:
            gold, answer = (re.sub(r"^first,?\s", "", text, flags=re.I) for text in (gold, answer))
        g = pattern.split(gold)
        if len(g) < 2 or len(g) > _MOST or not all(part.strip() for part in g):
            continue
        if pattern is not _ARROW and not any(re.search(r"[A-Za-z]{3,}", part) for part in g):
            return None
        a = pattern.split(answer)
        if len(a) != len(g) and pattern is not _ARROW:
            a = (_MORE if pattern is _LESS else _LESS).split(answer)[::-1]
        if len(a) != len(g) and pattern is _ARROW:
            a = [part for part in re.split(r",\s?|;\s?", answer) if part]
        if len(a) != len(g):
            return "different" if len(a) > 1 else None
        return "equal" if all(map(same, (p.strip() for p in g), (p.strip() for p in a))) else "different"
    return None
