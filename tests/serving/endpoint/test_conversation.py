"""What a program makes of what came before the last message: nothing of it is dropped."""

from __future__ import annotations

from typing import Any

import dspy
import httpx
import pytest

from dspy_fusion.programs import Fusion
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server

from .conftest import PATIENCE_SECONDS, scripted

TURNS = [
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "one"},
    {"role": "user", "content": "second"},
]


def served(
    signature: Any, messages: list[dict[str, Any]], outputs: dict[str, str] | None = None
) -> tuple[Any, list[Any]]:
    """The response to a conversation, and what the program's model was asked."""
    lm = scripted.ScriptedLM(lambda request: outputs or {"answer": "fine"})
    program = Fusion(dspy.Predict(signature), n=1, lms=[lm], fusor_lm=lm)
    with endpoint_server([ServedProgram("m", program)]) as url:
        response = httpx.post(
            f"{url}/chat/completions", json={"model": "m", "messages": messages}, timeout=PATIENCE_SECONDS
        )
    return response, lm.requests


class Chat(dspy.Signature):
    """Talk."""

    question: str = dspy.InputField()
    history: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()


def test_earlier_turns_are_the_tasks_history() -> None:
    response, requests = served(Chat, TURNS)
    assert response.status_code == 200
    texts = [part.text for message in requests[0].messages for part in message.parts]
    assert [("first" in text, "one" in text, "second" in text) for text in texts] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert served(Chat, TURNS[:1])[0].status_code == 200


def test_earlier_turns_are_written_down_before_a_text() -> None:
    response, requests = served("question -> answer", TURNS)
    assert response.status_code == 200
    for request in requests:  # the fusor is told too
        prompt = scripted.prompt_of(request)
        assert "User: first\n\nAssistant: one\n\nThe message to answer now:\n\nsecond" in prompt


def test_an_empty_answer_that_is_yet_to_be_written_is_none() -> None:
    response, requests = served("question -> answer", [TURNS[0], {"role": "assistant", "content": ""}])
    assert response.status_code == 200
    assert "conversation so far" not in scripted.prompt_of(requests[0])


@pytest.mark.parametrize(
    ("system", "is_added"),
    [("Answer briefly.", False), ("Answer  briefly. In French.", True), ("Be kind. In French.", True)],
)
def test_a_system_message_is_added_to_the_tasks_instructions(system: str, is_added: bool) -> None:
    signature = dspy.Signature("question -> answer", "Answer briefly.")
    response, requests = served(signature, [{"role": "system", "content": system}, TURNS[0]])
    assert response.status_code == 200
    for request in requests:
        text = str(request.system) + scripted.prompt_of(request)
        assert ("In French." in text) == is_added
        assert "Answer briefly." in text


@pytest.mark.parametrize(
    ("signature", "messages", "message"),
    [
        ("question: int -> answer", TURNS, "takes no earlier turns"),
        ("question, hint -> answer", TURNS, "takes no earlier turns"),
        ("question -> answer", TURNS[:2], "an answer cannot be begun for a program"),
        ("question -> answer", [{"role": "system", "content": "s"}], "must be the user's, but its role is 'system'"),
    ],
)
def test_turns_that_cannot_be_taken_are_refused(signature: str, messages: list[Any], message: str) -> None:
    messages = [*messages[:-1], {**messages[-1], "content": '{"question": "1", "hint": ""}'}]
    response, requests = served(signature, messages)
    assert (response.status_code, requests) == (400, [])
    assert message in response.json()["error"]["message"]
