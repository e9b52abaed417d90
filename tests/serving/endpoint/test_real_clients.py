"""What the clients that people have send, and that they are served: openai, litellm, langchain, inspect_ai and
lm-evaluation-harness, each as it is where it is installed.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from typing import Any

import httpx
import litellm
import openai
import pytest

from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server

from .conftest import PATIENCE_SECONDS, fusion_of, scripted


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """A program that answers with the last line of what it is asked."""

    def answer(request: Any) -> dict[str, str]:
        asked = scripted.prompt_of(request).rpartition("[[ ## question ## ]]\n")[2]
        asked = asked.partition("\n\n[[ ##")[0].partition("\n\nRespond")[0]
        return {"answer": f"You asked: {asked.strip().splitlines()[-1]}"}

    with endpoint_server([ServedProgram("m", fusion_of(answer))]) as url:
        yield url


def test_openai_sends_what_its_users_set(served: str) -> None:
    with openai.OpenAI(base_url=served, api_key="none", max_retries=0) as client:
        made = client.chat.completions.create(
            model="m",
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "first"}]},
                {"role": "assistant", "content": None},
                {"role": "user", "content": "second"},
            ],
            max_completion_tokens=50,
            top_p=1,
            logprobs=False,
            presence_penalty=0,
            seed=3,
            user="me",
            temperature=0.2,
            reasoning_effort=None,
        )
        assert made.choices[0].message.content == "You asked: second"
        assert made.usage
        assert made.usage.completion_tokens_details
        assert made.usage.completion_tokens_details.reasoning_tokens == 0
        assert [model.id for model in client.models.list()] == ["m"]


@pytest.mark.parametrize("stream", [False, True])
def test_openais_responses_are_served(served: str, stream: bool) -> None:
    with openai.OpenAI(base_url=served, api_key="none", max_retries=0) as client:
        if stream:
            with client.responses.stream(model="m", input="what", instructions="Be brief.") as events:
                deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
                made = events.get_final_response()
            assert "".join(deltas) == made.output_text
        else:
            turns: Any = [{"role": "user", "content": [{"type": "input_text", "text": "what"}]}]
            made = client.responses.create(model="m", input=turns, max_output_tokens=100, store=False)
        assert (made.status, made.output_text) == ("completed", "You asked: what")
        assert made.usage
        assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
        cut = client.responses.create(model="m", input="what", max_output_tokens=2)
        assert cut.incomplete_details
        assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        with pytest.raises(openai.BadRequestError, match="does not know previous_response_id"):
            client.responses.create(model="m", input="what", previous_response_id="resp_1")


def test_litellm_sends_max_tokens(served: str) -> None:
    made: Any = litellm.completion(
        model="openai/m",
        api_base=served,
        api_key="none",
        messages=[{"role": "user", "content": "q"}],
        max_tokens=2,
        top_p=1,
    )
    assert (made.choices[0].message.content, made.choices[0].finish_reason) == ("You asked", "length")


def test_langchain_is_served(served: str) -> None:
    langchain = pytest.importorskip("langchain_openai")
    model = langchain.ChatOpenAI(
        model="m", base_url=served, api_key="none", max_tokens=50, temperature=0, max_retries=0
    )
    turns = [("system", "You are terse."), ("user", "one"), ("assistant", "You asked: one"), ("user", "two")]
    assert model.invoke(turns).content == "You asked: two"
    assert "".join(chunk.content for chunk in model.stream("three")) == "You asked: three"
    answered = model.with_structured_output(
        {"title": "Out", "type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
        method="json_schema",
    ).invoke("four")
    assert answered == {"answer": "You asked: four"}


def test_inspect_ai_is_served(served: str) -> None:
    models = pytest.importorskip("inspect_ai.model")
    config = models.GenerateConfig(max_tokens=50, temperature=0.0, seed=1, top_p=1.0, max_retries=0)
    model = models.get_model("openai-api/fusion/m", base_url=served, api_key="none", config=config)
    output = asyncio.run(
        model.generate([models.ChatMessageSystem(content="Be brief."), models.ChatMessageUser(content="q")])
    )
    assert (output.completion, output.stop_reason) == ("You asked: q", "stop")


def test_lm_evaluation_harness_is_served(served: str) -> None:
    pytest.importorskip("lm_eval")
    chat = importlib.import_module("lm_eval.models.openai_completions").LocalChatCompletion
    instance = importlib.import_module("lm_eval.api.instance").Instance
    model = chat(
        base_url=f"{served}/chat/completions", model="m", num_concurrent=1, max_retries=1, tokenized_requests=False
    )
    prompt = model.apply_chat_template([{"role": "user", "content": "What is 2 + 2?"}])
    asked = instance("generate_until", {}, (prompt, {"until": ["\n\n"], "max_gen_toks": 64, "do_sample": False}), 0)
    assert model.generate_until([asked]) == ["You asked: What is 2 + 2?"]


# as lm_eval 0.4.13 sends them: local-chat-completions with --apply_chat_template and two examples as turns
HARNESS = {
    "messages": [
        {"role": "system", "content": "Solve the problem."},
        {"role": "user", "content": "Question: 1 + 1?\nAnswer:", "type": "text"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "Question: 2 + 2?\nAnswer:", "type": "text"},
    ],
    "model": "m",
    "max_tokens": 256,
    "temperature": 0,
    "stop": ["Question:", "</s>", "<|im_end|>"],
    "seed": 1234,
}


def test_what_lm_evaluation_harness_sends_is_served(served: str) -> None:
    choice = httpx.post(f"{served}/chat/completions", json=HARNESS, timeout=PATIENCE_SECONDS).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("You asked: Answer:", "stop")
