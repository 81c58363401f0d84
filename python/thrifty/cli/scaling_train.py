"""``thrifty scaling train``: a ladder of small models, a law, the best shapes of a target size, one of them chosen."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from thrifty.device import ModelShape
    from thrifty.scaling import Finalist, Rung, Study

__all__ = ["train"]

Texts = Annotated[list[Path], typer.Argument(metavar="TEXT...", help="Files to train on, or folders of files.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Rows, models; the same command goes on there.")]
Profile = Annotated[Path | None, typer.Option("--profile", metavar="FILE", help="Of the device that will serve it.")]
Held = Annotated[
    Path | None,
    typer.Option(
        "--held",
        metavar="FILE",
        help="Text that is judged on, and not trained on.  [default: every 20th file; of fewer than 20 files, the last "
        "20th of their text]",
    ),
]

#: Tokens of the prompt, and new ones, over which milliseconds a token are told.
PROMPT, NEW = 128, 128
#: Steps between two times that a trunk is kept.
EVERY = 500


def train(
    text: Texts,
    out: Out,
    target: Annotated[str, typer.Option("--target-params", metavar="N", help="Size to build, without embeddings.")],
    sizes: Annotated[
        str, typer.Option("--sizes", metavar="N,N…", help="Sizes of the ladder, without embeddings.")
    ] = "50k,100k,300k,1M",
    shapes: Annotated[int, typer.Option("--shapes", min=1, max=16, help="Of each size, from wide to deep.")] = 4,
    multiples: Annotated[
        str, typer.Option("--multiples", metavar="X,X…", help="Tokens a parameter of the ladder.")
    ] = "20,40,80",
    target_multiple: Annotated[float, typer.Option("--target-multiple", min=0, help="Of what is built.")] = 20.0,
    slo_ms: Annotated[
        float | None,
        typer.Option("--slo-ms", min=0, help="Most milliseconds a new token: one sequence, 128 after a prompt of 128."),
    ] = None,
    profile: Profile = None,
    keep: Annotated[int, typer.Option("--keep", min=1, max=16, help="Shapes of the target size that are trained.")] = 3,
    repeats: Annotated[int, typer.Option("--repeats", min=0, help="Sizes of which a shape gets three seeds.")] = 1,
    law: Annotated[str, typer.Option("--law", help="Law to fit, as scaling fit has them, or auto.")] = "auto",
    held: Held = None,
    questions: Annotated[
        int, typer.Option("--questions", min=0, max=100_000, help="Of the exam that chooses; 0: the least loss does.")
    ] = 200,
    context: Annotated[int, typer.Option("--context", min=8, help="Bytes of a window.")] = 256,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda")] = "cpu",
    together: Annotated[
        int | None,
        typer.Option(
            "--together", min=1, max=64, help="Models that are trained side by side.  [default: 8 with cuda, else 1]"
        ),
    ] = None,
    precision: Annotated[str, typer.Option("--precision", metavar="f32|bf16", help="Of products.")] = "f32",
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", min=0, help="Stop after so long; the same command goes on.")
    ] = None,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Train a ladder of small models, fit a law, and build the best shape of a larger size under a latency limit.

    Models are decoders over bytes. Rows are added to DIR/runs.csv as they come; what has its row is not trained again.
    """
    from thrifty.scaling import NAMED

    common.one_of("--device", device, ("cpu", "cuda"))
    common.one_of("--precision", precision, ("f32", "bf16"))
    common.one_of("--law", law, (*NAMED, "auto"))
    common.writable(out, "the study", folder=True)
    if slo_ms is not None and profile is None:
        raise typer.BadParameter("--slo-ms needs --profile, which thrifty scaling calibrate makes")
    from thrifty.cli.pairconnect_train import torch_for
    from thrifty.scaling import ladder, rungs_of, study, table_of

    latency = None if profile is None else _latency(profile)
    side = together or (8 if device == "cuda" else 1)
    how: dict[str, Any] = {"context": context, "shapes": shapes}
    rungs = ladder(
        [_size(n) for n in sizes.split(",")], seed=seed, repeats=repeats, multiples=_numbers(multiples), **how
    )
    targets = rungs_of(_size(target), seed=seed, multiples=(target_multiple,), **how)
    torch_for(device, threads)
    learned, back = _texts(text, held)
    out.mkdir(exist_ok=True)
    table = table_of(out / "runs.csv", _about(learned, back, precision, f"{questions} questions, seed {seed}"))
    begun = time.monotonic()
    with common.progress() as callback:
        trainer = _trainer(learned, back, out, device, precision, callback)
        if max_seconds is not None:
            trainer.stop = lambda: time.monotonic() - begun > max_seconds
        trainer.after = _after(targets, back, out, questions, seed)
        found = study(
            # Side by side the longest come first: what is trained beside them ends before.
            rungs if side == 1 else rungs[::-1],
            targets,
            trainer,
            table,
            law=law,
            latency=latency,
            slo_ms=slo_ms,
            keep=keep,
            together=side,
        )
    for text_ in found.notes:
        common.note(text_)
    if json_:
        common.emit(_told(found, len(table.rows), out))
    else:
        _show(found, len(table.rows), out)


def _size(given: str) -> float:
    size = common.count(given)
    if not 1e3 <= size <= 1e12:
        raise typer.BadParameter(f"{given} parameters are no size of a ladder; from 1k on")
    return size


def _numbers(given: str) -> tuple[float, ...]:
    try:
        found = tuple(float(x) for x in given.split(","))
    except ValueError:
        raise typer.BadParameter(f"--multiples {given}: numbers are needed, as 20,40,80") from None
    if not all(0 < x <= 1e6 for x in found):
        raise typer.BadParameter(f"--multiples {given}: each is above 0")
    return found


def _texts(paths: list[Path], held: Path | None) -> tuple[bytes, bytes]:
    """Return bytes to train on, and bytes held back: a file is one of them or the other, by its content."""
    import hashlib

    from thrifty.pairconnect import read_text

    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    by_sum: dict[str, bytes] = {}
    for file in files:
        if not file.is_dir():
            content = read_text(file)
            by_sum.setdefault(hashlib.sha256(content).hexdigest(), content)
    if held is not None:
        back = read_text(held)
        by_sum.pop(hashlib.sha256(back).hexdigest(), None)
        return b"".join(by_sum[key] for key in sorted(by_sum)), back
    if len(by_sum) < 20:
        whole = b"".join(by_sum.values())
        cut = len(whole) - len(whole) // 20
        return whole[:cut], whole[cut:]
    order = sorted(by_sum)
    return b"".join(by_sum[k] for i, k in enumerate(order) if i % 20), b"".join(by_sum[k] for k in order[::20])


def _about(text: bytes, held: bytes, precision: str, exam: str) -> dict[str, str]:
    """Return what all rows share: losses and scores of other texts, or of another exam, can't be compared."""
    import hashlib

    return {
        "data_bytes": str(len(text)),
        "data_sha256": hashlib.sha256(text).hexdigest(),
        "held_sha256": hashlib.sha256(held).hexdigest(),
        "exam": exam,
        "precision": precision,
    }


def _trainer(text: bytes, held: bytes, out: Path, device: str, precision: str, progress: Any) -> Any:
    import numpy as np

    from thrifty.models.rungs import RungTrainer

    for name, content in (("TEXT", text), ("text held back", held)):
        if len(content) < 2_000:
            raise DatasetError(f"{name}: {len(content)} bytes are too few to train on and to judge by; give more text")
    return RungTrainer(
        np.frombuffer(text, np.uint8),
        np.frombuffer(held[:2_000_000], np.uint8),
        device=device,
        graph=device == "cuda",
        precision=precision,  # type: ignore[arg-type]
        settings={"beta2": 0.95},
        folder=out,
        every=EVERY,
        progress=progress,
    )


def _after(targets: Any, held: bytes, out: Path, questions: int, seed: int) -> Callable[[Any, Rung], dict[str, float]]:
    """Return what is done with each trained model of the target size: it is written, and takes the exam."""
    names = {rung.name for rung in targets}
    exam = None
    if questions:
        from thrifty.exam import continuations

        exam = continuations(held.decode("utf-8", "replace"), questions, seed=seed)

    def after(model: Any, rung: Rung) -> dict[str, float]:
        from thrifty.models import save_decoder
        from thrifty.models.evaluate import log_likelihoods
        from thrifty.pairconnect import Bytes

        if rung.name not in names:
            return {}
        save_decoder(model, out / rung.name, training={"tokens": rung.lengths[-1], "lr": rung.lr, "seed": rung.seed})
        if exam is None:
            return {}
        answers = exam.grade(lambda pairs: log_likelihoods(model, pairs, Bytes())).answers
        return {"score": sum(bool(answer.correct) for answer in answers) / len(answers)}

    return after


def _latency(path: Path) -> Callable[[ModelShape], float]:
    from thrifty.device import DeviceProfile

    profile: Any = DeviceProfile.load(path)

    def latency(shape: ModelShape) -> float:
        shape = shape.with_(dtype_bytes=profile.dtype_bytes)
        return float(profile.latency(shape, batch=1, prompt=PROMPT, new_tokens=NEW).ms) / NEW

    return latency


def _told(found: Study, rows: int, out: Path) -> dict[str, Any]:
    return {
        "rows": rows,
        "law": None if found.law is None else found.law.name_,
        "coefficients": None if found.law is None else found.law.coef_,
        "candidates": [_candidate(one) for one in found.candidates],
        "chosen": None if found.chosen is None else _candidate(found.chosen) | {"model": _model(found.chosen, out)},
        "notes": list(found.notes),
    }


def _model(chosen: Finalist, out: Path) -> str:
    return str(out / chosen.rung.name)


def _candidate(one: Finalist) -> dict[str, Any]:
    shape = one.rung.shape
    values = {
        "run": one.rung.name,
        "n_params_non_embedding": one.rung.n_params,
        "n_layers": shape.layers,
        "d_model": shape.dim,
        "n_tokens": one.rung.lengths[-1],
        "loss": one.loss,
        "lo": one.low,
        "hi": one.high,
        "ms": one.ms,
        "kept": one.kept,
        "measured": one.measured,
        "score": one.score,
    }
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}


def _show(found: Study, rows: int, out: Path) -> None:
    lines = [("rows", f"{rows:,} in {out / 'runs.csv'}")]
    if found.law is not None:
        told = ", ".join(f"{name} {value:.4g}" for name, value in found.law.coef_.items())
        lines.append(("law", f"{found.law.name_}: {told}"))
    for one in found.candidates:
        said = f"loss {one.loss:.4f}, {one.low:.4f} to {one.high:.4f}"
        said += "" if math.isnan(one.ms) else f"; {one.ms:.3g} ms a token"
        said += "" if math.isnan(one.measured) else f"; trained: {one.measured:.4f}"
        said += "" if math.isnan(one.score) else f", {100 * one.score:.1f} % of the exam"
        lines.append((f"{one.rung.shape.layers} x {one.rung.shape.dim}", said))
    if found.chosen is not None:
        lines.append(("chosen", f"{found.chosen.rung.shape}: {_model(found.chosen, out)}"))
    common.table("study", lines)
