"""What a client sets about the form of a program's answer: its length, its end, and JSON that meets a schema."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Literal

import dspy
import httpx
import pytest

from dspy_fusion.serving.endpoint.answer_end import AnswerEnd
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server
from dspy_fusion.serving.endpoint.streaming import FusorStream, Shown

from .conftest import PATIENCE_SECONDS, SHEET, ask, fusion_of, worksheets_fusion


class Graded(dspy.Signature):
    """Grade."""

    question: str = dspy.InputField()
    answer: str = dspy.OutputField()
    points: int = dspy.OutputField()
    grade: Literal["good", "bad"] = dspy.OutputField()


@pytest.fixture(scope="module")
def graded() -> Iterator[str]:
    outputs = {"answer": "one two three four five", "points": "3", "grade": "good"}
    with endpoint_server([ServedProgram("m", fusion_of(lambda request: outputs, signature=Graded))]) as url:
        yield url


def streamed(url: str, **options: Any) -> tuple[str, str]:
    lines = ask(url, stream=True, **options).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert not [chunk for chunk in chunks if "error" in chunk]
    choices = [chunk["choices"][0] for chunk in chunks]
    return "".join(choice["delta"].get("content", "") for choice in choices), choices[-1]["finish_reason"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(("most", "text", "finish"), [(3, "one two three", "length"), (5, None, "stop")])
def test_an_answer_ends_after_its_tokens(graded: str, name: str, most: int, text: str | None, finish: str) -> None:
    choice = ask(graded, **{name: most}).json()["choices"][0]
    expected = (text or "one two three four five", finish)
    assert (choice["message"]["content"], choice["finish_reason"]) == expected
    assert streamed(graded, **{name: most}) == expected


def test_the_tokens_of_an_embedded_fusor_are_its_own(url: str) -> None:
    whole = ask(url, "sheets", SHEET).json()["choices"][0]["message"]["content"]
    engine: Any = worksheets_fusion().fusor_lm.engine  # type: ignore[union-attr]
    count = len(engine.model.tokenizer.encode(whole))
    for most in (1, 7, count - 1, count):
        choice = ask(url, "sheets", SHEET, max_tokens=most).json()["choices"][0]
        assert choice["finish_reason"] == ("stop" if most == count else "length")
        assert whole.startswith(choice["message"]["content"])
        assert streamed(url, model="sheets", content=SHEET, max_tokens=most)[0] == choice["message"]["content"]


def test_a_json_object_has_all_outputs(graded: str) -> None:
    content = ask(graded, response_format={"type": "json_object"}).json()["choices"][0]["message"]["content"]
    assert json.loads(content) == {"answer": "one two three four five", "points": 3, "grade": "good"}


def asking(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "out", "strict": True, "schema": schema}}
    }


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def test_a_schema_is_met(graded: str) -> None:
    level = {
        "$defs": {"level": {"enum": ["good", "bad"]}},
        **obj(points={"type": "number"}, grade={"$ref": "#/$defs/level"}),
    }
    content = ask(graded, **asking(level)).json()["choices"][0]["message"]["content"]
    assert json.loads(content) == {"points": 3, "grade": "good"}
    assert json.loads(streamed(graded, **asking(level))[0]) == {"points": 3, "grade": "good"}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (obj(score={"type": "number"}), "requires 'score', which is no output of this model; its outputs are answer"),
        (obj(points={"type": "string"}), "'points' is integer, which cannot be string"),
        (obj(grade={"enum": ["A", "B"]}), "the output 'grade' is string"),
        ({"type": "array"}, "must be of an object"),
        (obj(answer={"type": "string", "pattern": "(a+)+$"}), "does not check pattern"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "which it does not hold"),
        ({"$ref": "#"}, "refers to itself"),
        ({"type": "object", "required": "answer"}, "required a list"),
    ],
)
def test_a_schema_that_cannot_be_met_is_refused(graded: str, schema: dict[str, Any], message: str) -> None:
    error = ask(graded, **asking(schema)).json()["error"]
    assert (error["param"], error["type"]) == ("response_format", "invalid_request_error")
    assert message in error["message"]


def test_an_answer_that_does_not_meet_the_schema_is_an_error(graded: str) -> None:
    response = ask(graded, **asking(obj(points={"type": "integer", "minimum": 5})))
    assert (response.status_code, response.json()["error"]["code"]) == (502, "answer_not_in_schema")


def test_a_long_answer_and_long_stop_texts_take_no_time() -> None:
    told: list[str] = []
    shown = Shown(lambda piece: told.append(piece.text), AnswerEnd(["a" * 999 + "b"] * 16))
    stream = FusorStream(lambda text: text, shown)
    started = time.process_time()
    for size in range(0, 100_000, 4):
        stream._text = "a" * size
        shown.show(stream._text) if size % 400 == 0 else None
    assert time.process_time() - started < 5
    assert shown.finish("a" * 100_000)
    assert "".join(told) == "a" * 100_000


def test_a_stop_text_that_is_too_long_is_refused(graded: str) -> None:
    response = httpx.post(
        f"{graded}/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": "q"}], "stop": "x" * 100_000, "stream": True},
        timeout=PATIENCE_SECONDS,
    )
    assert (response.status_code, response.json()["error"]["param"]) == (400, "stop[0]")
