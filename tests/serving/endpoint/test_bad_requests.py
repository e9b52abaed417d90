"""Everything a client can get wrong is an error in OpenAI's shape that names the field; nothing was called for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import dspy
import httpx
import pytest

from dspy_fusion.programs import ConfigurationError, Vote
from dspy_fusion.serving.endpoint.app import create_app
from dspy_fusion.serving.endpoint.request_limits import Limits
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server

from .conftest import PATIENCE_SECONDS, ask, fusion_of, scripted

USER = {"role": "user", "content": "q"}


class Graded(dspy.Signature):
    """Grade."""

    question: str = dspy.InputField()
    attempts: int = dspy.InputField()
    answer: str = dspy.OutputField()
    grade: Literal["good", "bad"] = dspy.OutputField()


@pytest.fixture(scope="module")
def small() -> Iterator[str]:
    """A server with small limits, of a program with one input and one with two."""
    one = ServedProgram("one", fusion_of(lambda request: {"answer": "fine"}))
    two = ServedProgram("two", fusion_of(lambda request: {"answer": "fine", "grade": "good"}, signature=Graded))
    with endpoint_server([one, two], limits=Limits(body_bytes=4000, answers=4)) as url:
        yield url


@pytest.mark.parametrize(
    ("changes", "param", "message"),
    [
        ({"model": None}, "model", "model must name a model of this server"),
        ({"model": 3}, "model", "model must name a model of this server, but got 3"),
        ({"messages": None}, "messages", "at least one message"),
        ({"messages": []}, "messages", "at least one message"),
        ({"messages": "hello"}, "messages", "input should be a valid list, but got 'hello'"),
        ({"messages": ["hello"]}, "messages[0]", "should be a valid dictionary"),
        (
            {"messages": [{"role": "robot", "content": "q"}]},
            "messages[0].role",
            "should be 'system', 'developer', 'user', 'assistant' or 'tool', but got 'robot'",
        ),
        ({"messages": [USER, {"role": "tool", "content": "q"}]}, "tools", "does not honour tools"),
        ({"messages": [{"role": "user"}]}, "messages[0]", "a user's message needs a content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "valid string, but got 7"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
            "parts of type 'text'",
        ),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content", "half a character"),
        ({"messages": [USER, {"role": "assistant", "content": "a"}]}, "messages[1].role", "must be the user's"),
        (
            {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "1"}]}, USER]},
            "messages[1].tool_calls[0].function",
            "field required",
        ),
        ({"n": 0}, "n", "greater than or equal to 1, but got 0"),
        ({"n": 5}, "n", "n must be at most 4, but got n=5"),
        ({"n": 1.5}, "n", "n: input should be a valid integer"),
        ({"n": True}, "n", "n: input should be a valid integer, but got True"),
        ({"stream": "yes"}, "stream", "valid boolean"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "valid boolean"),
        ({"stop": ""}, "stop[0]", "at least 1 character"),
        ({"stop": [1]}, "stop[0]", "valid string, but got 1"),
        ({"stop": "x" * 1001}, "stop[0]", "at most 1000 characters"),
        ({"stop": ["x"] * 17}, "stop", "at most 16 items"),
        ({"temperature": 2.5}, "temperature", "less than or equal to 2, but got 2.5"),
        ({"temperature": "hot"}, "temperature", "but got 'hot'"),
        ({"seed": 2**70}, "seed", "less than 9223372036854775808"),
        ({"top_p": 0.5}, "top_p", "does not honour top_p; leave it out"),
        ({"top_k": 5}, "top_k", "does not honour top_k; leave it out"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_completion_tokens": "10"}, "max_completion_tokens", "valid integer, but got '10'"),
        ({"logprobs": True}, "logprobs", "does not honour logprobs"),
        ({"top_logprobs": 2}, "top_logprobs", "top_logprobs needs logprobs=true"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "does not know frequency_penalty=0.5"),
        ({"response_format": {"type": "grammar"}}, "response_format.type", "'json_object' or 'json_schema'"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "field required"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "does not honour tools"),
        ({"tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"guided_choice": ["a"]}, "guided_choice", "does not know guided_choice="),
        ({"inputs": ["q"]}, "inputs", "valid dictionary"),
        ({"inputs": {"query": "q"}}, "inputs", "this model's inputs are question; 'query' is none of them"),
        ({"inputs": {}}, "inputs", "'question' is missing"),
        ({"inputs": {"question": 3}}, "inputs.question", "expected a text, but got 3"),
        ({"model": "two"}, "messages[0]", "several inputs; send a JSON object with question, attempts"),
        ({"model": "two", "inputs": {"question": "q", "attempts": "many"}}, "inputs.attempts", "not of its type"),
    ],
)
def test_a_wrong_field_is_named(small: str, changes: dict[str, Any], param: str, message: str) -> None:
    body = {"model": "one", "messages": [USER], **changes}
    content = json.dumps({key: value for key, value in body.items() if value is not None})
    response = httpx.post(
        f"{small}/chat/completions",
        content=content,
        headers={"Content-Type": "application/json"},
        timeout=PATIENCE_SECONDS,
    )
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert message in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_json"),
        (b'{"n": NaN}', {}, 400, "invalid_json"),
        (b"[" * 3000, {}, 400, "invalid_json"),
        (b"\xff", {}, 400, "invalid_json"),
        (b"[]", {}, 400, None),
        (b" " * 4001, {}, 413, "request_too_large"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {"Host": "rebound.example.com"}, 403, "wrong_host"),
    ],
)
def test_what_is_no_request_is_refused(
    small: str, content: bytes, headers: dict[str, str], status: int, code: str | None
) -> None:
    response = httpx.post(
        f"{small}/chat/completions",
        content=content,
        headers={"Content-Type": "application/json", **headers},
        timeout=PATIENCE_SECONDS,
    )
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_request_that_does_not_say_how_large_it_is_is_limited_too(small: str) -> None:
    chunks = (b" " * 1000 for _ in range(5))
    assert (
        httpx.post(
            f"{small}/chat/completions",
            content=chunks,
            headers={"Content-Type": "application/json"},
            timeout=PATIENCE_SECONDS,
        ).status_code
        == 413
    )


def test_unknown_models_and_paths_are_404s(small: str) -> None:
    response = ask(small, model="on")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert "there are: one, two" in response.json()["error"]["message"]
    assert httpx.get(f"{small}/models/on", timeout=PATIENCE_SECONDS).json()["error"]["param"] == "model"
    assert "/v1/embeddings" in httpx.post(f"{small}/embeddings", timeout=PATIENCE_SECONDS).json()["error"]["message"]
    assert httpx.get(f"{small}/chat/completions", timeout=PATIENCE_SECONDS).status_code == 405


def test_neutral_and_meaningless_fields_are_allowed(small: str) -> None:
    neutral = {
        "frequency_penalty": 0.0,
        "tools": [],
        "response_format": {"type": "text"},
        "user": "me",
        "top_p": 1,
        "top_k": -1,
        "logprobs": False,
        "presence_penalty": 0,
        "store": True,
        "use_beam_search": False,
        "stream_options": None,
        "metadata": {"run": "1"},
    }
    assert ask(small, model="one", **neutral).json()["choices"][0]["message"]["content"] == "fine"


@pytest.mark.parametrize(
    "given", [{"inputs": {"question": "q", "attempts": 2}}, {"content": '{"question": "q", "attempts": "2"}'}]
)
def test_several_inputs_come_by_name(small: str, given: dict[str, Any]) -> None:
    body = ask(small, model="two", **given).json()
    assert body["choices"][0]["message"]["content"] == "fine"
    assert body["dspy_fusion"]["outputs"] == {"answer": "fine", "grade": "good"}


def test_the_key_is_asked_for_where_there_is_one() -> None:
    with endpoint_server([ServedProgram("m", fusion_of(lambda request: {"answer": "a"}))], key="secret") as url:
        right = {"Authorization": "Bearer secret"}
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic secret"},
            {"Authorization": "secret"},
        ):
            assert (
                httpx.get(f"{url}/models", headers=headers, timeout=PATIENCE_SECONDS).json()["error"]["code"]
                == "invalid_api_key"
            )
            assert ask(url).status_code == 401
        assert (
            httpx.get(
                f"{url}/models", headers={**right, "Host": "my.example.com"}, timeout=PATIENCE_SECONDS
            ).status_code
            == 200
        )
        assert httpx.get(f"{url.removesuffix('/v1')}/health", timeout=PATIENCE_SECONDS).json()["status"] == "ok"


def test_what_cannot_be_served_is_refused() -> None:
    program = fusion_of(lambda request: {"answer": "a"})
    with pytest.raises(ConfigurationError, match=r"'m' is a Predict.*wrap it as Vote\(program, n=1"):
        ServedProgram("m", dspy.Predict("question -> answer"))
    with pytest.raises(
        ConfigurationError, match=r"one of the task's outputs \['answer'\], but got answer_field='reply'"
    ):
        ServedProgram("m", program, answer_field="reply")
    with pytest.raises(ConfigurationError, match="there is nothing to serve"):
        create_app([])
    with pytest.raises(ConfigurationError, match="two models are called 'm'"):
        create_app([ServedProgram("m", program), ServedProgram("m", program)])
    with pytest.raises(ConfigurationError, match="the limit running must be a whole number from 1, but got running=0"):
        Limits(running=0)


def test_without_an_answer_field_the_answer_is_all_fields() -> None:
    lm = scripted.ScriptedLM(lambda request: {"score": "3", "tags": '["a", "b"]'})
    program = Vote(dspy.Predict("question -> score: int, tags: list[str]"), n=1, lms=[lm])
    with endpoint_server([ServedProgram("m", program), ServedProgram("tags", program, answer_field="tags")]) as url:
        assert ask(url).json()["choices"][0]["message"]["content"] == '{"score": 3, "tags": ["a", "b"]}'
        assert ask(url, model="tags").json()["choices"][0]["message"]["content"] == '["a", "b"]'
