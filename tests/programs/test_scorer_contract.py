"""What every judge promises, whatever it asks of its model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of, system_of

from dspy_fusion.optimizers.tuning.search_space import SearchSpace
from dspy_fusion.programs import (
    BestOfN,
    CandidateBank,
    GenSelect,
    JudgePanel,
    LMJudge,
    PairwiseTournament,
    Scorer,
    UniversalSelfConsistency,
    Vote,
)

SCORERS: dict[str, Callable[[], Scorer]] = {
    "LMJudge": LMJudge,
    "LMJudge with a rubric": lambda: LMJudge(rubric="Be strict.", scale=(1, 4)),
    "PairwiseTournament": PairwiseTournament,
    "PairwiseTournament in rounds": lambda: PairwiseTournament(rounds=2),
    "GenSelect": GenSelect,
    "GenSelect in windows": lambda: GenSelect(window=2, repeats=2),
    "UniversalSelfConsistency": UniversalSelfConsistency,
    "JudgePanel": lambda: JudgePanel([LMJudge(), PairwiseTournament(), GenSelect()]),
}


@pytest.fixture(params=SCORERS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def judging(verdict: str | None = None) -> ScriptedLM:
    """A model whose verdict suits every judge: a rating, two ratings, a share and a choice in one."""

    def answer(request: Any) -> Any:
        if "verdict" not in prompt_of(request):
            return {"answer": f"a{request.config.seed}"}
        if verdict is not None:
            return {"verdict": verdict}
        place = prompt_of(request).find("a2")
        return {"verdict": "Judgment: 1. Rating: 3. 1 of 4 4" if place < 0 else "Judgment: 2. Rating: 2. 2/4"}

    return ScriptedLM(answer)


def build(kind: str, **options: Any) -> BestOfN:
    return BestOfN(dspy.Predict("question -> answer"), n=3, scorer=SCORERS[kind](), **options)


def test_every_call_of_a_judge_is_billed(kind: str) -> None:
    lm = judging()
    with dspy.context(lm=lm):
        pool = build(kind)(question="q").pool
    assert pool.total.calls == len(lm.requests)
    assert pool.usage["scorer"].calls == len(lm.requests) - 3 > 0


def test_the_tasks_instructions_as_they_are_now_stand_in_each_prompt(kind: str) -> None:
    lm = judging()
    task = dspy.Predict(dspy.Signature("question -> answer", "Never answer 'billing'."))
    program = BestOfN(task, n=3, scorer=SCORERS[kind]())
    with dspy.context(lm=lm):
        program(question="q")
        written = len(lm.requests)
        task.signature = task.signature.with_instructions("Never answer 'refund'.")
        program(question="q")
    said = [f"{system_of(request)}\n{prompt_of(request)}" for request in lm.requests]
    assert all("Never answer 'billing'." in text for text in said[:written])
    assert all("Never answer 'refund'." in text and "billing" not in text for text in said[written:])


def test_scores_lie_between_0_and_1(kind: str) -> None:
    with dspy.context(lm=judging()):
        pool = build(kind)(question="q").pool
    assert all(candidate.score is None or 0 <= candidate.score <= 1 for candidate in pool.candidates)


def test_awaiting_equals_calling(kind: str) -> None:
    with dspy.context(lm=judging()):
        program = build(kind)
        awaited, called = asyncio.run(program.acall(question="q")).pool, program(question="q").pool
    assert [candidate.score for candidate in awaited.candidates] == [candidate.score for candidate in called.candidates]
    assert (awaited.chosen, awaited.total, awaited.depth) == (called.chosen, called.total, called.depth)


def test_a_bank_replays_verdicts(kind: str, tmp_path: Path) -> None:
    lm = judging()
    bank = CandidateBank(f"sqlite:///{tmp_path}/bank.db")
    with dspy.context(lm=lm):
        first = build(kind, bank=bank)(question="q").pool
        asked = len(lm.requests)
        second = build(kind, bank=bank)(question="q").pool
    assert len(lm.requests) == asked
    assert [c.score for c in second.candidates] == [c.score for c in first.candidates]
    assert second.usage == first.usage


def test_prompts_are_found_saved_loaded_and_copied(kind: str, tmp_path: Path) -> None:
    program = build(kind)
    predictors = [predictor for name, predictor in program.named_predictors() if name.startswith("scorer")]
    for predictor in predictors:
        predictor.signature = predictor.signature.with_instructions("Tuned.")
    program.save(tmp_path / "program.json")
    loaded = build(kind)
    loaded.load(tmp_path / "program.json")
    for made in (loaded, program.deepcopy()):
        told = [p.signature.instructions for name, p in made.named_predictors() if name.startswith("scorer")]
        assert told == ["Tuned."] * len(predictors) != []


def test_an_optimizer_sees_the_prompts(kind: str) -> None:
    texts = SearchSpace.of(build(kind)).instructions
    assert [path for path in texts if path.startswith("scorer")]


def test_a_scorer_given_to_two_programs_is_two_scorers(kind: str) -> None:
    scorer = SCORERS[kind]()
    first, second = (BestOfN(dspy.Predict("question -> answer"), n=2, scorer=scorer) for _ in range(2))
    for (_, mine), (_, other) in zip(first.scorer.named_parameters(), second.scorer.named_parameters(), strict=True):
        assert mine is not other


def test_a_nested_judge_does_not_mix_inputs(kind: str) -> None:
    with dspy.context(lm=judging()):
        pool = Vote(build(kind), n=2)(question="q").pool
    assert len(pool.good) == 2


def test_judging_leaves_the_state_alone(kind: str) -> None:
    with dspy.context(lm=judging()):
        program = build(kind)
        before = program.dump_state()
        program(question="q")
    assert program.dump_state() == before
