"""The final answer of a response: what stands behind the last mark of one, without hidden reasoning."""

from __future__ import annotations

import re
from typing import NamedTuple

from thrifty.exam.grading.clean import CAP
from thrifty.exam.grading.phrases import last_match
from thrifty.exam.grading.reasoning import strip_reasoning
from thrifty.exam.grading.tidy import GOES_ON, is_open, tidy

__all__ = ["Answer", "answer_in", "final_answer", "without_lead"]

# How much of a response is searched for marks, from its end, and then from its beginning.
_SEEN = 1 << 16


class Answer(NamedTuple):
    """What a response says in the end.

    Attributes
    ----------
    text : str
        At most 4,096 characters, markup of mathematics left in.
    marked : bool
        Whether the response marks it as its answer; else it is the whole response, or its last sentence.
    """

    text: str
    marked: bool


_LABEL = (
    r"(?:(?<![A-Za-z])(?:(?:exact|final|correct|short|my|the)[ \t]{1,3}){0,2}answers?(?![A-Za-z])"
    r"[ \t]{0,3}[*_`]{0,3}(?:[ \t]{0,3}\([^()\n]{0,40}\))?[ \t]{0,3}[*_`]{0,3}"
    r"(?:[:=](?![=:])|(?=[ \t]?(?:\$|\\\(|\\\[))|[ \t](?:-{1,2}>?|→)[ \t]))"
)
_HEADING = re.compile(
    r"^[ \t#*_>\d.-]{0,8}(?:(?:exact|final|correct|my|the)[ \t]){0,2}answers?[ \t]{0,3}[*_:`]{0,4}[ \t]{0,3}\n",
    re.I | re.M,
)
_LABELLED = re.compile(_LABEL, re.I)
_TAGGED = re.compile(r"<answer>", re.I)
_JSON = re.compile(r'"(?:[a-z]{1,12}_)?answer"\s?:\s?', re.I)
_HASHES = re.compile(r"####[ \t]?(?=[^\s#])")
_SHORT = re.compile(r"^[ \t]?[*_]{0,2}A[*_]{0,2}:[*_]{0,2}[ \t]", re.M)
_PROSE = re.compile(
    r"\banswers?\b(?:[ \t](?:to|for|of)[^.\n:]{1,100}?)?[ \t]{1,2}(?:is|are|was|(?:would|should|must|will)[ ]be|=)"
    r"(?:[ \t](?:therefore|thus|hence|then|simply|just))?(?![A-Za-z])[ \t]?:?",
    re.I,
)
_SAID = re.compile(
    r"(?:(?:so|thus|therefore|hence),?\s)?(?:(?:the|my|our)\s)?(?:(?:exact|final|correct|right|best)\s){0,2}answers?\s"
    r"(?:is|are|was|would\sbe|must\sbe)"
    r"(?:\s(?:therefore|thus|hence|then|simply|just))?\s?:?\s",
    re.I,
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_PARAGRAPH = re.compile(r"\S[ \t]*\n[ \t]*\n")
_END = re.compile(
    r"(?:[,;*_\s]|\s\||\s-{1,2}\s){0,4}[(\[]?\bconfidence\b(?:[ \t](?:level|score|percentage))?[ \t]?[*_]{0,3}[ \t]?"
    r"(?:[:=(]|is\b|of\b|\d)"
    r"|[*_\s]{1,4}[^\n]?\d{1,3}(?:\.\d{1,4})?[ ]?%[ ]confiden"
    r"|\n[ \t]?[*_#>-]{0,4}[ \t]?(?:explanation|reasoning|rationale|justification|notes?|reason|certainty|because|check"
    r"|verification|question|human|user|proof|solution|step[ ]1)\b[^:\n]{0,24}:"
    r"|<\|(?:im_|end|eot)|</answer>|</?s>|(?:\.|\n|\$|\s)\s?I hope it is correct|\[?\bNote:",
    re.I,
)


def final_answer(text: str, *, letters: bool = False) -> Answer:
    r"""Find what a response gives as its answer; ``letters`` tells that choices have letters, so ``A:`` marks nothing.

    >>> final_answer("So it is 7.\nExact Answer: **7**\nConfidence: 90%")
    Answer(text='7', marked=True)
    """
    return answer_in(strip_reasoning(text), letters=letters)


def answer_in(text: str, *, letters: bool = False) -> Answer:
    """Find what a text without hidden reasoning gives as its answer."""
    seen = text[-_SEEN:]
    found = _marked(seen, letters=letters)
    if found is None and len(text) > _SEEN:
        found = _marked(text[:_SEEN], letters=letters)
    if found is not None:
        return Answer(without_lead(tidy(found)), True)
    seen = seen.strip()
    if (end := _END.search(seen)) is not None and end.start():
        seen = seen[: end.start()]
    return Answer(tidy(_tail(seen.strip())), False)


def without_lead(answer: str) -> str:
    """Leave out "the final answer is"."""
    lead = _SAID.match(answer)
    return tidy(answer[lead.end() :]) if lead is not None and lead.end() < len(answer) else answer


def _marked(text: str, *, letters: bool) -> str | None:
    """Find what stands behind the last mark, if there is one."""
    start, box = -1, None
    if "nswer" in text or "NSWER" in text:
        for pattern in (_LABELLED, _HEADING, _TAGGED, _JSON):
            if (found := last_match(pattern, text)) is not None and found.end() > start:
                start = found.end()
                if pattern is _JSON:
                    return _json_value(text[start : start + CAP])
    if "####" in text and (found := last_match(_HASHES, text)) is not None:
        start = max(start, found.end())
    if not letters and "A" in text and start < 0 and (found := last_match(_SHORT, text)) is not None:
        start = found.end()
    if "\\boxed" in text or "\\fbox" in text:
        box = last_match(_BOX, text)
    if box is not None and box.start() >= start:
        block = _block(text[start : start + CAP]) if start >= 0 else ""
        if start < 0 or box.start() >= start + len(block):
            return _boxes(text)
    if start >= 0:
        block = _block(text[start : start + CAP])
        return _boxes(block) if _BOX.search(block) else block
    if "nswer" in text and (found := last_match(_PROSE, text := text[-4 * CAP :])) is not None:
        return _sentence(_block(text[found.end() : found.end() + CAP]))
    return None


def _json_value(text: str) -> str:
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"', text)
    if quoted:
        return quoted[1].replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
    return re.split(r"[,}\n]", text, maxsplit=1)[0]


def _block(text: str) -> str:
    """Cut to the first paragraph behind a mark, up to the next field."""
    begin = len(text) - len(text.lstrip(" \t\r\n*_`:#>"))
    # What is stripped may open emphasis that ends later: tidy sees to it. Code keeps its fence.
    fenced = re.match(r"[\s*_:]*```[\w+-]*[ \t]*\n", text)
    if fenced:
        return text[: text.find("```", fenced.end())] if "```" in text[fenced.end() :] else text
    if (end := _END.search(text)) is not None:
        if end.start() <= begin and not text[: end.start()].strip(" \t\r\n*_`:#>"):
            return text[: end.start()]
        # Marks at the very end close what is open in the answer; behind a blank they open the next field.
        closing = _CLOSING.match(end[0])
        text = text[: end.start()] + (closing[0] if closing is not None else "")
    for paragraph in _PARAGRAPH.finditer(text, begin):
        head = text[: paragraph.start() + 1]
        if not is_open(head) and not GOES_ON.search(head):
            return head
    return text


_CLOSING = re.compile(r"[*_]+")


def _closing(text: str, start: int) -> int:
    """Where the brace that ``text[start]`` follows is closed; the end where it is not."""
    depth = 1
    for brace in re.compile(r"\\.|[{}]").finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return len(text)


_DENIED = re.compile(r"\b(?:not|isn't)[\s$\\(\[]*$", re.I)
_JOIN = re.compile(r"\\(?:text\w*|mbox|quad|qquad|[,;:!()\[\] ])|[\s${},;.]")


def _boxes(text: str) -> str:
    """Take the last boxed answer, those before it that only a few words join to it, and a unit behind."""
    spans: list[tuple[int, int, int]] = []
    for found in _BOX.finditer(text):
        if spans and found.start() < spans[-1][2]:
            continue
        end = _closing(text, found.end())
        spans.append((found.start(), found.end(), min(end + 1, len(text))))
    first = len(spans) - 1
    while first > 0 and _joined(text[spans[first - 1][2] : spans[first][0]]):
        first -= 1
    parts = [
        text[inner : max(inner, end - 1) if text[end - 1 : end] == "}" else end] for _, inner, end in spans[first:]
    ]
    between = [text[spans[k][2] : spans[k + 1][0]] for k in range(first, len(spans) - 1)]
    answer = ("not " if _DENIED.search(text, max(0, spans[first][0] - 30), spans[first][0]) else "") + parts[0]
    for joint, part in zip(between, parts[1:], strict=True):
        words = re.findall(r"[A-Za-z]+", _JOIN.sub(" ", joint))
        answer += f" {'or' if 'or' in words else 'and'} {part}" if words else f", {part}"
    if len(answer) > CAP or len(parts) > 1:
        return answer[:CAP]
    return answer + _unit_behind(text[spans[-1][2] : spans[-1][2] + 60])


def _joined(between: str) -> bool:
    """Whether what stands between two boxes makes one answer of them."""
    if len(between) > 60 or re.search(r"[.!?]\s+\S", between):
        return False
    words = re.findall(r"[A-Za-z]+", _JOIN.sub(" ", between))
    return not words or "and" in words or "or" in words


_BEHIND = re.compile(
    r"(?:\s|\$|\\[)\],;]|\\text\w*\{|\\mathrm\{)*(?P<unit>\\?%|percent|pct|per cent|percentage|°\s?[CF]?|degrees?\b"
    r"(?:\s(?:Celsius|Fahrenheit))?|(?:square|cubic)\s[a-z]+|dollars|euros|[a-z]+(?:/|\sper\s)[a-z]+"
    r"|(?:milli|centi|kilo|nano|micro|deci)?(?:met(?:er|re)|gram|lit(?:er|re)|second|watt|joule|newton|volt|amp(?:ere)?"
    r"|hertz|pascal|mole)s?\b|(?:mile|hour|minute|day|year|inche|inch|feet|foot|pound)s?\b)"
)


def _unit_behind(text: str) -> str:
    found = _BEHIND.match(text)
    return f" {found['unit']}" if found else ""


def _sentence(text: str) -> str:
    """Up to the end of a sentence; points within numbers and names do not end one."""
    text = text.lstrip()
    end = re.search(r"(?<![A-Z])(?<!\b[a-z])[.!?](?=[\"'*_)$\]]*(?:\s+[A-Z*\\<(\[]|\s*$))|\n", text)
    return text[: end.start()] if end and end.start() else text


def _tail(text: str) -> str:
    """Of a response without a mark: all if it is short, else its last sentence."""
    if len(text) <= 200 and "\n" not in text:
        return text
    lines = [line for line in text[-4 * CAP :].split("\n") if line.strip() and not line.strip().startswith("```")]
    if not lines:
        return ""
    if (len(text) <= CAP and is_open(lines[-1])) or re.match(r"\s*(?:\\\]|\$\$|\\end|\\\))", lines[-1]):
        return text[-CAP:]
    line = lines[-1].strip()
    ends = list(re.finditer(r"(?<![A-Z])[.!?][\"'*_)$]*\s+(?=[A-Z\\$*])", line[-CAP:]))
    if ends and len(line) > 200:
        line = line[-CAP:][ends[-1].end() :]
    return line
