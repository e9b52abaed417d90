"""Candidates that end in tool calls are voted by name and arguments."""

from __future__ import annotations

import dspy
from conftest import ScriptedLM

from dspy_fusion.programs import Fusion, Vote


class Calling(dspy.Signature):
    """Choose the calls."""

    question: str = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


def calling(*texts: str) -> ScriptedLM:
    return ScriptedLM(lambda request: {"calls": texts[(request.config.seed or 0) % len(texts)]})


SAME = (
    '{"tool_calls": [{"name": "weather", "args": {"city": "Rome", "days": 2}}]}',
    '{"tool_calls": [{"name": "weather", "args": {"days": 2, "city": "rome"}}]}',
)
OTHER = '{"tool_calls": [{"name": "weather", "args": {"city": "Oslo", "days": 2}}]}'


def test_calls_are_one_by_name_and_arguments() -> None:
    with dspy.context(lm=calling(OTHER, *SAME)):
        prediction = Vote(dspy.Predict(Calling), n=3)(question="q")
    assert prediction.calls.tool_calls[0].args == {"city": "Rome", "days": 2}
    assert prediction.pool.agreement["calls"] == 2 / 3


def test_a_gate_spares_the_fusor_where_calls_agree() -> None:
    lm = calling(*SAME)
    with dspy.context(lm=lm):
        pool = Fusion(dspy.Predict(Calling), n=2, gate=1.0)(question="q").pool
    assert len(lm.requests) == 2
    assert pool.saved == 1


def test_a_call_whose_arguments_are_no_json_costs_only_its_candidate() -> None:
    with dspy.context(lm=calling('{"tool_calls": [{"name": "weather", "args": "{city"}]}', *SAME)):
        pool = Vote(dspy.Predict(Calling), n=3)(question="q").pool
    assert not pool.candidates[0].ok
    assert pool.confidence == 1.0
