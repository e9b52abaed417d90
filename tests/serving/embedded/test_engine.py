from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import cloudpickle
import dspy
import pytest
from dspy.lm15 import Config, Message, Request, StreamDeltaEvent, StreamEndEvent, TextDelta
from dspy.utils.exceptions import ContextWindowExceededError, LMInvalidRequestError, LMUnsupportedFeatureError

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.embedded.checkpoint import load_checkpoint, save_checkpoint
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.embedded_model import load_model
from dspy_fusion.serving.embedded.engine import AsyncEmbeddedEngine, EmbeddedEngine


class Verbatim(dspy.ChatAdapter):
    def format(self, signature, demos, inputs):
        return [{"role": "user", "content": inputs["question"]}]

    def parse(self, signature, completion):
        return dict.fromkeys(signature.output_fields, completion)


@pytest.fixture
def lm(weights_path: Path) -> dspy.LM:
    return embedded_lm(str(weights_path), max_tokens=25, seed=1)


@pytest.fixture
def engine(weights_path: Path) -> EmbeddedEngine:
    return EmbeddedEngine(load_model(weights_path))


def request_for(lm: dspy.LM, *messages: Message, system: str | None = "Answer the question.", **config: Any) -> Request:
    return Request(model=lm.model, messages=messages or (Message.user("why?"),), system=system, config=Config(**config))


def test_an_answer_carries_text_usage_and_finish_reason(lm: dspy.LM, engine: EmbeddedEngine) -> None:
    response = lm(request_for(lm, seed=1, max_tokens=25))
    assert response.text == engine.complete(request_for(lm, seed=1, max_tokens=25)).text
    assert (response.usage.input_tokens, response.usage.output_tokens) == (8, 25)
    assert response.finish_reason == "length"


def test_predict_runs_on_it_and_copies_share_the_weights(lm: dspy.LM) -> None:
    program = dspy.Predict("question -> answer")
    program.set_lm(lm.copy(temperature=0.2))
    assert program.deepcopy().lm.engine is lm.engine  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    assert copy.deepcopy(lm).engine is lm.engine


def test_logprobs_come_with_the_likeliest_alternatives(lm: dspy.LM) -> None:
    response = lm(request_for(lm, seed=2, max_tokens=20, logprobs=3))
    assert len(response.logprobs) == 20
    assert all(len(token.top) == 3 and token.top[0].logprob >= token.logprob for token in response.logprobs)


def test_likelihood_and_logprobs_agree(lm: dspy.LM, engine: EmbeddedEngine) -> None:
    alternatives = lm(request_for(lm, seed=2, max_tokens=1, logprobs=500)).logprobs[0].top
    expected = next(token.logprob for token in alternatives if token.token == "4")
    assert engine.log_likelihood(request_for(lm), "4").total == pytest.approx(expected, abs=1e-5)


def test_the_likelihood_of_a_text_adds_up_over_its_tokens(lm: dspy.LM, engine: EmbeddedEngine) -> None:
    first, both = (engine.log_likelihood(request_for(lm), text) for text in ("4", "42"))
    ended = engine.log_likelihood(request_for(lm), "42", ended=True)
    assert 0 > first.total > both.total > ended.total
    assert both.mean == both.total / 2
    assert engine.log_likelihood(request_for(lm), "").mean == 0


def test_earlier_turns_end_as_in_training(lm: dspy.LM, engine: EmbeddedEngine) -> None:
    tokenizer = engine.model.tokenizer
    turns = (Message.user("a"), Message.assistant("b"), Message.user("c"), Message.user("d"))
    expected = [
        tokenizer.begin,
        tokenizer.user,
        *tokenizer.encode("a"),
        tokenizer.assistant,
        *tokenizer.encode("b"),
        tokenizer.end,
    ]
    expected += [tokenizer.user, *tokenizer.encode("c\n\nd"), tokenizer.assistant]
    assert engine.complete(request_for(lm, *turns, system=None, max_tokens=1)).usage.input_tokens == len(expected)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("frequency_penalty", {"frequency_penalty": 0.5}),
        ("store", {"store": True}),
        ("min_p", {"extensions": {"min_p": 0.1}}),
    ],
)
def test_unsupported_options_are_refused_by_name(lm: dspy.LM, name: str, config: dict[str, Any]) -> None:
    with pytest.raises(LMUnsupportedFeatureError, match=f"do not support {name}"):
        lm(request_for(lm, **config))


def test_unsupported_content_is_refused_by_name(lm: dspy.LM) -> None:
    image = dspy.lm15.ImagePart(url="https://example.org/x.png", media_type="image/png")
    with pytest.raises(LMUnsupportedFeatureError, match="a image in a user message"):
        lm(request_for(lm, Message.user([image])))
    with pytest.raises(LMInvalidRequestError, match="last message is of role 'assistant'"):
        lm(request_for(lm, Message.assistant("so")))


def test_a_prompt_beyond_the_context_is_an_error(lm: dspy.LM) -> None:
    with pytest.raises(
        ContextWindowExceededError, match=r"embedded/tiny@.*context length is 320 tokens, .*the prompt has 405"
    ):
        lm(request_for(lm, Message.user("x" * 401)))


def test_an_answer_never_outgrows_the_context(lm: dspy.LM) -> None:
    response = lm(request_for(lm, Message.user("x" * 300), max_tokens=100, seed=0))
    assert response.usage.total_tokens <= 320


@pytest.mark.parametrize("stop", [(), ("e",), ("never written",)])
def test_a_stream_gives_the_same_answer_in_pieces(lm: dspy.LM, engine: EmbeddedEngine, stop: tuple[str, ...]) -> None:
    request = request_for(lm, seed=4, max_tokens=60, stop=stop, logprobs=0)
    events = list(engine.stream(request))
    deltas = [
        event.delta for event in events if isinstance(event, StreamDeltaEvent) and isinstance(event.delta, TextDelta)
    ]
    whole = engine.complete(request)
    assert "".join(delta.text for delta in deltas) == whole.text
    assert sum((delta.logprobs for delta in deltas), ()) == whole.logprobs
    assert isinstance(events[-1], StreamEndEvent)
    assert (events[-1].finish_reason, events[-1].usage) == (whole.finish_reason, whole.usage)


def test_sync_and_async_agree(lm: dspy.LM, engine: EmbeddedEngine) -> None:
    request = request_for(lm, seed=6, max_tokens=40)

    async def both() -> tuple[str, str]:
        stream = AsyncEmbeddedEngine(engine.model).stream(request)
        pieces = [event.delta.text async for event in stream if event.type == "delta" and event.delta.type == "text"]
        return (await lm.acall(request)).text, "".join(pieces)

    assert set(asyncio.run(both())) == {lm(request).text}


def test_streamify_shows_tokens_as_they_are_made(lm: dspy.LM) -> None:
    async def pieces() -> list[str]:
        stream: Any = dspy.streamify(dspy.Predict("question -> answer"))
        return [item.choices[0].delta.content async for item in stream(question="why?") if hasattr(item, "choices")]

    with dspy.context(lm=lm.copy(max_tokens=30), adapter=Verbatim()):
        assert len([piece for piece in asyncio.run(pieces()) if piece]) > 1


def test_a_saved_model_is_loaded_again(lm: dspy.LM, engine: EmbeddedEngine) -> None:
    loaded = dspy.LM.load_state(lm.dump_state(), allow_custom_lm_class=True)
    assert loaded.engine.model is engine.model  # pyright: ignore[reportAttributeAccessIssue]
    assert cloudpickle.loads(cloudpickle.dumps(lm)).engine.model is engine.model


def test_a_model_saved_with_other_weights_is_refused(engine: EmbeddedEngine) -> None:
    with pytest.raises(ConfigurationError, match="was saved with weights 0000000000000000"):
        EmbeddedEngine.load_state({**engine.dump_state(), "digest": "0" * 16})


def test_retrained_weights_are_another_model(lm: dspy.LM, weights_path: Path, tmp_path: Path) -> None:
    old = load_checkpoint(weights_path)
    (tmp_path / "tokenizer.json").write_bytes(weights_path.with_name("tokenizer.json").read_bytes())
    models = [lm.model]
    for factor in (1.1, 1.5):
        changed = {name: value * factor for name, value in old.weights.items()}
        save_checkpoint(tmp_path / "tiny.safetensors", old.architecture, changed)
        models.append(embedded_lm(str(tmp_path / "tiny.safetensors")).model)
    assert len(set(models)) == 3
