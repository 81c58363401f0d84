"""Shapes beside those of the paper's models, and beside a plain loop over all of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.device import ModelShape
from thrifty.scaling import Shapes, shapes


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_counts_of_all_morph_runs(data: Path) -> None:
    runs = rows(data / "scaling" / "morph_runs.csv")
    assert len(runs) == 70
    for run in runs:
        dim, layers, heads = (int(run[name]) for name in ("d_model", "n_layers", "n_heads"))
        found = shapes((1, 1e12), widths=(dim, dim), step=dim, layers=(layers, layers), head_dim=dim // heads)
        assert [shape.parameters for shape in found] == [int(run["n_params"])], run
        assert found.parameters.tolist() == [int(run["n_params"])], run


def test_all_morph_shapes_are_found_in_their_window(data: Path) -> None:
    for run in rows(data / "scaling" / "morph_shapes.csv"):
        dim, layers, heads = (int(run[name]) for name in ("d_model", "n_layers", "n_heads"))
        one = ModelShape(
            layers=layers, dim=dim, heads=heads, hidden=256 * -(-(8 * dim // 3) // 256), vocab=int(run["vocab_size"])
        )
        near = shapes((0.99 * one.parameters, 1.01 * one.parameters), step=dim // heads, head_dim=dim // heads)
        assert one.with_(kv_heads=heads, head_dim=dim // heads) in list(near), run


def test_the_window_of_a_billion() -> None:
    found = shapes((1.1e9, 1.7e9))
    of = dict(zip(zip(found.dim.tolist(), found.layers.tolist(), strict=True), found.parameters.tolist(), strict=True))
    wanted = {(1024, 80): 1.131, (1536, 36): 1.174, (2048, 24): 1.440, (2560, 16): 1.527, (3072, 12): 1.669}
    for (dim, layers), billions in (wanted | {(4096, 6): 1.627}).items():
        assert round(of[dim, layers] / 1e9, 3) == billions


@given(
    low=st.integers(1, 3_000_000),
    spread=st.floats(1, 4),
    head_dim=st.sampled_from([8, 16, 24]),
    group=st.sampled_from([1, 2, 3]),
    multiple=st.sampled_from([1, 16, 256]),
    ratio=st.sampled_from([8 / 3, 4.0, 2.5]),
    vocab=st.sampled_from([1, 256, 5000]),
    tied=st.booleans(),
    norm=st.booleans(),
    counted=st.sampled_from(["total", "non_embedding"]),
    aspect=st.sampled_from([(0.0, np.inf), (8.0, 40.0)]),
)
def test_a_loop_finds_the_same(
    low: int,
    spread: float,
    head_dim: int,
    group: int,
    multiple: int,
    ratio: float,
    vocab: int,
    tied: bool,
    norm: bool,
    counted: str,
    aspect: tuple[float, float],
) -> None:
    window = (low, spread * low)
    wanted = []
    for dim in range(head_dim, 257, 8):
        for layers in range(1, 13):
            heads = dim // head_dim
            if dim % head_dim or heads % group or not aspect[0] <= dim / layers <= aspect[1]:
                continue
            hidden = multiple * -(-int(round(ratio * dim * 6) // 6) // multiple)
            shape = ModelShape(
                layers=layers,
                dim=dim,
                heads=heads,
                hidden=hidden,
                vocab=vocab,
                kv_heads=heads // group,
                head_dim=head_dim,
                tied=tied,
                qk_norm=norm,
            )
            size = shape.parameters - (vocab * dim if counted == "non_embedding" else 0)
            if window[0] <= size <= window[1]:
                wanted.append(shape)
    sizes = {"widths": (1, 256), "step": 8, "layers": (1, 12), "head_dim": head_dim, "queries_per_key": group}
    rest = {"hidden_ratio": ratio, "hidden_multiple": multiple, "vocab": vocab, "tied": tied, "qk_norm": norm}
    if not wanted:
        with pytest.raises(ValueError, match="no shape of"):
            shapes(window, aspect=aspect, counted=counted, **sizes, **rest)  # type: ignore[arg-type]
        return
    found = shapes(window, aspect=aspect, counted=counted, **sizes, **rest)  # type: ignore[arg-type]
    assert list(found) == wanted
    for name in ("parameters", "weight_bytes", "kv_bytes", "layer_matrix", "head_parameters", "keys", "width"):
        assert getattr(found, name).tolist() == [getattr(shape, name) for shape in wanted], name
    assert found.flops(context=7).tolist() == [shape.flops(context=7) for shape in wanted]


def test_columns_and_objects() -> None:
    found = shapes((1e6, 2e6), vocab=256, step=32, head_dim=32, hidden_multiple=32)
    again = Shapes.of(list(found))
    assert list(again) == list(found)
    assert list(found[2:5]) == [found[2], found[3], found[4]]
    assert list(found.take(found.dim == 64)) == [shape for shape in found if shape.dim == 64]
    assert found.with_(dtype_bytes=4.0)[0].dtype_bytes == 4.0
    runs = found.runs(1e9, "non_embedding")
    assert runs.n_params.tolist() == [s.parameters - s.head_parameters for s in found]
    assert runs.n_tokens.tolist() == [1e9] * len(found)
    with pytest.raises(ValueError, match="vocab is"):
        Shapes.of([found[0], found[0].with_(vocab=7)])


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"n_params": (2e9, 1e9)}, "n_params"),
        ({"n_params": (float("nan"), 1e9)}, "n_params"),
        ({"n_params": (1e9, 2e9), "step": 0}, "step"),
        ({"n_params": (1e9, 2e9), "head_dim": 0}, "head_dim"),
        ({"n_params": (1e9, 2e9), "widths": (1, 10**12)}, "widths"),
        ({"n_params": (1, 1e15), "step": 1, "head_dim": 1, "layers": (1, 100_000)}, "shapes lie there"),
    ],
)
def test_what_is_not_possible(wrong: dict[str, object], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        shapes(**wrong)  # type: ignore[arg-type]
