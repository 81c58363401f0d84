"""Measures of predicted labels, against loops that follow the formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from thrifty.slide import ndcg_at, precision_at, propensities, psp_at, scores


def slow(predicted: list[list[int]], truth: list[set[int]], p: list[float], k: int) -> tuple[float, float, float]:
    """P@k, nDCG@k and PSP@k, row by row."""
    precision, gains, got, possible, rows = 0.0, 0.0, 0.0, 0.0, 0
    for best, labels in zip(predicted, truth, strict=True):
        if not labels:
            continue
        rows += 1
        right = [place for place, label in enumerate(best[:k], 1) if label in labels]
        precision += len(right) / k
        ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(labels)) + 1))
        gains += sum(1 / math.log2(place + 1) for place in right) / ideal
        got += sum(1 / p[best[place - 1]] for place in right)
        possible += sum(sorted((1 / p[label] for label in labels), reverse=True)[:k])
    return precision / rows, gains / rows, got / possible


def matrix(truth: list[set[int]], labels: int) -> csr_matrix:
    starts = np.cumsum([0, *map(len, truth)])
    ids = np.array([label for row in truth for label in row], np.int32)
    return csr_matrix((np.ones(len(ids), np.float32), ids, starts), shape=(len(truth), labels))


@given(data=st.data())
def test_as_the_formulas_say(data: Any) -> None:
    labels = data.draw(st.integers(1, 9))
    ids = st.integers(0, labels - 1)
    width = data.draw(st.integers(0, 7))
    best = st.lists(ids, unique=True, max_size=min(width, labels)).flatmap(
        lambda row: st.permutations(row + [-1] * (width - len(row)))
    )
    rows = data.draw(
        st.lists(st.tuples(best, st.sets(ids)), min_size=1, max_size=12).filter(lambda r: any(t for _, t in r))
    )
    predicted, truth = [list(b) for b, _ in rows], [t for _, t in rows]
    p = data.draw(st.lists(st.floats(0.01, 1), min_size=labels, max_size=labels))
    targets = matrix(truth, labels)
    array = np.array(predicted, data.draw(st.sampled_from([np.int64, np.int32]))).reshape(len(rows), width)
    measured = scores(array, targets, p)
    assert measured["rows"] == sum(map(bool, truth))
    for k in (1, 3, 5):
        expected = pytest.approx(slow(predicted, truth, p, k), rel=1e-12, abs=1e-15)
        assert tuple(measured[f"{name}_at_{k}"] for name in ("p", "ndcg", "psp")) == expected
    assert all(0 <= value <= 1 + 1e-12 for name, value in measured.items() if name != "rows")
    k = data.draw(st.integers(1, 9))
    single = (precision_at(array, targets, k), ndcg_at(array, targets, k), psp_at(array, targets, p, k))
    assert single == pytest.approx(slow(predicted, truth, p, k), rel=1e-12, abs=1e-15)


def test_by_hand() -> None:
    """Three rows: both labels found, at places 1 and 3; the only one at place 2; nothing. A fourth has no label."""
    truth = [{0, 1}, {4}, {2, 3, 5}, set()]
    predicted = [[0, 2, 1, 3, 4], [1, 4, 0, 2, 3], [0, 1, 4, -1, -1], [0, 1, 2, 3, 4]]
    p = [0.5, 0.25, 1.0, 0.5, 0.2, 0.1]
    measured = scores(predicted, matrix(truth, 6), p)
    second, third = 1 / math.log2(3), 1 / 2
    assert measured == pytest.approx(
        {
            "rows": 3,
            "p_at_1": 1 / 3,
            "p_at_3": (2 + 1) / 9,
            "p_at_5": 3 / 15,
            "ndcg_at_1": 1 / 3,
            "ndcg_at_3": ((1 + third) / (1 + second) + second) / 3,
            "ndcg_at_5": ((1 + third) / (1 + second) + second) / 3,
            "psp_at_1": 2 / (4 + 5 + 10),
            "psp_at_3": (2 + 4 + 5) / (6 + 5 + 13),
            "psp_at_5": (2 + 4 + 5) / (6 + 5 + 13),
        },
        rel=1e-14,
    )
    assert list(scores(predicted, matrix(truth, 6))) == [n for n in measured if not n.startswith("psp")]


def test_perfect_predictions() -> None:
    """All labels of all rows, the heaviest first: nDCG and PSP are 1, P@k is what fewer labels than k allow."""
    rng = np.random.default_rng(0)
    truth = [set(rng.choice(50, rng.integers(1, 8), replace=False).tolist()) for _ in range(400)]
    p = rng.uniform(0.01, 1, 50)
    predicted = np.full((400, 7), -1)
    for i, row in enumerate(truth):
        predicted[i, : len(row)] = sorted(row, key=lambda label: p[label])
    measured = scores(predicted, matrix(truth, 50), p)
    for k in (1, 3, 5):
        assert measured[f"ndcg_at_{k}"] == pytest.approx(1, rel=1e-12)
        assert measured[f"psp_at_{k}"] == pytest.approx(1, rel=1e-12)
        assert measured[f"p_at_{k}"] == pytest.approx(np.mean([min(k, len(row)) / k for row in truth]), rel=1e-12)


def test_entries_are_labels_whatever_their_value() -> None:
    """Stored zeros, entries in any order and entries that are there twice; what was given stays as it is."""
    odd = csr_matrix((np.array([0.0, -1.0, 5.0]), np.array([3, 1, 3]), np.array([0, 3])), shape=(1, 4))
    assert scores([[3, 1, 0]], odd) == scores([[3, 1, 0]], matrix([{1, 3}], 4))
    assert odd.nnz == 3


@given(data=st.data())
def test_propensities_as_the_formula_says(data: Any) -> None:
    labels = data.draw(st.integers(1, 8))
    truth = data.draw(st.lists(st.sets(st.integers(0, labels - 1)), min_size=3, max_size=30))
    a, b = data.draw(st.floats(0, 2)), data.draw(st.floats(0.1, 4))
    c = (math.log(len(truth)) - 1) * (b + 1) ** a
    expected = [1 / (1 + c * math.exp(-a * math.log(sum(i in t for t in truth) + b))) for i in range(labels)]
    p = propensities(matrix(truth, labels), a, b)
    assert p.dtype == np.float64
    assert p.tolist() == pytest.approx(expected, rel=1e-12)
    assert ((p > 0) & (p <= 1)).all()


def test_propensities_by_hand() -> None:
    """100 rows, a = 0.55, b = 1.5: C = (ln 100 - 1) 2.5^0.55; a label without rows has 1 / (1 + C 1.5^-0.55)."""
    p = propensities(matrix([{0}] * 100, 2))
    c = 3.605170185988091 * 2.5**0.55
    assert p.tolist() == pytest.approx([1 / (1 + c / 101.5**0.55), 1 / (1 + c / 1.5**0.55)], rel=1e-14)


def test_wrong_arguments() -> None:
    targets = matrix([{0}, {1, 2}], 3)
    for predicted, message in [
        ([[0, 1]], r"predicted: shape \(2, k\) is needed for 2 rows of targets, got \(1, 2\)"),
        ([0, 1], r"got \(2,\)"),
        ([[0], [3]], "predicted: row 1 has 3 at place 0, which is not an id; they are below 3, or -1 for none"),
        ([[0, -2], [1, 2]], "predicted: row 0 has -2 at place 1"),
        ([[0, 1, 2], [1, -1, 1]], "predicted: row 1 has 1 at place 2, which is there twice"),
    ]:
        with pytest.raises(ValueError, match=message):
            scores(predicted, targets)
    with pytest.raises(TypeError, match="predicted: ids are integers, got float64"):
        scores([[0.5], [1.0]], targets)
    with pytest.raises(TypeError, match="targets: a scipy sparse matrix is needed, got ndarray"):
        scores([[0]], np.eye(1))
    with pytest.raises(ValueError, match="no row has a label"):
        scores([[0], [0]], matrix([set(), set()], 3))
    with pytest.raises(ValueError, match="k: at least 1 is needed, got 0"):
        precision_at([[0], [0]], targets, 0)
    for p, message in [
        ([0.5, 0.5], r"propensity: shape \(3,\) is needed"),
        ([0.5, 0.0, 1.0], "propensity: 0.0 at label 1"),
        ([0.5, 1.0, math.nan], "propensity: nan at label 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            psp_at([[0], [0]], targets, p, 1)
    with pytest.raises(ValueError, match="targets: 2 rows; propensities take at least 3"):
        propensities(targets)
    with pytest.raises(ValueError, match="a=-1"):
        propensities(matrix([{0}] * 3, 1), -1)
