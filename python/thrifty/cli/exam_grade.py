"""``thrifty exam grade``: by rules, and by a judge where they can't tell."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 - the parser reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common

if TYPE_CHECKING:
    from thrifty.exam import Graded

__all__ = ["grade"]


TOKENS = (("prompt_tokens", "in"), ("completion_tokens", "out"))


class JudgeOn(StrEnum):
    """What the judge is asked about."""

    abstain = "abstain"
    all = "all"
    never = "never"


def grade(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    judge_endpoint: Annotated[
        str | None, typer.Option("--judge-endpoint", metavar="URL", help="Address of a judge, as http://HOST/v1.")
    ] = None,
    judge_model: Annotated[str | None, typer.Option("--judge-model", metavar="NAME", help="Its name there.")] = None,
    judge_on: Annotated[
        JudgeOn,
        typer.Option(
            "--judge-on", help="Ask it where rules can't tell, about all answers (rules still decide), or never."
        ),
    ] = JudgeOn.abstain,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", metavar="NAME", help="Environment variable that has the judge's key."),
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=1000, help="Requests to it at once.")] = 8,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, max=86400, help="Seconds a reply may take.")] = 300.0,
    plain: Annotated[
        bool, typer.Option("--judge-plain", help="Send no response_format, for endpoints that know none.")
    ] = False,
    json_: common.Json = False,
) -> None:
    """Grade the answers of a run, and keep the grades in its folder.

    The same command goes on with a judge that was stopped: what it said is kept. A judge that does not call each of 12
    responses wrong, which only ask to be called right, grades nothing.
    """
    from thrifty.exam.asking.endpoint import Endpoint
    from thrifty.exam.graders import grade as by
    from thrifty.exam.judging import Judge

    if (judge_endpoint is None) != (judge_model is None):
        raise typer.BadParameter("--judge-endpoint and --judge-model belong together")
    judge = None
    if judge_endpoint is not None and judge_model is not None:
        endpoint = Endpoint(judge_endpoint, judge_model, api_key_env=api_key_env)
        judge = Judge(endpoint, concurrency=concurrency, timeout=timeout, schema=not plain)
    elif judge_on == JudgeOn.all:
        raise typer.BadParameter("--judge-on all needs a judge: --judge-endpoint and --judge-model")
    with common.progress() as update:
        graded = by(run, judge=judge, judge_on=judge_on.value, progress=update)
    found = told(graded)
    if json_:
        common.emit(found)
    else:
        show(run, found)


def told(graded: Graded) -> dict[str, Any]:
    """Return what grading came to."""
    answers, about = graded.answers, graded.provenance
    right = sum(answer.correct is True for answer in answers)
    return {
        "answers": len(answers),
        "right": right,
        "wrong": sum(answer.correct is False for answer in answers),
        "unscored": sum(answer.correct is None for answer in answers),
        "accuracy": right / len(answers) if answers else None,
        **{name: about[name] for name in ("grader", "verdicts", "decided_by")},
        "judge": about["judge"] or None,
        "judge_used": about.get("judge_used"),
        **{name: about[name] for name in ("judge_on", "judged", "no_verdict", "agreement", "disagree")},
    }


def show(run: Path, found: dict[str, Any]) -> None:
    """Print it for people."""
    rows = [(name, f"{found[name]:,}") for name in ("answers", "right", "wrong", "unscored")]
    if found["accuracy"] is not None:
        rows.append(("accuracy", f"{100 * found['accuracy']:.1f} %"))
    rows += [(f"verdict {name}", f"{count:,}") for name, count in found["verdicts"].items()]
    rows += [(f"by {name}", f"{count:,}") for name, count in found["decided_by"].items()]
    if found["judge"] is not None:
        rows.append(("judge", f"{found['judge']['model']}, asked about {found['judged']:,}"))
        used = found["judge_used"]
        tokens = [f"{used[name]:,} tokens {way}" for name, way in TOKENS if used[name] is not None]
        rows.append(("it took", ", ".join([f"{used['requests']:,} requests now", *tokens])))
    if (both := found["agreement"]) is not None:
        kappa = "undefined" if both["kappa"] is None else f"{both['kappa']:.3f}"
        spread = "" if both["low"] is None else f" ({both['low']:.3f} to {both['high']:.3f})"
        rows.append(("agreement", f"{100 * both['share']:.1f} % of {both['answers']:,}, kappa {kappa}{spread}"))
        only = f"{both['rules_only']:,} by rules alone, {both['judge_only']:,} by the judge alone"
        rows.append(("right", f"{both['both_right']:,} by both, {only}"))
    common.table(f"grades of {run}", rows)
    if found["no_verdict"]:
        why = "; ".join(f"{count:,}: {reason}" for reason, count in found["no_verdict"].items())
        common.note(f"replies of the judge that were of no use, {why}")
    if found["disagree"]:
        common.note(f"rules and judge disagree, first on {found['disagree'][0]['id'][:60]!a}; --json lists up to 100")
    if found["unscored"]:
        common.note(f"{found['unscored']:,} answers that nobody could grade count as wrong; a judge may tell")
