"""Trees against a slow twin, and by the law of what they emit."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.specdec import golden, tree_twin
from tests.specdec.test_verify import as_sparse, laws
from tests.specdec.verify_twin import Noise
from thrifty.specdec import SamplingParams, ancestor_masks, verify, verify_tree


def shape(rng: np.random.Generator, nodes: int, most: int) -> list[int]:
    """Parents of a random tree, at most so many children each."""
    parents: list[int] = []
    for k in range(nodes):
        free = [v for v in range(-1, k) if len(tree_twin.children(parents, v)) < most]
        parents.append(int(rng.choice(free)))
    return parents


def drafted(rng: np.random.Generator, q: Any, parents: list[int]) -> list[int]:
    """Ids of nodes, siblings without replacement."""
    tokens: list[int] = []
    for k, parent in enumerate(parents):
        law = np.array(q[parent + 1], np.float64)
        law[[tokens[j] for j in range(k) if parents[j] == parent]] = 0
        tokens.append(int(rng.choice(len(law), p=law / law.sum())))
    return tokens


@pytest.mark.parametrize("rule", ["block", "token", "greedy", "seed_exact"])
def test_a_slow_twin_goes_the_same_way(rule: Any) -> None:
    rng = np.random.default_rng(6)
    for n, m, vocab in ((60, 6, 4), (30, 12, 20), (8, 20, 300), (3, 0, 5)):
        p, q = laws(rng, n, m + 1, vocab), laws(rng, n, m + 1, vocab) * 0.9 + 0.1 / vocab
        q = q.astype(np.float32)
        sizes = [m if i % 3 else m // 2 for i in range(n)]
        trees = [shape(rng, size, 3) for size in sizes]
        ids = [drafted(rng, q[i], tree) for i, tree in enumerate(trees)]
        parents, tokens = (
            np.array([row + [-1] * (m - len(row)) for row in x], int).reshape(n, m) for x in (trees, ids)
        )
        uid, position = rng.integers(0, 2**63, n), rng.integers(0, 2**39, n)
        args: Any = {"rule": rule, "seed": 3, "uid": uid, "position": position}
        for source in (q, None):
            found = verify_tree(p, source, parents, tokens, **args)
            for i, size in enumerate(sizes):
                noise = Noise(3, int(uid[i]), int(position[i]))
                own = None if source is None else source[i]
                wanted, nodes = tree_twin.verify_tree(rule, p[i], own, trees[i], ids[i], noise)
                assert found.accepted[i] == len(nodes)
                assert found.tokens[i].tolist() == wanted + [-1] * (m + 1 - len(wanted)), (i, size)
                assert found.nodes[i].tolist() == nodes + [-1] * (m - len(nodes))
        sparse = verify_tree(p, as_sparse(q), parents, tokens, **args, threads=3)
        assert (sparse.tokens == verify_tree(p, q, parents, tokens, **args).tokens).all()


def test_the_golden_trees_are_what_enumeration_gives() -> None:
    cases = tree_twin.made()
    assert cases == json.loads(tree_twin.GOLDEN.read_text())
    for case in cases:
        p, q = (tuple(tuple(Fraction(x) for x in row) for row in case[name]) for name in "pq")
        law, _ = tree_twin.enumerated(p, q, case["start"], case["parents"])
        # Completed by the target, what is emitted has the target's law.
        exact(tree_twin.completed(law, p, tree_twin.depth(case["parents"]) + 1), p, case["start"])


def exact(whole: dict[tuple[int, ...], Fraction], p: Any, start: int) -> None:
    """Fails unless a law is that of the target."""
    assert sum(whole.values()) == 1
    for ids, chance in whole.items():
        assert chance == target(ids, p, start)


def target(ids: tuple[int, ...], p: Any, start: int) -> Fraction:
    wanted, state = Fraction(1), start
    for x in ids:
        wanted *= p[state][x]
        state = x
    return wanted


def busy(parents: list[int], tokens: list[int]) -> int | None:
    """Grows where what was drawn before says: below an id that is large, else beside it."""
    if len(parents) == 4:
        return None
    best = max(range(len(parents)), key=lambda k: (tokens[k], -k), default=-1)
    if best < 0 or (tokens[best] > 0 and len(tree_twin.children(parents, best)) < 2):
        return best
    return -1 if len(tree_twin.children(parents, -1)) < 2 else 0


@pytest.mark.parametrize("block", [False, True])
def test_shapes_may_depend_on_what_was_drawn_before(block: bool) -> None:
    for case in json.loads(tree_twin.GOLDEN.read_text())[:8]:
        p, q = (tuple(tuple(Fraction(x) for x in row) for row in case[name]) for name in "pq")
        for shape in (busy, lambda parents, _, own=case["parents"][:4]: (*own, None)[len(parents)]):
            exact(tree_twin.completed(tree_twin.grown(p, q, 0, shape, block=block), p, 3), p, 0)


@pytest.mark.parametrize("block", [False, True])
def test_a_node_that_is_left_out_for_its_id_spoils_the_law(block: bool) -> None:
    wrong = 0
    for case in json.loads(tree_twin.GOLDEN.read_text()):
        p, q = (tuple(tuple(Fraction(x) for x in row) for row in case[name]) for name in "pq")
        whole: dict[tuple[int, ...], Fraction] = {}
        # Of two children of the root the second stays only when it is likely, which is looked at when it was drawn.
        likely = q[0].index(max(q[0]))
        for x, y in itertools.permutations(range(len(q[0])), 2):
            kept = [x, y] if y == likely else [x]
            weight = q[0][x] * q[0][y] / (1 - q[0][x])
            drawn = tree_twin.settled(p, q, 0, [-1] * len(kept), kept, block=block)
            for ids, part in tree_twin.completed(drawn, p, 1).items():
                whole[ids] = whole.get(ids, Fraction(0)) + weight * part
        assert sum(whole.values()) == 1
        wrong += any(chance != target(ids, p, 0) for ids, chance in whole.items())
    assert wrong >= 5


def test_what_trees_emit_has_the_law_of_the_target() -> None:
    found, wrong = [], []
    for case in golden.trees():
        accepted, tokens = golden.emitted_tree(case, 20_000, 1)
        error = accepted.std() / np.sqrt(len(accepted))
        assert abs(accepted.mean() - case.accepted["tree"]) <= 4 * error
        found.append(golden.chi_square(tokens, case.law(), len(case.p)))
        _, tokens = golden.emitted_tree(case, 20_000, 1, planted=True)
        wrong.append(golden.chi_square(tokens, case.law(), len(case.p)))
    assert golden.holm(found) > 1e-4
    assert golden.holm(wrong) < 1e-4


def test_a_tree_without_branches_is_a_chain() -> None:
    rng = np.random.default_rng(4)
    n, g, vocab = 50, 4, 12
    p, q = (rng.normal(size=(n, g + 1, vocab)).astype(np.float32) for _ in range(2))
    draft = rng.integers(0, vocab, (n, g))
    indptr, prefix = np.arange(n + 1) * 2, rng.integers(0, vocab, 2 * n)
    seen = {"temperature": 0.8, "repetition_penalty": 1.2, "prefix": (indptr, prefix)}
    for rule in ("block", "token", "greedy", "seed_exact"):
        # A law of limits need not hold every id, which these rules ask of drafts.
        limits = {} if rule in ("block", "token") else {"top_k": 5, "top_p": 0.9}
        for params in (None, SamplingParams(**seen), SamplingParams(**seen, **limits)):
            args: Any = {"uid": np.arange(n), "position": np.arange(n), "from_logits": True, "params": params}
            chain = verify(p, q[:, :g], draft, rule=rule, **args)
            tree = verify_tree(p, q, np.tile(np.arange(g) - 1, (n, 1)), draft, rule=rule, **args)
            assert (chain.tokens == tree.tokens).all()
            assert (chain.accepted == tree.accepted).all()


def test_masks_are_ways_to_the_root() -> None:
    rng = np.random.default_rng(1)
    parents = np.array([shape(rng, 130, 3) for _ in range(3)])
    masks = ancestor_masks(parents)
    assert masks.shape == (3, 130, 3)
    for i, own in enumerate(parents):
        for node in range(130):
            way, at = set(), node
            while at >= 0:
                way.add(at)
                at = own[at]
            bits = int.from_bytes(masks[i, node].tobytes(), "little")
            assert {j for j in range(130) if bits >> j & 1} == way


def test_what_can_not_be_a_tree() -> None:
    p = np.full((1, 3, 4), 0.25, np.float32)
    args: Any = {"uid": [0], "position": [0]}
    for parents, tokens, message in (
        ([[-1, 1]], [[0, 1]], "node 1: 1 is neither"),
        ([[-1, -2]], [[0, 1]], "node 1: -2 is neither"),
        ([[-1, 0]], [[0, -1]], "node 1: 0 is neither"),
        ([[-1, -1]], [[2, 2]], "a sibling has the same id 2"),
        ([[-1, -1]], [[2, 4]], "tokens: request 0, position 1: 4 is not below"),
        ([[-1]], [[2, 1]], r"parents: shape \(1, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            verify_tree(p, p, parents, tokens, **args)
    with pytest.raises(ValueError, match="rule: 'best' is none of block, token"):
        verify_tree(p, p, [[-1, 0]], [[1, 1]], rule="best", **args)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="q: request 0, position 0: id 1 has the chance 0"):
        verify_tree(p, np.eye(4, dtype=np.float32)[None, :3], [[-1, 0]], [[1, 1]], **args)
    with pytest.raises(ValueError, match="tree 0, node 0: 0 is neither"):
        ancestor_masks([[0]])
