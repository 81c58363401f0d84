"""Beside assisted generation of Hugging Face transformers: the same small models, prompts and settings, one thread.

A byte model of 8 layers is the target; ``wide`` (one layer), ``deep`` (six narrow ones) and ``trunc2`` (its first two,
trained on) draft. They lie in the folder ``--models``, or are trained on the novels of the package first, for at most
``--seconds``.
Times are CPU times of the one thread that works; ours and theirs take turns, and of each the best of ``--rounds``
counts, over ``--prompts`` prompts of 64 bytes and the ``--ids`` that follow. Theirs runs with the number of assistant
tokens that is fastest of some, tried first.

host/: milliseconds of a speculative step that are outside of all models' forward calls, at batch 1, gamma 5; how many
times theirs that is (asked: 1.9 ms over 0.15, the figures of the machine that the goal was set on); and the same of
models whose calls do nothing, where what they leave cold in caches takes no part.
plain/: ids a second, where a planner may draft, look up or do neither, over plain decoding: over generate() of
transformers, and over our own engine without drafters.
assisted/: the same over assisted generation with that draft; lookup/: lookups alone over theirs.
eight/: eight requests at once over theirs, one after the other.
same/: greedy texts that differ from plain generate() where its two best scores are no closer than 1e-3.

``--pairs`` names drafts and modes, such as deep/sampled,lookup/greedy: only their rows are measured, so that a machine
that is lent for minutes does some rows at a time. Each row is kept as soon as it is there.

--planted: the target's cache keeps drafts that were rejected: texts must differ.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402  # its threads are those that are asked for before

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[0]), str(HERE.parents[1] / "cases")]
from rows import ROOT, Goal  # noqa: E402

goal = Goal(
    __file__,
    __doc__,
    ("transformers", "torch"),
    {
        "models": str(ROOT / "target" / "byte-models"),
        "seconds": "300",
        "rounds": "3",
        "prompts": "4",
        "ids": "96",
        "pairs": "",
    },
)
try:
    import byte_models
    import torch
    import transformers

    from thrifty.models import HFModel
    from thrifty.specdec import CachedDraft, CachedTarget, Engine, LatencyCurve, LookupDraft
except ImportError as error:
    raise goal.absent(f"{error}; pip install 'thrifty[bench,torch]'") from error

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
PROMPT, NEW, GAMMA, EIGHT = 64, int(goal.options["ids"]), 5, 8
LENGTH = PROMPT + NEW + 1
LEAST = 4  # bytes that a lookup has to match
MODES = ("greedy", "sampled")
MODELS = byte_models.models(Path(goal.options["models"]), float(goal.options["seconds"]))
IN_MODELS = [0.0]


def clocked(model: Any) -> None:
    """Count the time of a model's forward calls, whoever makes them."""
    forward = model.forward

    @functools.wraps(forward)
    def timed(*arguments: Any, **named: Any) -> Any:
        begun = time.thread_time()
        out = forward(*arguments, **named)
        IN_MODELS[0] += time.thread_time() - begun
        return out

    model.forward = timed


for model in MODELS.values():
    clocked(model)
TEXT = (byte_models.TEXT.parent / "held-back.txt").read_bytes()
COUNT = int(goal.options["prompts"])
PLACES = np.random.default_rng(goal.seed).integers(0, len(TEXT) - PROMPT, EIGHT)
PROMPTS = [np.frombuffer(TEXT[at : at + PROMPT], np.uint8).astype(np.int64) for at in PLACES.tolist()]


class Theirs:
    """generate() of transformers, one prompt after the other."""

    def __init__(self, mode: str, **more: Any) -> None:
        self.mode, self.more = mode, more

    def __call__(self, prompts: list[Any]) -> tuple[list[Any], int]:
        """The texts, and how often the target ran."""
        texts, steps = [], 0
        law = {"do_sample": False} if self.mode == "greedy" else {"do_sample": True, "temperature": 1.0, "top_k": 0}
        torch.manual_seed(goal.seed)
        target = MODELS["target"]
        before = target.forward

        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            return before(*arguments, **named)

        target.forward = functools.wraps(before)(counted)
        try:
            for prompt in prompts:
                ids = torch.from_numpy(prompt)[None]
                seen = torch.ones_like(ids)
                out = target.generate(ids, attention_mask=seen, max_new_tokens=NEW, pad_token_id=0, **law, **self.more)
                texts.append(out[0, PROMPT:].numpy())
        finally:
            target.forward = before
        return texts, steps


class Ours:
    """An engine that goes on from call to call, so that its planner knows the models."""

    def __init__(self, mode: str, drafts: tuple[str, ...], *, at_once: int = 1, gamma: int | None = None) -> None:
        def slots(name: str) -> HFModel:
            return HFModel(MODELS[name], slots=at_once, length=LENGTH)

        target: Any = slots("target")
        if goal.planted:
            sound = target
            target = lambda slots, begin, ids, keep: sound(slots, begin + (begin > PROMPT + 4), ids, keep)  # noqa: E731
        made = [LookupDraft(LEAST) if name == "lookup" else CachedDraft(slots(name)) for name in drafts]
        planned: dict[str, Any] = {"latency": [CURVES[name] for name in drafts], "alpha": 0.7}
        if gamma is not None or not made:
            planned = {"gamma": gamma or 0}
        self.greedy = mode == "greedy"
        self.engine = Engine(
            CachedTarget(target),
            made,
            vocab=256,
            rule="greedy" if self.greedy else "block",
            seed=goal.seed,
            max_running=at_once,
            max_length=LENGTH,
            max_gamma=8,
            share_prefixes=False,
            threads=1,
            **planned,
        )

    def __call__(self, prompts: list[Any]) -> tuple[list[Any], int]:
        """The texts, and how many steps there were."""
        steps = self.engine.stats()["steps"]
        law = {"temperature": 0.0} if self.greedy else {}
        handles = [self.engine.submit(prompt, max_new=NEW, **law) for prompt in prompts]
        self.engine.run()
        found = [self.engine.take(handle) for handle in handles]
        wrong = next((result.error for result in found if result.error), None)
        if wrong:
            sys.exit(f"a request failed: {wrong}")
        return [result.tokens.astype(np.int64) for result in found], self.engine.stats()["steps"] - steps


def took(run: Any, prompts: list[Any]) -> tuple[float, float, list[Any]]:
    """Seconds of a run, milliseconds a step outside of the models, and the texts."""
    begun, inside = time.thread_time(), IN_MODELS[0]
    texts, steps = run(prompts)
    seconds = time.thread_time() - begun
    return seconds, 1e3 * (seconds - IN_MODELS[0] + inside) / steps, texts


def raced(runs: dict[str, Any], prompts: list[Any]) -> dict[str, tuple[float, float, list[Any]]]:
    """The best seconds and milliseconds of each of some runs, which take turns; the first turn is not counted."""
    best: dict[str, tuple[float, float, list[Any]]] = {}
    for turn in range(int(goal.options["rounds"]) + 1):
        for name, run in runs.items():
            seconds, host, texts = took(run, prompts)
            if turn:
                old = best.get(name, (np.inf, np.inf, texts))
                best[name] = (min(old[0], seconds), min(old[1], host), texts)
    return best


def milliseconds(model: HFModel, width: int) -> float:
    """The least of some calls for so many ids behind a prompt."""
    slot, ids = np.zeros(1, np.int64), np.full((1, width), 32)
    model(slot, slot, PROMPTS[0][None], 1)
    found = []
    for _ in range(15):
        begun = time.thread_time()
        model(slot, np.array([PROMPT]), ids, width)
        found.append(time.thread_time() - begun)
    return 1e3 * min(found)


def curves() -> dict[str, LatencyCurve]:
    """What a step takes, measured: a line through one id and ``GAMMA + 1``, and a pass of each draft."""
    target = HFModel(MODELS["target"], slots=1, length=LENGTH)
    one, more = milliseconds(target, 1), milliseconds(target, GAMMA + 1)
    each = max(more - one, 0.0) / GAMMA
    found = {"lookup": LatencyCurve(0, 0.0, 0.001, weights_ms=0.0, compute_ms_per_token=each, overhead_ms=one - each)}
    for name in byte_models.DRAFTS:
        draft = milliseconds(HFModel(MODELS[name], slots=1, length=LENGTH), 1)
        found[name] = LatencyCurve(1, draft, 0.0, weights_ms=0.0, compute_ms_per_token=each, overhead_ms=one - each)
    print(f"target {one:.2f} ms, {GAMMA + 1} ids {more:.2f} ms", file=sys.stderr)
    return found


CURVES = curves()


def pairs(mode: str) -> list[str]:
    """The drafts whose rows in this mode are wanted."""
    wanted = goal.options["pairs"].split(",") if goal.options["pairs"] else []
    return [draft for draft in (*byte_models.DRAFTS, "lookup") if not wanted or f"{draft}/{mode}" in wanted]


def best_of_theirs(mode: str, draft: str) -> tuple[str, Theirs]:
    """Their fastest number of assistant tokens (or of a lookup) on one prompt: all once, then the faster half again."""
    tried: dict[str, Theirs] = {}
    for tokens in (2, 5, 10):
        if draft == "lookup":
            tried[str(tokens)] = Theirs(mode, prompt_lookup_num_tokens=tokens)
            continue
        for schedule in ("constant", "heuristic"):

            def run(prompts: list[Any], tokens: int = tokens, schedule: str = schedule) -> tuple[list[Any], int]:
                settings = MODELS[draft].generation_config
                settings.num_assistant_tokens, settings.num_assistant_tokens_schedule = tokens, schedule
                # A confidence below which it stops is their default; with 0 it never stops.
                settings.assistant_confidence_threshold = 0.0 if schedule == "constant" else 0.4
                return Theirs(mode, assistant_model=MODELS[draft])(prompts)

            tried[f"{tokens} {schedule}"] = run  # type: ignore[assignment]
    times = {name: took(run, PROMPTS[:1])[0] for name, run in tried.items()}
    for name in sorted(times, key=times.__getitem__)[: (len(times) + 1) // 2]:
        times[name] = min(times[name], took(tried[name], PROMPTS[:1])[0])
    name = min(times, key=times.__getitem__)
    return name, tried[name]


def host() -> None:
    """Rows of what a step costs outside of models."""
    runs: dict[str, Any] = {}
    for mode in MODES:
        for draft in pairs(mode):
            settings = MODELS[draft].generation_config if draft != "lookup" else None
            if settings is not None:
                settings.num_assistant_tokens, settings.num_assistant_tokens_schedule = GAMMA, "constant"
                settings.assistant_confidence_threshold = 0.0
            more = {"assistant_model": MODELS[draft]} if settings is not None else {"prompt_lookup_num_tokens": GAMMA}
            runs[f"{draft}/{mode}"] = Ours(mode, (draft,), gamma=GAMMA)
            runs[f"theirs {draft}/{mode}"] = Theirs(mode, **more)
    best = raced(runs, PROMPTS[:COUNT])
    for name in runs:
        if not name.startswith("theirs"):
            theirs = best[f"theirs {name}"][1]
            what = f"a step with {GAMMA} drafts of {name}: outside of the models (theirs {theirs:.2f} ms)"
            goal.row(f"host/{name}", what, "<= 0.15", best[name][1], "ms")
            goal.row(f"host/{name}/theirs", f"{what}: theirs over ours", ">= 12.7", theirs / best[name][1], "times")
    idle()


class Scores(NamedTuple):
    """What a model returns."""

    logits: Any


def idle() -> None:
    """Rows of what a step costs outside of models that do nothing."""
    scores = torch.randn(1, GAMMA + PROMPT, 256, generator=torch.Generator().manual_seed(goal.seed))
    forward = {name: model.forward for name, model in MODELS.items()}
    for model in MODELS.values():

        def nothing(input_ids: Any = None, logits_to_keep: int = 0, **_: Any) -> Scores:
            return Scores(scores[:, : logits_to_keep or input_ids.shape[1]])

        model.forward = nothing
    try:
        for mode in MODES:
            best = raced({"idle": Ours(mode, (byte_models.DRAFTS[0],), gamma=GAMMA)}, PROMPTS[:COUNT])
            what = f"a step with {GAMMA} drafts of a model, {mode}, where models do nothing"
            goal.row(f"host/idle/{mode}", what, "<= 0.15", best["idle"][1], "ms")
    finally:
        for name, model in MODELS.items():
            model.forward = forward[name]


def speed() -> None:
    """Rows of ids a second, and of texts."""
    for mode in MODES:
        some = pairs(mode)
        theirs = {draft: best_of_theirs(mode, draft) for draft in some}
        if some and (goal.planted or any(goal.wants(part) for part in ("plain", "assisted", "same"))):
            one(mode, theirs)
        for draft in some if goal.wants("eight") else ():
            eight(mode, draft, theirs[draft][1])


def one(mode: str, theirs: dict[str, tuple[str, Theirs]]) -> None:
    """Rows of one request at a time."""
    runs: dict[str, Any] = {"generate": Theirs(mode), "engine": Ours(mode, ())}
    for draft in theirs:
        runs[f"ours {draft}"] = Ours(mode, ("lookup",) if draft == "lookup" else ("lookup", draft))
        runs[f"theirs {draft}"] = theirs[draft][1]
    best = raced(runs, PROMPTS[:COUNT])
    ids = COUNT * NEW
    for name, (seconds, outside, _) in best.items():
        print(f"{mode} {name}: {ids / seconds:.1f} ids/s, {outside:.3f} ms outside", file=sys.stderr)
    plain, own = best["generate"][0], best["engine"][0]
    if goal.wants("plain"):
        for draft in theirs:
            seconds = best[f"ours {draft}"][0]
            what = f"{mode}, planner with lookup and {draft}: ids a second over"
            goal.row(f"plain/{draft}/{mode}", f"{what} generate()", ">= 1", plain / seconds, "x")
            goal.row(f"plain/{draft}/{mode}/own", f"{what} our engine without drafts", ">= 0.98", own / seconds, "x")
    if goal.wants("assisted"):
        for draft in theirs:
            ratio = best[f"theirs {draft}"][0] / best[f"ours {draft}"][0]
            what = f"{mode}, batch 1: ids a second over theirs with {draft}, {theirs[draft][0]} tokens "
            what += f"({plain / best[f'theirs {draft}'][0]:.2f}x of plain)"
            goal.row(f"assisted/{draft}/{mode}", what, ">= 1.1", ratio, "x")
    if mode == "greedy" and goal.wants("same"):
        for name in best:
            if name != "generate":
                compare(name, best[name][2], best["generate"][2])


def eight(mode: str, draft: str, theirs: Theirs) -> None:
    """Rows of eight requests at once."""
    drafts = ("lookup",) if draft == "lookup" else ("lookup", draft)
    best = raced({"ours": Ours(mode, drafts, at_once=EIGHT), "theirs": theirs}, PROMPTS)
    what = f"{mode}, eight requests: ids a second over theirs with {draft}, one after the other"
    goal.row(f"eight/{draft}/{mode}", what, ">= 2", best["theirs"][0] / best["ours"][0], "x")
    if mode == "greedy" and goal.wants("same"):
        compare(f"eight {draft}", best["ours"][2], Theirs(mode)(PROMPTS)[0])


@torch.inference_mode()
def compare(name: str, found: list[Any], wanted: list[Any]) -> None:
    """The row of texts that differ, but for ties."""
    wrong = 0
    for which, (mine, plain) in enumerate(zip(found, wanted, strict=True)):
        if np.array_equal(mine, plain):
            continue
        at = int(np.flatnonzero(mine != plain)[0])
        before = torch.from_numpy(np.concatenate([PROMPTS[which], plain[:at]]))[None]
        top = MODELS["target"](input_ids=before).logits[0, -1].topk(2).values
        gap = float(top[0] - top[1])
        print(f"{name}: prompt {which} differs at {at}, where the two best are {gap:.2e} apart", file=sys.stderr)
        wrong += gap >= 1e-3
    goal.row(f"same/{name}", f"greedy, {name}: texts that differ from plain ones where there is no tie", "== 0", wrong)


if goal.wants("host") and not goal.planted:
    host()
if goal.planted or any(goal.wants(part) for part in ("plain", "assisted", "eight", "same")):
    speed()
goal.end()
