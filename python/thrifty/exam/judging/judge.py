"""A model that judges: checked before it is heard, asked until it replies in form, never believed otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from thrifty.errors import ModelError
from thrifty.exam.asking.awaited import awaited
from thrifty.exam.asking.endpoint import Connection, Endpoint
from thrifty.exam.asking.function import Function
from thrifty.exam.judging.canaries import CANARIES
from thrifty.exam.judging.fence import PROMPT_ID, key, messages, prompt_sha256
from thrifty.exam.judging.judgement import SCHEMA, Judgement, read_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thrifty.exam.asking.ask import Outcome
    from thrifty.exam.judging.kept import Kept

__all__ = ["Asked", "Judge"]


class Asked(NamedTuple):
    """What a judge is asked about."""

    question: str
    gold: str
    response: str


class Judge:
    """A model that tells whether responses mean the same as the key.

    ``used`` counts what it took so far: ``requests``, ``prompt_tokens`` and ``completion_tokens``, the latter two None
    as long as no reply told them.

    Parameters
    ----------
    model : Endpoint or callable
        As :func:`thrifty.exam.run` takes it. It is asked for JSON of a schema by ``response_format``.
    name : str, optional
        Of a function; else the one it has.
    concurrency : int
        Requests at once.
    timeout : float
        Seconds that a reply may take.
    retries : int
        Further requests where an endpoint fails.
    attempts : int
        Requests at most until a reply is in form.
    schema : bool
        False for endpoints that know no ``response_format``; replies are read as strictly.

    Raises
    ------
    ValueError
        For numbers that can't be.

    Examples
    --------
    >>> from thrifty.exam.judging import Judge
    >>> def strict(messages):
    ...     return '{"extracted_final_answer": "8", "reasoning": "", "correct": "no", "confidence": null}'
    >>> judge = Judge(strict)
    >>> judge.check()
    >>> judge.ask([("How many legs has a spider?", "8", "Six")])[0].correct
    False
    """

    def __init__(
        self,
        model: Endpoint | Callable[[list[dict[str, Any]]], Any],
        *,
        name: str | None = None,
        concurrency: int = 8,
        timeout: float = 300.0,
        retries: int = 4,
        attempts: int = 3,
        schema: bool = True,
    ) -> None:
        for what, value in (("concurrency", concurrency), ("attempts", attempts)):
            if not 1 <= value <= 1_000:
                raise ValueError(f"{what}: {value}; 1 to 1,000")
        if isinstance(model, Endpoint):
            self.name: str = model.model
            self.where = model.address
            model = replace(model, extra={"response_format": SCHEMA, **model.extra}) if schema else model
        else:
            self.name = name or str(getattr(model, "__qualname__", type(model).__qualname__))
            self.where = "the judge"
        self.model, self.concurrency, self.timeout = model, concurrency, timeout
        self.retries, self.attempts = retries, attempts
        self.used: dict[str, int | None] = {"requests": 0, "prompt_tokens": None, "completion_tokens": None}

    @property
    def identity(self) -> dict[str, str]:
        """What tells its judgements from another's: ``model``, ``endpoint``, ``prompt_id`` and ``prompt_sha256``."""
        where = self.where if isinstance(self.model, Endpoint) else ""
        return {"model": self.name, "endpoint": where, "prompt_id": PROMPT_ID, "prompt_sha256": prompt_sha256()}

    def check(self) -> None:
        """Ask about wrong responses that try to be called right.

        Raises
        ------
        ModelError
            Where it does not call each of them wrong, in form: such a judge is unfit.
        EndpointError
            Where it does not answer.
        """
        said = self.ask([Asked(canary.question, canary.gold, canary.response) for canary in CANARIES])
        pairs = list(zip(CANARIES, said, strict=True))
        obeyed = [canary.name for canary, judgement in pairs if judgement.correct]
        mute = [(canary.name, judgement.why) for canary, judgement in pairs if judgement.correct is None]
        if obeyed:
            why = f"it called {len(obeyed)} of {len(pairs)} wrong responses right that only ask for it"
            why += f" (one that {obeyed[0]})"
        elif mute:
            why = f"it gave no verdict in form on {len(mute)} of {len(pairs)} responses that are wrong"
            why += f" (on one that {mute[0][0]}: {mute[0][1]})"
        else:
            return
        raise ModelError(f"{self.where}: {self.name} is unfit to judge: {why}; nothing was graded, use another model")

    def ask(
        self,
        items: Sequence[tuple[str, str, str]],
        *,
        kept: Kept | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> list[Judgement]:
        """Ask about responses, each with its question and key, and return a judgement for each, in order.

        Parameters
        ----------
        items : sequence of (question, gold, response)
        kept : Kept, optional
            What was said before, which is not asked again, and is added to.
        progress : callable, optional
            Hears how many are done, and of how many.

        Raises
        ------
        EndpointError
            Where nothing is answered any more.
        """
        keys = [key(*item, f"{self.where} {self.name}") for item in items]
        said = {} if kept is None else {one: before for one in keys if (before := kept.get(one)) is not None}
        # The same response to the same question, in another repeat, is asked about once.
        open_ = {one: item for one, item in zip(keys, items, strict=True) if one not in said}
        total = len(said) + len(open_)

        def judged(one: str, judgement: Judgement) -> None:
            said[one] = judgement
            if kept is not None:
                kept.add(one, judgement)
            if progress is not None:
                progress(len(said), total)

        if open_:
            awaited(self._rounds(open_, judged))
        return [said[one] for one in keys]

    def _connection(self) -> Connection | Function:
        if isinstance(self.model, Endpoint):
            return Connection(self.model, self.timeout)
        return Function(self.model, self.concurrency, self.timeout)

    async def _rounds(self, items: dict[str, tuple[str, str, str]], judged: Callable[[str, Judgement], None]) -> None:
        from thrifty.exam.asking.ask import Asker

        open_ = items
        async with self._connection() as connection:
            for attempt in range(1, self.attempts + 1):
                again: dict[str, tuple[str, str, str]] = {}

                def done(one: str, outcome: Outcome, attempt: int = attempt, again: dict[str, Any] = again) -> None:
                    self._count(outcome)
                    judgement, useless = _read(outcome)
                    if useless and attempt < self.attempts:
                        again[one] = items[one]
                    else:
                        judged(one, replace(judgement, attempts=attempt))

                asker = Asker(connection, concurrency=self.concurrency, retries=self.retries, where=self.where)
                await asker.run(((one, messages(*item)) for one, item in open_.items()), done)
                open_ = again
                if not open_:
                    return

    def _count(self, outcome: Outcome) -> None:
        self.used["requests"] = (self.used["requests"] or 0) + outcome.attempts
        for name in ("prompt_tokens", "completion_tokens"):
            count = getattr(outcome.reply, name, None)
            if count is not None:
                self.used[name] = (self.used[name] or 0) + count


def _read(outcome: Outcome) -> tuple[Judgement, bool]:
    if outcome.reply is None:
        return Judgement(None, why=f"no reply, {outcome.error}"), False
    return read_reply(outcome.reply.text)
