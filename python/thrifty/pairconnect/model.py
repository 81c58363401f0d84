"""PairLM: a language model that looks up instead of attending, and needs no torch."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty import _core
from thrifty._torch import to_numpy
from thrifty.errors import FormatError
from thrifty.pairconnect.bpe import ByteBPE
from thrifty.pairconnect.draft import PairDraft
from thrifty.pairconnect.spec import PairSpec
from thrifty.pairconnect.text import Bytes, Encoding, Tokenizer
from thrifty.pairconnect.windows import encoded, joined, scored, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], object]

__all__ = ["PairLM"]


class PairLM:
    """A language model whose layers look up pairs (arXiv 2106.08235; keys with offsets, and windows, are ours).

    A layer is that of a decoder with RMS norms and gated units, and a pair table in the place of attention. A position
    needs nothing of those before it but their ids. Its scores are the same bits whatever is computed beside it.

    Examples
    --------
    >>> from thrifty.pairconnect import PairLM
    >>> model = PairLM.load(path)  # doctest: +SKIP
    >>> model.text(model.generate(model.ids("It was a "), 20, seed=1))  # doctest: +SKIP
    """

    def __init__(self, core: _core.PairLm, name: str = "model") -> None:
        self._core = core
        spec = json.loads(core.spec)
        self.vocab: int = spec["vocab"]
        self.dim: int = spec["dim"]
        self.hidden: int = spec["hidden"]
        self.tables = [PairSpec.from_json(json.dumps(table)) for table in spec["layers"]]
        self.training, self._tokenizer = _of_note(core.note or "{}", name)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        precision: Literal["f32", "bf16", "i8"] = "f32",
        progress: Progress | None = None,
    ) -> PairLM:
        """Open a file.

        Parameters
        ----------
        path : path
            What ``thrifty pairconnect train`` wrote.
        precision : str
            What dense weights are rounded to, ``"f32"``, ``"bf16"`` or ``"i8"`` with a factor a row. Tables are as the
            file has them, mapped.
        progress : callable, optional
            Called as ``progress(phase, done, total)``.

        Raises
        ------
        FormatError
            When it is not such a file, or damaged.
        MismatchError
            When its rows are those of another version of the hash.
        """
        model = cls(_core.PairLm.open(path, precision, progress), str(path))
        if not model._tokenizer and model.vocab > Bytes.vocab:
            raise FormatError(f"{path}: has {model.vocab} ids and no tokenizer")
        return model

    @property
    def encoding(self) -> Encoding:
        """How text becomes the model's ids; byte-level tokenizers need no package."""
        if not self._tokenizer:
            return Bytes()
        return Tokenizer(self._tokenizer) if find_spec("tokenizers") else ByteBPE(self._tokenizer)

    @property
    def nbytes(self) -> tuple[int, int]:
        """Bytes of dense weights, and of tables."""
        return self._core.nbytes

    @property
    def has_shortlist(self) -> bool:
        """Whether only the ids of a shortlist are scored where ids are drawn."""
        return bool(json.loads(self._core.spec).get("shortlist"))

    def with_shortlist(
        self,
        ids: Any,
        *,
        length: int = 64,
        rows: int = 65_536,
        seed: int = 0,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> PairLM:
        """Return the same model with a shortlist: for the last two ids, and for the last, those that likely follow.

        Where ids are drawn, only the union of two rows is scored, whatever the size of the vocabulary. What is
        sampled is the law of these scores, scaled to 1. :meth:`scores` and :meth:`evaluate` are of all ids as before.

        Parameters
        ----------
        ids : integer array of shape (tokens,)
            A text. What the model says at its positions makes the rows; contexts that it does not have get no row.
        length : int
            Ids of a row.
        rows : int
            Rows of pairs.
        seed : int
            Key of their hash.
        threads : int
            0 for all cores.
        progress : callable, optional
            Called as ``progress(phase, done, total)``.
        """
        spec = json.dumps({"rows": rows, "length": length, "seed": seed})
        return PairLM(self._core.with_shortlist(spec, self._checked(ids), threads, progress))

    def without_shortlist(self) -> PairLM:
        """Return the same model, which scores all ids."""
        return PairLM(self._core.without_shortlist())

    def save(self, path: str | PathLike[str], *, progress: Progress | None = None) -> None:
        """Write a file of the model, with the shortlist that it has; dense weights are those of its own file."""
        self._core.save(path, progress)

    def ids(self, text: str | bytes) -> NDArray[np.uint32]:
        """Return a text as ids."""
        return self.encoding.encode(text.encode() if isinstance(text, str) else text)[0]

    def text(self, ids: Any) -> str:
        """Return ids as a text."""
        return self.encoding.decode(ids)

    def drafter(self, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> PairDraft:
        """Return sequences that grow and shrink id by id; numbers as for :meth:`generate`."""
        return PairDraft(self, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)

    def scores(self, ids: Any, *, window: int | None = None, threads: int = 0) -> NDArray[np.float32]:
        """Return the scores of what follows each position.

        Parameters
        ----------
        ids : integer array of shape (tokens,) or (sequences, tokens)
            Below ``vocab``.
        window : int, optional
            The most ids, the position's own included, that a position sees; by default all of its sequence.
        threads : int
            0 for all cores. The result does not depend on it.

        Returns
        -------
        float32 array of shape (tokens, vocab) or (sequences, tokens, vocab)
        """
        given: NDArray[Any] = np.asarray(to_numpy(ids, "ids"))
        ids = self._checked(given.reshape(-1) if given.ndim == 2 else given)
        at = np.arange(1, len(ids) + 1)
        width = max(given.shape[-1], 1)
        begin = np.arange(len(ids)) // width * width
        if window is not None:
            begin = np.maximum(at - window, begin)
        return self._core.scores(ids, at, begin, threads).reshape(*given.shape, self.vocab)

    def losses(
        self, ids: Any, *, window: int = 64, stride: int = 32, threads: int = 0, progress: Progress | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return which ids are scored, and minus the logarithm of the probability of each.

        Windows of ``window`` ids begin every ``stride``; each says what follows its last ``stride`` positions.

        Parameters
        ----------
        ids : integer array of shape (tokens,)
        window, stride : int
            Ids of a window, and of them those whose successors are scored.
        threads : int
            0 for all cores.
        progress : callable, optional
            Called as ``progress(phase, done, total)``.

        Returns
        -------
        positions : int64 array
        losses : float32 array, natural logarithms
        """
        ids = self._checked(ids)
        starts, at = scored(len(ids), window, stride)
        begin = np.repeat(starts, stride)
        return at, self._core.losses(ids, at, begin, threads, progress)

    def log_likelihoods(
        self, pairs: Sequence[tuple[str, str]], *, threads: int = 0, progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """Return how likely texts are behind contexts.

        Parameters
        ----------
        pairs : sequence of (context, continuation)
            Encoded as one text, which a blank at the beginning of the continuation leaves parted where words are.
        threads : int
            0 for all cores.
        progress : callable, optional
            Called as ``progress(phase, done, total)``.

        Returns
        -------
        float64 array of shape (pairs,), natural logarithms of the continuation's probability

        Raises
        ------
        ValueError
            When a context or a continuation is empty.
        """
        text = joined(pairs, self.encoding)
        losses = self._core.losses(self._checked(text.ids), text.at, text.begin, threads, progress)
        sums: NDArray[np.float64] = np.bincount(text.of, losses.astype(np.float64), len(pairs)).astype(np.float64)
        return -sums

    def evaluate(
        self,
        text: bytes,
        *,
        window: int = 64,
        stride: int = 32,
        max_tokens: int | None = None,
        encoding: Encoding | None = None,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> dict[str, float]:
        """Return how well the model predicts a text.

        Parameters
        ----------
        text : bytes
        window, stride : int
            As for :meth:`losses`.
        max_tokens : int, optional
            Look at so many ids of the beginning only.
        encoding : Bytes, Tokenizer or ByteBPE, optional
            By default the model's own.
        threads : int
            0 for all cores.
        progress : callable, optional
            Called as ``progress(phase, done, total)``.

        Returns
        -------
        dict
            ``perplexity`` an id; ``bits_per_byte``; ``tokens``, how many ids were scored.

        Raises
        ------
        DatasetError
            When the text is shorter than a window.
        ModelError
            When the model's scores are no numbers, or its perplexity is beyond all.
        """
        ids, ends = encoded(text, encoding or self.encoding, window, max_tokens)
        at, losses = self.losses(ids, window=window, stride=stride, threads=threads, progress=progress)
        return summary(at, losses, ends)

    def generate(
        self,
        prompt: Any,
        tokens: int,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int = 0,
        window: int | None = None,
    ) -> NDArray[np.uint32]:
        """Return ids that follow a prompt.

        Parameters
        ----------
        prompt : integer array of shape (tokens,)
            At least one id.
        tokens : int
            How many to draw.
        temperature, top_k, top_p, min_p : numbers
            Scores are divided by the temperature (0 takes the best); then the ``top_k`` likeliest are kept (0 for all),
            the likeliest whose probabilities come to ``top_p``, and those at least ``min_p`` times as likely as the
            likeliest.
        seed : int
            The same seed draws the same ids.
        window : int, optional
            The most ids that a position sees; by default all.

        Returns
        -------
        uint32 array of shape (tokens,)

        Raises
        ------
        ModelError
            When the model's scores are no numbers.
        """
        prompt = self._checked(prompt)
        settings = (float(temperature), int(top_k), float(top_p), float(min_p))
        return self._core.generate(prompt, tokens, settings, seed, window or 0)

    def stream(self, prompt: Any, tokens: int, *, each: int = 16, **settings: Any) -> Iterator[NDArray[np.uint32]]:
        """Yield the ids of :meth:`generate` a few at a time."""
        ids = self._checked(prompt)
        begin = len(ids)
        while len(ids) < begin + tokens:
            more = self.generate(ids, min(each, begin + tokens - len(ids)), **settings)
            ids = np.concatenate([ids, more])
            yield more

    def _checked(self, given: Any) -> NDArray[Any]:
        ids: NDArray[Any] = np.ascontiguousarray(to_numpy(given, "ids"))
        if ids.ndim != 1:
            raise ValueError(f"ids: one dimension is needed, got shape {ids.shape}")
        return ids.astype(np.uint32) if ids.size == 0 else ids


def _of_note(note: str, name: str) -> tuple[dict[str, Any], str]:
    """Return how a model was trained, and its tokenizer."""
    try:
        found = json.loads(note)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: note: {error}") from None
    if isinstance(found, dict):
        training, tokenizer = found.get("training", {}), found.get("tokenizer", "")
        if isinstance(training, dict) and isinstance(tokenizer, str):
            return training, tokenizer
    raise FormatError(f"{name}: note: an object with 'training', an object, and 'tokenizer', a string, is needed")
