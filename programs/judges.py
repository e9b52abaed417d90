"""Scorers that ask a model: a pointwise judge, and a tournament of pairs."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dspy

from .attempts import Attempt
from .candidates import Candidate, Usage
from .drawing import Batch, Steps
from .errors import ConfigurationError, UnreadableVerdict
from .instructions import COMPARE, JUDGE
from .scorers import Scorer, Scores, with_score
from .signatures import CANDIDATES, VERDICT, candidate_text, judge_signature, signature_of

_FRACTION = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/|out of|of)\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_LEAST_WEIGHT = 0.1


class _Judge(Scorer):
    """What both judges share: a predictor made for the task once the task is known, and the call that asks it."""

    _verdict = ""

    def __init__(self, lm: dspy.BaseLM | None, instructions: str, temperature: float, seed: int | None) -> None:
        super().__init__()
        self.lm, self.instructions, self.temperature, self.seed = lm, instructions, temperature, seed
        self.judge: dspy.Predict | None = None
        self.task: type[dspy.Signature] | None = None

    def bound(self, task: type[dspy.Signature]) -> Scorer:
        made = copy.copy(self)
        made.task = task
        made.judge = dspy.Predict(judge_signature(task, self.instructions, self._verdict))
        return made

    def ask(self, inputs: Mapping[str, Any], shown: Sequence[Candidate], index: int) -> Attempt:
        """The attempt that has the judge look at candidates in this order."""
        if self.judge is None or self.task is None:
            raise ConfigurationError(f"{type(self).__name__} is not bound to a task; give it to a program as scorer=")
        texts = [candidate_text(self.task, candidate.prediction) for candidate in shown if candidate.prediction is not None]
        given = {name: inputs[name] for name in self.task.input_fields if name in inputs}
        asked = {**given, CANDIDATES: texts}
        signature = signature_of(self.judge)
        return Attempt(self.judge, asked, signature, index, lm=self.lm, temperature=self.temperature, seed=self.seed)


class LMJudge(_Judge):
    """Has a model say how much of the task each candidate gets right; the score is that share, in [0, 1].

    One call per candidate. The verdict may be a fraction (``3/4``, ``7 of 10``), a percentage or a number in [0, 1]; the last one in the
    judge's answer counts.

    Args:
        lm: the judging model; None takes the one in ``dspy.settings``.
        instructions: what the judge is told.
        temperature: of the judge, in [0, 2].
        seed: base of the judge's seeds, where the temperature is not 0.
    """

    _verdict = "how many points of the task are right out of how many, as a fraction such as 3/4"

    def __init__(
        self, lm: dspy.BaseLM | None = None, *, instructions: str = JUDGE, temperature: float = 0.0, seed: int | None = 0
    ) -> None:
        super().__init__(lm, instructions, temperature, seed)

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Asks for every candidate at once."""
        verdicts = yield Batch([self.ask(inputs, [candidate], candidate.index) for candidate in candidates])
        marked = [with_score(c, v, lambda p: read_share(p[VERDICT])) for c, v in zip(candidates, verdicts, strict=True)]
        return Scores(tuple(marked), Usage.total(verdict.usage for verdict in verdicts), 1)


class PairwiseTournament(_Judge):
    """Has a model rate candidates in pairs from 1 to 10; the score is its weighted share of wins, in [0, 1].

    A pair weighs as much as its ratings differ, ``max(|a - b| / 9, 0.1)``, and a tie is half a win, as in V1-Infer (arXiv 2603.04304).
    Without ``rounds`` every pair meets; with it, candidates meet neighbours of equal standing (Swiss system). Unlike there, the first
    round is not drawn at random but follows the order of the candidates.

    Args:
        lm: the judging model; None takes the one in ``dspy.settings``.
        rounds: how many opponents each candidate meets at most; None for all.
        both_orders: ask each pair in both orders and average, so that a preference for a place cancels out.
        instructions: what the judge is told.
        temperature: of the judge, in [0, 2].
        seed: base of the judge's seeds, where the temperature is not 0.
    """

    _verdict = "the rating of the first response and the rating of the second, such as: 7 4"

    def __init__(
        self,
        lm: dspy.BaseLM | None = None,
        *,
        rounds: int | None = None,
        both_orders: bool = True,
        instructions: str = COMPARE,
        temperature: float = 0.0,
        seed: int | None = 0,
    ) -> None:
        if rounds is not None and rounds < 1:
            raise ConfigurationError(f"rounds must be at least 1 or None, but got rounds={rounds!r}")
        super().__init__(lm, instructions, temperature, seed)
        self.rounds, self.both_orders = rounds, both_orders

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Plays the rounds; a lone candidate wins without a call."""
        if len(candidates) < 2:
            return Scores(tuple(replace(candidate, score=1.0) for candidate in candidates), Usage(), 0)
        table = _Table(len(candidates))
        usage, played = Usage(), 0
        for _ in range(self.rounds or 1):
            pairs = table.next_pairs() if self.rounds else list(itertools.combinations(range(len(candidates)), 2))
            if not pairs:
                break
            usage = usage + (yield from self._play(inputs, candidates, pairs, table))
            played += 1
        marked = [replace(c, score=table.score(i), score_error=table.error(i)) for i, c in enumerate(candidates)]
        return Scores(tuple(marked), usage, played)

    def _play(
        self, inputs: Mapping[str, Any], candidates: Sequence[Candidate], pairs: list[tuple[int, int]], table: _Table
    ) -> Steps[Usage]:
        orders = [order for a, b in pairs for order in ([(a, b), (b, a)] if self.both_orders else [(a, b)])]
        asked = [self.ask(inputs, [candidates[a], candidates[b]], place) for place, (a, b) in enumerate(orders)]
        verdicts = yield Batch(asked)
        for (a, b), verdict in zip(orders, verdicts, strict=True):
            table.enter(a, b, verdict)
        return Usage.total(verdict.usage for verdict in verdicts)


class _Table:
    """The standing of a tournament."""

    def __init__(self, count: int) -> None:
        self.matches: list[list[tuple[float, float]]] = [[] for _ in range(count)]  # (win, weight) of each match
        self.met: set[frozenset[int]] = set()
        self.last_error = "it met no other candidate"

    def score(self, place: int) -> float | None:
        """The weighted share of wins, or None where no match could be judged."""
        matches = self.matches[place]
        return sum(win * weight for win, weight in matches) / sum(weight for _, weight in matches) if matches else None

    def error(self, place: int) -> str | None:
        return None if self.matches[place] else self.last_error

    def next_pairs(self) -> list[tuple[int, int]]:
        """Pairs of neighbours in the standing that have not met yet, each candidate in at most one pair."""
        standing = sorted(range(len(self.matches)), key=lambda place: (-(self.score(place) or 0.0), place))
        pairs = []
        while standing:
            first = standing.pop(0)
            second = next((other for other in standing if frozenset((first, other)) not in self.met), None)
            if second is not None:
                standing.remove(second)
                pairs.append((first, second))
        return pairs

    def enter(self, a: int, b: int, verdict: Candidate) -> None:
        """Enters a verdict on the pair (a, b); one that cannot be read counts for neither."""
        self.met.add(frozenset((a, b)))
        try:
            if verdict.prediction is None:
                raise UnreadableVerdict(verdict.error)
            first, second = read_ratings(verdict.prediction[VERDICT])
        except UnreadableVerdict as error:
            self.last_error = f"UnreadableVerdict: {error}"
            return
        weight = max(abs(first - second) / 9, _LEAST_WEIGHT)
        win = 0.5 if first == second else float(first > second)
        self.matches[a].append((win, weight))
        self.matches[b].append((1 - win, weight))


def read_share(verdict: str) -> float:
    """A judge's verdict as a share in [0, 1]: the last fraction in it, else the last percentage, else a number in [0, 1].

    Raises:
        UnreadableVerdict: there is none, or it is outside [0, 1].
    """
    if found := _FRACTION.findall(verdict):
        share = float(found[-1][0]) / float(found[-1][1]) if float(found[-1][1]) else -1.0
    elif found := _PERCENT.findall(verdict):
        share = float(found[-1]) / 100
    else:
        numbers = _NUMBER.findall(verdict)
        share = float(numbers[-1]) if numbers else -1.0
    if not 0 <= share <= 1:
        raise UnreadableVerdict(f"no share between 0 and 1 in the judge's verdict {verdict[:200]!r}; expected one such as '3/4'")
    return share


def read_ratings(verdict: str) -> tuple[float, float]:
    """The two ratings of a pair: the last two numbers of the verdict, each from 1 to 10.

    Raises:
        UnreadableVerdict: there are not two such numbers.
    """
    numbers = [float(number) for number in _NUMBER.findall(verdict)][-2:]
    if len(numbers) != 2 or not all(1 <= number <= 10 for number in numbers):
        raise UnreadableVerdict(f"no two ratings from 1 to 10 in the judge's verdict {verdict[:200]!r}; expected such as '7 4'")
    return numbers[0], numbers[1]
