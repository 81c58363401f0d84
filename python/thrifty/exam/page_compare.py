"""The records of a comparison of two exams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thrifty.report import Figure, Section, Table

if TYPE_CHECKING:
    from thrifty.exam.scoring.compare import Comparison
    from thrifty.exam.scoring.score import Rate
    from thrifty.report import Bars, Grid, Series

    Record = Figure | Series | Bars | Grid | Table

__all__ = ["comparison_section"]


def comparison_section(found: Comparison) -> Section:
    """Return the records of a comparison."""
    d = found.decision
    names = found.first or "first", found.second or "second"
    text = f"{names[1]} beside {names[0]}: {found.sentence}."
    if found.texts:
        text += f"\n\n{found.equal_texts:,} of {found.texts:,} responses are equal byte by byte"
        text += f"; the first question with others is {found.first_diverging}." if found.first_diverging else "."
    if found.only_first or found.only_second:
        text += f"\n\nAnswers of one run alone, which are left out: {found.only_first:,} and {found.only_second:,}."
    if any(found.unscored):
        text += (
            f"\n\nAnswers that nobody could grade, which count as wrong: {found.unscored[0]:,}, {found.unscored[1]:,}."
        )
    alone = d.clusters == d.pairs
    test = f"McNemar, mid-p; exact: {d.p_exact:.3g}" if alone else f"t over {d.clusters:,} clusters"
    kind = "score interval of pairs, 95 %" if alone else f"t over {d.clusters:,} clusters, 95 %"
    limit = f"{100 * found.delta:g} point" + "s" * (100 * found.delta != 1)
    figures = [
        Figure("difference", "Difference of accuracy", 100 * d.difference, "points",
               interval=(100 * d.score_low, 100 * d.score_high), source=kind),
        Figure("both_accuracies", f"Accuracy of {names[1]}", found.second_accuracy, baseline=found.first_accuracy),
        Figure("p", "p-value of no difference", d.p, source=test),
        Figure("p_equivalent", f"p-value of a difference of {limit}", max(d.p_loss, d.p_gain),
               source="two one-sided tests"),
    ]  # fmt: skip
    for name, title, rates in (
        ("both_per_second", "Right answers a second", found.per_second),
        ("both_per_kilojoule", "Right answers a kilojoule", found.per_kilojoule),
    ):
        figures += _beside(name, title, *rates)
    pairs = [["only the first", d.first_only], ["only the second", d.second_only]]
    pairs += [["both or none", d.pairs - d.first_only - d.second_only]]
    changes = [[c.name, c.first, c.second, c.difference, c.low, c.high] for c in found.changes]
    subjects = [
        [s.name or "-", s.pairs, s.first, s.second, s.p, s.p_holm, "few answers" if s.few else ""]
        for s in found.subjects
    ]
    columns = ["measure", *names, "difference", "95 % from", "to"]
    records: list[Record] = [*figures, Table("pairs", "Pairs that are right", ["", "pairs"], pairs)]
    if changes:
        records.append(Table("changes", "Calibration of both, by a paired bootstrap", columns, changes))
    columns = ["subject", "pairs", *names, "p", "p of all (Holm)", ""]
    return Section("compare", "Comparison", text, [*records, Table("subject_changes", "Subjects", columns, subjects)])


def _beside(name: str, title: str, first: Rate | None, second: Rate | None) -> list[Figure]:
    if first is None or second is None:
        return []
    ratio = second.value / first.value if first.value else None
    between = (second.low, second.high)
    return [
        Figure(name, title, second.value, baseline=first.value, ratio=ratio, interval=between, source=second.source)
    ]
