"""``thrifty specdec simulate`` and ``explain``: policies on a simulated device, and one plan in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from thrifty.cli import common

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.report import Section
    from thrifty.specdec import Replay

__all__ = ["chances", "explain", "simulate", "sizes", "speed"]

HEADS = (
    "come",
    "policy",
    "ids/s",
    "accepted",
    "first id, ms",
    "end, ms",
    "p99 end, ms",
    "preempted",
    "planning, s",
)


def sizes(text: str) -> list[tuple[int, float]]:
    """Read sizes and milliseconds: 1:10,64:11.5,1024:40."""
    found: list[tuple[int, float]] = []
    for part in text.split(","):
        size, colon, ms = part.partition(":")
        try:
            row = (int(size), float(ms))
        except ValueError:
            row = (0, 0.0)
        if not colon or row[0] < 1 or not 0 <= row[1] < float("inf") or (found and row[0] <= found[-1][0]):
            raise typer.BadParameter(f"'{part}' of '{text}'; ascending sizes and their milliseconds, as 1:10,64:11.5")
        found.append(row)
    return found


def chances(text: str) -> float | list[float]:
    """Read the acceptance of a kind of requests: 0.7, or that of several drafts, 0.7,0.5."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [-1.0]
    if not all(0 <= alpha <= 1 for alpha in found):
        raise typer.BadParameter(f"'{text}' is no chance between 0 and 1, or several as 0.7,0.5")
    return found if len(found) > 1 else found[0]


def speed(text: str) -> float | None:
    """Read how many times as fast requests come: 1, 4x, or closed."""
    if text.strip() == "closed":
        return None
    try:
        found = float(text.strip().removesuffix("x"))
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise typer.BadParameter(f"'{text}' is no speed; give a number above 0 as 4 or 4x, or closed")
    return found


def simulate(
    trace: Path,
    *,
    device: dict[str, Any],
    requests: int | None,
    policies: list[str],
    speeds: list[float | None],
    settings: dict[str, Any],
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Read, replay and tell."""
    from thrifty.specdec import SimulatedDevice, Simulator, Trace

    if out is not None:
        common.writable(out, "the report", folder=True)
    found = Trace.read(trace)
    if requests is not None:
        found = Trace(found.at_ms[:requests], found.prompt[:requests], found.new[:requests])
    simulator = Simulator(found, SimulatedDevice(**device), **settings)
    with common.progress() as callback:
        replays = simulator.compare(policies, speeds=speeds, seed=seed, progress=callback)
    if out is not None:
        from thrifty.report import write

        note = f"{trace.name}: {len(found):,} requests, {int(found.new.sum()):,} ids"
        page = write(out, "How a trace would be served", [_section(replays)], note=note)
        if not as_json:
            common.note(f"the curves are in {page}")
    if as_json:
        ids = int(found.new.sum())
        common.emit({"requests": len(found), "tokens": ids, "replays": [replay.to_dict() for replay in replays]})
    else:
        _print(replays)


def _come(replay: Replay) -> str:
    return "all at once" if replay.speed is None else f"{replay.speed:g}x"


def _cells(replays: list[Replay]) -> list[list[str]]:
    rows = []
    for replay in replays:
        told = replay.to_dict()
        share = f"{replay.accepted / replay.drafted:.0%}" if replay.drafted else "none"
        row = [_come(replay), replay.policy, f"{replay.tokens_per_second:,.0f}", share]
        row += [f"{told['first_ms']['p50']:,.0f}", f"{replay.end_ms.mean():,.0f}", f"{told['end_ms']['p99']:,.0f}"]
        row += [f"{replay.preempted:,}", f"{replay.scheduler_seconds:.2f}"]
        if len(replay.used) > 1:
            every = sum(used.rows for used in replay.used) + replay.alone
            row += [f"{used.rows / every:.0%}" for used in replay.used] + [f"{replay.alone / every:.0%}"]
        if replay.in_time_share is not None:
            row.append(f"{replay.in_time_share:.1%}")
        rows.append(row)
    return rows


def _heads(replays: list[Replay]) -> list[str]:
    """Return the table's heads; how often each of several drafts, and none, was used, and what came in time."""
    drafts = len(replays[0].used)
    more = [*(f"draft {which}" for which in range(drafts)), "no draft"] if drafts > 1 else []
    return [*HEADS, *more, *(["in time"] if replays[0].in_time_share is not None else [])]


def _print(replays: list[Replay]) -> None:
    from rich.console import Console
    from rich.table import Table

    grid = Table(title="Policies", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for head in _heads(replays):
        grid.add_column(head, justify="left" if head == "policy" else "right", overflow="fold")
    for row in _cells(replays):
        grid.add_row(*row)
    console = Console(highlight=False)
    console.print(grid)
    console.print()
    console.print(_words(replays), markup=False)


def _words(replays: list[Replay]) -> str:
    """Say who serves requests soonest at each speed, and whether any request was lost."""
    said = []
    for name in dict.fromkeys(_come(replay) for replay in replays):
        those = sorted((replay for replay in replays if _come(replay) == name), key=lambda replay: replay.end_ms.mean())
        first = those[0]
        text = f"{name}: requests end soonest with {first.policy}, after {first.end_ms.mean():,.0f} ms in the mean"
        if len(those) > 1:
            more = those[1].end_ms.mean() / first.end_ms.mean() - 1
            text += f"; with {those[1].policy} {more:.1%} later"
        said.append(f"{text}.")
    lost = sum(replay.lost for replay in replays)
    said.append(f"{lost:,} requests were lost." if lost else "No request was lost.")
    return "\n".join(said)


def _section(replays: list[Replay]) -> Section:
    """Return the table, and what each policy makes of each speed; all at once has no place on the axis of speeds."""
    from thrifty.report import Section, Series, Table

    speeds = sorted({replay.speed for replay in replays if replay.speed is not None})
    records: list[Any] = [Table("policies", "Policies", _heads(replays), _cells(replays))]
    if len(speeds) > 1:
        for name, title, label in (
            ("end_ms", "From arrival to end, mean", "ms"),
            ("tokens_per_second", "Ids a second while there is something to do", "ids a second"),
        ):
            curves: dict[str, Any] = {
                policy: [
                    float(replay.end_ms.mean()) if name == "end_ms" else replay.tokens_per_second
                    for at in speeds
                    for replay in replays
                    if replay.policy == policy and replay.speed == at
                ]
                for policy in dict.fromkeys(replay.policy for replay in replays)
            }
            records.append(Series(name, title, speeds, curves, x_label="times as fast", y_label=label))
    return Section("simulate", "Policies", _words(replays).replace("\n", "\n\n"), records)


def explain(
    *,
    draft_ms: float,
    weights_ms: float,
    token_ms: float,
    host_ms: float,
    alpha: float,
    batch: int,
    max_gamma: int,
    as_json: bool,
) -> None:
    """Let the engine plan a step of such requests, and tell why it is so."""
    import numpy as np

    from thrifty.specdec import Drafts, Engine, LatencyCurve
    from thrifty.specdec.throughput import Clock

    curve = LatencyCurve(1, draft_ms, 0.0, weights_ms, token_ms, host_ms)

    def never(*_: Any) -> Drafts:
        return Drafts(np.zeros((0, 0), np.int64))

    engine = Engine(
        never,
        [never],
        vocab=2,
        latency=curve,
        alpha=alpha,
        max_gamma=max_gamma,
        gamma=0,
        max_running=batch,
        blocks=batch * 6,
        max_length=96,
        share_prefixes=False,
    )
    handles = engine.submit_many([np.zeros(1, np.uint32)] * batch, max_new=32)
    step = engine.plan()
    gammas = {int(gamma): int((step.gamma == gamma).sum()) for gamma in sorted(set(step.gamma.tolist()))}
    words = engine.explain(handles[0])
    engine.abort(step)
    verify = [max(weights_ms, batch * (gamma + 1) * token_ms) + host_ms for gamma in range(max_gamma + 1)]
    clock = Clock(verify, batch)
    best, most = clock.best(draft_ms, alpha)
    needed = clock.alpha_needed(draft_ms, clock.plain)
    speeds = [clock.throughput(draft_ms, alpha, gamma) for gamma in range(max_gamma + 1)]
    told = {
        "gammas": gammas,
        "explanation": words,
        "best_gamma": best,
        "tokens_per_second": most,
        "plain_tokens_per_second": clock.plain,
        "alpha_break_even": None if needed is None else needed[0],
        "throughput": speeds,
    }
    if as_json:
        common.emit(told)
        return
    pays = "never" if needed is None else f"from {needed[0]:.2f} on"
    rows = [(f"{gamma} drafts", f"{ids:,.0f} ids a second") for gamma, ids in enumerate(speeds)]
    common.table(f"{batch} requests, acceptance {alpha:g}", [*rows, ("drafts pay at an acceptance", pays)])
    typer.echo(f"\n{words}")
