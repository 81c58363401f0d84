"""Nouns of WordNet on 2 and 4 ranks: test P@1 after four epochs beside one machine's, bf16, i8 and f32 messages.

Each rank chooses its share of the active neurons by its own tables. Figures are means of three seeds, since P@1 differs
by about a quarter of a point between two.

--planted lets ranks take no part of each other's gradients.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.slide.shard_program import Task, environment

SEEDS, EPOCHS = 3, 4


def one(data: Path, settings: dict[str, Any], group: Any) -> dict[str, float]:
    """Train and evaluate."""
    import lzma

    from thrifty.slide import LSHConfig, Trainer, read_xml

    rank = int(os.environ.get("RANK", "0"))
    rows = []
    for name in ("train", "test"):
        file = data / f"{name}.txt"
        if not file.exists():
            file = Path(tempfile.mkdtemp()) / name
            file.write_bytes(lzma.decompress((data / f"{name}.txt.xz").read_bytes()))
        rows.append(read_xml(file, threads=1))
    (inputs, targets), test = rows
    planted = settings.pop("planted", False)
    trainer = Trainer(
        inputs.shape[1],
        targets.shape[1],
        head=LSHConfig(active=512),
        lr=0.01,
        threads=1,
        process_group=group,
        **settings,
    )
    if planted:
        ranks = trainer._core.ranks
        start = ranks.start

        def deaf(blocks: Any, sizes: Any, comes: Any) -> Any:
            wait = start(blocks, sizes, comes)
            if len(set(comes)) == 1 and len(blocks) != comes[0] * ranks.size:
                return lambda: np.concatenate(
                    [np.zeros_like(p) if i != rank else p for i, p in enumerate(np.split(wait(), ranks.size))]
                )
            return wait

        ranks.start = deaf
    trainer.fit(inputs, targets, epochs=EPOCHS)
    return {**trainer.evaluate(*test), **trainer.traffic()}


def rank_main(out: Path) -> None:
    """One rank."""
    from thrifty.slide.torchrun import world

    task = json.loads(os.environ["TASK"])["network"]
    with world() as group:
        found = one(Path(task.pop("data")), task, group)
    if os.environ["RANK"] == "0":
        out.write_text(json.dumps(found))


def main() -> None:
    """Rows."""
    import subprocess

    goal = Goal(__file__, __doc__, ("torch", "scipy"))
    data = goal.data("slide/wn")
    seeds = [goal.seed + i for i in range(1 if goal.planted else SEEDS)]
    single = float(np.mean([one(data, {"seed": seed}, None)["p_at_1"] for seed in seeds]))
    print(f"one machine: P@1 {single:.4f}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        for ranks in (2, 4):
            for messages in ("bf16", "i8", "f32"):
                values = []
                for seed in seeds:
                    network = {"data": str(data), "seed": seed, "messages": messages, "planted": goal.planted}
                    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
                    command += [f"--nproc-per-node={ranks}", __file__, "--rank", str(out)]
                    done = subprocess.run(
                        command, env=environment(Task(network=network)), capture_output=True, text=True, check=False
                    )
                    if done.returncode:
                        raise SystemExit(done.stderr[-3000:])
                    values.append(json.loads(out.read_text()))
                mean = float(np.mean([v["p_at_1"] for v in values]))
                sent = values[0]["bytes_a_step"]
                what = (
                    f"{ranks} ranks, {messages} messages ({sent:,.0f} bytes a step): P@1 {mean:.4f} from {single:.4f}"
                )
                goal.row(f"accuracy/{ranks} {messages}", what, ">= -0.003", mean - single)
    goal.end()


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--rank":
        rank_main(Path(sys.argv[2]))
    else:
        main()
