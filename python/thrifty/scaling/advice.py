"""Which rows of a table to fit to, and how to count parameters: by what then is predicted better."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.domain import TRAINED, ratios
from thrifty.scaling.holdouts import holdouts
from thrifty.scaling.shifts import shift_columns
from thrifty.scaling.trials import Setting, tried

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.laws.form import Form

__all__ = ["BETTER", "advised"]

#: A change of the data must make errors left out smaller than this share of what they were.
BETTER = 0.9


def advised(law: str | Form, setting: Setting, shape: bool) -> tuple[Setting, list[str]]:
    """Return a setting of the data with which the law predicts better, and what was changed."""
    advice: list[str] = []
    open_ = ["trained", *shift_columns(setting.runs)]
    while open_:
        changes = {name: change for name in open_ if (change := _change(name, setting))}
        gains = {name: _gain(law, setting, change, shape, kept) for name, (change, kept, _) in changes.items()}
        best = min(gains, key=lambda name: gains[name], default="")
        if not best or gains[best] >= BETTER:
            break
        setting, _, text = changes[best]
        advice.append(text)
        open_ = [name for name in open_ if name != best and (name == "trained" or best == "trained")]
    if {"total", "non_embedding"} <= set(setting.runs.sizes):
        with_, without = (replace(setting, runs=setting.runs.counting(kind)) for kind in ("total", "non_embedding"))
        worse = _gain(law, with_, without, shape)
        setting = with_ if worse > 1 / BETTER else without
        kind = "with" if worse > 1 / BETTER else "without"
        advice.append(f"parameters are counted {kind} embeddings (errors left out without / with them: {worse:.2f})")
    return setting, advice


def _change(name: str, setting: Setting) -> tuple[Setting, NDArray[np.bool_] | None, str] | None:
    """Return a setting with one change, the rows that it keeps, and what to say of it; None without."""
    if name != "trained":
        return (
            replace(setting, shift=name),
            None,
            f"losses are shifted by {name}: each of its values has a factor of its own",
        )
    runs = setting.runs
    kept = ratios(runs) >= TRAINED
    out = int((~kept).sum())
    if not 0 < out < len(kept) / 2:
        return None
    groups = setting.groups and tuple(g for g, stays in zip(setting.groups, kept, strict=True) if stays)
    text = (
        f"{out} runs of fewer than {TRAINED:.0f} tokens a parameter are left out: with them the law predicts others"
        " worse; it does not hold for such runs, whose losses are told by how it missed these"
    )
    return replace(setting, runs=runs.take(kept), groups=groups, outside=runs.take(~kept)), kept, text


def _gain(
    law: str | Form, before: Setting, after: Setting, shape: bool, rows: NDArray[np.bool_] | None = None
) -> float:
    """Return errors left out after a change over those before it, on the runs that both have."""
    old, new = before.runs, after.runs
    judged = np.ones(len(old), bool) if rows is None else rows
    cuts = holdouts(new, shape, after.groups)
    place = np.flatnonzero(judged)
    wider = []
    for cut in cuts:
        # A run that only the first setting has is fitted where its size is.
        fitted = np.zeros(len(old), bool)
        fitted[place] = cut.fitted
        if rows is not None:
            fitted[~rows] = getattr(old, cut.column)[~rows] < cut.beyond
        wider.append(replace(cut, fitted=fitted))
    one, two = tried(law, before, wider, judged), tried(law, after, cuts, np.ones(len(new), bool))
    both = sorted(set(one.errors) & set(two.errors))
    if not both:
        return 1.0 if two.law is not None else float("inf")
    return float(np.exp(np.mean([np.log(two.errors[cut] / one.errors[cut]) for cut in both])))
