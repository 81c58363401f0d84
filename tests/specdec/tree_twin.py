"""Trees the slow way: one in double precision, and all outcomes of small ones as fractions."""

from __future__ import annotations

import json
import random
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.specdec.verify_twin import BONUS, RESAMPLE, SHARED, Chain, Law, Noise

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "specdec" / "tree_golden.json"


def children(parents: Any, node: int) -> list[int]:
    return [k for k, parent in enumerate(parents) if parent == node]


def verify_tree(rule: str, p: Any, q: Any, parents: Any, tokens: Any, noise: Any) -> tuple[list[int], list[int]]:
    """What one tree emits, and by which nodes. ``noise`` is of verify_twin, with uniforms of siblings."""
    if rule == "block":
        return verify_block(p, q, parents, tokens, noise)
    at, ids, nodes = -1, [], []
    while True:
        law, depth = np.array(p[at + 1], np.float64), len(ids)
        following = children(parents, at)
        if rule in ("greedy", "seed_exact"):
            own = int(np.argmax(law)) if rule == "greedy" else noise.race(law, SHARED, depth)
            found = next((k for k in following if tokens[k] == own), None)
        else:
            found, draft = None, None if q is None else np.array(q[at + 1], np.float64)
            for rank, k in enumerate(following):
                x = tokens[k]
                chance = np.eye(len(law))[x] if draft is None else draft
                if sibling(noise, depth, rank) * chance[x] <= law[x]:
                    found = k
                    break
                law = np.maximum(law - chance, 0)
                law /= law.sum()
                if draft is not None:
                    draft[x] = 0
                    draft /= max(draft.sum(), 1e-300)
            own = -1 if found is not None else noise.race(law, RESAMPLE if following else BONUS, depth)
        if found is None:
            return [*ids, own], nodes
        ids.append(int(tokens[found]))
        nodes.append(found)
        at = found


def verify_block(p: Any, q: Any, parents: Any, tokens: Any, noise: Any) -> tuple[list[int], list[int]]:
    """The block rule: from the leaves to the root."""

    def settle(at: int, r: float, way: list[int]) -> tuple[list[int], list[int]] | None:
        law, depth = np.array(p[at + 1], np.float64), len(way)
        u = 0.0 if at < 0 else sibling(noise, depth - 1, at + 1 - depth)
        draft = None if q is None else np.array(q[at + 1], np.float64)
        following = children(parents, at)
        for k in following:
            x = tokens[k]
            chance = np.eye(len(law))[x] if draft is None else draft
            found = settle(k, min(1.0, r * law[x] / chance[x]), [*way, k])
            if found is not None:
                return found
            left = np.maximum(r * law - chance, 0)
            s = left.sum()
            if s == 0:
                return None
            r, law = s / (s + 1 - r), left / s
            if draft is not None:
                draft[x] = 0
                draft /= max(draft.sum(), 1e-300)
        if u > r:
            return None
        own = noise.race(law, RESAMPLE if following else BONUS, depth)
        return [*(int(tokens[k]) for k in way), own], way

    found = settle(-1, 1.0, [])
    assert found is not None
    return found


def sibling(noise: Noise, depth: int, rank: int) -> float:
    """The uniform number of a sibling that has so many before it."""
    from tests.specdec.verify_twin import ACCEPT

    return ((noise.words(ACCEPT, (noise.begin + depth) << 24 | rank)[0] >> 8) + 1) / (1 << 24)


def scaled(row: list[Fraction]) -> Law:
    total = sum(row, Fraction(0))
    return tuple(x / total for x in row) if total else tuple(row)


def enumerated(p: Chain, q: Chain, start: int, parents: list[int]) -> tuple[dict[tuple[int, ...], Fraction], Fraction]:
    """The exact law of what a tree emits, and the expected number of accepted nodes. Drafts that do not matter are not
    drawn: siblings are, when their parent was accepted."""
    out: dict[tuple[int, ...], Fraction] = {}
    mean = Fraction(0)

    def end(ids: tuple[int, ...], law: Law, weight: Fraction) -> None:
        nonlocal mean
        mean += weight * len(ids)
        for x, chance in enumerate(law):
            if chance:
                out[*ids, x] = out.get((*ids, x), Fraction(0)) + weight * chance

    def visit(node: int, ids: tuple[int, ...], weight: Fraction) -> None:
        state = ids[-1] if ids else start
        siblings(children(parents, node), p[state], q[state], ids, weight)

    def siblings(left: list[int], law: Law, draft: Law, ids: tuple[int, ...], weight: Fraction) -> None:
        if not left:
            end(ids, law, weight)
            return
        for x, chance in enumerate(draft):
            if not chance:
                continue
            share = min(Fraction(1), law[x] / chance)
            if share:
                visit(left[0], (*ids, x), weight * chance * share)
            if share < 1:
                less = scaled([max(a - b, Fraction(0)) for a, b in zip(law, draft, strict=True)])
                rest = scaled([Fraction(0) if i == x else b for i, b in enumerate(draft)])
                siblings(left[1:], less, rest, ids, weight * chance * (1 - share))

    visit(-1, (), Fraction(1))
    return out, mean


Emitted = dict[tuple[int, ...], Fraction]


def grown(
    p: Chain, q: Chain, start: int, shape: Callable[[list[int], list[int]], int | None], *, block: bool
) -> Emitted:
    """The exact law of what trees emit whose shape depends on what was drawn: ``shape`` gets parents and ids so far,
    and says which node the next is a child of, or None when there are no more."""
    out: Emitted = {}

    def draw(parents: list[int], tokens: list[int], weight: Fraction) -> None:
        parent = shape(parents, tokens)
        if parent is None:
            for ids, chance in settled(p, q, start, parents, tokens, block=block).items():
                out[ids] = out.get(ids, Fraction(0)) + weight * chance
            return
        law = list(q[tokens[parent] if parent >= 0 else start])
        for k in children(parents, parent):
            law[tokens[k]] = Fraction(0)
        for x, chance in enumerate(scaled(law)):
            if chance:
                draw([*parents, parent], [*tokens, x], weight * chance)

    draw([], [], Fraction(1))
    return out


def settled(p: Chain, q: Chain, start: int, parents: list[int], tokens: list[int], *, block: bool) -> Emitted:
    """The exact law of what one tree emits."""
    out: Emitted = {}

    def settle(at: int, r: Fraction, ids: tuple[int, ...], weight: Fraction) -> Fraction:
        """Counts what is emitted from a node on; returns what is left of the weight."""
        law, draft = (list(rows[ids[-1] if ids else start]) for rows in (p, q))
        for k in children(parents, at):
            x = tokens[k]
            own = min(Fraction(1), r * law[x] / draft[x])
            if block:
                weight = settle(k, own, (*ids, x), weight)
            else:
                settle(k, Fraction(1), (*ids, x), weight * own)
                weight *= 1 - own
            left = [max(r * a - b, Fraction(0)) for a, b in zip(law, draft, strict=True)]
            s = sum(left, Fraction(0))
            r = s / (s + 1 - r) if s else Fraction(0)
            law, draft = list(scaled(left)), list(scaled([Fraction(0) if i == x else b for i, b in enumerate(draft)]))
        for x, chance in enumerate(law):
            if chance:
                out[*ids, x] = out.get((*ids, x), Fraction(0)) + weight * r * chance
        return weight * (1 - r)

    settle(-1, Fraction(1), (), Fraction(1))
    return out


def completed(law: dict[tuple[int, ...], Fraction], p: Chain, length: int) -> dict[tuple[int, ...], Fraction]:
    """The law of the first ``length`` ids when the target goes on behind what was emitted."""
    whole: dict[tuple[int, ...], Fraction] = {}
    stack = list(law.items())
    while stack:
        ids, chance = stack.pop()
        if len(ids) >= length:
            whole[ids[:length]] = whole.get(ids[:length], Fraction(0)) + chance
        else:
            stack += [((*ids, x), chance * b) for x, b in enumerate(p[ids[-1]])]
    return whole


def depth(parents: list[int]) -> int:
    """The most nodes on a way."""
    of: list[int] = []
    for parent in parents:
        of.append(1 if parent < 0 else of[parent] + 1)
    return max(of, default=0)


def made() -> list[dict[str, Any]]:
    """The golden trees: shapes and laws by a fixed seed, expectations by enumeration."""
    rng, out = random.Random(20), []
    while len(out) < 20:
        vocab, nodes = rng.choice([3, 4]), rng.randint(2, 6)
        parents: list[int] = []
        for k in range(nodes):
            free = [v for v in range(-1, k) if len(children(parents, v)) < vocab - 1]
            parents.append(rng.choice(free))
        if max(len(children(parents, v)) for v in range(-1, nodes)) < 2:
            continue

        def law(vocab: int = vocab) -> Law:
            return scaled([Fraction(rng.randint(1, 9)) for _ in range(vocab)])

        p, q = (tuple(law() for _ in range(vocab)) for _ in range(2))
        _, mean = enumerated(p, q, 0, parents)
        rows = {name: [[str(x) for x in row] for row in chain] for name, chain in (("p", p), ("q", q))}
        out.append({"parents": parents, "start": 0, **rows, "expected_accepted": float(mean)})
    return out


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(made(), indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n")
    sys.stdout.write(f"{GOLDEN}\n")
