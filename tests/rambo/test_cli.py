"""The command line's contract: what scripts rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.command import ok, thrifty
from tests.rambo import twin
from thrifty.rambo import RamboIndex, hash_items


@pytest.fixture(scope="module")
def built(fasta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "g.rambo"
    ok("rambo", "build", path, fasta, "--by", "record", "--json")
    return path


def test_build_prints_one_object(fasta: Path, tmp_path: Path) -> None:
    done = thrifty("rambo", "build", tmp_path / "i", fasta, "--by", "record", "--fpr", "0.01", "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert {"plan", "documents", "items", "bytes", "seconds"} <= set(result)
    assert result["documents"] == 300
    assert result["bytes"] == (tmp_path / "i").stat().st_size
    assert result["items"] == sum(RamboIndex.open(tmp_path / "i").item_counts().tolist())
    assert {"buckets", "repetitions", "hashes", "rows", "bytes", "fpr", "lines_per_item", "warnings"} <= set(
        result["plan"]
    )
    human = ok("rambo", "build", tmp_path / "i", fasta, "--by", "record")
    assert "documents  300" in human


def test_query_lines(built: Path, genomes: dict[str, bytes], tmp_path: Path) -> None:
    queries = {
        "whole": genomes["g3"],
        "part twice": genomes["g10"][:200] * 2,
        "short": b"ACGT",
        "other": b"N" * 90,
        "random": np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, 500)].tobytes(),
    }
    path = tmp_path / "q.fa"
    path.write_bytes(b"".join(b">%s\n%s\n" % (n.encode(), s) for n, s in queries.items()))
    for flags in (["--json"], ["--format", "json"], ["--json", "--load", "--threads", "1"]):
        done = thrifty("rambo", "query", built, path, *flags)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["query"] for line in lines] == [n.split()[0] for n in queries], "in input order"
        for line, sequence in zip(lines, queries.values(), strict=True):
            assert line["items"] == len(set(twin.kmers(sequence.decode(), 31)))
            for hit in line["hits"]:
                assert set(hit) == {"document", "found", "expected_false"}
                assert hit["found"] / line["items"] >= 0.8
        assert lines[0]["hits"][0]["document"] in {"g3", "g4", "g5"}
        assert lines[2]["hits"] == lines[3]["hits"] == []
        assert lines[2]["items"] == 0
        assert "note: query 'short' has no valid item" in done.stderr
    rows = ok("rambo", "query", built, path, "--theta", "1.0", "--top", "1").splitlines()
    assert rows[0].split("\t") == ["query", "items", "document", "found", "expected_false"]
    assert [r.split("\t")[0] for r in rows[1:]] == ["whole"]
    stdin = ok("rambo", "query", built, "-", "--json", data=path.read_bytes())
    assert stdin == ok("rambo", "query", built, path, "--json")


def test_text_queries_are_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the quick brown fox jumps over the lazy dog")
    (tmp_path / "b.txt").write_text("pack my box with five dozen liquor jugs")
    ok("rambo", "build", tmp_path / "i", tmp_path, "--items", "text", "--n", "3")
    text = b"quick brown fox\n\nfive DOZEN liquor, jugs\nnothing of it here\n"
    lines = [json.loads(x) for x in ok("rambo", "query", tmp_path / "i", "-", "--json", data=text).splitlines()]
    assert [line["query"] for line in lines] == ["1", "2", "3", "4"]
    assert [[h["document"] for h in line["hits"]] for line in lines] == [["a"], [], ["b"], []]
    assert [line["items"] for line in lines] == [1, 0, 2, 2]


def test_exact_takes_several_files(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"{name} one two three four five")
    files = [tmp_path / f"{n}.txt" for n in "abc"]
    ok("rambo", "build", tmp_path / "i", *files, "--items", "text", "--n", "2")
    (tmp_path / "q").write_text("one two three\n")
    lines = ok("rambo", "query", tmp_path / "i", tmp_path / "q", "--json", "--exact", *files)
    assert {h["document"] for h in json.loads(lines)["hits"]} == {"a", "b", "c"}
    short = thrifty("rambo", "query", tmp_path / "i", tmp_path / "q", "--json", "--exact", *files[:2])
    assert short.returncode == 2
    assert "document 'c'" in short.stderr


def test_plan(fasta: Path) -> None:
    for arguments in (["--documents", 1000, "--items-each", 20000, "--multiplicity", 2], [fasta, "--by", "record"]):
        plan = json.loads(ok("rambo", "plan", *arguments, "--fpr", "0.001", "--json"))
        assert {"buckets", "repetitions", "hashes", "rows", "bytes", "fpr", "lines_per_item", "warnings"} <= set(plan)
        assert plan["fpr"] <= 0.001001
        rows_bytes = sum(r["buckets"] * r["rows"] / 8 for s in plan["plan"]["segments"] for r in s["repetitions"])
        assert 1.0 <= plan["bytes"] / rows_bytes <= 1.2
    small = json.loads(ok("rambo", "plan", fasta, "--by", "record", "--max-bytes", "400kB", "--json"))
    assert small["bytes"] <= 400_000
    warned = json.loads(
        ok("rambo", "plan", "--documents", 100000, "--items-each", 100, "--multiplicity", 9000, "--json")
    )
    assert warned["warnings"]
    assert "V/B" in warned["warnings"][0]


def test_a_plan_and_a_build_agree(fasta: Path, tmp_path: Path) -> None:
    plan = ok("rambo", "plan", fasta, "--by", "record", "--fpr", "0.01", "--json")
    (tmp_path / "plan.json").write_text(plan)
    one = json.loads(ok("rambo", "build", tmp_path / "a", fasta, "--by", "record", "--fpr", "0.01", "--json"))
    ok("rambo", "build", tmp_path / "b", fasta, "--by", "record", "--plan", tmp_path / "plan.json")
    assert one["plan"] == json.loads(plan)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert abs(one["bytes"] / json.loads(plan)["bytes"] - 1) < 0.02


def test_changes_from_the_command_line(built: Path, tmp_path: Path) -> None:
    index = tmp_path / "i"
    index.write_bytes(built.read_bytes())
    more = tmp_path / "more.fa"
    more.write_bytes(b">new\n" + b"ACGTTGCAACGGGATTACATAGACCAGATACCACCCAGATTA" * 20 + b"\n")
    added = json.loads(ok("rambo", "add", index, more, "--json"))
    assert added["documents"] == 301
    assert added["documents_added"] == 1
    removed = json.loads(ok("rambo", "remove", index, "g1", "g2", "--json"))
    assert (removed["documents"], removed["removed"]) == (299, 2)
    state = json.loads(ok("rambo", "inspect", index, "--json"))
    assert {"planned_fpr", "fpr", "segments", "documents", "bytes"} <= set(state)
    assert "rate" in ok("rambo", "inspect", index)
    smaller = json.loads(ok("rambo", "fold", index, tmp_path / "f", "--max-bytes", state["bytes"] // 2, "--json"))
    assert smaller["bytes"] <= state["bytes"] // 2
    assert json.loads(ok("rambo", "verify", index, "--json")) == {"damage": [], "ok": True}
    assert "as it was written" in ok("rambo", "verify", index)
    from_stdin = json.loads(ok("rambo", "add", index, "-", "--json", data=more.read_bytes().replace(b"new", b"newer")))
    assert from_stdin["documents"] == 300
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "i", "more.fa"]


def test_shards_from_the_command_line(fasta: Path, tmp_path: Path) -> None:
    shards = [tmp_path / f"s{i}" for i in range(3)]
    for i, shard in enumerate(shards):
        ok("rambo", "build", shard, fasta, "--by", "record", "--shard", f"{i}/3")
    stacked = json.loads(ok("rambo", "stack", tmp_path / "all", *shards, "--json"))
    assert stacked["documents"] == 300


def test_verify_names_section_and_offset(built: Path, tmp_path: Path) -> None:
    bad = bytearray(built.read_bytes())
    bad[len(bad) // 2] ^= 1
    path = tmp_path / "bad"
    path.write_bytes(bad)
    done = thrifty("rambo", "verify", path)
    assert done.returncode == 1
    assert "damaged in section" in done.stderr
    assert "at offset" in done.stderr
    as_json = thrifty("rambo", "verify", path, "--json")
    assert as_json.returncode == 1
    assert set(json.loads(as_json.stdout)["damage"][0]) == {"section", "offset", "bytes"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, ""),
        (["nonsense"], 2, "No such command"),
        (["rambo", "build"], 2, "Missing argument 'INDEX'"),
        (["rambo", "build", "{tmp}/i"], 2, "name files or folders"),
        (["rambo", "build", "{tmp}/i", "{tmp}/none.fa"], 1, "{tmp}/none.fa: No such file or directory"),
        (["rambo", "build", "{tmp}/i", "x", "--k", "99"], 2, "--k"),
        (["rambo", "build", "{tmp}/i", "x", "--by", "page"], 2, "--by"),
        (["rambo", "build", "{tmp}/i", "x", "--documents", "3"], 2, "belong together"),
        (["rambo", "build", "{tmp}/i", "x", "--fpr", "0.1", "--max-bytes", "3"], 2, "not both"),
        (["rambo", "build", "{tmp}/i", "x", "--shard", "4/4"], 2, "shards count from 0/4 to 3/4"),
        (["rambo", "build", "{tmp}/i", "x", "--shard", "a"], 2, "not i/n"),
        (["rambo", "build", "{tmp}/i", "x", "--plan", "{tmp}/none"], 1, "{tmp}/none: No such file"),
        (["rambo", "build", "{tmp}/no/i", "{fasta}"], 1, "{tmp}/no/i.lock: No such file"),
        (["rambo", "build", "{tmp}/i", "{fasta}", "--by", "record", "--max-bytes", "10"], 1, "too small"),
        (["rambo", "query", "{tmp}/none", "{fasta}"], 1, "{tmp}/none: No such file or directory"),
        (["rambo", "query", "{fasta}", "{fasta}"], 1, "not a thrifty rambo file"),
        (["rambo", "query", "{built}", "{tmp}/none"], 1, "{tmp}/none: No such file"),
        (["rambo", "query", "{built}", "{fasta}", "--theta", "2"], 2, "theta: 2 is not possible"),
        (["rambo", "query", "{built}", "{built}"], 1, "not FASTA or FASTQ"),
        (["rambo", "remove", "{built}", "nobody"], 1, "no document 'nobody'"),
        (["rambo", "fold", "{built}", "{tmp}/f"], 2, "give one of"),
        (["rambo", "fold", "{built}", "{tmp}/f", "--rows", "7"], 2, "rows: 7 is not possible"),
        (["rambo", "fold", "{built}", "{tmp}/f", "--max-bytes", "7"], 1, "can't be reached"),
        (["rambo", "plan"], 2, "name files, or give"),
        (["rambo", "plan", "--documents", "3", "--items-each", "10", "--max-bytes", "lots"], 2, "not a size"),
        (["demo", "--part", "none"], 2, "part: 'none' is none of"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], status: int, message: str, built: Path, fasta: Path, tmp_path: Path
) -> None:
    names = {"tmp": str(tmp_path), "built": str(built), "fasta": str(fasta)}
    done = thrifty(*(a.format(**names) for a in arguments))
    assert done.returncode == status, done.stderr
    assert message.format(**names) in done.stderr
    assert "Traceback" not in done.stderr
    if message:
        assert done.stderr.startswith("thrifty: error: ")
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
    debug = thrifty(*(a.format(**names) for a in arguments), "--debug")
    assert debug.returncode != 0
    if message:
        assert "Traceback" in debug.stderr


def test_info() -> None:
    info = json.loads(ok("info", "--json"))
    assert {"thrifty", "python", "simd", "threads", "torch", "cuda", "data"} <= set(info)
    assert info["simd"] in {"scalar", "avx2", "avx512"}
    assert (Path(info["data"]) / "rambo" / "SOURCE.md").exists()
    assert "simd" in ok("info")


def test_demo(tmp_path: Path) -> None:
    result = json.loads(ok("demo", "--part", "rambo", "--out", tmp_path / "out", "--json"))
    page = (tmp_path / "out" / "report.html").read_text()
    values = json.loads((tmp_path / "out" / "results.json").read_text())
    assert result["figures"]["rambo.missed"] == 0
    assert 0.7 <= result["figures"]["rambo.fpr"] <= 1.3
    assert "Content-Security-Policy" in page
    (section,) = values["sections"]
    (table,) = [r for r in section["records"] if "rows" in r]
    gene, complement, random, chimera = table["rows"]
    assert gene[2] >= 1
    assert gene[1:5] == complement[1:5]
    assert random[2] == 0
    assert chimera[2] >= 2


def test_help_has_every_option(built: Path) -> None:
    for verb in ("build", "query", "plan", "add", "remove", "stack", "fold", "inspect", "verify"):
        text = ok("rambo", verb, "--help")
        assert "--json" in text


def test_a_closed_pipe_is_no_error(built: Path, fasta: Path) -> None:
    command = f"{sys.executable} -m thrifty rambo query {built} {fasta} --theta 0.01 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("query\t")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_single_and_many_hashes_agree_with_the_library(built: Path, genomes: dict[str, bytes]) -> None:
    index = RamboIndex.open(built)
    starts, documents = index.query_hashes(hash_items(genomes["g9"])[0])
    assert len(starts) - 1 == len(genomes["g9"]) - 30
    assert index.documents.index("g9") in documents
