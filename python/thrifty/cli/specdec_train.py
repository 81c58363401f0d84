"""``thrifty specdec train-draft``: the training, the trial of what was trained, the table."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.cli import common
from thrifty.cli.pairconnect_train import Teacher, decoder_of, long_enough, the_teacher, torch_for
from thrifty.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from thrifty.pairconnect import PairLM
    from thrifty.specdec import Trial

__all__ = ["SHAPES", "train_draft"]

#: Layers and numbers of a hidden vector that ``--shape auto`` looks at, the smallest first.
SHAPES = ((1, 64), (1, 128), (2, 128), (2, 256), (3, 384))
#: Of a pass of the teacher, a draft of theirs takes at most so much.
SHARE = 0.1


@dataclass(frozen=True)
class Drafting:
    """What drafts for what, and how."""

    teacher: Teacher
    prompts: Any
    settings: dict[str, Any]

    def trial(self, model: PairLM, **changes: Any) -> Trial:
        """Let a draft work for the teacher."""
        from thrifty.pairconnect import PairLM
        from thrifty.specdec import CachedTarget, PairTarget, try_draft

        settings = {**self.settings, **changes}
        prompts = settings.pop("prompts", self.prompts)
        target: Any
        if isinstance(self.teacher.model, PairLM):
            target = PairTarget(self.teacher.model, settings["threads"] or 0)
        else:
            from thrifty.models import CachedDecoder

            length = prompts.shape[1] + settings["new"]
            target = CachedTarget(CachedDecoder(self.teacher.model, slots=settings["running"], length=length))
        return try_draft(target, model.drafter(), prompts, vocab=self.teacher.encoding.vocab, **settings)


def train_draft(
    text: Path,
    model: Path,
    *,
    teacher: Path,
    valid: Path | None,
    max_tokens: int | None,
    max_seconds: float | None,
    sizes: dict[str, int],
    auto: bool,
    settings: dict[str, Any],
    table_dtype: Any,
    device: str,
    checkpoint: Path | None,
    every: int | None,
    requests: int,
    prompt: int,
    drafting: dict[str, Any],
    threads: int,
    as_json: bool,
) -> None:
    """Train, try and tell."""
    torch = torch_for(device, threads)
    from thrifty.models import TrainSettings, train
    from thrifty.models.export import save_pairlm
    from thrifty.models.trainer import evenly
    from thrifty.pairconnect import PairLM, read_text

    common.writable(model, "the model")
    if checkpoint is not None:
        common.writable(checkpoint, "the checkpoint")
    known = the_teacher(teacher, None, device)
    ids, _ = known.encoding.encode(read_text(text))
    if valid is None:
        # What follows the text that is learned from.
        back = min(len(ids) // 4, max(len(ids) // 20, requests * prompt))
        ids, held = ids[: len(ids) - back], ids[len(ids) - back :]
    else:
        held, _ = known.encoding.encode(read_text(valid))
    of = Drafting(known, _prompts(valid or text, held, requests, prompt), drafting | {"threads": threads or None})
    tokens = max_tokens or len(ids)
    ids = evenly(ids, tokens)
    long_enough(text, ids, settings["context"])
    settings = settings | {"teacher": known.name}

    def opened(network: Any, folder: str, told: dict[str, Any]) -> PairLM:
        save_pairlm(network, Path(folder) / "draft", tokenizer=known.encoding.json, training=told)
        return PairLM.load(Path(folder) / "draft")

    if auto:
        sizes = _sizes(
            of, lambda some, folder: opened(decoder_of(some, "pair", 0.0, known.encoding.vocab, 0), folder, {}), sizes
        )
    torch.manual_seed(settings["seed"])
    network = decoder_of(sizes, "pair", 0.0, known.encoding.vocab, settings["seed"]).to(device)
    during: list[dict[str, Any]] = []
    started, used = time.perf_counter(), time.process_time()
    with common.progress() as callback:

        def progress(phase: str, step: int, steps: int) -> None:
            if callback is not None:
                callback(phase, step, steps)
            if every is not None and step % every == 0 and step < steps:
                with tempfile.TemporaryDirectory() as folder:
                    found = of.trial(opened(network, folder, {}))
                seen = step * settings["context"] * settings["batch"]
                during.append({"tokens": seen, "alpha": found.alpha, "tau": found.tau, "speedup": found.speedup})
                common.note(f"after {seen:,} ids a verification yields {found.tau:.2f}; {found.speedup:.2f} x plain")

        rows = train(
            network,
            ids,
            TrainSettings(tokens=tokens, **settings),
            teacher=known.scores,
            checkpoint=checkpoint,
            max_seconds=max_seconds,
            progress=progress,
        )
        told = {"tokens": rows[-1]["tokens"], "loss": rows[-1]["loss"], "text": text.name, **settings}
        save_pairlm(network, model, tokenizer=known.encoding.json, training=told, table_dtype=table_dtype)
        result = {
            "model": str(model),
            "bytes": model.stat().st_size,
            **{name: sizes[name] for name in ("layers", "dim", "rows")},
            "tokens": rows[-1]["tokens"],
            "loss": rows[-1]["loss"],
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - used,
        }
        found = of.trial(PairLM.load(model), progress=callback)
    if as_json:
        common.emit(result | {"during": during, "trial": found.to_dict()})
    else:
        _print(result, found)


def _prompts(name: Path, ids: Any, requests: int, prompt: int) -> Any:
    """Return prompts that lie evenly over held-back ids."""
    import numpy as np

    count = min(requests, len(ids) // prompt)
    if count < 2:
        raise DatasetError(f"{name}: {len(ids)} ids are held back, which are no 2 prompts of --prompt {prompt} ids")
    starts = np.linspace(0, len(ids) - prompt, count).astype(np.int64)
    return np.stack([ids[start : start + prompt] for start in starts])


def _sizes(of: Drafting, opened: Callable[[dict[str, int], str], PairLM], sizes: dict[str, int]) -> dict[str, int]:
    """Return the largest shape whose draft takes little beside the teacher; the smallest where none does.

    What a draft takes does not depend on what it learned, so it is timed before it is trained.
    """
    best = sizes
    for layers, dim in SHAPES:
        some = sizes | {"layers": layers, "dim": dim, "hidden": 4 * dim}
        with tempfile.TemporaryDirectory() as folder:
            found = of.trial(opened(some, folder), prompts=of.prompts[:2], new=of.settings["gamma"] + 24)
        if found.draft_ms > SHARE * found.target_ms and best is not sizes:
            break
        best = some
        common.note(
            f"{layers} x {dim}: a draft takes {found.draft_ms:.3g} ms, {found.draft_ms / found.target_ms:.0%} of a "
            "pass of the teacher"
        )
    return best


def _print(result: dict[str, Any], found: Trial) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = {n: f"{v:,.4g}" if isinstance(v, float) else f"{v:,}" for n, v in result.items() if n != "model"}
    common.table(result["model"], list(shown.items()))
    title = f"Drafts for the teacher, temperature {found.temperature:g}, {found.running} at a time"
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for head in ("drafts", "the last one is accepted", "ids a verification", "ms a step", "x plain"):
        grid.add_column(head, justify="right")
    for row in _cells(found):
        grid.add_row(*row)
    console = Console(highlight=False)
    console.print()
    console.print(grid)
    console.print()
    console.print(found.explain(), markup=False)


def _cells(found: Trial) -> list[list[str]]:
    rows = []
    for gamma, ms in enumerate(found.step_ms):
        chance = found.acceptance[gamma - 1] if gamma else None
        row = [f"{gamma}", "" if chance is None else f"{chance:.0%}", f"{found.tau_of(gamma):.2f}", f"{ms:.3g}"]
        rows.append([*row, f"{found.rate(gamma) / found.rate(0):.2f}"])
    return rows
