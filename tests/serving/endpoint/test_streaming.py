"""What of an unfinished completion is told: always a beginning of the answer, in every adapter's protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import dspy
import httpx
import openai
import pytest

from dspy_fusion.serving.endpoint.answer_end import AnswerEnd
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server
from dspy_fusion.serving.endpoint.streaming import Shown, reader_for

from .conftest import PATIENCE_SECONDS, fusion_of, scripted

TASK = dspy.Signature("question -> reasoning, answer")
ANSWERS = [
    "plain",
    "two\n\nparagraphs",
    "[[ ## not a header\nbut text [[ ##",
    'a "quoted" \\ back\tslash\u2028and é 😀',
    "<b>bold</b> & more",
    "{not: json}",
]


def chat(answer: str) -> str:
    return f"[[ ## reasoning ## ]]\nbecause\n\n[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]\n"


def xml(answer: str) -> str:
    escaped = answer.replace("&", "&amp;").replace("<", "&lt;")
    return f"<reasoning>because</reasoning>\n<answer>{escaped}</answer>"


WRITERS: dict[str, tuple[Callable[[str], str], dspy.Adapter]] = {
    "chat": (chat, dspy.ChatAdapter()),
    "json": (lambda answer: json.dumps({"reasoning": "because", "answer": answer}), dspy.JSONAdapter()),
    "json in words": (
        lambda answer: f"Sure: {json.dumps({'answer': answer, 'reasoning': ''}, ensure_ascii=False)}",
        dspy.JSONAdapter(),
    ),
    "xml": (xml, dspy.XMLAdapter()),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_told_is_a_beginning_of_what_the_adapter_reads(kind: str, answer: str) -> None:
    write, adapter = WRITERS[kind]
    completion, read = write(answer), reader_for(adapter, "answer")
    assert read
    parsed = adapter.parse(TASK, completion)["answer"]
    shown = [read(completion[:end]) or "" for end in range(len(completion) + 1)]
    assert all(parsed.startswith(text) for text in shown)
    assert len({text for text in shown}) > (3 if "<" not in answer else 0)


def test_text_that_may_become_a_stop_text_is_kept_back() -> None:
    told: list[str] = []
    end = AnswerEnd(("END", "EN!"))
    shown = Shown(lambda piece: told.append(piece.text), end)
    for text in ("a E", "a EN", "a ENx E", "a ENx EN!more"):
        shown.show(text)
    assert told == ["a ", "ENx "]
    assert end.whole("a ENx EN!more") == ("a ENx ", "stop")


@pytest.mark.parametrize("kind", ["chat", "json"])
def test_the_fusors_tokens_are_the_stream(kind: str) -> None:
    write, adapter = WRITERS[kind]
    texts = {True: "the fused answer", False: "a proposal"}
    program = fusion_of(
        lambda request: write(texts["candidates" in scripted.prompt_of(request)]), "question -> reasoning, answer"
    )
    with (
        endpoint_server([ServedProgram("m", program, adapter=adapter)]) as url,
        openai.OpenAI(base_url=url, api_key="none") as client,
    ):
        stream: Any = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "q"}], stream=True
        )
        pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content]
    assert "".join(pieces) == "the fused answer"
    assert len(pieces) > 2


def test_an_answer_that_was_begun_and_failed_is_withdrawn() -> None:
    def answer(request: Any) -> str:
        fused = "[[ ## answer ## ]]\nsoon there wi\n\n[[ ## extra ## ]]\n"
        return (
            fused if "candidates" in scripted.prompt_of(request) else "[[ ## answer ## ]]\nmost\n\n[[ ## grade ## ]]\n3"
        )

    program = fusion_of(answer, signature="question -> answer, grade: int")
    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)
    with endpoint_server([ServedProgram("m", program, adapter=adapter)]) as url:
        with (
            openai.OpenAI(base_url=url, api_key="none") as client,
            pytest.raises(openai.APIError, match="failed after it had begun"),
        ):
            list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "q"}], stream=True))
        body = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
        assert (
            httpx.post(f"{url}/chat/completions", json=body, timeout=PATIENCE_SECONDS).json()["choices"][0]["message"][
                "content"
            ]
            == "most"
        )
