"""Drawing in rounds: a stopping rule looks at the pool after each, and what it saves is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .calls.drawing import Steps
from .pools.agreement import joint_groups
from .pools.candidates import NOTHING_USED, Candidate, Pool, Usage
from .pools.stopping_rules import Seen
from .scorers.scorer import Scorer, check_scored
from .stopping import Stopping

if TYPE_CHECKING:
    from .sampling_program import SamplingProgram

_ready: ContextVar[tuple[Candidate, ...] | None] = ContextVar("dspy_fusion_ready", default=None)


@dataclass(frozen=True)
class Drawn:
    """A drawn pool: the candidates, what scoring them cost, how many rounds of calls followed one another,
    and where drawing stopped early, why and how many calls that saved.
    """

    candidates: tuple[Candidate, ...]
    scorer_usage: Usage = NOTHING_USED
    rounds: int = 1
    stopped: str | None = None
    saved: int = 0

    @property
    def usage(self) -> dict[str, Usage]:
        """Cost by role."""
        usage = {"candidates": Usage.total(candidate.usage for candidate in self.candidates)}
        return usage | ({"scorer": self.scorer_usage} if self.scorer_usage != NOTHING_USED else {})

    def pool(self, chosen: int | None = None, **facts: Any) -> Pool:
        """The pool of these candidates, with what else is known of it."""
        facts = {"usage": self.usage, "depth": self.rounds, "stopped": self.stopped, **facts}
        return Pool(self.candidates, chosen, saved=self.saved + facts.pop("saved", 0), **facts)


def drawn_in_rounds(
    program: SamplingProgram, stopping: Stopping, inputs: Mapping[str, Any], most: int, scorer: Scorer | None
) -> Steps[Drawn]:
    """Draws up to ``most`` candidates in rounds, until the rule says that more would hardly matter.

    The candidates are those that drawing all at once would begin with. A rule is not asked while fewer than the quorum
    have succeeded.

    Raises:
        QuorumNotMet: too few of all succeeded.
    """
    attempts = program.attempts(inputs, most, logprobs=scorer is not None and scorer.needs_logprobs)
    ends = stopping.ends(most, program.quorum)
    candidates: list[Candidate] = []
    usage, rounds, stopped = Usage(), 0, None
    for end in ends:
        fresh = yield program.side_by_side(attempts[len(candidates) : end])
        rounds += 1
        if scorer is not None:
            scores = yield from program.scores_of(inputs, fresh, scorer)
            fresh, usage, rounds = list(scores.candidates), usage + scores.usage, rounds + scores.rounds
        candidates.extend(fresh)
        good = [candidate for candidate in candidates if candidate.ok]
        if end < most and len(good) >= program.quorum and stopping.is_enough(seen_of(program, good, most - end)):
            stopped = f"{stopping.rule.value} >= {stopping.threshold.value:g} after {end} of {most} candidates"
            break
    program.check_quorum(candidates)
    if scorer is not None:
        check_scored(scorer, candidates)
    return Drawn(tuple(candidates), usage, rounds, stopped, most - len(candidates))


@contextmanager
def ready(candidates: Sequence[Candidate]) -> Iterator[None]:
    """Has the next program that is called in this context begin with candidates that were drawn before, and draw none
    of its own.
    """
    token = _ready.set(tuple(candidates))
    try:
        yield
    finally:
        _ready.reset(token)


def taken_over() -> tuple[Candidate, ...] | None:
    """The candidates that are ready, once; None where there are none."""
    candidates = _ready.get()
    if candidates is not None:
        _ready.set(None)
    return candidates


def seen_of(program: SamplingProgram, good: Sequence[Candidate], left: int) -> Seen:
    """What a stopping rule knows of a program's candidates that succeeded, with ``left`` more to come at most."""
    said = [candidate.prediction for candidate in good if candidate.prediction is not None]
    names = program.voted_fields(list(dict.fromkeys(name for one in said for name in one.keys())))
    groups = joint_groups([program.equal_values(name, [one.get(name) for one in said]) for name in names])
    calibration = program.calibration
    odds = None if calibration is None else calibration.odds(good)
    return Seen(groups, odds, [candidate.score for candidate in good if candidate.score is not None], left)
