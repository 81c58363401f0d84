"""``thrifty exam compare``: whether a second run lost anything against a first one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.cli.exam_score import SUBJECTS, Grader, Questions, Resamples, RunPath, read

if TYPE_CHECKING:
    from thrifty.exam import Comparison

__all__ = ["Delta", "compare"]

Delta = Annotated[
    float, typer.Option("--delta", min=0.0001, max=0.5, help="Loss of accuracy that would matter, a share.")
]


def compare(
    first: RunPath,
    second: RunPath,
    delta: Delta = 0.01,
    resamples: Resamples = 10_000,
    grader: Grader = None,
    dataset: Questions = None,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Tell whether the second run answers as well as the first one: both on the same questions, graded alike."""
    from thrifty.exam import compare as compared

    found = compared(*read([first, second], grader, dataset), delta=delta, resamples=resamples, seed=seed)
    if json_:
        common.emit(told(found))
    else:
        show(found)


def told(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON has it, the statistics of pairs side by side with the rest."""
    values = asdict(found)
    pairs = values.pop("decision")
    pairs.pop("verdict")
    whole: dict[str, Any] = common.finite({"verdict": found.verdict, "sentence": found.sentence} | values | pairs)
    return whole


def show(found: Comparison) -> None:
    """Print it for people."""
    d = found.decision
    mcnemar = f"McNemar: {d.p_exact:.3g} exact" if d.clusters == d.pairs else f"t over {d.clusters:,} clusters"
    rows = [
        ("verdict", found.sentence),
        (found.first or "first", f"{100 * found.first_accuracy:.2f} %"),
        (found.second or "second", f"{100 * found.second_accuracy:.2f} %"),
        ("difference", f"{100 * d.difference:+.2f} points, {100 * d.score_low:+.2f} to {100 * d.score_high:+.2f}"),
        ("right in one alone", f"{d.first_only:,} and {d.second_only:,} of {d.pairs:,} pairs"),
        ("no difference", f"p = {d.p:.3g}, " + mcnemar),
        (
            f"within {100 * found.delta:g} point" + "s" * (100 * found.delta != 1),
            f"p = {d.p_loss:.3g} of a loss, {d.p_gain:.3g} of a gain",
        ),
    ]
    if found.texts:
        apart = f", the first with others is {found.first_diverging}" if found.first_diverging else ""
        rows.append(("equal responses", f"{found.equal_texts:,} of {found.texts:,}{apart}"))
    for c in found.changes:
        # Adding 0 takes the sign from a difference that is none.
        gap, low, high = (round(value, 4) + 0.0 for value in (c.difference, c.low, c.high))
        rows.append((c.name, f"{c.first:.4f}, {c.second:.4f}; {gap:+.4f}, {low:+.4f} to {high:+.4f}"))
    for name, pair in (("right a second", found.per_second), ("right a kilojoule", found.per_kilojoule)):
        if pair[0] is not None and pair[1] is not None:
            rows.append((name, f"{pair[0].value:.4g}, {pair[1].value:.4g} ({pair[1].source})"))
    changed = sorted(found.subjects, key=lambda s: (s.p, -abs(s.second - s.first), s.name))
    for s in changed[:SUBJECTS] if len(changed) > 1 else ():
        p = f"p = {s.p_holm:.3g} of all subjects'"
        rows.append((s.name or "-", f"{100 * s.first:.1f} %, {100 * s.second:.1f} %, {p}"))
    common.table(f"{found.second or 'second'} beside {found.first or 'first'}", rows)
    if len(changed) > SUBJECTS:
        common.note(f"the {SUBJECTS} of {len(changed):,} subjects that changed most clearly; --json has all")
    if found.only_first or found.only_second:
        common.note(f"answers of one run alone are left out: {found.only_first:,} and {found.only_second:,}")
    if any(found.unscored):
        common.note(f"answers that nobody could grade count as wrong: {found.unscored[0]:,} and {found.unscored[1]:,}")
