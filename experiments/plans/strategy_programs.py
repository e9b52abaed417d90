"""From a strategy to its program, on a task, with models and a bank."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import dspy

from dspy_fusion.programs import (
    BestOfN,
    CandidateBank,
    CodeAgreement,
    CodeTests,
    Fusion,
    GenSelect,
    JudgePanel,
    Likelihood,
    LMJudge,
    PairwiseTournament,
    ProposeAggregate,
    RewardFunction,
    RewardModel,
    Scorer,
    Stopping,
    UniversalSelfConsistency,
    Vote,
)
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.pools.candidates import PooledPrediction
from dspy_fusion.programs.tasks import instructions

from ..tasks import Task
from .own_programs import program_of, repeated
from .strategies import CODE_SCORERS, SEED_STRIDE, Strategy


class PartVote(dspy.Module):
    """Votes within the answer, by a rule of the task: the control that fusion has to beat where parts can be compared.

    The pool is the one that a vote over whole answers has.

    Args:
        vote: draws the pool.
        rule: ``(inputs, candidates)``: the output fields that the candidates vote for.
    """

    def __init__(
        self, vote: Vote, rule: Callable[[Mapping[str, Any], Sequence[dspy.Prediction]], dict[str, Any]]
    ) -> None:
        super().__init__()
        self.vote = vote
        self.rule = rule

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Draws the pool and puts the answer together."""
        pool = self.vote(**inputs).pool
        good = [candidate.prediction for candidate in pool.good]
        return PooledPrediction.of(self.rule(inputs, good), replace(pool, chosen=None))


@dataclass(frozen=True)
class Site:
    """Where a program is built: the task, the models by name, the bank, and which repetition it is."""

    task: Task
    instructions: str
    lms: Mapping[str, dspy.BaseLM]
    bank: CandidateBank | None
    seed: int
    example: dspy.Example | None = None
    own: Mapping[str, dspy.Module] = field(default_factory=dict)
    """The user's own programs, by the names of their strategies; one that is missing is imported."""


def build(strategy: Strategy, site: Site) -> dspy.Module:
    """The program of a strategy; only an oracle needs the site's example.

    Raises:
        ConfigurationError: the program refuses its options.
    """
    if strategy.is_own:
        own = site.own.get(strategy.curve_of or strategy.name) or program_of(strategy.program)
        return repeated(own, strategy, site.seed, site.bank, site.lms)
    try:
        return _BUILDERS[strategy.program](strategy, site)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"strategy {strategy.name!r}: {error}") from error


def _common(strategy: Strategy, site: Site) -> dict[str, Any]:
    options = dict(strategy.options)
    if isinstance(text := options.get("instructions"), str):
        options["instructions"] = getattr(instructions, text, text) if text.isupper() else text
    return {
        "lms": [site.lms[name] for name in strategy.models],
        "temperature": strategy.temperature,
        "seed": site.seed * SEED_STRIDE,
        "bank": site.bank,
        **{name: value for name, value in options.items() if name != "stopping"},
    }


def _task_program(site: Site) -> dspy.Module:
    return site.task.program(site.instructions)


def _count(strategy: Strategy) -> dict[str, Any]:
    """How many candidates; with a stopping rule among the options, how many at most."""
    stopping = strategy.options.get("stopping")
    if stopping is None:
        return {"n": strategy.n}
    rule = Stopping(**stopping) if isinstance(stopping, Mapping) else stopping
    return {"n": "auto", "max_n": strategy.n, "stopping": rule}


def _single(strategy: Strategy, site: Site) -> dspy.Module:
    return Vote(_task_program(site), n=1, **_common(strategy, site))


def _vote(strategy: Strategy, site: Site) -> Vote:
    return Vote(_task_program(site), normalize=site.task.vote_key, **_count(strategy), **_common(strategy, site))


def _part_vote(strategy: Strategy, site: Site) -> dspy.Module:
    if site.task.vote_parts is None:
        raise ConfigurationError(f"the task {site.task.name!r} has no vote per part; leave the strategy out")
    return PartVote(_vote(strategy, site), site.task.vote_parts)


def _best_of_n(strategy: Strategy, site: Site) -> dspy.Module:
    if strategy.scorer in CODE_SCORERS:
        if site.task.visible_tests is None:
            raise ConfigurationError(f"the task {site.task.name!r} has no tests to choose by; take another scorer")
        by_code = CodeTests if strategy.scorer == "code_tests" else CodeAgreement
        scorer: Scorer = by_code(site.task.visible_tests, **strategy.scorer_options)
        return BestOfN(_task_program(site), scorer=scorer, **_count(strategy), **_common(strategy, site))
    make = _SCORERS[strategy.scorer or "likelihood"]
    scorer = make(*(site.lms[name] for name in strategy.judges), **strategy.scorer_options)
    return BestOfN(_task_program(site), scorer=scorer, **_count(strategy), **_common(strategy, site))


def _oracle(strategy: Strategy, site: Site) -> dspy.Module:
    scorer = RewardFunction(
        lambda inputs, prediction: site.task.metric(site.example, prediction) if site.example else 0.0
    )
    return BestOfN(_task_program(site), n=strategy.n, scorer=scorer, **_common(strategy, site))


def _fusion(strategy: Strategy, site: Site) -> dspy.Module:
    fusor = site.lms[strategy.fusor]
    return Fusion(_task_program(site), fusor_lm=fusor, **_count(strategy), **_common(strategy, site))


def _propose_aggregate(strategy: Strategy, site: Site) -> dspy.Module:
    fusor = site.lms[strategy.fusor]
    return ProposeAggregate(_task_program(site), width=strategy.n, fusor_lm=fusor, **_common(strategy, site))


_BUILDERS: dict[str, Callable[[Strategy, Site], dspy.Module]] = {
    "single": _single,
    "vote": _vote,
    "vote_parts": _part_vote,
    "best_of_n": _best_of_n,
    "oracle": _oracle,
    "fusion": _fusion,
    "propose_aggregate": _propose_aggregate,
    "fresh_solve": _best_of_n,
}


def _panel(*lms: dspy.BaseLM, combine: Literal["mean", "majority"] = "mean", **options: Any) -> JudgePanel:
    return JudgePanel([LMJudge(lm, **options) for lm in lms], combine=combine)


_SCORERS: dict[str, Callable[..., Scorer]] = {
    "likelihood": Likelihood,
    "judge": LMJudge,
    "pairwise": PairwiseTournament,
    "panel": _panel,
    "gen_select": GenSelect,
    "usc": UniversalSelfConsistency,
    "reward_model": RewardModel,
}
