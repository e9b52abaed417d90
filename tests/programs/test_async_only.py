"""Modules that can only be awaited inside programs that are called."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import dspy
import pytest
from conftest import ScriptedLM, answers

from dspy_fusion import BestOfN, Fusion, Vote, compare


class Awaited(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.predict = dspy.Predict("question -> answer")

    async def aforward(self, question: str) -> dspy.Prediction:
        return await self.predict.acall(question=question)


def test_candidates_are_awaited_where_the_program_is_called() -> None:
    lm = ScriptedLM(answers("a", "b", "b"))
    with dspy.context(lm=lm):
        assert Vote(Awaited(), n=3, lms=[lm])(question="q").answer == "b"
        assert len(lm.requests) == 3
        assert Fusion(Awaited(), n=2)(question="q").pool.total.calls == 3


def test_one_that_is_called_inside_a_running_loop_is_awaited_too() -> None:
    lm = ScriptedLM(answers("a"))

    async def main() -> str:
        with dspy.context(lm=lm):
            return BestOfN(Awaited(), n=1, scorer=lambda inputs, prediction: 1.0)(question="q").answer

    assert asyncio.run(main()) == "a"


def test_what_it_raises_is_the_candidates_error() -> None:
    class Broken(Awaited):
        async def aforward(self, question: str) -> dspy.Prediction:
            raise OSError("no disk")

    with dspy.context(lm=ScriptedLM(answers("a"))), pytest.raises(Exception, match="OSError: no disk"):
        Vote(Broken(), n=2)(question="q")


def test_nothing_is_said_of_how_modules_are_called(caplog: pytest.LogCaptureFixture) -> None:
    class Stepped(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predict = dspy.Predict("question -> answer")

        def forward(self, question: str) -> dspy.Prediction:
            return self.predict(question=question)

    logging.getLogger("dspy").addHandler(caplog.handler)
    try:
        with dspy.context(lm=ScriptedLM(answers("a"))):
            for program in (Stepped(), Awaited(), dspy.syncify(Awaited())):
                Vote(program, n=2)(question="q")
    finally:
        logging.getLogger("dspy").removeHandler(caplog.handler)
    assert "forward" not in caplog.text


def test_they_are_compared(tmp_path: Path) -> None:
    rows = [dspy.Example(question=f"q {n}", answer="a").with_inputs("question") for n in range(3)]
    with dspy.context(lm=ScriptedLM(answers("a"))):
        programs = {"awaited": Awaited(), "vote": Vote(Awaited(), n=2)}
        result = compare(programs, rows, "exact", output="answer", out=tmp_path / "run", tracking=False, progress=False)
    assert [row.score.mean for row in result.summary.rows] == [1.0, 1.0]
