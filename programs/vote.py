"""Vote: draw several candidates and return what most of them say, field by field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import dspy

from .calls.attempts import describe
from .calls.drawing import Steps
from .errors import ConfigurationError, ScorerError
from .options import SamplingOptions
from .pools.candidates import Candidate, Pool
from .pools.clusters import TOLERANCE, clusters, heaviest, labels, vote_weights
from .pools.selection import votable_fields
from .sampling_program import Drawn, SamplingProgram, leave_trace
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
        fields: the output fields that are voted on; by default those that :func:`votable_fields` names (Literal, bool,
            numbers, Enum, dates, ``Choice`` and the like), and when there is none the last output field (which leaves a
            chain of thought to the candidate that is chosen).
        normalize: from a value to what is compared exactly; a candidate for which it raises does not vote. By default
            values are compared as :func:`~dspy_fusion.programs.pools.equality.normalized` says: by what they are, not
            by how they are written.
        tolerance: how far two floats may differ to be equal, as a share of the larger one, at least 0; see
            :func:`~dspy_fusion.programs.pools.clusters.clusters`.
        weights: a scorer whose scores weigh the votes (a candidate without a score does not vote); None counts each as
            one. For scores below 0 see :func:`~dspy_fusion.programs.pools.clusters.vote_weights`.
        **options: see :class:`SamplingOptions`.

    Raises:
        QuorumNotMet: too few candidates succeeded.
        ScorerError: no candidate could vote.
        ConfigurationError: an unknown field, or a tolerance below 0.
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        n: int = 5,
        fields: Sequence[str] | None = None,
        normalize: Callable[[Any], Any] | None = None,
        tolerance: float = TOLERANCE,
        weights: Scorer | Reward | None = None,
        **options: Unpack[SamplingOptions],
    ) -> None:
        super().__init__(program, **options)
        self.n = Hyperparameter("n", n, low=1, search=(1, 16))
        self.check_quorum_fits("n", n)
        self.fields = None if fields is None else _known(fields, self.signature, loose=self.loose)
        self.normalize = normalize
        self.tolerance = _checked(tolerance)
        self.weights = None if weights is None else as_scorer(weights, self.signature)

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws, counts, and answers with the winners."""
        drawn = yield from self.draw(inputs, self.n.value, self.weights)
        voters = [c for c in drawn.candidates if c.ok and (self.weights is None or c.score is not None)]
        task = self.task_of(inputs, voters)
        fields = votable_fields(task) if self.fields is None else self.fields
        ballots, voters, drawn = self._ballots(fields, voters, drawn)
        groups = {name: self._groups(task, name, ballots[name]) for name in fields}
        weights = None if self.weights is None else vote_weights([voter.score or 0.0 for voter in voters])
        firsts = {name: heaviest(groups[name], weights) for name in fields}
        winners = {name: voters[first] for name, first in firsts.items()}
        sides = [(labels(groups[name]), first) for name, first in firsts.items()]
        agreement = [sum(side[place] == side[first] for side, first in sides) for place in range(len(voters))]
        closest = voters[agreement.index(max(agreement))]
        pool = Pool(drawn.candidates, closest.index, usage=drawn.usage, depth=drawn.rounds)
        if max(agreement) < len(fields):
            pool = replace(pool, chosen=None)
        leave_trace([closest])
        answer = self.answer(closest, pool)
        if pool.chosen is None:
            for name, source in winners.items():
                answer[name] = source.prediction[name] if source.prediction is not None else None
        return answer

    def _ballots(
        self, fields: Sequence[str], voters: list[Candidate], drawn: Drawn
    ) -> tuple[dict[str, list[Any]], list[Candidate], Drawn]:
        """What each voter says of each field; one whose values ``normalize`` cannot take does not vote."""
        ballots, causes = [], {}
        for voter in voters:
            values = {name: None if voter.prediction is None else voter.prediction.get(name) for name in fields}
            try:
                ballots.append({name: self.normalize(v) if self.normalize else v for name, v in values.items()})
            except Exception as error:  # noqa: BLE001 (the user's own function, on this candidate)
                causes[voter.index] = f"normalize raised {describe(error)}"
        if not ballots:
            raise ScorerError(f"no candidate could vote; {next(iter(causes.values()), 'none has a weight')}")
        marked = [replace(c, score_error=causes[c.index]) if c.index in causes else c for c in drawn.candidates]
        by_field = {name: [ballot[name] for ballot in ballots] for name in fields}
        left = [voter for voter in voters if voter.index not in causes]
        return by_field, left, replace(drawn, candidates=tuple(marked))

    def _groups(self, task: type[dspy.Signature], name: str, values: list[Any]) -> list[list[int]]:
        exactly = None if self.normalize is None else lambda value: value
        return clusters(values, task.output_fields[name].annotation, normalize=exactly, tolerance=self.tolerance)


def _known(fields: Sequence[str], task: type[dspy.Signature], *, loose: bool) -> list[str]:
    for name in fields:
        if not loose and name not in task.output_fields:
            raise ConfigurationError(
                f"fields names {name!r}, which is no output of the task; it has {list(task.output_fields)}"
            )
    if not fields:
        raise ConfigurationError(
            "fields must name at least one output field, but got fields=[]; leave it out for the default"
        )
    return list(fields)


def _checked(tolerance: float) -> float:
    if not 0 <= tolerance < float("inf"):
        raise ConfigurationError(f"tolerance must be at least 0, as 0.01 for one percent, but got {tolerance!r}")
    return tolerance
