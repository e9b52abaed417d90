"""Candidates that end in tool calls are voted by name and arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM
from dspy.lm15 import Message, ToolCallPart

from dspy_fusion.programs import Fusion, Vote
from dspy_fusion.programs.pools.equality import normalized


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


def called(**arguments: Any) -> dspy.ToolCalls:
    return dspy.ToolCalls.from_dict_list([{"name": "weather", "args": arguments}])


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ({"days": 2}, {"days": "2"}, True),
        ({"days": 2}, {"days": 2.0}, True),
        ({"on": True}, {"on": "true"}, True),
        ({"on": True}, {"on": 1}, False),
        ({"zip": "007"}, {"zip": 7}, False),
        ({"version": "1.0"}, {"version": "1"}, False),
        ({"at": {"days": ["1", 2]}}, {"at": '{"days": [1, "2"]}'}, True),
        ({"days": 2}, {"days": 3}, False),
        ({"city": "Rome"}, {"town": "Rome"}, False),
    ],
)
def test_arguments_are_compared_by_what_a_tool_reads(left: Any, right: Any, same: bool) -> None:
    assert (normalized(called(**left)) == normalized(called(**right))) == same


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


class Offered(dspy.Signature):
    """Choose the calls."""

    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


def weather(city: str, days: int = 1) -> str:
    """The weather of a city."""
    return f"sun in {city} for {days}"


class NativeLM(ScriptedLM):
    """A model that is asked for tool calls natively, and gives each call an id of its own."""

    @property
    def supports_function_calling(self) -> bool:
        return True

    def __init__(self, *calls: dict[str, Any]) -> None:
        super().__init__(lambda request: "")
        self.calls, answered = calls, self.script.complete

        def complete(request: Any) -> Any:
            response = answered(request)
            seed = request.config.seed
            made: Any = (
                {"city": "Bern"} if seed is None else calls[seed % len(calls)]
            )  # a fusor at temperature 0 has no seed
            part = ToolCallPart(f"call_{len(self.script.requests)}", "weather", made)
            return replace(response, message=Message("assistant", (part,)), finish_reason="tool_call")

        self.script.complete = complete  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", [Vote, Fusion])
def test_native_calls_are_voted_whatever_their_ids(kind: Any) -> None:
    lm = NativeLM({"city": "Oslo"}, {"city": "Rome", "days": 2}, {"days": 2, "city": "rome"})
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_native_function_calling=True)):
        prediction = kind(dspy.Predict(Offered), n=3)(question="q", tools=[dspy.Tool(weather)])
    assert all(len(request.tools) == 1 for request in lm.requests)
    (call,) = prediction.calls.tool_calls
    if kind is Vote:
        assert (call.name, call.args) == ("weather", {"city": "Rome", "days": 2})
        assert prediction.pool.confidence == 2 / 3
        assert call.execute([dspy.Tool(weather)]) == "sun in Rome for 2"
    else:
        assert call.args == {"city": "Bern"}
        assert prediction.pool.fallback is None
        assert "days" in str(lm.requests[-1].messages)  # the fusor saw the candidates' calls
