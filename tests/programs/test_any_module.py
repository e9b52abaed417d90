"""Programs around whatever module there is: pipelines, hand-written modules, modules without a predictor."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, answers, prompt_of
from dspy.dsp.utils.settings import settings

from dspy_fusion.programs import BestOfN, CandidateBank, ConfigurationError, Fusion, LMJudge, QuorumNotMet, Vote


class Two(dspy.Module):
    """Answers from a draft."""

    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("question -> draft")
        self.second = dspy.Predict("question, draft -> answer, count: int")

    def forward(self, question: str) -> dspy.Prediction:
        return self.second(question=question, draft=self.first(question=question).draft)


class HandWritten(dspy.Module):
    """One predictor whose fields are not the module's own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = dspy.Predict("text -> summary")

    def forward(self, document: str, **more: Any) -> dspy.Prediction:
        return dspy.Prediction(title=self.inner(text=document).summary.upper(), length=len(document))


class Bare(dspy.Module):
    def forward(self, **inputs: Any) -> dspy.Prediction:
        return dspy.Prediction(answer=str(settings.lm.kwargs.get("seed") // 2))


def pipeline(request: Any) -> dict[str, str]:
    if "draft ## ]]" in prompt_of(request).split("Respond with")[0]:
        return {"answer": f"a{request.config.seed // 2}", "count": "3"}
    return {"draft": "d"}


@pytest.mark.parametrize("awaited", [False, True])
def test_a_pipeline_needs_no_signature(awaited: bool, tmp_path: Any) -> None:
    def call(program: dspy.Module, **inputs: Any) -> Any:
        program.bank = CandidateBank(f"sqlite:///{tmp_path}/bank.db")
        return program(**inputs)

    class Awaited(Two):
        async def aforward(self, question: str) -> dspy.Prediction:
            draft = (await self.first.acall(question=question)).draft
            return await self.second.acall(question=question, draft=draft)

    with dspy.context(lm=ScriptedLM(pipeline)):
        vote = Vote(Awaited(), n=4)
        answer = asyncio.run(vote.acall(question="q")) if awaited else call(vote, question="q")
        best = BestOfN(Two(), n=4, scorer=lambda args, pred: float(pred.answer[1:]))(question="q")
    assert answer.toDict() == {"answer": "a0", "count": 3}
    assert best.toDict() == {"answer": "a1", "count": 3}


def test_a_hand_written_module_answers_with_its_own_fields(tmp_path: Any) -> None:
    said = ["short", "longer", "short"]
    bank = CandidateBank(f"sqlite:///{tmp_path}/bank.db")
    with dspy.context(lm=ScriptedLM(lambda request: {"summary": said[request.config.seed % 3]})):
        for _ in range(2):
            vote = Vote(HandWritten(), n=3, fields=["title"], bank=bank)(document="abc")
            assert vote.toDict() == {"title": "SHORT", "length": 3}
        best = BestOfN(HandWritten(), n=3, scorer=lambda args, pred: len(pred.title))(document="abc")
    assert best.toDict() == {"title": "LONGER", "length": 3}


def test_a_module_without_predictors_works() -> None:
    with dspy.context(lm=ScriptedLM(answers("a"))):
        assert Vote(Bare(), n=4)(anything="q").answer == "0"


def test_a_judge_sees_the_fields_of_a_pipeline() -> None:
    def judged(request: Any) -> dict[str, str]:
        if "verdict" in prompt_of(request):
            return {"verdict": "1/1" if "a1" in prompt_of(request) else "0/1"}
        return pipeline(request)

    with dspy.context(lm=ScriptedLM(judged)):
        assert BestOfN(Two(), n=3, scorer=LMJudge())(question="q").answer == "a1"


def test_a_normalize_that_raises_costs_its_candidate() -> None:
    texts = ["4", "four", "4", "5"]
    with dspy.context(lm=ScriptedLM(lambda request: {"answer": texts[request.config.seed]})):
        pool = Vote(dspy.Predict("question -> answer"), n=4, normalize=int)(question="q").pool
        with pytest.raises(Exception, match="no candidate could vote; normalize raised ValueError"):
            Vote(dspy.Predict("question -> answer"), n=1, seed=1, normalize=int)(question="q")
    assert pool.chosen == 0
    assert "normalize raised ValueError" in pool.candidates[1].score_error


@pytest.mark.parametrize("kind", [Vote, Fusion])
def test_positional_arguments_are_told_the_names(kind: Any) -> None:
    program = kind(dspy.Predict("question, context -> answer"), n=2)
    with pytest.raises(ValueError, match=r"write program\(question=..., context=...\)"):
        program("q")
    with pytest.raises(ConfigurationError, match="takes its inputs by name"):
        asyncio.run(program.acall("q"))


@pytest.mark.parametrize("size", [0, 5, 10_000])
def test_the_trace_keeps_its_size(size: int) -> None:
    with dspy.context(lm=ScriptedLM(answers("a")), trace=[], max_trace_size=size):
        program = Fusion(dspy.Predict("question -> answer"), n=3)
        for _ in range(3):
            program(question="q")
        assert len(dspy.settings.trace) == min(size, 12)
        assert all(row[0] in program.predictors() for row in dspy.settings.trace)


def test_histories_hold_every_call() -> None:
    lm = ScriptedLM(answers("a"))
    with dspy.context(lm=lm, disable_history=False, max_history_size=3):
        program = Fusion(dspy.Predict("question -> answer"), n=4)
        program(question="q")
    assert len(lm.history) == len(program.history) == 3
    assert "candidates" in str(lm.history[-1]["messages"])


def test_answers_without_fields_are_none() -> None:
    class Silent(dspy.Module):
        def forward(self, question: str) -> dspy.Prediction:
            return dspy.Prediction()

    with dspy.context(lm=ScriptedLM(answers("a"))), pytest.raises(QuorumNotMet, match="of any name"):
        Vote(Silent(), n=2)(question="q")
