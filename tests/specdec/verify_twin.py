"""Verification the slow way, in double precision; and all outcomes of small chains, as fractions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

MASK = (1 << 64) - 1
DRAFT, ACCEPT, RESAMPLE, BONUS, SHARED = range(1, 6)


def mix64(x: int) -> int:
    """As thrifty_base::hash::mix64: the finaliser of SplitMix64 (Stafford's variant 13)."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10 (Salmon et al., SC 2011)."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        x, y = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (y >> 32) ^ b ^ k, y & 0xFFFFFFFF, (x >> 32) ^ d ^ m, x & 0xFFFFFFFF
        k, m = (k + 0x9E3779B9) & 0xFFFFFFFF, (m + 0xBB67AE85) & 0xFFFFFFFF
    return a, b, c, d


@dataclass(frozen=True)
class Noise:
    """Random numbers of a request in the round that begins at ``begin``."""

    seed: int
    uid: int
    begin: int

    def words(self, purpose: int, position: int) -> tuple[int, int, int, int]:
        key = mix64(mix64(self.seed) ^ mix64((self.uid + 1) & MASK))
        stream = (0 if purpose == SHARED else self.begin) << 8 | purpose
        low = 0xFFFFFFFF
        return philox((position & low, position >> 32, stream & low, stream >> 32), (key & low, key >> 32))

    def accept(self, i: int) -> float:
        return ((self.words(ACCEPT, (self.begin + i) << 24)[0] >> 8) + 1) / (1 << 24)

    def bits(self, purpose: int, position: int, id_: int) -> int:
        """The bits of an id: of 64, the first half have upper halves of words, the others the lower ones."""
        word, shift = id_ // 64 * 32 + id_ % 32, 16 if id_ % 64 < 32 else 0
        rows = (position << 24, position << 24 | 1 << 23)
        upper, lower = (self.words(purpose, row | word // 4)[word % 4] >> shift & 0xFFFF for row in rows)
        return upper << 16 | lower

    def race(self, law: Any, purpose: int, i: int) -> int:
        """The id whose exponential time, divided by its chance, is the least."""
        best, winner = math.inf, -1
        for id_, p in enumerate(law):
            if p > 0:
                time = -math.log((self.bits(purpose, self.begin + i, id_) + 0.5) / (1 << 32)) / float(p)
                if time < best:
                    best, winner = time, id_
        return winner


def law_of(scores: Any, seen: list[int], params: dict[str, float]) -> Any:
    """Scores to a law, with what ids seen change."""
    x = np.array(scores, np.float64)
    for id_ in set(seen):
        x[id_] = x[id_] / params["repetition_penalty"] if x[id_] > 0 else x[id_] * params["repetition_penalty"]
        x[id_] -= params["frequency_penalty"] * seen.count(id_) + params["presence_penalty"]
    law = np.zeros_like(x)
    if params["temperature"] == 0:
        law[int(np.argmax(x))] = 1
        return law
    e = np.exp((x - x.max()) / params["temperature"])
    order = sorted(np.flatnonzero(e > 0), key=lambda i: (-e[i], i))
    if params["top_k"]:
        order = order[: int(params["top_k"])]
    total, reached, kept = sum(e[i] for i in order), 0.0, []
    for i in order:
        if params["top_p"] < 1 and reached >= params["top_p"] * total:
            break
        kept.append(i)
        reached += e[i]
    kept = [i for i in kept if e[i] >= params["min_p"] * e[kept[0]]]
    law[kept] = e[kept] / sum(e[i] for i in kept)
    return law


def verify(rule: str, p: Any, q: Any, draft: list[int], noise: Noise) -> list[int]:
    """What one request emits. Rows of p and q are laws; q is None where drafts were certain."""
    g, vocab = len(draft), len(p[0])
    if q is None:
        q = np.eye(vocab)[draft]
    if rule in ("greedy", "seed_exact"):
        own = [int(np.argmax(row)) if rule == "greedy" else noise.race(row, SHARED, i) for i, row in enumerate(p)]
        accepted = next((i for i in range(g) if own[i] != draft[i]), g)
        return [*draft[:accepted], own[accepted]]
    if rule == "token":
        for i, x in enumerate(draft):
            if noise.accept(i) * float(q[i][x]) > float(p[i][x]):
                residual = np.maximum(p[i] - q[i], 0)
                return [*draft[:i], noise.race(residual, RESAMPLE, i)]
        return [*draft, noise.race(p[g], BONUS, g)]
    r = [1.0]
    for i, x in enumerate(draft):
        r.append(min(1.0, r[-1] * float(p[i][x]) / float(q[i][x])))
    for i in range(g, -1, -1):
        if i == g and (g == 0 or noise.accept(g - 1) <= r[g]):
            return [*draft, noise.race(p[g], BONUS, g)]
        if i == g:
            continue
        residual = np.maximum(r[i] * p[i] - q[i], 0)
        s = residual.sum()
        if i == 0 or noise.accept(i - 1) <= s / (s + 1 - r[i]):
            return [*draft[:i], noise.race(residual, RESAMPLE, i)]
    raise AssertionError("no drafts always pass")


Law = tuple[Fraction, ...]
Chain = tuple[Law, ...]


def enumerated(
    rule: str, p: Chain, q: Chain, start: int, gamma: int
) -> tuple[dict[tuple[int, ...], Fraction], Fraction]:
    """The exact law of the first gamma + 1 ids that a Markov chain emits, and the expected number of accepted drafts.

    Ids behind what a round emits are drawn from p, as they are in the next round.
    """
    out: dict[tuple[int, ...], Fraction] = {}
    mean = Fraction(0)

    def emit(ids: tuple[int, ...], weight: Fraction) -> None:
        if not weight:
            return
        if len(ids) == gamma + 1:
            out[ids] = out.get(ids, Fraction(0)) + weight
            return
        for x, chance in enumerate(p[ids[-1]]):
            emit((*ids, x), weight * chance)

    def drafts(ids: tuple[int, ...], weight: Fraction) -> None:
        nonlocal mean
        if len(ids) < gamma:
            for x, chance in enumerate(q[ids[-1] if ids else start]):
                if chance:
                    drafts((*ids, x), weight * chance)
            return
        for i, share, law in outcomes(rule, p, q, start, ids):
            mean += weight * share * i
            for x, chance in enumerate(law):
                emit((*ids[:i], x), weight * share * chance)

    drafts((), Fraction(1))
    return out, mean


@cache
def outcomes(rule: str, p: Chain, q: Chain, start: int, ids: tuple[int, ...]) -> list[tuple[int, Fraction, Law]]:
    """For drafts ``ids``: how many are accepted, with what chance, and the law of the id behind them."""
    states = (start, *ids)
    g, out, left = len(ids), [], Fraction(1)

    def scaled(row: list[Fraction]) -> Law:
        total = sum(row)
        return tuple(x / total for x in row) if total else tuple(row)

    if rule == "token":
        for i, x in enumerate(ids):
            a, b = p[states[i]], q[states[i]]
            share = min(Fraction(1), a[x] / b[x])
            if share < 1:
                out.append(
                    (i, left * (1 - share), scaled([max(y - z, Fraction(0)) for y, z in zip(a, b, strict=True)]))
                )
            left *= share
        return [*out, (g, left, p[states[g]])]
    r = [Fraction(1)]
    for i, x in enumerate(ids):
        r.append(min(Fraction(1), r[-1] * p[states[i]][x] / q[states[i]][x]))
    for i in range(g, -1, -1):
        if i == g:
            share, law = r[g], p[states[g]]
        else:
            row = [max(r[i] * y - z, Fraction(0)) for y, z in zip(p[states[i]], q[states[i]], strict=True)]
            s = sum(row, Fraction(0))
            share = Fraction(1) if i == 0 else s / (s + 1 - r[i]) if s + 1 - r[i] else Fraction(1)
            law = scaled(row)
        if left * share:
            out.append((i, left * share, law))
        left *= 1 - share
    return out
