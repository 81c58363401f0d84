"""``thrifty pairconnect``: train, evaluate, generate, inspect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers

from tests.command import ok, said, thrifty
from thrifty.cli.pairconnect_train import the_teacher
from thrifty.errors import MismatchError
from thrifty.models import Decoder, DecoderConfig, save_decoder
from thrifty.pairconnect import PairLM, Tokenizer

ROOT = Path(__file__).resolve().parents[2]
SIZES = ["--dim", 32, "--layers", 1, "--rows", 2048, "--context", 32]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """text, valid, and a model of bytes."""
    path = tmp_path_factory.mktemp("pairconnect")
    text = (ROOT / "docs" / "architecture.md").read_bytes()
    (path / "text").write_bytes(text[:-2000])
    (path / "valid").write_bytes(text[-2000:])
    told = ok(
        "pairconnect", "train", path / "text", path / "model", "--valid", path / "valid", "--max-tokens", 60_000,
        *SIZES, "--json",
    )  # fmt: skip
    (path / "told").write_text(told)
    return path


def test_train_prints_one_object(folder: Path) -> None:
    (line,) = (folder / "told").read_text().splitlines()
    told = json.loads(line)
    assert told["tokens"] == 60_000 // (16 * 32) * 16 * 32
    assert told["bytes"] == (folder / "model").stat().st_size
    assert told["valid_perplexity"] < 40  # of 256
    assert told["cpu_seconds"] > 0


def test_evaluate(folder: Path) -> None:
    told = json.loads(ok("pairconnect", "evaluate", folder / "model", folder / "valid", "--window", 32, "--json"))
    assert told["perplexity"] == pytest.approx(json.loads((folder / "told").read_text())["valid_perplexity"])
    assert told["tokens"] == 32 * len(range(0, 2000 - 32, 32))
    few = ok("pairconnect", "evaluate", folder / "model", folder / "valid", "--max-tokens", 500, "--json")
    assert json.loads(few)["tokens"] == 32 * len(range(0, 500 - 64, 32))
    assert "perplexity" in ok("pairconnect", "evaluate", folder / "model", folder / "valid")


def test_generate(folder: Path) -> None:
    settings = ["--prompt", "The ", "--tokens", 40, "--seed", 5]
    told = json.loads(ok("pairconnect", "generate", folder / "model", *settings, "--json"))
    assert len(told["ids"]) == 40
    assert bytes(told["ids"]).decode(errors="replace") == told["text"]
    shown = ok("pairconnect", "generate", folder / "model", *settings)
    assert shown == "The " + told["text"].rstrip("\N{REPLACEMENT CHARACTER}") + "\n"


def test_inspect(folder: Path) -> None:
    told = json.loads(ok("pairconnect", "inspect", folder / "model", "--json"))
    assert (told["vocab"], told["dim"], told["layers"]) == (256, 32, 1)
    assert told["table_bytes"] == 4 * 2048 * 64
    assert told["training"]["tokens"] == json.loads((folder / "told").read_text())["tokens"]
    assert "2048" in ok("pairconnect", "inspect", folder / "model")


def test_tables_are_rounded_on_request(folder: Path) -> None:
    arguments = [folder / "text", folder / "small", "--max-tokens", 5_000, "--table-dtype", "i8"]
    told = json.loads(ok("pairconnect", "train", *arguments, *SIZES, "--json"))
    shown = json.loads(ok("pairconnect", "inspect", folder / "small", "--json"))
    assert shown["table_bytes"] == 4 * 2048 * (16 + 4)
    assert told["bytes"] < (folder / "model").stat().st_size
    assert shown["training"]["table_dtype"] == "i8"
    assert 0 < shown["training"]["table_rounding"][0]["rel_l2"] < 0.01


def test_inspect_tells_how_a_text_loads_the_tables(folder: Path) -> None:
    told = json.loads(ok("pairconnect", "inspect", folder / "model", "--text", folder / "valid", "--json"))
    ids = list((folder / "valid").read_bytes())
    (load,) = told["text"]
    assert load["tokens"] == len(ids)
    assert load["pairs"] == sum(min(t, 4) for t in range(len(ids)))
    assert load["distinct_pairs"] == len(
        {(o, ids[t], ids[t - o]) for t in range(len(ids)) for o in range(1, min(t, 4) + 1)}
    )
    assert len(load["load_max"]) == 4
    shown = ok("pairconnect", "inspect", folder / "model", "--text", folder / "valid")
    assert f"{load['distinct_pairs']:,} of {load['pairs']:,}" in shown
    assert "layer 0" in shown


def test_a_tokenizer_goes_with_the_model(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train([str(folder / "text")], trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    tokenizer.save(str(folder / "tokenizer.json"))
    arguments = [folder / "text", folder / "bpe", "--tokenizer", folder / "tokenizer.json", "--max-tokens", 20_000]
    ok("pairconnect", "train", *arguments, *SIZES)
    own = ok("pairconnect", "evaluate", folder / "bpe", folder / "valid", "--json")
    given = ["--tokenizer", folder / "tokenizer.json"]
    assert ok("pairconnect", "evaluate", folder / "bpe", folder / "valid", *given, "--json") == own
    model = PairLM.load(folder / "bpe")
    text = "naïve “quotes” — 100 €"
    ids, ends = model.encoding.encode(text.encode())
    assert model.encoding.decode(ids) == text
    assert ends[-1] == len(text.encode())
    assert (ends[1:] >= ends[:-1]).all()


def test_a_teacher_is_trained_and_followed(folder: Path) -> None:
    teacher = ["--mixer", "attention", "--dim", 32, "--hidden", 64, "--layers", 1, "--context", 16, "--dropout", "0.1"]
    given = [folder / "text", folder / "teacher", *teacher, "--max-tokens", 30_000, "--valid", folder / "valid"]
    told = json.loads(ok("pairconnect", "train", *given, "--json"))
    assert told["valid_perplexity"] < 60  # of 256
    assert told["bytes"] > 4 * 256 * 32
    student = [folder / "text", folder / "student", *SIZES, "--max-tokens", 30_000, "--teacher", folder / "teacher"]
    ok("pairconnect", "train", *student, "--teacher-temperature", 1.5, "--teacher-share", 0.8)
    note = PairLM.load(folder / "student").training
    assert (note["teacher_temperature"], note["teacher_share"]) == (1.5, 0.8)
    assert len(note["teacher"]) == 16
    # A teacher of other ids is refused.
    text = (folder / "teacher" / "config.json").read_text()
    (folder / "teacher" / "config.json").write_text(text.replace('"vocab": 256', '"vocab": 300'))
    done = thrifty("pairconnect", "train", folder / "text", folder / "out", "--teacher", folder / "teacher")
    assert done.returncode == 1
    assert "embed.weight: shape (256, 32), and (300, 32) by config.json" in done.stderr
    (folder / "teacher" / "config.json").write_text(text)


def test_ids_of_teacher_and_student_are_the_same(tmp_path: Path) -> None:
    def tokenizer(*words: str) -> str:
        vocab = {word: i for i, word in enumerate(words)}
        return tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token=words[0])).to_str()

    def folder(vocab: int, json: str) -> Path:
        sizes = DecoderConfig(vocab=vocab, dim=16, hidden=16, mixers=("none",))
        save_decoder(Decoder(sizes), tmp_path / "teacher", tokenizer=json)
        return tmp_path / "teacher"

    own, other, longer = tokenizer("a", "b"), tokenizer("b", "a"), tokenizer("a", "b", "c")
    model, encoding, name, _ = the_teacher(folder(2, own), None, "cpu")
    assert (model.config.vocab, encoding.json, len(name)) == (2, own, 16)
    assert the_teacher(folder(2, own), Tokenizer(own), "cpu").encoding.json == own
    with pytest.raises(MismatchError, match="--tokenizer has 3 ids, and the teacher .* has 2"):
        the_teacher(folder(2, own), Tokenizer(longer), "cpu")
    with pytest.raises(MismatchError, match="--tokenizer is another than that of the teacher"):
        the_teacher(folder(2, own), Tokenizer(other), "cpu")
    with pytest.raises(MismatchError, match="a model of 3 ids, its tokenizer has 2"):
        the_teacher(folder(3, own), None, "cpu")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "none", "out"], 1, "none"),
        (["train", "text", "none/out"], 1, "none: No such folder for the model"),
        (["train", "text", "."], 1, "Is a folder, the model is a file"),
        (["train", "text", "out", "--checkpoint", "none/c"], 1, "none: No such folder for the checkpoint"),
        (["train", "short", "out"], 1, "no window of --context 64"),
        (["train", "text", "out", "--tokenizer", "short"], 1, "no tokenizer"),
        (["train", "text", "out", "--dim", "20"], 2, "--dim 20 is no multiple of 16"),
        (["train", "text", "out", "--dim", "8"], 2, "--dim"),
        (["train", "text", "out", "--table-dtype", "f16"], 2, "--table-dtype"),
        (["train", "text", "out", "--mixer", "mamba"], 2, "--mixer mamba is none of pair, attention, none"),
        (["train", "text", "out", "--precision", "f16"], 2, "--precision f16 is none of f32, bf16"),
        (["train", "text", "out", "--mixer", "none", "--table-dtype", "i8"], 2, "--table-dtype is for --mixer pair"),
        (["train", "text", "text", "--mixer", "none"], 1, "Is a file, the model is a folder"),
        (["train", "text", "out", "--teacher", "none"], 1, "none/config.json"),
        (["train", "text", "out", "--teacher-share", "0.5"], 2, "are for --teacher"),
        (["evaluate", "text", "valid"], 1, "text"),
        (["evaluate", "model", "short"], 1, "no window"),
        (["evaluate", "model", "valid", "--stride", "65"], 2, "--stride"),
        (["generate", "model", "--prompt", ""], 2, "--prompt is empty"),
        (["generate", "model", "--top-p", "0"], 2, "top_p"),
        (["train", "text.xz", "out"], 1, "can't be unpacked"),
        (["inspect", "model", "--text", "none"], 1, "none"),
    ],
)
def test_errors_are_one_line(
    folder: Path, arguments: list[str], status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "short").write_text("short")
    (folder / "text.xz").write_text("no xz")
    done = said("pairconnect", *arguments)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "out").exists()
