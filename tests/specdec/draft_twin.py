"""Drafters that need no model, as their definitions read: slow, and with nothing kept."""

from __future__ import annotations

from collections import Counter


def looked_up(ids: list[int], least: int, longest: int, tokens: int) -> list[int]:
    """What followed the longest text that is as the last ids are, of equal ones the latest; behind the end, itself."""
    best, place = 0, 0
    for end in range(least, len(ids)):
        same = 0
        while same < min(longest, end) and ids[end - 1 - same] == ids[-1 - same]:
            same += 1
        if same >= max(best, least):
            best, place = same, end
    if not best:
        return []
    out = list(ids)
    for at in range(place, place + tokens):
        out.append(out[at])
    return out[len(ids) :]


def counted(texts: list[list[int]], ids: list[int], order: int, least: int, tokens: int) -> list[int]:
    """The most frequent id behind the longest context that it followed often enough, again and again."""
    out = list(ids)
    for _ in range(tokens):
        for n in range(min(order, len(out)), 0, -1):
            context = out[-n:]
            seen = Counter(t[at] for t in texts for at in range(n, len(t)) if t[at - n : at] == context)
            if seen and max(seen.values()) >= least:
                out.append(min(seen, key=lambda id_: (-seen[id_], id_)))
                break
        else:
            break
    return out[len(ids) :]


def recycled(told: list[tuple[list[int], list[int]]], ids: list[int], order: int, tokens: int) -> list[int]:
    """The first of the ids that were told last behind the last ids, again and again."""
    out = list(ids)
    for _ in range(tokens):
        context = out[-order:]
        known = [best for text, best in told if len(context) == order and text[-order:] == context]
        if not known:
            break
        out.append(known[-1][0])
    return out[len(ids) :]
