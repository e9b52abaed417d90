"""The older protocol of text completions, as the openai SDK and lm-evaluation-harness speak it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from dspy_fusion.serving.endpoint.request_limits import Limits
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server

from .conftest import PATIENCE_SECONDS, SHEET, fusion_of, scripted


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """A program that says what it was asked."""

    def answer(request: Any) -> dict[str, str]:
        asked = scripted.prompt_of(request).rpartition("[[ ## question ## ]]\n")[2]
        return {"answer": f"You asked: {asked.partition(chr(10))[0]}"}

    with endpoint_server([ServedProgram("m", fusion_of(answer))], limits=Limits(answers=6)) as url:
        yield url


@pytest.fixture
def sdk(served: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served, api_key="none", max_retries=0) as made:
        yield made


def test_each_prompt_is_answered_n_times(sdk: openai.OpenAI) -> None:
    made = sdk.completions.create(model="m", prompt=["one", "two"], n=2, best_of=2, max_tokens=50, stop=["\n"], seed=1)
    assert [(choice.index, choice.text) for choice in made.choices] == [
        (0, "You asked: one"), (1, "You asked: one"), (2, "You asked: two"), (3, "You asked: two"),
    ]  # fmt: skip
    assert (made.object, made.choices[0].finish_reason) == ("text_completion", "stop")
    assert made.usage
    assert made.usage.completion_tokens == 4 * 3 * 3  # four answers, each of two candidates and a fusor


def test_a_completion_ends_where_it_is_told_to(sdk: openai.OpenAI) -> None:
    cut = sdk.completions.create(model="m", prompt="one", max_tokens=2).choices[0]
    assert (cut.text, cut.finish_reason) == ("You asked", "length")
    stopped = sdk.completions.create(model="m", prompt="one", stop="asked").choices[0]
    assert (stopped.text, stopped.finish_reason) == ("You ", "stop")


def test_completions_are_streamed(sdk: openai.OpenAI) -> None:
    texts: dict[int, str] = {}
    ends: dict[int, str] = {}
    stream = sdk.completions.create(
        model="m", prompt=["one", "two"], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
            ends |= {choice.index: choice.finish_reason} if choice.finish_reason else {}
    assert texts == {0: "You asked: one", 1: "You asked: two"}
    assert ends == {0: "stop", 1: "stop"}
    assert chunks[-1].usage
    assert len(chunks) > 4


def test_a_model_names_its_tokens(client: openai.OpenAI) -> None:
    made = client.completions.create(model="aft", prompt=SHEET, logprobs=2, temperature=0, max_tokens=8)
    choice = made.choices[0]
    assert choice.logprobs
    tokens, offsets = choice.logprobs.tokens or [], choice.logprobs.text_offset or []
    assert "".join(tokens) == choice.text
    assert offsets == [len("".join(tokens[:place])) for place in range(len(tokens))]
    assert all(len(top) <= 2 for top in choice.logprobs.top_logprobs or [])
    pieces = client.completions.create(model="aft", prompt=SHEET, logprobs=2, temperature=0, max_tokens=8, stream=True)
    streamed = [chunk.choices[0] for chunk in pieces]
    assert "".join(piece.text for piece in streamed) == choice.text
    assert [o for piece in streamed if piece.logprobs for o in piece.logprobs.text_offset or []] == offsets


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("prompt", None, "prompt must be a text or a list of texts, but got None"),
        ("prompt", [], "prompt must be a text or a list of texts"),
        ("prompt", [1, 2], "got numbers of tokens; send the text itself"),
        ("prompt", [[1, 2]], "got numbers of tokens; send the text itself"),
        ("prompt", {"a": 1}, "prompt must be a text"),
        ("prompt", ["a", None], "prompt must be a text"),
        ("prompt", ["a"] * 7, "prompt must hold at most 6 texts, but got 7"),
        ("prompt", "\ud800", "half a character"),
        ("n", 7, "n must be at most 6"),
        ("echo", True, "echo=true asks for the prompt"),
        ("suffix", "end", "suffix asks for what stands between"),
        ("best_of", 3, "best_of must be n"),
        ("logprobs", 1, "does not honour logprobs"),
        ("logprobs", True, "logprobs must be a number of tokens"),
        ("logprobs", -1, "logprobs must be a number of tokens"),
        ("max_tokens", 0, "max_tokens: input should be greater than or equal to 1"),
        ("messages", [{"role": "user", "content": "q"}], "messages is a field of /v1/chat/completions"),
        ("inputs", {"question": "q"}, "inputs is a field of /v1/chat/completions"),
        ("logit_bias", {"1": 2}, "does not know logit_bias"),
    ],
)
def test_what_only_a_continuation_could_have_is_refused_by_name(
    served: str, field: str, value: Any, message: str
) -> None:
    body = json.dumps({"model": "m", "prompt": "one", field: value})
    answered = httpx.post(
        f"{served}/completions", content=body, headers={"Content-Type": "application/json"}, timeout=PATIENCE_SECONDS
    )
    assert answered.status_code == 400
    error = answered.json()["error"]
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"


def test_what_changes_nothing_is_taken(sdk: openai.OpenAI) -> None:
    made = sdk.completions.create(
        model="m", prompt="one", echo=False, suffix=None, best_of=1, presence_penalty=0, frequency_penalty=0,
        logit_bias={}, top_p=1, user="me", temperature=0.3,
    )  # fmt: skip
    assert made.choices[0].text == "You asked: one"


def test_lm_evaluation_harness_is_served(served: str) -> None:
    pytest.importorskip("lm_eval")
    completions = importlib.import_module("lm_eval.models.openai_completions").LocalCompletionsAPI
    instance = importlib.import_module("lm_eval.api.instance").Instance
    model = completions(
        base_url=f"{served}/completions", model="m", num_concurrent=1, max_retries=1, tokenizer_backend=None,
        tokenized_requests=False, batch_size=2,
    )  # fmt: skip
    until = {"until": ["\n\n"], "max_gen_toks": 64, "do_sample": False}
    asked = [instance("generate_until", {}, (f"What is {i} + 2?", until), i) for i in range(3)]
    assert model.generate_until(asked) == [f"You asked: What is {i} + 2?" for i in range(3)]


# as lm_eval 0.4 sends it: local-completions with text prompts
HARNESS = {"model": "m", "prompt": ["Question: 1 + 1?"], "max_tokens": 256, "temperature": 0, "stop": ["Question"],
           "seed": 1234}  # fmt: skip


def test_what_lm_evaluation_harness_sends_is_served(served: str) -> None:
    choice = httpx.post(f"{served}/completions", json=HARNESS, timeout=PATIENCE_SECONDS).json()["choices"][0]
    assert choice["text"] == "You asked: "
