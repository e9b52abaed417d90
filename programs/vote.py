"""Vote: draw several candidates and return what most of them say, field by field."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import dspy

from .calls.drawing import Steps
from .errors import ConfigurationError
from .options import SamplingOptions
from .pools.candidates import Candidate, Pool
from .pools.selection import normalized, votable_fields, winner
from .sampling_program import SamplingProgram, leave_trace
from .scorers.scorer import Reward, Scorer, as_scorer
from .tasks.hyperparameters import Hyperparameter


class Vote(SamplingProgram):
    """Draws ``n`` candidates and lets them vote on each field (self-consistency, arXiv 2203.11171).

    The winning value of a field is the one most candidates give, in the form in which it was first given; ties go to
    the lowest index. The other fields come from the candidate that agrees with the most winners. Where it agrees with
    all of them it is returned unchanged and is ``pool.chosen``; where no candidate does, ``pool.chosen`` is None.

    Args:
        program: the task program.
        n: how many candidates, at least 1.
        fields: the output fields that are voted on; by default those of type Literal, bool, int, float or Enum, and
            when there is none the last output field (which leaves a chain of thought to the candidate that is chosen).
        normalize: from a value to what is compared; by default text is compared in lower case with single spaces and
            without a closing full stop, other values as they are.
        weights: a scorer whose scores weigh the votes (a candidate without a score does not vote); None counts each as
            one.
        **options: see :class:`SamplingOptions`.

    Raises:
        QuorumNotMet: too few candidates succeeded.
        ConfigurationError: an unknown field.
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        n: int = 5,
        fields: Sequence[str] | None = None,
        normalize: Callable[[Any], Hashable] | None = None,
        weights: Scorer | Reward | None = None,
        **options: Unpack[SamplingOptions],
    ) -> None:
        super().__init__(program, **options)
        self.n = Hyperparameter("n", n, low=1, search=(1, 16))
        self.check_quorum_fits("n", n)
        self.fields = votable_fields(self.signature) if fields is None else _known(fields, self.signature)
        self.normalize = normalize or normalized
        self.weights = None if weights is None else as_scorer(weights, self.signature)

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws, counts, and answers with the winners."""
        drawn = yield from self.draw(inputs, self.n.value, self.weights)
        voters = [c for c in drawn.candidates if c.ok and (self.weights is None or c.score is not None)]
        winners = {name: self._winner(name, voters) for name in self.fields}
        agreement = [
            sum(self._says(c, name) == self._says(winners[name], name) for name in self.fields) for c in voters
        ]
        closest = voters[agreement.index(max(agreement))]
        pool = Pool(drawn.candidates, closest.index, usage=drawn.usage, depth=drawn.rounds)
        if max(agreement) < len(self.fields):
            pool = replace(pool, chosen=None)
        leave_trace([closest])
        answer = self.answer(closest, pool)
        if pool.chosen is None:
            for name, source in winners.items():
                answer[name] = source.prediction[name] if source.prediction is not None else None
        return answer

    def _winner(self, name: str, voters: list[Candidate]) -> Candidate:
        weights = None if self.weights is None else [voter.score or 0.0 for voter in voters]
        return voters[winner([self._says(voter, name) for voter in voters], weights)]

    def _says(self, candidate: Candidate, name: str) -> Hashable:
        return self.normalize(candidate.prediction[name]) if candidate.prediction is not None else None


def _known(fields: Sequence[str], task: type[dspy.Signature]) -> list[str]:
    for name in fields:
        if name not in task.output_fields:
            raise ConfigurationError(
                f"fields names {name!r}, which is no output of the task; it has {list(task.output_fields)}"
            )
    if not fields:
        raise ConfigurationError(
            "fields must name at least one output field, but got fields=[]; leave it out for the default"
        )
    return list(fields)
