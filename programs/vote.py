"""Vote: draw several candidates and return what most of them say, field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Unpack

import dspy

from .calls.attempts import describe
from .calls.drawing import Steps
from .errors import ConfigurationError, ScorerError
from .options import SamplingOptions
from .pools.candidates import Candidate, PooledPrediction
from .pools.clusters import TOLERANCE, clusters, heaviest, labels, vote_weights
from .pools.selection import votable_fields
from .rounds import Drawn
from .sampling_program import SamplingProgram, leave_trace
from .scorers.scorer import Reward, Scorer, as_scorer
from .stopping import RuleName, Stopping, counted


class Vote(SamplingProgram):
    """Draws ``n`` candidates and lets them vote on each field (self-consistency, arXiv 2203.11171).

    The winning value of a field is the one most candidates give, in the form in which it was first given; ties go to
    the lowest index. The other fields come from the candidate that agrees with the most winners. Where it agrees with
    all of them it is returned unchanged and is ``pool.chosen``; where no candidate does, ``pool.chosen`` is None.

    Args:
        program: the task program.
        n: how many candidates, at least 1; ``"auto"`` draws in rounds until more would hardly change the outcome.
        max_n: with ``n="auto"``, how many at most; 16 by default.
        stopping: with ``n="auto"``, when to stop: a :class:`Stopping` or the name of its rule.
        fields: the output fields that are voted on; by default those that :func:`votable_fields` names (Literal, bool,
            numbers, Enum, dates, ``Choice`` and the like), and when there is none the last output field (which leaves a
            chain of thought to the candidate that is chosen).
        normalize: from a value to what is compared exactly; a candidate for which it raises does not vote. By default
            values are compared as :func:`~dspy_fusion.programs.pools.equality.normalized` says: by what they are, not
            by how they are written.
        tolerance: how far two floats may differ to be equal, as a share of the larger one, at least 0; see
            :func:`~dspy_fusion.programs.pools.clusters.clusters`.
        weights: a scorer whose scores weigh the votes (a candidate without a score does not vote); None counts each as
            one, or by the reliability of its model where :func:`calibrate` learned that. For scores below 0 see
            :func:`~dspy_fusion.programs.pools.clusters.vote_weights`.
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
        n: int | Literal["auto"] = 5,
        max_n: int | None = None,
        stopping: Stopping | RuleName | None = None,
        fields: Sequence[str] | None = None,
        normalize: Callable[[Any], Any] | None = None,
        tolerance: float = TOLERANCE,
        weights: Scorer | Reward | None = None,
        **options: Unpack[SamplingOptions],
    ) -> None:
        super().__init__(program, **options)
        self.n, self.stopping = counted(n, max_n, stopping)
        self.check_quorum_fits(self.n.name, self.n.value)
        self.fields = None if fields is None else _known(fields, self.signature, loose=self.loose)
        self.normalize = normalize
        self.tolerance = _checked(tolerance)
        self.weights = None if weights is None else as_scorer(weights, self.signature)

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws, counts, and answers with the winners."""
        pool = yield from self.draw(inputs, self.n.value, self.weights)
        answer, closest = self._decided(inputs, pool)
        leave_trace([closest])
        return answer

    def reconsidered(self, inputs: Mapping[str, Any], prediction: PooledPrediction) -> PooledPrediction:
        """The vote over a pool that was drawn before."""
        if prediction.pool is None:
            return prediction
        answer, _ = self._decided(inputs, Drawn(prediction.pool.candidates))
        object.__setattr__(answer, "pool", replace(prediction.pool, chosen=answer.pool.chosen if answer.pool else None))
        return answer

    def voted_fields(self, names: Sequence[str]) -> list[str]:
        """The fields that are voted on."""
        return super().voted_fields(names) if self.fields is None else self.fields

    def equal_values(self, name: str, values: Sequence[Any]) -> list[list[int]]:
        """Groups of equal values, as the vote compares them; a value that ``normalize`` cannot take equals no other."""
        if self.normalize is None or name not in self.voted_fields([name]):
            annotation = self.signature.output_fields[name].annotation if name in self.signature.output_fields else None
            return clusters(values, annotation, tolerance=self.tolerance)
        return clusters([self._ballot(value) for value in values], normalize=lambda value: value)

    def has_parts(self, name: str) -> bool:
        """As everywhere, but values that ``normalize`` compares are equal or not."""
        return super().has_parts(name) and (self.normalize is None or name not in self.voted_fields([name]))

    def _ballot(self, value: Any) -> Any:
        try:
            return value if self.normalize is None else self.normalize(value)
        except Exception:  # noqa: BLE001 (the user's own function, on this value)
            return object()

    def _decided(self, inputs: Mapping[str, Any], drawn: Drawn) -> tuple[PooledPrediction, Candidate]:
        voters = [c for c in drawn.candidates if c.ok and (self.weights is None or c.score is not None)]
        task = self.task_of(inputs, voters)
        fields = votable_fields(task) if self.fields is None else self.fields
        ballots, voters, drawn = self._ballots(fields, voters, drawn)
        groups = {name: self._groups(task, name, ballots[name]) for name in fields}
        weights = self._weights(voters)
        firsts = {name: heaviest(groups[name], weights) for name in fields}
        winners = {name: voters[first] for name, first in firsts.items()}
        sides = [(labels(groups[name]), first) for name, first in firsts.items()]
        agreement = [sum(side[place] == side[first] for side, first in sides) for place in range(len(voters))]
        closest = voters[agreement.index(max(agreement))]
        pool = drawn.pool(closest.index)
        if max(agreement) < len(fields):
            pool = replace(pool, chosen=None)
        answer = self.answer(closest, pool)
        if pool.chosen is None:
            for name, source in winners.items():
                answer[name] = source.prediction[name] if source.prediction is not None else None
        return answer, closest

    def _weights(self, voters: Sequence[Candidate]) -> list[float] | None:
        if self.weights is not None:
            return vote_weights([voter.score or 0.0 for voter in voters])
        return None if self.calibration is None else self.calibration.weights(voters)

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
