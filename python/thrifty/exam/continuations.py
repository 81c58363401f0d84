"""Exams that any language model can take: which of several continuations of a passage is the real one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import DatasetError, ModelError
from thrifty.exam.graded import Graded, GradedAnswer
from thrifty.exam.question import Dataset, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Continuation", "ContinuationExam", "continuations"]

LETTERS = "ABCDEFGHIJ"
#: Questions of a cluster at most.
TOGETHER = 8
#: Places beside its own that a passage is looked for.
NEAR = 200
PROMPT = "Here is a passage of a book:\n\n{context} ...\n\nWhich is how it goes on?\n\nAnswer Choices:\n{choices}"


@dataclass(frozen=True, slots=True)
class Continuation:
    """A passage, and how it may go on.

    Attributes
    ----------
    id : str
    book : str
        Where the passage and all options are from.
    context : str
    options : tuple of str
        As long as each other in characters, each with the blank that parts it from the context.
    answer : int
        Which option is the real one.
    cluster : str
        Equal for neighbours in a book that share text; of long chains of such, eight at a time.
    """

    id: str
    book: str
    context: str
    options: tuple[str, ...]
    answer: int
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class ContinuationExam:
    """Questions made of a text; iterable, with a length. See :func:`continuations`."""

    items: tuple[Continuation, ...]

    def __iter__(self) -> Any:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def dataset(self) -> Dataset:
        """The same exam as multiple-choice questions in words, for models that are asked."""
        return Dataset(tuple(_asked(item, line) for line, item in enumerate(self.items, 1)), source="continuations")

    def grade(
        self,
        log_likelihoods: Callable[[Sequence[tuple[str, str]]], ArrayLike],
        *,
        against: int = 4,
        name: str = "model",
    ) -> Graded:
        """Let a model choose the option that its passage makes likelier than other passages do.

        The plain likelihood mostly tells which option is the commonest text; what a passage adds to it is the logarithm
        of its likelihood there less the mean of that behind other passages of the exam (pointwise mutual information,
        Holtzman et al. 2021, arXiv 2104.08315).

        Parameters
        ----------
        log_likelihoods : callable
            Takes (context, continuation) pairs; returns float64[pairs], the natural logarithm of the probability of
            each continuation behind its context.
        against : int
            How many other passages; with 0 the likeliest option is chosen.
        name : str
            Of the model.

        Returns
        -------
        Graded
            The confidence is the chosen option's share of the (relative) likelihoods of all options: what the model
            makes of them when each was as likely before.

        Raises
        ------
        ModelError
            When the callable returns another number of values, or what is no logarithm of a probability.
        """
        n = len(self.items)
        if not 0 <= against < n:
            raise ValueError(f"against: 0 to {n - 1} other passages are needed, got {against}")
        table = self._likelihoods(log_likelihoods, 0, name)
        for k in range(1, against + 1):
            table = table - self._likelihoods(log_likelihoods, k * n // (against + 1), name) / against
        chosen = table.argmax(1)
        confidence = 1 / np.exp(table - table.max(1, keepdims=True)).sum(1)
        answers = tuple(
            GradedAnswer(
                item.id,
                0,
                bool(pick == item.answer),
                float(share),
                rule="likeliest",
                category=item.book,
                cluster=item.cluster,
                response=LETTERS[pick],
            )
            for item, pick, share in zip(self.items, chosen.tolist(), confidence, strict=True)
        )
        provenance = {
            "model": name,
            "prompt_id": f"likeliest-continuation-{against}",
            "dataset_sha256": self.dataset.sha256,
        }
        return Graded(answers, name, provenance)

    def _likelihoods(
        self, log_likelihoods: Callable[[Sequence[tuple[str, str]]], ArrayLike], shift: int, name: str
    ) -> NDArray[np.float64]:
        """Of each item's options behind the passage so many items on, float64[items, options]."""
        n = len(self.items)
        contexts = [self.items[(i + shift) % n].context for i in range(n)]
        pairs = [(c, option) for c, item in zip(contexts, self.items, strict=True) for option in item.options]
        values: NDArray[np.float64] = np.asarray(log_likelihoods(pairs), np.float64)
        if values.shape != (len(pairs),):
            raise ModelError(f"{name}: {len(pairs)} log-likelihoods are needed, it returned shape {values.shape}")
        if not (values <= 0).all() or not np.isfinite(values).all():
            bad = int(np.flatnonzero(~(np.isfinite(values) & (values <= 0)))[0])
            raise ModelError(f"{name}: the log-likelihood of continuation {bad} is {values[bad]}")
        return values.reshape(n, -1)


def _asked(item: Continuation, line: int) -> Question:
    choices = "\n".join(f"{letter}. ...{option}" for letter, option in zip(LETTERS, item.options, strict=False))
    text = PROMPT.format(context=item.context, choices=choices)
    return Question(item.id, text, LETTERS[item.answer], "multipleChoice", category=item.book, line=line)


def continuations(
    text: str | Mapping[str, str],
    n: int,
    options: int = 4,
    *,
    context: int = 160,
    length: tuple[int, int] = (40, 64),
    same_word: bool = False,
    seed: int = 0,
) -> ContinuationExam:
    """Make an exam of a text that models have not seen.

    Passages are spread over the text. The wrong options are from elsewhere in the same book, between words as the real
    one is, as long in characters, and begin with a capital where it does: length, place and cut tell nothing. Each
    place among the options is right as often as any other, to one question.

    Parameters
    ----------
    text : str, or mapping of str to str
        Held back from the models. A mapping has books by name, which get questions by their length.
    n : int
        Questions.
    options : int
        2 to 10.
    context : int
        Characters of a passage.
    length : (int, int)
        Least and most characters of an option.
    same_word : bool
        All options of a question begin with the same word: who looks at one word before and one behind can only guess.
    seed : int
        Key of everything random.

    Raises
    ------
    DatasetError
        When the text is too short for so many.

    Examples
    --------
    >>> from thrifty.exam import continuations
    >>> text = " ".join(f"Word {i} of a long {'tale' if i % 3 else 'song'} goes on." for i in range(400))
    >>> exam = continuations(text, 20)
    >>> item = exam.items[0]
    >>> len(item.options), len({len(option) for option in item.options})
    (4, 1)
    >>> truth = exam.grade(lambda pairs: [-1.0 if a + b in text else -9.0 for a, b in pairs])
    >>> bool(truth.correct.all())
    True
    """
    if n < 1 or not 2 <= options <= len(LETTERS):
        raise ValueError(f"n, options: at least 1 question of 2 to {len(LETTERS)} options, got {n} and {options}")
    if not 1 <= length[0] <= length[1] or context < 1:
        raise ValueError(f"context, length: positive, the least before the most, got {context} and {length}")
    books = {name: " ".join(book.split()) for name, book in _books(text).items()}
    shares = _shares({name: len(book) for name, book in books.items()}, n)
    places = _answers(n, options, seed)
    items: list[Continuation] = []
    for name, book in books.items():
        cut = _Book(name, book, context, length, same_word)
        own = []
        for i in range(shares[name]):
            number = len(items) + i
            rng = np.random.Generator(np.random.Philox(key=[seed, number]))
            own.append(cut.item(i, shares[name], options, places[number], rng))
        items += _clustered(own)
    return ContinuationExam(tuple(items))


def _clustered(items: list[tuple[int, Continuation]]) -> list[Continuation]:
    """Put neighbours that share text into clusters: chains of them, cut where they are long."""
    clusters: dict[int, str] = {}
    end, size, cluster = -1, 0, ""
    for start, item in sorted(items, key=lambda one: one[0]):
        if start - len(item.context) >= end or size == TOGETHER:
            size, cluster = 0, item.id
        end, size = max(end, start + len(item.options[0])), size + 1
        clusters[start] = cluster
    return [replace(item, cluster=clusters[start]) for start, item in items]


def _books(text: str | Mapping[str, str]) -> Mapping[str, str]:
    if isinstance(text, str):
        return {"text": text}
    if isinstance(text, Mapping) and all(isinstance(book, str) for book in text.values()):
        return text
    raise TypeError("text: a str, or a mapping of names to str is needed")


def _shares(sizes: dict[str, int], n: int) -> dict[str, int]:
    """Questions of each book by its length; the largest remainders get what is left."""
    total = sum(sizes.values())
    if not total:
        raise DatasetError("text: is empty")
    exact = {name: n * size / total for name, size in sizes.items()}
    out = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: out[name] - exact[name])[: n - sum(out.values())]:
        out[name] += 1
    return out


def _answers(n: int, options: int, seed: int) -> list[int]:
    rng = np.random.Generator(np.random.Philox(key=[seed, 2**63]))
    return [int(a) for a in rng.permutation(np.arange(n) % options)]


class _Book:
    """Where a text may be cut."""

    def __init__(self, name: str, text: str, context: int, length: tuple[int, int], same_word: bool) -> None:
        self.name, self.text, self.context, self.length = name, text, context, length
        letters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        blank = letters == ord(" ")
        #: At a blank an option may begin or end; it ends before the blank, or with the text.
        self.blanks = np.flatnonzero(blank)
        self.ends = np.append(blank, True)
        self.used: set[int] = set()
        begins = (
            (word if same_word else word[:1].isupper())
            for word in (text[at + 1 : self._word_end(at + 1)] for at in self.blanks.tolist())
        )
        kinds: dict[str | bool, int] = {}
        #: What begins behind each blank; options of a question are of one kind.
        self.kind = np.array([kinds.setdefault(begin, len(kinds)) for begin in begins], np.int64)

    def _word_end(self, at: int) -> int:
        end = self.text.find(" ", at)
        return len(self.text) if end < 0 else end

    def item(self, i: int, of: int, options: int, answer: int, rng: np.random.Generator) -> tuple[int, Continuation]:
        """Make one of so many questions, and say where its right option begins."""
        first, last = self.context, len(self.text) - self.length[1]
        low, high = len(self.text) * i // of, len(self.text) * (i + 1) // of
        if high - low >= self.context + self.length[1]:
            # Wide enough for all of a question: it then shares no text with its neighbours.
            low, high = low + self.context, high - self.length[1] + 1
        inside = (self.blanks >= low) & (self.blanks < high)
        fits = (self.blanks >= first) & (self.blanks <= last)
        near = self.blanks[~inside & fits]
        near = near[np.argsort(np.abs(near - low), kind="stable")]
        if last <= first:
            raise DatasetError(f"{self.name}: too short for a passage of {self.context} characters and what follows")
        for start in [*rng.permutation(self.blanks[inside & fits]).tolist(), *near[:NEAR].tolist()]:
            if start in self.used:
                continue
            ends = start + np.flatnonzero(self.ends[start + self.length[0] : start + self.length[1] + 1])
            if not len(ends):
                continue
            size = int(ends[-1]) + self.length[0] - start
            wrong = self._wrong(start, size, options - 1, rng)
            if wrong is not None:
                self.used.add(start)
                return start, self._made(i, start, size, wrong, answer)
        raise DatasetError(
            f"{self.name}: too short for {of} questions: around character {low} no place is left that has "
            f"{options - 1} others of its kind"
        )

    def _wrong(self, start: int, size: int, count: int, rng: np.random.Generator) -> list[str] | None:
        """Options from elsewhere that look as the real one does; None where there are not enough."""
        kind = self.kind[np.searchsorted(self.blanks, start)]
        away = np.abs(self.blanks - start) > self.context + self.length[1]
        inside = self.blanks + size <= len(self.text)
        fits = self.blanks[away & inside & (self.kind == kind)]
        fits = fits[self.ends[fits + size]]
        real = self.text[start : start + size]
        found: dict[str, None] = {}
        for at in rng.permutation(fits).tolist():
            option = self.text[at : at + size]
            if option != real:
                found[option] = None
            if len(found) == count:
                return list(found)
        return None

    def _made(self, i: int, start: int, size: int, wrong: list[str], answer: int) -> Continuation:
        real = self.text[start : start + size]
        begin = self.text.rfind(" ", 0, max(start - self.context, 0) + 1) + 1
        text = self.text[begin:start]
        digest = hashlib.sha256(f"{self.name}\n{text}\n{real}".encode()).hexdigest()[:12]
        every = (*wrong[:answer], real, *wrong[answer:])
        return Continuation(f"{self.name}-{i}-{digest}", self.name, text, every, answer)
