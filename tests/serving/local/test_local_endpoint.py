"""A GGUF file behind the endpoint takes what an embedded model there takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from dspy_fusion.serving.endpoint.served_model import ServedModel
from dspy_fusion.serving.endpoint.server import endpoint_server

MESSAGES: Any = [{"role": "user", "content": "(a) 12 + 30"}]


@pytest.fixture(scope="module")
def client(lm: Any) -> Iterator[openai.OpenAI]:
    with (
        endpoint_server([ServedModel("sft", lm)]) as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made,
    ):
        yield made


def test_a_local_model_takes_sampling_arguments(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["sft"]
    made = client.chat.completions.create(
        model="sft", messages=MESSAGES, max_tokens=5, temperature=0, top_p=1, seed=1, logprobs=True, top_logprobs=1
    )
    assert made.choices[0].finish_reason == "length"
    assert made.choices[0].logprobs
    assert len(made.choices[0].logprobs.content or []) == 5
    assert made.usage
    assert made.usage.completion_tokens == 5


def test_its_stream_is_its_answer(client: openai.OpenAI) -> None:
    options: Any = {"model": "sft", "messages": MESSAGES, "max_tokens": 20, "temperature": 0}
    whole = client.chat.completions.create(**options).choices[0].message.content
    pieces: Any = client.chat.completions.create(**options, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in pieces) == whole
    assert (
        client.responses.create(model="sft", input="(a) 12 + 30", max_output_tokens=20, temperature=0).output_text
        == whole
    )
