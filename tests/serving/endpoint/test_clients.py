"""What clients of OpenAI's protocol get from the real server: the openai SDK, litellm,
and dspy.LM with both engines.
"""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
import litellm
import openai
import pytest

from dspy_fusion.programs import PlainAdapter
from dspy_fusion.serving import embedded_lm

from .conftest import SHEET, worksheets_fusion

MESSAGES: Any = [{"role": "user", "content": SHEET}]


def in_process(**options: Any) -> dspy.Prediction:
    with dspy.context(adapter=PlainAdapter()):
        program = worksheets_fusion()
        program.seed = options.get("seed", program.seed)
        return program(worksheet=SHEET)


def test_a_served_program_answers_as_it_does_in_process(client: openai.OpenAI) -> None:
    here = in_process()
    there = client.chat.completions.create(model="sheets", messages=MESSAGES)
    assert there.choices[0].message.content == here.answers
    assert there.usage
    assert (there.usage.prompt_tokens, there.usage.completion_tokens) == (
        here.pool.total.tokens_in,
        here.pool.total.tokens_out,
    )


def test_usage_is_summed_over_all_calls_and_split_by_role(client: openai.OpenAI) -> None:
    usage = client.chat.completions.create(model="sheets", messages=MESSAGES, n=2).usage
    assert usage
    assert usage.completion_tokens_details
    roles = usage.completion_tokens_details.model_extra
    assert roles
    assert set(roles) == {"candidates", "fusor"}
    assert sum(roles.values()) == usage.completion_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_what_stands_behind_an_answer_is_said(client: openai.OpenAI) -> None:
    about = client.chat.completions.create(model="sheets", messages=MESSAGES).model_extra["dspy_fusion"]
    assert about["outputs"]["answers"].startswith("(a) 12 + 30 = ")
    del about["outputs"]
    assert 0 <= about.pop("confidence") <= 1
    assert about == {"calls": 4, "candidates": 3, "failed_candidates": 0, "fallback": None, "abstained": None}


def test_answers_of_one_request_have_seeds_of_their_own(client: openai.OpenAI) -> None:
    several = client.chat.completions.create(model="sheets", messages=MESSAGES, n=2, seed=7)
    alone = client.chat.completions.create(model="sheets", messages=MESSAGES, seed=7)
    assert [choice.index for choice in several.choices] == [0, 1]
    assert several.choices[0].message.content == alone.choices[0].message.content == in_process(seed=7).answers
    assert several.choices[1].message.content == in_process(seed=1007).answers


@pytest.mark.parametrize("model", ["sheets", "aft"])
def test_a_stream_is_the_answer_in_pieces(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=MESSAGES, seed=3, n=2)
    pieces: dict[int, list[str]] = {0: [], 1: []}
    *chunks, last = client.chat.completions.create(
        model=model, messages=MESSAGES, seed=3, n=2, stream=True, stream_options={"include_usage": True}
    )
    for chunk in chunks:
        pieces[chunk.choices[0].index].append(chunk.choices[0].delta.content or "")
    assert ["".join(pieces[i]) for i in (0, 1)] == [choice.message.content for choice in whole.choices]
    assert min(len(parts) for parts in pieces.values()) > 5
    assert last.usage == whole.usage


def test_a_stream_that_ends_with_the_usage_says_so_until_then(client: openai.OpenAI) -> None:
    told: Any = client.chat.completions.create(
        model="aft", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    *before, last = [chunk.model_dump(exclude_unset=True)["usage"] for chunk in told]
    assert before == [None] * len(before)
    assert last["total_tokens"] > 0
    silent: Any = client.chat.completions.create(model="aft", messages=MESSAGES, stream=True)
    assert all("usage" not in chunk.model_dump(exclude_unset=True) for chunk in silent)


def test_a_response_has_an_id_to_ask_about(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="sheets", messages=MESSAGES)
    assert whole._request_id == whole.id
    with client.chat.completions.with_streaming_response.create(
        model="aft", messages=MESSAGES, stream=True
    ) as streamed:
        assert (streamed.request_id or "") in next(streamed.iter_lines())


@pytest.mark.parametrize("model", ["sheets", "aft"])
def test_a_prompt_that_is_too_long_is_the_clients_to_shorten(client: openai.OpenAI, url: str, model: str) -> None:
    messages: Any = [{"role": "user", "content": "12 + 30\n" * 1000}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=messages)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
    assert "\n" not in caught.value.response.json()["error"]["message"]
    with pytest.raises(litellm.exceptions.ContextWindowExceededError):
        litellm.completion(model=f"openai/{model}", api_base=url, api_key="none", messages=messages)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["sheets", "aft"])
def test_a_stop_text_ends_an_answer(client: openai.OpenAI, model: str, stream: bool) -> None:
    made: Any = client.chat.completions.create(model=model, messages=MESSAGES, stop=["\n(b", "never"], stream=stream)
    text = (
        "".join(chunk.choices[0].delta.content or "" for chunk in made) if stream else made.choices[0].message.content
    )
    assert text.startswith("(a) 12 + 30 = ")
    assert "\n" not in text


def test_a_bare_model_draws_what_it_draws_in_process(client: openai.OpenAI) -> None:
    options: Any = {"temperature": 1.3, "top_p": 0.9, "seed": 11, "max_tokens": 30}
    there = client.chat.completions.create(model="aft", messages=MESSAGES, extra_body={"top_k": 7}, **options)
    here = embedded_lm("aft", top_k=7, **options)(SHEET)
    assert [there.choices[0].message.content] == here
    assert there.choices[0].finish_reason == "length"


def test_a_bare_model_names_its_tokens(client: openai.OpenAI) -> None:
    choice = client.chat.completions.create(model="aft", messages=MESSAGES, logprobs=True, top_logprobs=2).choices[0]
    assert choice.logprobs
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == choice.message.content
    assert all(token.top_logprobs[0].logprob >= token.logprob and len(token.top_logprobs) == 2 for token in tokens)


@pytest.mark.parametrize("model", ["openai/sheets", "hosted_vllm/sheets", "hosted_vllm/aft"])
def test_litellm_gets_the_same(client: openai.OpenAI, url: str, model: str) -> None:
    name = model.partition("/")[2]
    expected = client.chat.completions.create(model=name, messages=MESSAGES, seed=5, n=2)
    options: Any = {"model": model, "api_base": url, "api_key": "none", "messages": MESSAGES, "seed": 5}
    made: Any = litellm.completion(**options, n=2)
    assert [choice.message.content for choice in made.choices] == [
        choice.message.content for choice in expected.choices
    ]
    assert expected.usage
    assert made.usage.total_tokens == expected.usage.total_tokens
    streamed: Any = litellm.completion(**options, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == expected.choices[0].message.content


@pytest.mark.parametrize("engine", ["lm15", "litellm"])
def test_dspy_gets_the_same(client: openai.OpenAI, url: str, engine: str) -> None:
    expected = client.chat.completions.create(model="sheets", messages=MESSAGES, seed=5)
    lm = dspy.LM("openai/sheets", api_base=url, api_key="none", engine=engine, cache=False, num_retries=0)
    with dspy.track_usage() as tracker:
        assert lm(SHEET, seed=5) == asyncio.run(lm.acall(SHEET, seed=5)) == [expected.choices[0].message.content]
    assert expected.usage
    assert tracker.get_total_tokens()["openai/sheets"]["completion_tokens"] == 2 * expected.usage.completion_tokens


@pytest.mark.parametrize("engine", ["lm15", "litellm"])
def test_a_program_runs_on_a_served_model_as_on_the_embedded_one(url: str, engine: str) -> None:
    program = worksheets_fusion()
    program.fusor_lm = dspy.LM(
        "hosted_vllm/aft", api_base=url, api_key="none", engine=engine, cache=False, num_retries=0
    )
    with dspy.context(adapter=PlainAdapter()):
        prediction = program(worksheet=SHEET)
    assert prediction.answers == in_process().answers
    assert prediction.pool.usage == in_process().pool.usage


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["aft", "sheets"]
    assert client.models.retrieve("sheets").owned_by == "dspy-fusion"
