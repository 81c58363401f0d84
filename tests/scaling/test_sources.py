"""Sources of known entropy: beside sums over all short texts, and beside what long texts show."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from thrifty.scaling.sources import Grammar, Markov, Mixture

Source = Markov | Grammar | Mixture


def plugged_in(text: NDArray[np.uint8], source: Source, order: int) -> float:
    """Entropy of a symbol behind so many before it, by counts, a little low where these are few."""
    size = source.symbols ** (order + 1)
    places = sum(
        text[i : len(text) - order + i].astype(np.int64) * source.symbols ** (order - i) for i in range(order + 1)
    )
    counts = np.bincount(places, minlength=size).reshape(-1, source.symbols).astype(np.float64)
    rows = counts.sum(1, keepdims=True)
    return float(-(counts * np.log(np.maximum(counts, 1) / np.maximum(rows, 1))).sum() / counts.sum())


def test_a_chain_is_the_sum_over_all_texts() -> None:
    """The entropy of n symbols grows by the rate with each."""
    source = Markov(3, 2, seed=4)
    assert source.stationary().sum() == pytest.approx(1)

    def whole(n: int) -> float:
        total = 0.0
        for text in itertools.product(range(3), repeat=n):
            chance = source.stationary()[text[0] * 3 + text[1]]
            for i in range(2, n):
                chance *= source.table[text[i - 2] * 3 + text[i - 1], text[i]]
            total -= chance * np.log(chance)
        return total

    assert whole(6) - whole(5) == pytest.approx(source.entropy().rate, abs=1e-9)
    assert source.entropy().error == 0


def test_a_grammar_is_the_sum_over_all_sentences() -> None:
    """Sentences by their chances, the shortest first; no two derivations give one sentence."""
    source = Grammar(5, 2, 3, growth=0.35, opening=1, seed=3)
    sentences: dict[tuple[int, ...], float] = {}
    todo = [((), tuple(source.opening), 1.0)]
    mass = length = entropy = 0.0
    while todo:
        said, parts, chance = todo.pop()
        if not parts:
            assert said not in sentences
            sentences[said] = chance
            mass, length = mass + chance, length + chance * (len(said) + 1)
            entropy -= chance * np.log(chance)
            continue
        if chance < 1e-9:
            continue
        part, *rest = parts
        for rule, share in enumerate(source.chance[part]):
            follow = source.next[part, rule, : source.follow[part, rule]]
            todo.append(((*said, int(source.emits[part, rule])), (*follow.tolist(), *rest), chance * share))
    assert mass == pytest.approx(1, abs=1e-4)
    assert entropy / length == pytest.approx(source.entropy().rate, rel=1e-3)
    # And those are the sentences that are drawn.
    text = source.draw(200_000, seed=1)
    drawn = [tuple(one.tolist()) for one in np.split(text, np.flatnonzero(text == 0))[1:-1]]
    common = max(sentences, key=lambda sentence: sentences[sentence])
    share = sum(one[1:] == common for one in drawn) / len(drawn)
    assert share == pytest.approx(sentences[common], abs=0.01)


def test_a_mixture_is_the_sum_over_all_documents() -> None:
    source = Mixture(3, length=2.5, share=0.3, seed=6)
    mass = length = entropy = 0.0
    for n in range(1, 13):
        for symbols in itertools.product(range(1, 3), repeat=n - 1):
            chances = []
            for table in source.tables:
                chance, context = 1.0, 0
                for symbol in (*symbols, 0):
                    chance *= table[context, symbol]
                    context = context % 3 * 3 + symbol
                chances.append(chance)
            chance = 0.3 * chances[0] + 0.7 * chances[1]
            mass, length = mass + chance, length + chance * n
            entropy -= chance * np.log(chance)
    assert mass == pytest.approx(1, abs=5e-3)
    found = source.entropy()
    assert found.rate == pytest.approx(entropy / length, rel=0.02)
    assert 0 < found.error < 1e-3


@pytest.mark.parametrize("source", [Markov(4, 2, seed=1), Grammar(6, 3, 3, growth=0.4, seed=1), Mixture(4, seed=1)])
def test_texts_are_of_that_entropy(source: Source) -> None:
    """A text's conditional entropies fall towards the rate as more symbols before are looked at."""
    text = source.draw(400_000, seed=2)
    rate = source.entropy().rate
    found = [plugged_in(text, source, order) for order in range(6)]
    assert (np.diff(found) < 1e-3).all()
    assert found[-1] > 0.97 * rate
    assert found[-1] < 1.25 * rate
    if isinstance(source, Markov):
        assert found[2] == pytest.approx(rate, rel=0.01)


def test_draws_are_seeded() -> None:
    for source in (Markov(4, 2, seed=1), Grammar(6, 3, 3, seed=1), Mixture(4, seed=1)):
        text = source.draw(5_000, seed=3)
        assert len(text) == 5_000
        assert text.max() < source.symbols
        assert (text == source.draw(5_000, seed=3)).all()
        assert (text != source.draw(5_000, seed=4)).any()


def test_what_sources_refuse() -> None:
    with pytest.raises(ValueError, match="growth: 1 is not"):
        Grammar(growth=1)
    with pytest.raises(ValueError, match="rules: 40 of a part"):
        Grammar(rules=40)
    with pytest.raises(ValueError, match="length, share"):
        Mixture(share=1)
    with pytest.raises(ValueError, match="n: 0 symbols"):
        Markov(2, 1).draw(0, seed=1)
