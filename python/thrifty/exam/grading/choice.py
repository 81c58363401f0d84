"""Multiple choice: which letters a response chooses."""

from __future__ import annotations

import re

from thrifty.exam.grading.text import same_text

__all__ = ["choices_of", "chosen", "gold_letters", "same_choice"]

# Letters of other scripts that look like the Latin ones of a list of choices.
_ALIKE = str.maketrans("АВСЕНІАΒΕΗΙ", "ABCEHIABEHI")
_WHOLE = re.compile(
    r"(?:(?:the|my)\s)?(?:(?:correct|right|best|final)\s)?(?:answer|option|choice|letter)?s?\s?(?:is|:)?\s?"
    r"[(\[{]?\s?(?P<letter>[A-Za-z])\s?[)\]}]?\s?[.:]?",
    re.I,
)
# A letter with the text of its choice: "B) Paris", "B. Paris", "(B) Paris", "B: Paris", "B - Paris".
_LED = re.compile(
    r"(?:[(\[](?P<a>[A-Za-z])[)\]][.:]?\s?|(?P<b>[A-Z])\s?(?:[).:]|\s-{1,2})\s?|(?P<c>[a-z])[).]\s)(?P<text>\S.*)"
)
_REST = re.compile(
    r"\s(?:because|since|as\s(?:it|the|this|they)|which|due\sto|so\sthat|given\sthat)\b|,\s?(?:because|since|as|which|so)\b"
    r"|;|\s\((?:because|since|as)\b|\.\s",
    re.I,
)
_NOT = re.compile(
    r"\b(?i:neither)\s[(\[]?[A-Z][)\]]?\s(?i:nor)\s[(\[]?[A-Z](?![A-Za-z])\)?|"
    r"(?:,?\s?\(?\b(?:but\s)?(?i:not|rather\sthan|instead\sof|over|and\snot|unlike|except)\s"
    r"(?:the\s)?(?:options?|choices?|answers?)?\s?"
    r"[(\[]?[A-Z][)\]]?(?![A-Za-z])\)?)|\(?\b[A-Z]\)?(?:(?:,\s\(?[A-Z]\)?){0,6},?\sand\s\(?[A-Z]\)?)?\s(?:is|are|was|were|can\sbe|may\sbe)\s"
    r"(?:both\s|all\s|also\s)?(?:wrong|incorrect|false|ruled\sout|eliminated|excluded|a\sdistractor|tempting|close"
    r"|not\b[^,.;]{0,40})"
    r"|(?:isn't|aren't|cannot\sbe|can't\sbe|could\snot\sbe|is\snot)\s(?:options?\s|choices?\s)?[(\[]?[A-Z][)\]]?(?![A-Za-z])"
)
_NEGATION = re.compile(r"[~¬!]\s?[(\[]?[A-Za-z](?![A-Za-z])|\\(?:neg|lnot)\b")
_NEGATED = re.compile(r"(?:^|\b)(?:not|neither|anything\sbut|everything\sexcept|all\sexcept|all\sbut)\b", re.I)
_TURN = re.compile(
    r"\b(?:actually|wait|correction|scratch\sthat|on\ssecond\sthought|rather(?!\sthan)|i\smean|let\sme\scorrect|sorry|no,)\b",
    re.I,
)
_CUED = re.compile(
    r"(?:option|choice|answer|letter|choose|chose|select|pick|is|be|are|with|for|say)s?:?\s[(\[*]*(?P<a>[A-Z])(?![A-Za-z'])"
    r"|[(\[](?P<b>[A-Z])[)\]]",
)
_LONE = re.compile(r"(?<![A-Za-z'])(?P<letter>[A-Z])(?![A-Za-z'\d]|\s?[=+])")
# Pieces are atomic and the loop gives nothing back: a blank of "A and B" could be read in two ways each time.
_SET = re.compile(r"[(\[{]?\s?[A-Z](?>\s?[)\]]?\s?(?:,\s?and|,|;|&|\+|/|\band\b|\s)\s?[(\[]?[A-Z])*+\s?[)\]}]?\.?")
_RUN = re.compile(r"[A-Z]{2,10}")
_RIGHT = re.compile(
    r"(?<![A-Za-z])(?P<letter>[A-Z])\)?\s(?:is|must\sbe|seems|holds|are)\s?(?:the\s)?"
    r"(?:only\s)?(?:right|correct|true|best|valid|answer)"
)
_BEST = re.compile(
    r"(?:best|answer|correct|choice|option|right|pick)\s(?:one\s|answer\s|choice\s|option\s)?is\s(?:option\s|choice\s)?"
    r"[(\[]?(?P<letter>[A-Z])(?![A-Za-z'\d])[)\]]?(?!\s?(?:,|/|&|\bor\b|\band\b)\s?[(\[]?[A-Z](?![A-Za-z]))"
)
_BEFORE = frozenset(
    """
    it's i'd i'll think believe guess choosing selecting picking chose chosen but also and or both either neither
    nor not so therefore thus hence definitely probably likely just only between over than now clearly say me is be
    are with for that answer option choice letter choose select pick options choices
    """.split()
)
_NO_ARTICLE = re.compile(r"\s(?:and|or|is|was|because|since|but|not|as|for|rather|over|instead|than)\b")
_OR_ELSE = re.compile(r"\b[A-Z]\)?,?\sor\s(?:none|neither|something|another|other)\b")
_EITHER = re.compile(r"\b(?:or|either|maybe|perhaps|possibly|between)\b|/|\?", re.I)
_LEVEL = re.compile(r"\b(?:grade|score|mark|rating|rank|class|level)s?:\s?$", re.I)
_VERB = re.compile(
    r"\s(?:is|was|are|were|has|have|will|can|may|would|gives|holds|shows|describes|applies|works|seems)\b"
)


def gold_letters(gold: str) -> tuple[frozenset[str], str] | None:
    """Letters of the right choices and the text behind a single one; None where the gold answer has no letter."""
    gold = gold.translate(_ALIKE).strip()
    whole = _WHOLE.fullmatch(gold)
    if whole is not None:
        return frozenset(whole["letter"].upper()), ""
    led = _LED.fullmatch(gold)
    if led is not None:
        return frozenset((led["a"] or led["b"] or led["c"]).upper()), led["text"]
    if _SET.fullmatch(gold) or (_RUN.fullmatch(gold) and list(gold) == sorted(set(gold))):
        return frozenset(re.findall(r"[A-Z]", gold)), ""
    return None


def chosen(answer: str, *, several: bool = False) -> frozenset[str] | None:
    """Tell which letters an answer chooses; none where it is undecided, None where it names no letter.

    >>> sorted(chosen("The answer is (C), since A is wrong"))
    ['C']
    """
    answer = answer.translate(_ALIKE).replace("*", "").strip(" '\"")
    whole = _WHOLE.fullmatch(answer)
    if whole is not None:
        return frozenset(whole["letter"].upper())
    if _NEGATION.match(answer):
        return frozenset()
    turns = list(_TURN.finditer(answer))
    if turns and _LONE.search(answer[turns[-1].end() :]):
        answer = answer[turns[-1].end() :].strip(" ,.:;-")
        return chosen(answer, several=several)
    if _RUN.fullmatch(answer) and len(set(answer)) == len(answer) and (several or list(answer) == sorted(answer)):
        return frozenset(answer)
    if _SET.fullmatch(answer):
        return frozenset(re.findall(r"[A-Z]", answer))
    led = _LED.fullmatch(answer)
    if led is not None and not _other_letters(led):
        return frozenset((led["a"] or led["b"] or led["c"]).upper())
    return _in_words(answer)


def _other_letters(led: re.Match[str]) -> bool:
    """Whether the text of a choice goes on to name others as chosen: "B) or C)"."""
    return bool(re.match(r"(?:,|and\b|or\b|/|&)\s?[(\[]?[A-Z](?![A-Za-z])", led["text"]))


def _in_words(answer: str) -> frozenset[str] | None:
    """Letters in a sentence: those behind a word that chooses, else those that stand alone."""
    right = {m["letter"] for m in _RIGHT.finditer(_NOT.sub(" ", answer))}
    right = right or {m["letter"] for m in _BEST.finditer(answer) if not _article(answer, m.end("letter"), m["letter"])}
    if len(right) == 1 and not re.search(r"\b(?:either|maybe|perhaps)\b", answer, re.I):
        return frozenset(right)
    answer = re.sub(r"\(([a-z])\)", lambda m: f"({m[1].upper()})", re.sub(r"\([^()]{2,200}\)", " ", answer))
    kept = _NOT.sub(" ", answer)
    if kept != answer and not _LONE.search(kept):
        return frozenset()
    rest = _REST.search(kept)
    if rest is not None and _LONE.search(kept[: rest.start()]):
        kept = kept[: rest.start()]
    first = _LONE.search(kept)
    if _NEGATED.search(kept[: first.start()] if first else kept):
        return frozenset()
    if _OR_ELSE.search(kept):
        return frozenset()
    either = _EITHER.search(kept) is not None
    letters = [m["a"] or m["b"] for m in _CUED.finditer(kept) if not _article(kept, m.end("a"), m["a"] or "")]
    lone = [
        m["letter"]
        for m in _LONE.finditer(kept)
        if not _article(kept, m.end(), m["letter"]) and not _in_phrase(kept, m.start())
    ]
    if not letters:
        letters = lone
    elif re.search(r"\b(?:and|or|both)\b|[&/,]", kept):
        letters = list(dict.fromkeys(letters + lone))
    if not letters:
        return None
    if either and len(set(lone)) > 1:
        # "Between B and C, I choose C" decides all the same.
        decided = [
            m["a"]
            for m in re.finditer(
                r"(?:choose|chose|select|pick|go\swith|answer\sis)\s[(\[]?(?P<a>[A-Z])(?![A-Za-z'])", kept
            )
        ]
        return frozenset(decided) if len(set(decided)) == 1 else frozenset()
    if len(set(letters)) > 1 and not re.search(r"\band\b|&|,|\+|\bboth\b", kept):
        return frozenset()
    return frozenset(letters)


def _in_phrase(text: str, start: int) -> bool:
    """Whether a letter ends a name: vitamin C, hepatitis B."""
    before = text[max(0, start - 30) : start]
    if _LEVEL.search(before):
        return True
    word = re.search(r"([A-Za-z'-]+)\s?[(\[]?$", before)
    return word is not None and len(word[1]) > 1 and word[1].lower() not in _BEFORE


def _article(text: str, end: int, letter: str) -> bool:
    """Whether a letter is the article or the pronoun: a word in small letters follows."""
    if letter not in ("A", "I"):
        return False
    follows = text[end : end + 24]
    if letter == "I":
        return bool(re.match(r"\s(?!and\b|or\b|is\b)[a-z]|'", follows))
    return _NO_ARTICLE.match(follows) is None and re.match(r"\s[A-Za-z]", follows) is not None


_CHOICE = re.compile(r"^[ \t]*[(\[]?([A-Z])[)\].:]\)?[ \t]+(\S.*)$", re.M)


def choices_of(question: str) -> dict[str, str]:
    """Texts of the choices that stand in a question, by letter."""
    return {m[1]: m[2].strip() for m in _CHOICE.finditer(question[: 1 << 16])}


def same_choice(gold: str, answer: str, question: str = "") -> tuple[bool, str, str] | None:
    """Whether an answer chooses what is right, with both choices; None where the gold answer has no letter."""
    right = gold_letters(gold)
    if right is None:
        return None
    letters, text = right
    name = "".join(sorted(letters))
    took = chosen(answer, several=len(letters) > 1)
    choices = choices_of(question) if question else {}
    if len(letters) == 1 and text:
        choices.setdefault(name, text)
    led = _LED.fullmatch(answer)
    if took is not None and len(took) == 1 and led and text and took != letters:
        return False, name, "".join(sorted(took))
    by_text = [letter for letter, words in choices.items() if same_text(words, answer)]
    if (took is None or not took) and len(by_text) == 1:
        took = frozenset(by_text)
    elif took is not None and len(by_text) == 1 and len(answer) > 2 and not led:
        # The answer is the text of a choice that happens to hold a letter: "Vitamin C".
        took = frozenset(by_text)
    return took == letters, name, "".join(sorted(took)) if took else answer
