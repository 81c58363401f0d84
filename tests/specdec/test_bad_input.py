"""What can not be verified is refused with an error that names it, and nothing else happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thrifty.errors import ModelError
from thrifty.specdec import SamplingParams, SparseProbs, verify

RULES = ("token", "block", "greedy", "seed_exact")
N, G, V = 3, 2, 5
ONES = np.ones(3, np.float32)


def good() -> dict[str, Any]:
    return {
        "p": np.full((N, G + 1, V), 1 / V, np.float32),
        "q": np.full((N, G, V), 1 / V, np.float32),
        "draft": np.array([[1, 2], [3, -1], [-1, -1]]),
        "uid": np.arange(N),
        "position": np.arange(N),
    }


def call(**changes: Any) -> Any:
    return verify(**(good() | changes))


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"rule": "best"}, ValueError, "rule: 'best' is none of token, block"),
    ({"p": good()["p"][:2]}, ValueError, r"p: shape \(2, 3, 5\); \(3, 3, vocab\)"),
    ({"p": good()["p"].astype(int)}, TypeError, "p: float32, or bfloat16 as uint16 is needed, got int64"),
    ({"p": np.zeros((N, G + 1, 0), np.float32), "q": None}, ValueError, "p: rows of 0 ids"),
    ({"q": good()["q"][:, :1]}, ValueError, r"q: shape \(3, 1, 5\); \(3, 2, 5\)"),
    ({"q": "laws"}, TypeError, "q: float32"),
    ({"draft": [1, 2]}, ValueError, r"draft: shape \(2,\); 2 dimensions are"),
    ({"draft": [[0.5, 1], [1, 1], [1, 1]]}, TypeError, "draft: whole numbers are needed, got float64"),
    (
        {"draft": [[5, 1], [1, 1], [1, 1]]},
        ValueError,
        "draft: request 0, position 0: 5 is not below",
    ),
    ({"draft": [[1, 1], [-1, 1], [1, 1]]}, ValueError, "draft: request 1, position 1: 1 stands behind a -1"),
    ({"draft": [[1, 1], [1, -2], [1, 1]]}, ValueError, "draft: request 1, position 1: -2 is not"),
    ({"uid": [1, 2]}, ValueError, "uid: 2 numbers; one of each of 3 requests"),
    ({"uid": [1, 2, -3]}, ValueError, "uid: -3 is not between 0"),
    ({"uid": [0.5, 1, 2]}, TypeError, "uid: whole numbers"),
    ({"position": [0, 0, -1]}, ValueError, "position: request 2: -1"),
    ({"position": [0, 2**40, 1]}, ValueError, "position: request 1"),
    ({"seed": -1}, ValueError, "seed: -1 is not between 0 and 2"),
    ({"seed": 2**64}, ValueError, "seed"),
    ({"seed": 1.5}, TypeError, "seed: a whole number is needed, got float"),
    ({"threads": -1}, ValueError, "threads: -1"),
    ({"params": SamplingParams()}, ValueError, "params: they make laws of scores"),
    ({"q_lse": np.zeros((N, G), np.float32)}, ValueError, "q_lse: only rows of scores have one"),
    ({"q_token": np.ones((N, G + 1), np.float32)}, ValueError, r"q_token: shape \(3, 3\); \(3, 2\)"),
    ({"q_token": np.zeros((N, G), np.float32)}, ValueError, "q_token: request 0, position 0: 0 is not above 0"),
    ({"q_token": np.full((N, G), np.nan, np.float32)}, ValueError, "q_token: request 0, position 0: NaN"),
    ({"q": SparseProbs([0, 1], [1], np.ones(1, np.float32))}, ValueError, "q: indptr of 2 numbers; 7 that"),
    ({"q": SparseProbs([0, 2, 1, 3, 3, 3, 3], [1, 1, 1], ONES)}, ValueError, "q: indptr"),
    ({"q": SparseProbs([0, 1, 2, 3, 3, 3, 3], [1, 2], ONES)}, ValueError, "q: 2 ids and 3 chances"),
    ({"q": SparseProbs([0, 1, 2, 3, 3, 3, 3], [1, -2, 3], ONES)}, ValueError, "q.ids: -2"),
    (
        {"q": SparseProbs([0, 1, 2, 3, 3, 3, 3], [1, 9, 3], ONES)},
        ValueError,
        "q: list 1: id 9 is not",
    ),
    ({"q": SparseProbs([0, 1, 2, 3, 3, 3, 3], [4, 2, 3], ONES)}, ValueError, "id 1 has the chance 0"),
    (
        {"p": np.ones((N, G + 1, V), np.float32)},
        ValueError,
        "position 0: chances come to 5, not to 1; .*logits",
    ),
    (
        {"p": np.full((N, G + 1, V), -1.0, np.float32)},
        ValueError,
        "position 0: -1 is no chance; .*logits",
    ),
]


@pytest.mark.parametrize(("changes", "error", "message"), WRONG, ids=[f"{m}" for _, _, m in WRONG])
def test_what_is_wrong_is_named(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(**({"rule": "token"} | changes))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_hold_no_numbers_name_themselves(rule: Any, scores: bool, value: float) -> None:
    p = good()["p"]
    p[2, 0, 3] = value
    with pytest.raises(ModelError, match="request 2, position 0: a number of p is NaN or infinite"):
        call(p=p, rule=rule, from_logits=scores)
    half = (p.view(np.uint32) >> 16).astype(np.uint16)
    with pytest.raises(ModelError, match="request 2, position 0: a number of p is NaN or infinite"):
        call(p=half, rule=rule, from_logits=scores, threads=2)
    p[2, 0] = -np.inf if scores else 0
    with pytest.raises(ModelError, match="request 2, position 0: all ids of p are masked"):
        call(p=p, rule=rule, from_logits=scores)
    # A row that nobody reads harms nobody.
    p = good()["p"]
    p[2, 1] = value
    call(p=p, rule=rule, from_logits=scores)


@pytest.mark.parametrize("rule", ["token", "block"])
def test_rows_of_q_name_themselves(rule: Any) -> None:
    q = good()["q"]
    q[1, 0, 0] = np.nan
    p = good()["p"]
    p[1, 0] = [0.5, 0.5, 0, 0, 0]
    with pytest.raises(ModelError, match="request 1, position 0: a number of q is NaN"):
        call(p=p, q=q, rule=rule)
    p[1, 0] = [0, 0, 0, -np.inf, 0]
    for more in ({}, {"q_lse": np.log(np.full((N, G), 5.0)), "q_token": np.full((N, G), 0.2)}):
        with pytest.raises(ModelError, match="request 1, position 0: a number of q is NaN"):
            call(p=p, q=q, rule=rule, from_logits=True, **more)
    q[1, 0] = -np.inf
    with pytest.raises(ModelError, match="request 1, position 0: all ids of q are masked"):
        call(q=q, rule=rule, from_logits=True)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": -1}, "temperature: request 0: -1 is not at least 0"),
        ({"temperature": [1, 1]}, r"temperature: shape \(2,\); one number, or \(3,\)"),
        ({"temperature": [1, np.nan, 1]}, "temperature: request 1"),
        ({"top_k": [0, 0, -4]}, "top_k: request 2: -4 is below 0"),
        ({"top_p": 0}, "top_p: request 0: 0 is not above 0"),
        ({"min_p": 1.5}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty: request 0: 0 is not above 0"),
        ({"presence_penalty": np.inf}, "presence_penalty"),
        ({"frequency_penalty": [0, np.nan, 0]}, "frequency_penalty: request 1"),
        ({"prefix": ([0, 1], [1])}, "prefix: indptr of 2 numbers for 3 requests"),
        ({"prefix": ([0, 1, 1, 1], [7])}, "prefix: request 0, id 0: 7 is not below"),
        ({"prefix": ([0, 1, 0, 1], [1])}, "prefix: indptr"),
    ],
)
def test_settings_out_of_range(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(from_logits=True, params=SamplingParams(**params))


def test_settings_of_other_types() -> None:
    for params, message in (
        ({"top_k": 0.5}, "top_k: whole"),
        ({"min_p": "all"}, "min_p"),
        ({"prefix": 3}, "prefix: two"),
    ):
        with pytest.raises(TypeError, match=message):
            call(from_logits=True, params=SamplingParams(**params))


def test_none_at_all() -> None:
    empty = verify(np.zeros((0, 3, 4), np.float32), None, np.zeros((0, 2), int), uid=[], position=[])
    assert empty.accepted.shape == (0,)
    assert empty.tokens.shape == (0, 3)
    one = verify(np.ones((2, 1, 1), np.float32), None, np.zeros((2, 0), int), uid=[1, 2], position=[0, 0])
    assert one.tokens.tolist() == [[0], [0]]
    with pytest.raises(ValueError, match="draft: 256 drafts a request; at most 255"):
        verify(np.ones((1, 257, 1), np.float32), None, np.zeros((1, 256), int), uid=[1], position=[0])
    most = verify(np.ones((1, 256, 1), np.float32), None, np.zeros((1, 255), int), uid=[1], position=[0])
    assert most.accepted[0] == 255


NUMBERS = st.sampled_from([0.0, 0.2, 0.5, 1.0, -1.0, 1e-38, 1e38, -1e38, float("nan"), float("inf"), float("-inf")])


@settings(max_examples=150)
@given(data=st.data())
def test_any_numbers_at_all_are_verified_or_refused(data: Any) -> None:
    """Nothing but the errors that are documented, whatever numbers stand in arrays of the right shapes."""
    n, g, vocab = (data.draw(st.integers(low, high)) for low, high in ((1, 3), (0, 3), (1, 4)))

    def array(*shape: int) -> Any:
        count = int(np.prod(shape))
        values = data.draw(st.lists(NUMBERS, min_size=count, max_size=count))
        return np.array(values, np.float32).reshape(shape)

    def whole(low: int, high: int, *shape: int) -> Any:
        count = int(np.prod(shape))
        values = data.draw(st.lists(st.integers(low, high), min_size=count, max_size=count))
        return np.array(values, np.int64).reshape(shape)

    scores = data.draw(st.booleans())
    kind = data.draw(st.sampled_from(["dense", "sparse", "none"]))
    q: Any = array(n, g, vocab) if kind == "dense" else None
    if kind == "sparse":
        q = SparseProbs(np.sort(whole(0, 4, n * g + 1)), whole(0, vocab, 4), array(4))
    args: Any = {"uid": whole(0, 9, n), "position": whole(0, 2**40, n), "rule": data.draw(st.sampled_from(RULES))}
    if scores and data.draw(st.booleans()):
        args["params"] = SamplingParams(
            temperature=array(n), top_k=whole(-1, 3, n), top_p=array(n), min_p=array(n), repetition_penalty=array(n),
            presence_penalty=array(n), prefix=(np.arange(n + 1), whole(0, vocab, n)),
        )  # fmt: skip
    if data.draw(st.booleans()):
        args["q_token"] = array(n, g)
    if scores and kind == "dense" and data.draw(st.booleans()):
        args["q_lse"] = array(n, g)
    draft = whole(-1, vocab, n, g)
    try:
        found = verify(array(n, g + 1, vocab), q, draft, from_logits=scores, **args)
    except (ValueError, ModelError):
        return
    for i in range(n):
        accepted = int(found.accepted[i])
        assert 0 <= accepted <= (draft[i] >= 0).sum()
        assert (found.tokens[i, :accepted] == draft[i, :accepted]).all()
        assert 0 <= found.tokens[i, accepted] < vocab
        assert (found.tokens[i, accepted + 1 :] == -1).all()
