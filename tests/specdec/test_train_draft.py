"""Drafts that are tried on their targets, and ``thrifty specdec train-draft``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import thrifty.models
from thrifty.cli.app import main
from thrifty.errors import ModelError
from thrifty.models import Decoder, DecoderConfig, TrainSettings, save_decoder, train
from thrifty.pairconnect import PairLM
from thrifty.specdec import Drafts, draw, try_draft

if TYPE_CHECKING:
    from thrifty.specdec import Step

ROOT = Path(__file__).resolve().parents[2]
VOCAB = 12
SMALL = ["--dim", "32", "--rows", "1024", "--context", "16", "--batch", "8", "--max-tokens", "25600", "--threads", "1"]
TRIAL = ["--max-gamma", "3", "--requests", "4", "--prompt", "8", "--new", "16"]


class Chain:
    """A target whose law depends on nothing, and drafts of another one."""

    def __init__(self, overlap: float) -> None:
        self.p, self.q = np.zeros((2, VOCAB), np.float32)
        self.p[0], self.p[1:6] = overlap, (1 - overlap) / 5
        self.q[0], self.q[6:] = overlap, (1 - overlap) / 6

    def target(self, step: Step) -> Any:
        return np.log(np.maximum(np.broadcast_to(self.p, (len(step.outputs), VOCAB)), 1e-30))

    def drafter(self, step: Step, rows: Any) -> Drafts:
        width = int(step.gamma.max())
        begin = step.begin[rows] + step.fresh[rows]
        q = np.broadcast_to(self.q, (len(rows), VOCAB))
        ids = [draw(q, uid=step.uids[rows], position=begin + k, begin=begin) for k in range(width)]
        return Drafts(np.stack(ids, 1), np.repeat(q[:, None], width, 1))


@pytest.mark.parametrize("rule", ["token", "block"])
@pytest.mark.parametrize("overlap", [0.0, 0.6, 1.0])
def test_acceptance_is_that_of_the_laws(rule: Any, overlap: float) -> None:
    chain = Chain(overlap)
    prompts = np.ones((20, 3), int)
    found = try_draft(chain.target, chain.drafter, prompts, vocab=VOCAB, new=60, gamma=4, rule=rule, running=4)
    # The first draft is accepted with the overlap, whatever the rule, as is each later one.
    error = 4.5 * np.sqrt(0.25 / found.verifications)
    assert found.survival == pytest.approx([overlap**k for k in range(1, 5)], abs=error)
    assert found.alpha == pytest.approx(overlap, abs=error)
    assert found.tau == pytest.approx(1 + sum(found.survival))
    assert found.verifications > 150
    assert all(ms > 0 for ms in (found.draft_ms, found.target_ms, *found.step_ms))
    assert found.tau_break_even[0] == pytest.approx(found.step_ms[1] / found.step_ms[0])
    if overlap == 0:
        assert (found.gamma, found.speedup, found.acceptance) == (0, 1.0, [0.0, None, None, None])
        assert "Speculation does not pay" in found.explain()
    else:
        rates = [found.rate(g) for g in range(5)]
        assert found.gamma == int(np.argmax(rates))
        assert found.speedup == pytest.approx(max(rates) / rates[0])
    assert json.loads(json.dumps(found.to_dict()))["pays"] is (found.gamma > 0)


def test_what_can_not_be_tried() -> None:
    chain, prompts = Chain(0.5), np.ones((4, 3), int)

    def silent(step: Step, rows: Any) -> Drafts:
        return Drafts(np.zeros((len(rows), 0), int))

    def broken(step: Step) -> Any:
        raise RuntimeError("out of order")

    for change, error, said in (
        ({"gamma": 1}, ValueError, "gamma: 1 is not between 2 and 16"),
        ({"new": 4}, ValueError, "new: 4 ids have no room for 4 drafts"),
        ({"prompts": prompts[:1]}, ValueError, "at least 2 requests"),
        ({"drafter": silent}, ModelError, "does the drafter draft"),
        ({"target": broken}, ModelError, "RuntimeError: out of order"),
    ):
        given = {"target": chain.target, "drafter": chain.drafter, "prompts": prompts, "vocab": VOCAB, "new": 12}
        with pytest.raises(error, match=said):
            try_draft(**(given | {"gamma": 4} | change))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text, and a teacher of bytes with attention."""
    path = tmp_path_factory.mktemp("draft")
    text = (ROOT / "docs" / "architecture.md").read_bytes()[:30_000]
    (path / "text").write_bytes(text)
    torch.set_num_threads(1)  # as the commands below have it
    model = Decoder(DecoderConfig(vocab=256, dim=32, hidden=64, mixers=("attention",)))
    train(model, np.frombuffer(text, np.uint8), TrainSettings(context=32, batch=8, tokens=12_800))
    save_decoder(model, path / "teacher")
    return path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["thrifty", "specdec", "train-draft", "text", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_a_draft_is_trained_and_tried(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(folder, monkeypatch, "draft", "--teacher", "teacher", *SMALL, *TRIAL, "--temperature", "0.8", "--json")
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    told = json.loads(out)
    trial = told["trial"]
    assert (told["layers"], told["dim"], told["tokens"], told["during"]) == (1, 32, 25_600, [])
    assert (trial["temperature"], trial["rule"], trial["running"], len(trial["step_ms"])) == (0.8, "block", 1, 4)
    assert sorted(trial["survival"], reverse=True) == trial["survival"]
    assert trial["tau"] == pytest.approx(1 + sum(trial["survival"]))
    # It learned from the teacher: drafts of a model that knows nothing are accepted with 1/256 or so.
    assert trial["survival"][0] > 0.3
    note = PairLM.load(folder / "draft").training
    assert (len(note["teacher"]), note["tokens"]) == (16, 25_600)
    # A PairLM is a teacher as well. To draft meanwhile, or to go on from a checkpoint, changes no bit.
    again = ["--teacher", "draft", *SMALL, *TRIAL, "--max-tokens", "6400"]
    assert run(folder, monkeypatch, "second", *again) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "ids a verification" in shown
    assert "With the engine's planner decoding was" in shown
    assert run(folder, monkeypatch, "third", *again, "--every", "20", "--json") == 0
    out, err = capsys.readouterr()
    assert [row["tokens"] for row in json.loads(out)["during"]] == [20 * 128, 40 * 128]
    assert err.count("note: after") == 2
    whole = thrifty.models.train

    def cut(*args: Any, progress: Any, **settings: Any) -> Any:
        def stop(phase: str, step: int, steps: int) -> None:
            if step == 25:
                raise OSError(5, "Power failed")

        return whole(*args, progress=stop, every=10, **settings)

    monkeypatch.setattr(thrifty.models, "train", cut, raising=False)
    assert run(folder, monkeypatch, "fourth", *again, "--checkpoint", "c") == 1
    assert (folder / "c").exists()
    monkeypatch.setattr(thrifty.models, "train", whole)
    assert run(folder, monkeypatch, "fourth", *again, "--checkpoint", "c", "--shape", "given") == 0
    assert (folder / "second").read_bytes() == (folder / "third").read_bytes() == (folder / "fourth").read_bytes()


def test_a_shape_is_chosen_by_what_drafts_take(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["auto", "--teacher", "teacher", *SMALL, *TRIAL, "--max-tokens", "512", "--shape", "auto", "--json"]
    assert run(folder, monkeypatch, *arguments) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert f"note: {told['layers']} x {told['dim']}: a draft takes" in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["out", "--teacher", "none"], 1, "none/config.json"),
        (["out", "--teacher", "text"], 1, "text"),
        (["out", "--teacher", "damaged"], 1, "damaged/model.safetensors"),
        (["out", "--teacher", "wide"], 1, "a model of 200 ids, its tokenizer has 256"),
        (["out"], 2, "--teacher"),
        (["out", "--teacher", "teacher", "--valid", "short"], 1, "short: 5 ids are held back, which are no 2 prompts"),
        (["out", "--teacher", "teacher", "--context", "40000"], 1, "no window of --context 40000"),
        (["none/out", "--teacher", "teacher"], 1, "none: No such folder for the model"),
        (["out", "--teacher", "teacher", "--new", "8"], 2, "--new 8 has no room for --max-gamma 8"),
        (["out", "--teacher", "teacher", "--rule", "best"], 2, "--rule best is none of block"),
        (["out", "--teacher", "teacher", "--dim", "20"], 2, "--dim 20 is no multiple of 16"),
    ],
)
def test_errors_are_one_line(
    folder: Path,
    arguments: list[str],
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "short").write_text("short")
    if "damaged" in arguments:
        (folder / "damaged").mkdir(exist_ok=True)
        (folder / "damaged" / "config.json").write_bytes((folder / "teacher" / "config.json").read_bytes())
        (folder / "damaged" / "model.safetensors").write_bytes(b"no weights")
    if "wide" in arguments:
        save_decoder(Decoder(DecoderConfig(vocab=200, dim=32, mixers=("none",))), folder / "wide")
    assert run(folder, monkeypatch, *arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert not (folder / "out").exists()
