"""Rewards of the answers that a model draws while it is trained (GRPO).

Each is read by the program's own adapter and scored as a candidate would be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from dspy_fusion.programs.errors import ConfigurationError, FusionError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.scorers.scorer import as_scorer
from dspy_fusion.programs.tasks.signatures import plain

from ..tuning.scores.objective import example_digest
from .aggregation_preferences import Preferences
from .aggregation_rows import present_adapter
from .objectives import Method
from .proposals import Proposal, as_candidate, is_blank, scores_of


class Rewards:
    """Scores what a model wrote to the prompts of rows; made under the adapter that the rows were written by.

    Args:
        fusing: the program whose fusor is trained.
        preferences: the scorer, and for how many answers together rows without proposals are rewarded.
        examples: of the rows.
    """

    def __init__(self, fusing: FusingProgram, preferences: Preferences, examples: Sequence[dspy.Example]) -> None:
        self.fusing, self.preferences = fusing, preferences
        self.examples = {example_digest(example): example for example in examples}
        self.adapter = present_adapter()
        self.scorer = as_scorer(preferences.scorer, fusing.signature)

    def of(self, texts: Sequence[str], keys: Sequence[str], proposals: Sequence[int]) -> list[float]:
        """The rewards of answers, those of one row next to one another.

        An answer that cannot be read, lacks a field, or cannot be scored has the reward 0.

        Args:
            texts: what the model wrote.
            keys: the example's digest of each.
            proposals: how many proposals each was shown.
        """
        rewards, places = [0.0] * len(texts), range(len(texts))
        for start in range(0, len(texts), self.preferences.draws):
            group = list(places[start : start + self.preferences.draws])
            scores = self._scores([texts[place] for place in group], keys[group[0]])
            if not proposals[group[0]]:
                scores = pass_at_rewards(scores, self.preferences.pass_at)
            for place, score in zip(group, scores, strict=True):
                rewards[place] = score
        return rewards

    def _scores(self, texts: Sequence[str], key: str) -> list[float]:
        answers = [self._read(text) for text in texts]
        candidates = [as_candidate(i, Proposal(answer)) for i, answer in enumerate(answers) if answer is not None]
        scores = [0.0] * len(texts)
        if not candidates:
            return scores
        example, task = self.examples[key], self.fusing.signature
        try:
            scored = scores_of(candidates, example, self.fusing.program, task, self.scorer)
        except ConfigurationError:
            raise
        except FusionError:  # a judge that could score none of them
            return scores
        for candidate in scored:
            scores[candidate.index] = candidate.score or 0.0
        return scores

    def _read(self, text: str) -> dict[str, Any] | None:
        task = self.fusing.signature
        try:
            fields = self.adapter.parse(task, text)
        except (AdapterParseError, ValueError, TypeError):
            return None
        read = {name: plain(fields.get(name)) for name in task.output_fields}
        return None if any(is_blank(value) for value in read.values()) else read


@dataclass(frozen=True)
class HowToLearn:
    """How rows are learned.

    Attributes:
        method: by heart, as one answer preferred to another, or by rewards.
        preferences: the numbers of the last two.
        rewards: of what the model draws, for the last.
    """

    method: Method = "sft"
    preferences: Preferences | None = None
    rewards: Rewards | None = None

    @property
    def draws(self) -> int:
        """How many answers to each row are drawn while it is learned; 1 where none are."""
        return self.preferences.draws if self.method == "grpo" and self.preferences is not None else 1

    def beta(self, usual: float) -> float:
        """The preferences' own, or the usual one."""
        return usual if self.preferences is None or self.preferences.beta is None else self.preferences.beta


def pass_at_rewards(scores: Sequence[float], k: int) -> list[float]:
    """What each answer adds to the best of k, averaged over all k of them that hold it.

    The estimate of the pass@k objective's gradient without bias (arXiv 2505.15201, section 3).

    Scaled so that k = 1 leaves the scores as they are.

    Args:
        scores: of the answers to one prompt.
        k: at most as many as there are answers; fewer answers are taken for k.
    """
    n, k = len(scores), min(k, len(scores))
    order = sorted(range(n), key=lambda place: scores[place])
    sets = math.comb(n - 1, k - 1)
    rewards = [0.0] * n
    for rank, place in enumerate(order):
        as_best = math.comb(rank, k - 1) * scores[place]  # sets in which nothing is better
        beaten = sum(math.comb(above - 1, k - 2) * scores[order[above]] for above in range(rank + 1, n)) if k > 1 else 0
        rewards[place] = (as_best + beaten) / sets
    return rewards
