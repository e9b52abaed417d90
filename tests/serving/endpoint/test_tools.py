"""Tools of clients: passed to programs whose task answers with calls, and the calls passed back, in both protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import openai
import pytest

from dspy_fusion.programs import Fusion, Vote
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server

from .conftest import ask, scripted


class Calling(dspy.Signature):
    """Choose the calls."""

    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    reply: str = dspy.OutputField()
    calls: dspy.ToolCalls = dspy.OutputField()


class Alone(dspy.Signature):
    """Call."""

    question: str = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


class Remembering(dspy.Signature):
    """Call, and remember."""

    question: str = dspy.InputField()
    history: dspy.History = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    reply: str = dspy.OutputField()
    calls: dspy.ToolCalls = dspy.OutputField()


WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK: Any = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


def called(*calls: tuple[str, dict[str, Any]]) -> str:
    return json.dumps({"tool_calls": [{"name": name, "args": arguments} for name, arguments in calls]})


def answer(request: Any) -> dict[str, str]:
    """Calls what the question says, or answers where there is a result."""
    prompt = scripted.prompt_of(request)
    if "sunny" in "".join(part.text for message in request.messages for part in message.parts):
        return {"reply": "It is sunny.", "calls": called()}
    name = "stranger" if "stranger" in prompt else "weather"
    city = next((word for word in ("Rome", "Oslo") if word in prompt), "Paris")
    calls = () if "nothing" in prompt else ((name, {"city": city}), ("clock", {}))
    return {"reply": "Let me look.", "calls": called(*calls)}


LM = scripted.ScriptedLM(answer)


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    programs = {
        "m": Fusion(dspy.Predict(Calling), n=2, lms=[LM], fusor_lm=LM),
        "alone": Vote(dspy.Predict(Alone), n=3, lms=[LM]),
        "memory": Vote(dspy.Predict(Remembering), n=1, lms=[LM]),
    }
    with endpoint_server([ServedProgram(name, program) for name, program in programs.items()]) as url:
        yield url


@pytest.fixture
def client(served: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served, api_key="none", max_retries=0) as made:
        yield made


USER: Any = {"role": "user", "content": "Weather in Rome?"}


@pytest.mark.parametrize("model", ["m", "alone"])
def test_calls_come_back_as_the_protocol_has_them(client: openai.OpenAI, model: str) -> None:
    made: Any = client.chat.completions.create(model=model, messages=[USER], tools=[WEATHER, CLOCK])
    choice = made.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == ("Let me look." if model == "m" else None)
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "clock"]
    assert json.loads(calls[0].function.arguments) == {"city": "Rome"}
    assert len({call.id for call in calls}) == 2
    assert "The weather of a city." in scripted.prompt_of(LM.requests[-1]) + str(LM.requests[-1].system)


def test_a_stream_ends_with_the_calls(client: openai.OpenAI) -> None:
    stream: Any = client.chat.completions.create(model="m", messages=[USER], tools=[WEATHER, CLOCK], stream=True)
    choices = [chunk.choices[0] for chunk in stream]
    assert "".join(choice.delta.content or "" for choice in choices) == "Let me look."
    (calls,) = [choice.delta.tool_calls for choice in choices if choice.delta.tool_calls]
    assert [(call.index, call.function.name) for call in calls] == [(0, "weather"), (1, "clock")]
    assert choices[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize("model", ["m", "memory"])
def test_results_lead_to_an_answer(client: openai.OpenAI, model: str) -> None:
    first: Any = client.chat.completions.create(model=model, messages=[USER], tools=[WEATHER, CLOCK])
    message = first.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "sunny" if call.function.name == "weather" else "noon"}
        for call in message.tool_calls
    ]
    messages: Any = [USER, message.model_dump(exclude_none=True), *results]
    second: Any = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER, CLOCK])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content == "It is sunny."
    assert "Weather in Rome?" in "".join(part.text for m in LM.requests[-1].messages for part in m.parts)


def test_the_responses_protocol_has_them_too(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", **WEATHER["function"]}, {"type": "function", **CLOCK["function"]}]
    made: Any = client.responses.create(model="m", input="Weather in Rome?", tools=tools)
    calls = [item for item in made.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [("weather", {"city": "Rome"}), ("clock", {})]
    turns: Any = [USER, *(call.model_dump(exclude={"status"}) for call in calls)]
    turns += [
        {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"},
        {"type": "function_call_output", "call_id": calls[1].call_id, "output": "noon"},
    ]
    assert client.responses.create(model="m", input=turns, tools=tools).output_text == "It is sunny."
    with client.responses.create(model="m", input="Weather in Rome?", tools=tools, stream=True) as stream:
        events = list(stream)
    done: Any = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [json.loads(event.arguments) for event in done] == [{"city": "Rome"}, {}]


def test_the_choice_of_tools_is_kept(served: str) -> None:
    def tried(model: str = "m", content: str = "Weather?", **further: Any) -> Any:
        return ask(served, model, content, tools=[WEATHER, CLOCK], **further)

    none = tried(tool_choice="none").json()["choices"][0]
    assert none["finish_reason"] == "stop"
    assert "tool_calls" not in none["message"]
    one = tried(parallel_tool_calls=False).json()["choices"][0]["message"]["tool_calls"]
    assert len(one) == 1
    assert tried(content="nothing").json()["choices"][0]["finish_reason"] == "stop"
    for choice in ("required", {"type": "function", "function": {"name": "clock"}}):
        missing = tried(content="nothing", tool_choice=choice)
        assert (missing.status_code, missing.json()["error"]["code"]) == (502, "no_tool_call")
        assert "at least one call" in scripted.prompt_of(LM.requests[-1]) + str(LM.requests[-1].system)
    only = tried(tool_choice={"type": "function", "function": {"name": "clock"}})
    assert (only.status_code, only.json()["error"]["code"]) == (502, "unknown_tool")  # it called weather all the same
    strange = tried(content="stranger")
    assert (strange.status_code, strange.json()["error"]["code"]) == (502, "unknown_tool")


@pytest.mark.parametrize(
    ("model", "changes", "param", "message"),
    [
        ("m", {}, "tools", "this model's task needs tools, as its input 'tools'; send tools"),
        ("m", {"tools": [WEATHER, WEATHER]}, "tools", "two tools are called 'weather'"),
        ("m", {"tools": [{**WEATHER, "type": "web"}]}, "tools[0].type", "should be 'function'"),
        (
            "m",
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
            "match pattern",
        ),
        (
            "m",
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
            "names 'x', which is none of",
        ),
        ("alone", {"tools": [WEATHER], "tool_choice": "none"}, "tool_choice", "cannot be 'none'"),
        (
            "m",
            {"tools": [WEATHER], "response_format": {"type": "json_object"}},
            "response_format",
            "cannot both be",
        ),
        (
            "m",
            {"tools": [WEATHER], "messages": [USER, {"role": "tool", "tool_call_id": "x", "content": "r"}]},
            "messages[1].tool_call_id",
            "must be that of an earlier call, but is 'x'",
        ),
        (
            "m",
            {
                "tools": [WEATHER],
                "messages": [
                    USER,
                    {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": "{city"}}]},
                    USER,
                ],
            },
            "messages[1].tool_calls[0].function.arguments",
            "must be a JSON object as text",
        ),
    ],
)
def test_a_wrong_tool_is_named(served: str, model: str, changes: dict[str, Any], param: str, message: str) -> None:
    response = ask(served, model, **changes)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert message in error["message"]


def test_none_of_many_requests_with_tools_is_lost(served: str) -> None:
    def one(number: int) -> Any:
        city = ("Rome", "Oslo")[number % 2]
        body = ask(served, ("m", "alone")[number % 3 == 0], f"Weather in {city}?", tools=[WEATHER, CLOCK]).json()
        return city, json.loads(body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])

    with ThreadPoolExecutor(16) as threads:
        pairs = list(threads.map(one, range(200)))
    assert all(arguments == {"city": city} for city, arguments in pairs)
