"""What a comparison or a study would cost, from the tokens of the candidates that were looked at and the catalogue's
prices.

Estimates: an answer that a fusor writes is taken to be as long as a candidate, a verdict to have a hundred tokens, and
a fusor's prompt to be the question's and all candidates (papers' formula: N (q + t) for the candidates and q + N t + f
for the fusion).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.recorded_lm import PREFIX

from ..plans.strategies import Strategy
from ..recordings.recording import RecordedCandidate, RecordedQuestion


def rates_of(questions: Sequence[RecordedQuestion], prices: Mapping[str, Price]) -> Rates:
    """The mean tokens of a candidate of each source.

    Args:
        questions: with their candidates.
        prices: by model.
    """
    candidates = [
        (question, candidate) for question in questions for candidate in question.candidates if not candidate.derived
    ]
    measured = any(candidate.tokens_out for _, candidate in candidates)
    prompt: dict[str, list[int]] = {}
    answer: dict[str, list[int]] = {}
    for question, candidate in candidates:
        if candidate.tokens_out or not measured:
            prompt.setdefault(candidate.source, []).append(
                (candidate.tokens_in or 0) if measured else _tokens(question.text)
            )
            answer.setdefault(candidate.source, []).append(
                (candidate.tokens_out or 0) if measured else _tokens(candidate.text or "")
            )
    return Rates(_means(prompt), _means(answer), prices, measured)


def spent_on(questions: Sequence[RecordedQuestion], prices: Mapping[str, Price]) -> Spending:
    """What the candidates took that were drawn now; what was replayed counts as when it was drawn."""
    return sum((_spent(c, prices) for q in questions for c in q.candidates), Spending())


def _spent(candidate: RecordedCandidate, prices: Mapping[str, Price]) -> Spending:
    tokens_in, tokens_out = candidate.tokens_in or 0, candidate.tokens_out or 0
    return Spending(1, tokens_in, tokens_out, prices.get(candidate.source, Price()).cost_usd(tokens_in, tokens_out))


def _means(counts: Mapping[str, list[int]]) -> dict[str, float]:
    return {source: float(np.mean(found)) for source, found in counts.items()}


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


VERDICT_TOKENS = 100
CHARACTERS_PER_TOKEN = 4
"""Where tokens were not reported; English text in common tokenizers."""


@dataclass(frozen=True)
class Spending:
    """Calls, tokens and US dollars."""

    calls: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    usd: float = 0.0

    def __add__(self, other: Spending) -> Spending:
        return Spending(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def times(self, factor: float) -> Spending:
        """So many times as much."""
        return Spending(*(factor * value for value in vars(self).values()))


@dataclass(frozen=True)
class Rates:
    """What one call takes."""

    prompt: Mapping[str, float]
    """Mean prompt tokens of a candidate, by model."""
    answer: Mapping[str, float]
    """Mean completion tokens of a candidate, by model."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """By model; a model that is not in it costs nothing."""
    measured: bool = True
    """Whether the tokens were reported, or estimated from the texts' lengths."""

    def draw(self, model: str) -> Spending:
        """One candidate of a model; nothing where it is recorded."""
        if model.startswith(PREFIX):
            return Spending()
        return self._call(model, _of(self.prompt, model), _of(self.answer, model))

    def write(self, model: str, shown: int) -> Spending:
        """One answer that a model writes after reading so many candidates."""
        return self._call(model, _of(self.prompt, model) + shown * _mean(self.answer), _of(self.answer, model))

    def judge(self, model: str, shown: int) -> Spending:
        """One verdict of a model on so many candidates."""
        return self._call(model, _of(self.prompt, model) + shown * _mean(self.answer), VERDICT_TOKENS)

    def _call(self, model: str, tokens_in: float, tokens_out: float) -> Spending:
        price = self.prices.get(model, Price())
        return Spending(1, tokens_in, tokens_out, (tokens_in * price.input + tokens_out * price.output) / 1_000_000)


def comparison_spending(plan: Sequence[Strategy], rates: Rates) -> Spending:
    """What all strategies of a comparison together cost for one example.

    Strategies with the same candidates draw them once.

    Args:
        plan: of ``planned``, points of N curves included.
        rates: what one call takes.
    """
    most: dict[tuple[object, ...], Strategy] = {}
    total = Spending()
    for strategy in plan:
        key = (strategy.models, strategy.temperature)
        if key not in most or most[key].n < strategy.n:
            most[key] = strategy
        total += _beyond_candidates(strategy, rates)
    for strategy in most.values():
        for index in range(strategy.n):
            total += rates.draw(strategy.models[index % len(strategy.models)])
    return total


def study_spending(
    models: Sequence[str], fusor: str, rates: Rates, *, n: int, trials: int, temperatures: int
) -> tuple[Spending, Spending]:
    """What a study of fusion costs for one example it is scored on, at most: racing ends hopeless trials early.

    Args:
        models: of the pool.
        fusor: writes the answers.
        rates: what one call takes.
        n: candidates of a typical trial.
        trials: how many.
        temperatures: how many temperatures are tried; each has candidates of its own.

    Returns:
        With a bank, where each candidate is drawn once; and with every trial drawing afresh.
    """
    pool, written = Spending(), rates.write(fusor, n).times(trials)
    for index in range(n):
        pool += rates.draw(models[index % len(models)])
    return pool.times(min(trials, temperatures)) + written, pool.times(trials) + written


def _beyond_candidates(strategy: Strategy, rates: Rates) -> Spending:
    n, total = strategy.n, Spending()
    if strategy.program == "fusion":
        total += rates.write(strategy.fusor, n)
    if strategy.program == "propose_aggregate":
        depth = int(strategy.options.get("depth", 2))
        total += rates.write(strategy.fusor, n).times((max(0, depth - 1) * n + 1) if depth else 0)
    if strategy.scorer == "judge":
        total += rates.judge(strategy.judge, 1).times(n)
    if strategy.scorer == "pairwise":
        total += rates.judge(strategy.judge, 2).times(n * (n - 1))
    return total


def _of(tokens: Mapping[str, float], model: str) -> float:
    return tokens[model] if model in tokens else _mean(tokens)


def _mean(tokens: Mapping[str, float]) -> float:
    return sum(tokens.values()) / len(tokens) if tokens else 0.0
