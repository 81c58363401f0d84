"""Sequences of a model: laws, draws and shortlists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pairconnect.test_model import VOCAB, decoder, ids_of
from thrifty.errors import FormatError, ModelError
from thrifty.models.export import save_pairlm
from thrifty.pairconnect import PairLM


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("draft") / "a.pair"
    save_pairlm(decoder(), found)
    return found


def softmax(x: Any) -> Any:
    e = np.exp(x.astype(np.float64) - x.max())
    return e / e.sum()


@pytest.mark.parametrize("precision", ["f32", "bf16", "i8"])
def test_proposals_are_what_generate_draws(path: Path, precision: Any) -> None:
    model = PairLM.load(path, precision=precision)
    law: dict[str, Any] = {"temperature": 0.7, "top_p": 0.95}
    draft = model.drafter(**law)
    prompts = [ids_of(seed, n) for seed, n in ((1, 1), (2, 7), (3, 30), *((k, 5) for k in range(4, 40)))]
    names = [draft.open(prompt) for prompt in prompts]
    seeds = [5 * i for i in range(len(names))]
    found = draft.propose(names, 6, seeds=seeds, laws=True)
    assert found.laws is not None
    ends = found.laws.ends.astype(int)
    for i, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
        wanted = model.generate(prompt, 6, seed=seeds[i], **law)
        assert (found.ids[i] == wanted).all()
        assert (draft.ids(name) == np.r_[prompt, wanted]).all()
        for t in range(6):
            k = 6 * i + t
            begin = ends[k - 1] if k else 0
            ids, chances = found.laws.ids[begin : ends[k]], found.laws.chances[begin : ends[k]]
            assert chances.sum() == pytest.approx(1, abs=1e-5)
            assert chances[ids == wanted[t]] == found.chances[i, t]
            # The law is that of the scores, alone or in a batch.
            draft.truncate(name, len(prompt) + t)
            again = draft.law(name)
            assert (again[0] == ids).all()
            assert (again[1] == chances).all()
            draft.append(name, int(wanted[t]))


def test_laws_are_those_of_the_scores(path: Path) -> None:
    model = PairLM.load(path)
    draft, ids = model.drafter(temperature=1.3), ids_of(3)
    ids_, chances = draft.law(draft.open(ids))
    assert (ids_ == np.arange(VOCAB)).all()
    np.testing.assert_allclose(chances, softmax(model.scores(ids)[-1] / 1.3), rtol=1e-5)


def test_sequences_come_and_go(path: Path) -> None:
    draft = PairLM.load(path).drafter()
    a = draft.open([1, 2, 3])
    b = draft.fork(a)
    draft.append(b, [4])
    draft.truncate(a, 2)
    assert (draft.ids(a).tolist(), draft.ids(b).tolist()) == ([1, 2], [1, 2, 3, 4])
    draft.close(a)
    for call in (draft.ids, draft.close, draft.fork, draft.law, draft.draw):
        with pytest.raises(ValueError, match=f"sequence: there is none called {a}"):
            call(a)
    assert draft.open([7]) == a
    with pytest.raises(ValueError, match="asks twice"):
        draft.propose([b, b], 1)
    with pytest.raises(ValueError, match="seeds: 1 for 2"):
        draft.propose([a, b], 1, seeds=[1])
    with pytest.raises(ValueError, match="no ids"):
        draft.draw(draft.open([]))
    with pytest.raises(ValueError, match="50 at 1 is not below vocab = 50"):
        draft.append(b, [3, VOCAB])
    assert draft.ids(b).tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="top_p"):
        PairLM.load(path).drafter(top_p=0).draw(0)


def test_a_model_that_says_no_numbers(tmp_path: Path) -> None:
    model = decoder()
    model.layers[0].mixer.lookup.weight.data.fill_(float("nan"))
    save_pairlm(model, tmp_path / "a")
    for precision in ("f32", "i8"):
        draft = PairLM.load(tmp_path / "a", precision=precision).drafter()  # type: ignore[arg-type]
        names = [draft.open([1]), draft.open([1, 2])]
        with pytest.raises(ModelError, match="no numbers"):
            draft.propose(names, 3)
        assert [len(draft.ids(name)) for name in names] == [1, 2]


@pytest.mark.parametrize("precision", ["f32", "bf16", "i8"])
def test_a_shortlist_is_a_part_of_the_law(path: Path, tmp_path: Path, precision: Any) -> None:
    model = PairLM.load(path, precision=precision)
    text = ids_of(9, 400)
    short = model.with_shortlist(text, length=8, rows=64)
    assert short.has_shortlist
    assert not model.has_shortlist
    dense, draft = model.drafter(), short.drafter()
    for t in (1, 2, 17, 200, 399):
        ids, chances = draft.law(draft.open(text[:t]))
        assert (np.diff(ids.astype(int)) > 0).all()
        assert 8 <= len(ids) <= 16
        whole = dense.law(dense.open(text[:t]))[1]
        # The dense law of these ids, scaled to 1.
        np.testing.assert_allclose(chances, whole[ids] / whole[ids].sum(), rtol=2e-4)
        # The likeliest after this context come to more than any others of their number would by chance.
        assert whole[ids].sum() > len(ids) / VOCAB
    # Draws are from that law, and the same after the model was saved.
    short.save(tmp_path / "short")
    again = PairLM.load(tmp_path / "short", precision=precision)
    assert again.has_shortlist
    drawn = again.generate(text[:50], 40, seed=3)
    assert (drawn == short.generate(text[:50], 40, seed=3)).all()
    name = draft.open(text[:50])
    for id_ in drawn:
        assert id_ in draft.law(name)[0]
        draft.append(name, int(id_))
    # What is measured is the model itself.
    assert (again.scores(text) == model.scores(text)).all()
    assert not again.without_shortlist().has_shortlist


def test_the_whole_vocabulary_as_a_shortlist(path: Path) -> None:
    model = PairLM.load(path)
    text = ids_of(1, 300)
    short = model.with_shortlist(text, length=VOCAB, rows=10_000)
    assert (model.generate(text, 60, seed=1) == short.generate(text, 60, seed=1)).all()


def test_shortlists_that_can_not_be(path: Path, tmp_path: Path) -> None:
    model = PairLM.load(path)
    for change, message in (({"length": 0}, "length: 0"), ({"rows": 0}, "rows: 0"), ({"length": 4096}, "length: 4096")):
        with pytest.raises(ValueError, match=message):
            model.with_shortlist(ids_of(1), **change)
    # A file whose rows name ids that there are not.
    short = model.with_shortlist(ids_of(1), length=4, rows=16)
    short.save(tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    from safetensors.numpy import load

    ids = load(content)["shortlist.ids"]
    place = content.index(ids.tobytes())
    (tmp_path / "b").write_bytes(content[:place] + b"\x40\x00\x00\x00" + content[place + 4 :])
    with pytest.raises(FormatError, match=r"checksum|shortlist"):
        PairLM.load(tmp_path / "b")


def test_a_shortlist_that_the_spec_does_not_name(path: Path, tmp_path: Path) -> None:
    import json

    from thrifty import _core

    spec = json.loads(PairLM.load(path)._core.spec)
    given = (np.zeros(1, np.uint32), np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="shortlist: the spec has none"):
        _core.pairlm_write(tmp_path / "a", json.dumps(spec), "{}", [], [], given)
    spec["shortlist"] = {"rows": 4, "length": 1, "seed": 0}
    with pytest.raises(ValueError, match="shortlist: 1 ids and 1 logits; 54 of each"):
        _core.pairlm_write(tmp_path / "a", json.dumps(spec), "{}", [], [], given)
    with pytest.raises(ValueError, match="shortlist: it is not that of the model"):
        _core.pairlm_write(tmp_path / "a", json.dumps(spec), "{}", [], [])
