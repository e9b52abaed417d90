"""PairwiseTournament: a judge rates candidates in pairs.

Who meets whom is decided by what is still open (V1-Infer).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dspy

from ..calls.drawing import Batch, Steps
from ..errors import ConfigurationError, UnreadableVerdict
from ..pools.candidates import Candidate, Usage
from ..tasks.instructions import COMPARE
from ..tasks.signatures import input_digest
from .judges import Judge
from .scorer import Scores
from .standing import Standing
from .verdicts import read_ratings

RATINGS = "the rating of the first response and the rating of the second, such as: 7 4"
_PLACES = 1000  # a pair's verdict is kept under first * _PLACES + second, whatever round the two meet in


class PairwiseTournament(Judge):
    """Has a model rate candidates in pairs from 1 to 10; the score is the weighted share of wins, in [0, 1].

    A pair weighs as much as its ratings differ, ``max(|a - b| / 9, least_weight)``, and a tie is half a win. Without
    ``rounds`` every pair meets. With it, the tournament is that of V1-Infer (arXiv 2603.04304): first, candidates with
    the fewest matches meet in seeded random pairs until each has ``min_matches``; then those meet whose shares of wins
    are nearest, among neighbours in the standing (Swiss system). In a round each candidate meets at most one other, and
    no pair meets twice. Unlike there, the budget is in rounds (1 to 3 pairs per candidate are 2 to 6 rounds), and a
    pair is by default asked in both orders, which doubles the calls.

    Args:
        lm: the judging model; None takes the one in ``dspy.settings``.
        rounds: how many opponents each candidate meets at most; None for all.
        min_matches: how many opponents each meets before standings decide; rounds beyond it are Swiss rounds.
        window: how far apart in the standing two candidates may be to meet in a Swiss round.
        least_weight: what a pair with equal ratings weighs, in (0, 1].
        both_orders: ask each pair in both orders and average, so that a preference for a place cancels out.
        instructions: what the judge is told.
        temperature: of the judge, in [0, 2], or None for the model's own.
        seed: of the random pairs, and base of the judge's seeds, where the temperature is not 0.
    """

    def __init__(
        self,
        lm: dspy.BaseLM | None = None,
        *,
        rounds: int | None = None,
        min_matches: int = 1,
        window: int = 8,
        least_weight: float = 0.1,
        both_orders: bool = True,
        instructions: str = COMPARE,
        temperature: float | None = 0.0,
        seed: int | None = 0,
    ) -> None:
        super().__init__(lm, instructions=instructions, verdict=RATINGS, temperature=temperature, seed=seed)
        if rounds is not None and rounds < 1:
            raise ConfigurationError(f"rounds must be at least 1 or None, but got rounds={rounds!r}")
        for name, value in (("min_matches", min_matches), ("window", window)):
            if value < 1:
                raise ConfigurationError(f"{name} must be at least 1, but got {name}={value!r}")
        if not 0 < least_weight <= 1:
            raise ConfigurationError(
                f"least_weight must be above 0 and at most 1, but got least_weight={least_weight!r}"
            )
        self.rounds, self.both_orders = rounds, both_orders
        self.min_matches, self.window, self.least_weight = min_matches, window, least_weight

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Plays the rounds; a lone candidate wins without a call."""
        if len(candidates) < 2:
            return Scores(tuple(replace(candidate, score=1.0) for candidate in candidates), Usage(), 0)
        table = Standing(len(candidates))
        rng = random.Random(f"{self.seed or 0} {input_digest(inputs)}")
        usage, played = Usage(), 0
        for _ in range(self.rounds or 1):
            pairs = self._pairs(table, rng)
            if not pairs:
                break
            usage = usage + (yield from self._play(inputs, candidates, pairs, table))
            played += 1
        marked = [replace(c, score=table.score(i), score_error=table.error(i)) for i, c in enumerate(candidates)]
        return Scores(tuple(marked), usage, played)

    def _pairs(self, table: Standing, rng: random.Random) -> list[tuple[int, int]]:
        if self.rounds is None:
            return list(itertools.combinations(range(len(table)), 2))
        covering = table.covering_pairs(self.min_matches, rng)
        return covering + table.swiss_pairs(self.window, itertools.chain(*covering))

    def _play(
        self, inputs: Mapping[str, Any], candidates: Sequence[Candidate], pairs: list[tuple[int, int]], table: Standing
    ) -> Steps[Usage]:
        orders = [order for a, b in pairs for order in ([(a, b), (b, a)] if self.both_orders else [(a, b)])]
        texts = {place: self.shown(candidates[place]) for pair in pairs for place in pair}
        asked = [
            self.ask(inputs, [texts[a], texts[b]], candidates[a].index * _PLACES + candidates[b].index)
            for a, b in orders
        ]
        verdicts = yield Batch(asked)
        for (a, b), verdict in zip(orders, verdicts, strict=True):
            self._enter(table, a, b, verdict)
        return Usage.total(verdict.usage for verdict in verdicts)

    def _enter(self, table: Standing, a: int, b: int, verdict: Candidate) -> None:
        try:
            if verdict.prediction is None:
                raise UnreadableVerdict(verdict.error)
            first, second = read_ratings(self.said(verdict.prediction))
        except UnreadableVerdict as error:
            table.enter_failure(a, b, f"UnreadableVerdict: {error}")
        else:
            weight = max(abs(first - second) / 9, self.least_weight)
            table.enter(a, b, 0.5 if first == second else float(first > second), weight)
