"""Sequences of a table: appended, taken back and copied, they look up what a whole sequence does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pairconnect.test_table import filled, specs
from thrifty.pairconnect import PairSpec, PairTable

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.integers(0, 8), max_size=6)),
        st.tuples(st.just("one"), st.integers(0, 8)),
        st.tuples(st.just("truncate"), st.integers(0, 20)),
        st.tuples(st.just("fork"), st.integers(0, 8)),
    ),
    max_size=12,
)


@given(specs, steps, st.booleans())
def test_states_are_whole_sequences(spec: PairSpec, steps: list[tuple[str, Any]], weighed: bool) -> None:
    table = filled(spec, 7)[0]
    weights = None
    if weighed and spec.window is not None:
        weights = np.random.default_rng(1).normal(size=(spec.heads, spec.window)).astype(np.float32)
    state, ids = table.state(weights=weights), []
    for step, value in steps:
        if step == "one":
            found = state.append(value)[None]
            ids.append(value)
        elif step == "append":
            found = state.append(value)
            ids += value
        elif step == "truncate":
            length = min(value, len(ids))
            state.truncate(length)
            ids, found = ids[:length], np.empty((0, spec.width), np.float32)
        else:
            other = state.fork()
            other.append(value)
            assert other.ids.tolist() == [*ids, value]
            found = np.empty((0, spec.width), np.float32)
        assert state.ids.tolist() == ids
        assert len(state) == len(ids)
        whole = table.lookup(ids, weights=weights)
        assert (found == whole[len(ids) - len(found) :]).all()


def test_long_appends_and_errors() -> None:
    table = filled(PairSpec(vocab=9, rows=30, window=None, pool="sum"), 1)[0]
    ids = np.random.default_rng(0).integers(0, 9, 700)
    state = table.state()
    # Long enough to run on a thread of its own.
    assert (state.append(ids) == table.lookup(ids)).all()
    for bad, message in ((9, "9 at 0 is not below vocab"), (-1, "-1 is no id"), ([1, 2**40], "is no id")):
        with pytest.raises(ValueError, match=message):
            state.append(bad)
    with pytest.raises(TypeError, match="float64"):
        state.append([0.5])
    with pytest.raises(ValueError, match="701 is more than the 700 ids"):
        state.truncate(701)
    assert len(state) == 700
    with pytest.raises(ValueError, match=r"\(heads, window\)"):
        PairTable(PairSpec(vocab=9, rows=30, window=None)).state(weights=np.ones((4, 0))).append(1)
