"""The final answer of a response: what stands behind the last mark of one, without hidden reasoning."""

from __future__ import annotations

import re
from typing import NamedTuple

from thrifty.exam.grading.clean import CAP, characters

__all__ = ["Answer", "final_answer", "strip_reasoning"]

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


_TAG = r"(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|internal|begin_of_thought)"
_OPEN = re.compile(rf"<\s?\|?{_TAG}\|?\s?>|\[THINK\]|◁think▷|<\|channel\|>\s?analysis", re.I)
_CLOSE = re.compile(
    r"<\s?\|?/(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|internal)\|?\s?>"
    r"|<\|end_of_thought\|>|\[/THINK\]|◁/think▷|<\|channel\|>\s?final\s?(?:<\|message\|>)?",
    re.I,
)


def strip_reasoning(text: str) -> str:
    """Leave out what a model thought before it answered; reasoning that never ends is not an answer."""
    if "think" not in text and _OPEN.search(text) is None and _CLOSE.search(text) is None:
        return text
    marks = sorted(
        [(m.start(), m.end(), True) for m in _OPEN.finditer(text)]
        + [(m.start(), m.end(), False) for m in _CLOSE.finditer(text)]
    )
    kept: list[str] = []
    seen, hidden = 0, False
    for start, end, opens in marks:
        if opens and not hidden:
            kept.append(text[seen:start])
        elif not opens and not hidden:
            # Reasoning whose beginning is not marked.
            kept = []
        hidden, seen = opens, end
    return "".join(kept) if hidden else "".join([*kept, text[seen:]])


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
    r"\banswers?\b(?:[ \t](?:to|for|of)[^.\n:]{1,100}?)?[ \t]{1,2}(?:is|are|was|would[ ]be|should[ ]be|must[ ]be|will[ ]be|=)"
    r"(?:[ \t](?:therefore|thus|hence|then|simply|just))?(?![A-Za-z])[ \t]?:?",
    re.I,
)
_SAID = re.compile(
    r"(?:(?:so|thus|therefore|hence),?\s)?(?:(?:the|my|our)\s)?(?:(?:exact|final|correct|right|best)\s){0,2}answers?\s(?:is|are|was|would\sbe|must\sbe)"
    r"(?:\s(?:therefore|thus|hence|then|simply|just))?\s?:?\s",
    re.I,
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_END = re.compile(
    r"(?:[,;*_|\s]|\s-{1,2}\s){0,4}[(\[]?\bconfidence\b(?:[ \t](?:level|score|percentage))?[ \t]?[*_]{0,3}[ \t]?(?:[:=(]|is\b|of\b|\d)"
    r"|[*_\s]{1,4}[^\n]?\d{1,3}(?:\.\d{1,4})?[ ]?%[ ]confiden"
    r"|\n[ \t]?[*_#>-]{0,4}[ \t]?(?:explanation|reasoning|rationale|justification|notes?|reason|certainty|because|check"
    r"|verification|question|human|user|proof|solution|step[ ]1)\b[^:\n]{0,24}:"
    r"|<\|(?:im_|end|eot)|</answer>|</?s>|(?:\.|\n|\$|\s)\s?I hope it is correct|\[?\bNote:",
    re.I,
)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return found


def final_answer(text: str, *, letters: bool = False) -> Answer:
    """Find what a response gives as its answer; ``letters`` tells that choices have letters, so ``A:`` marks nothing.

    >>> final_answer("So it is 7.\\nExact Answer: **7**\\nConfidence: 90%")
    Answer(text='7', marked=True)
    """
    return answer_in(strip_reasoning(text), letters=letters)


def answer_in(text: str, *, letters: bool = False) -> Answer:
    """What a text without hidden reasoning gives as its answer."""
    seen = text[-_SEEN:]
    found = _marked(seen, letters=letters)
    if found is None and len(text) > _SEEN:
        found = _marked(text[:_SEEN], letters=letters)
    if found is not None:
        answer = tidy(found)
        # "Final answer: the final answer is 7".
        if (lead := _SAID.match(answer)) is not None and lead.end() < len(answer):
            answer = tidy(answer[lead.end() :])
        return Answer(answer, True)
    if (end := _END.search(seen)) is not None and end.start():
        seen = seen[: end.start()]
    return Answer(tidy(_tail(seen.strip())), False)


def _marked(text: str, *, letters: bool) -> str | None:
    """What stands behind the last mark, if there is one."""
    start, box = -1, None
    if "nswer" in text or "NSWER" in text:
        for pattern in (_LABELLED, _HEADING, _TAGGED, _JSON):
            if (found := _last(pattern, text)) is not None and found.end() > start:
                start = found.end()
                if pattern is _JSON:
                    return _json_value(text[start : start + CAP])
    if "####" in text and (found := _last(_HASHES, text)) is not None:
        start = max(start, found.end())
    if not letters and "A" in text and start < 0 and (found := _last(_SHORT, text)) is not None:
        start = found.end()
    if "\\boxed" in text or "\\fbox" in text:
        box = _last(_BOX, text)
    if box is not None and box.start() >= start:
        block = _block(text[start : start + CAP]) if start >= 0 else ""
        if start < 0 or box.start() >= start + len(block):
            return _boxes(text)
    if start >= 0:
        block = _block(text[start : start + CAP])
        return _boxes(block) if _BOX.search(block) else block
    if "nswer" in text and (found := _last(_PROSE, text)) is not None:
        return _sentence(_block(text[found.end() : found.end() + CAP]))
    return None


def _json_value(text: str) -> str:
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"', text)
    if quoted:
        return quoted[1].replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
    return re.split(r"[,}\n]", text, maxsplit=1)[0]


_BULLET = re.compile(r"^[ \t]*(?:[-*·+]|\d{1,2}[.)])[ \t]+")
_FENCE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*\n?", re.M)


def _block(text: str) -> str:
    """The first paragraph behind a mark, up to the next field."""
    begin = len(text) - len(text.lstrip(" \t\r\n*_`:#>"))
    # What is stripped may open emphasis that ends later: tidy sees to it. Code keeps its fence.
    fenced = re.match(r"[\s*_:]*```[\w+-]*[ \t]*\n", text)
    if fenced:
        return text[: text.find("```", fenced.end())] if "```" in text[fenced.end() :] else text
    if (end := _END.search(text)) is not None:
        if end.start() <= begin and not text[: end.start()].strip(" \t\r\n*_`:#>"):
            return text[: end.start()]
        text = text[: end.start()]
    paragraph = re.search(r"\S[ \t]*\n[ \t]*\n", text[begin:])
    if paragraph and not _open(text[: begin + paragraph.start() + 1]):
        text = text[: begin + paragraph.start() + 1]
    return text


def _open(text: str) -> bool:
    """Whether a text stops within mathematics or brackets."""
    return text.count("\\[") > text.count("\\]") or text.count("$$") % 2 == 1 or text.count("{") > text.count("}")


def _closing(text: str, start: int) -> int:
    """Where the brace that ``text[start]`` follows is closed; the end where it is not."""
    depth = 1
    for brace in re.compile(r"\\.|[{}]").finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.start()
    return len(text)


_JOIN = re.compile(r"\\(?:text\w*|mbox|quad|qquad|[,;:!()\[\] ])|[\s${},;.]")


def _boxes(text: str) -> str:
    """The last boxed answer, with those before it that only a few words join to it, and a unit behind."""
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
    answer = parts[0]
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
    lines = [line for line in text[-4 * CAP :].split("\n") if line.strip()]
    if not lines:
        return ""
    if (len(text) <= CAP and _open(lines[-1])) or re.match(r"\s*(?:\\\]|\$\$|\\end|\\\))", lines[-1]):
        return text[-CAP:]
    line = lines[-1].strip()
    ends = list(re.finditer(r"(?<![A-Z])[.!?][\"'*_)$]*\s+(?=[A-Z\\$*])", line[-CAP:]))
    if ends and len(line) > 200:
        line = line[-CAP:][ends[-1].end() :]
    return line


_EMPHASIS = re.compile(r"(?<![\w)])(?:\*\*|__)|(?:\*\*|__)(?![\w(])")
_BREAK = re.compile(r"<(?:br|hr)\s?/?>", re.I)
_QUOTED = re.compile(r"\n[ \t]*>[ \t]?")
_EDGE = "*_`~\"' \t\r\n"
_PAIRS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ('"', '"'), ("'", "'"))


def tidy(text: str) -> str:
    """Take off markup and marks around an answer, that are no part of it."""
    text = characters(text[:CAP])
    if "```" in text:
        text = _FENCE.sub("", text)
    if "<" in text:
        text = _BREAK.sub("\n", text)
    if "**" in text or "__" in text or "`" in text:
        text = _EMPHASIS.sub("", text).replace("`", "")
    if "~~" in text:
        text = re.sub(r"~~[^~]*~~", " ", text)
    if "<!--" in text:
        text = re.sub(r"<!--(?:[^-]|-(?!->))*-->", " ", text)
    if "\n" in text:
        text = _QUOTED.sub("\n", text)
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 1:
        text = _lines(lines, text)
    text = text.strip().lstrip("#:*✅✔☑ \t").strip()
    while text:
        if text.endswith(" |"):
            text = text[:-2].rstrip()
        elif text[-1] in ".;,!* \t" and not text.endswith(("...", "\\,", "\\!", "\\;")) and _loose(text):
            text = text[:-1].rstrip()
        elif (stripped := _unpaired(text)) != text:
            text = stripped
        else:
            break
    return text


def _loose(text: str) -> bool:
    """Whether the last character is only punctuation: a factorial and an abbreviation keep theirs."""
    if text[-1] == "!":
        return not re.search(r"(?:\d|\)|\b[a-z])!+$", text) or bool(re.search(r"[A-Za-z]{2,}\s\d+!$", text))
    return True


def _unpaired(text: str) -> str:
    for left, right in _PAIRS:
        if (
            len(text) >= len(left) + len(right)
            and text.startswith(left)
            and text.endswith(right)
            and text.find(right, len(left)) == len(text) - len(right)
        ):
            return text[len(left) : -len(right)].strip()
    return text


def _lines(lines: list[str], text: str) -> str:
    """One line of several: of a list its items, else the first, unless it is mathematics that goes on."""
    if all(_BULLET.match(line) for line in lines):
        return ", ".join(_BULLET.sub("", line).strip() for line in lines)
    if all(_BULLET.match(line) for line in lines[1:]) and lines[0].rstrip().endswith(":"):
        return ", ".join(_BULLET.sub("", line).strip() for line in lines[1:])
    if _open(lines[0]) or "\\begin" in lines[0] or lines[0].strip() in ("$$", "\\[", "\\(", "$"):
        return text
    return lines[0]
