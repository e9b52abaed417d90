"""Models that refuse an option: real requests over both of DSPy's engines to a server that refuses as providers do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import dspy
import pytest
from faults.refusing_server import (
    Refusal,
    RefusingServer,
    anthropic_error,
    fields,
    openai_error,
    pydantic_error,
    refusing_server,
)

from dspy_fusion.programs import BestOfN, Fusion, LMJudge, ProposeAggregate, QuorumNotMet, Vote
from dspy_fusion.programs.calls import refused_options
from dspy_fusion.programs.calls.refused_options import forget_refusals, refuses

ENGINES = ("lm15", "litellm")
PROGRAMS: dict[str, Callable[[], dspy.Module]] = {
    "Fusion": lambda: Fusion(dspy.Predict("question -> answer"), n=2),
    "ProposeAggregate": lambda: ProposeAggregate(dspy.Predict("question -> answer"), width=2, depth=2),
    "Vote": lambda: Vote(dspy.Predict("question -> answer"), n=2),
    "BestOfN": lambda: BestOfN(dspy.Predict("question -> answer"), n=2, scorer=LMJudge()),
}


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    forget_refusals()
    yield
    forget_refusals()


def lm_at(server: RefusingServer, engine: str = "lm15", model: str = "hosted_vllm/m", **options: Any) -> dspy.LM:
    address = server.address if model.startswith("anthropic") else f"{server.address}/v1"
    options = {"cache": False, "num_retries": 0, **options}
    return dspy.LM(model, engine=engine, api_base=address, api_key="k", **options)


def refusing(name: str, refusal: Refusal, when: Callable[[Any], bool] = lambda value: True) -> Any:
    return lambda body: refusal if name in body and when(body[name]) else None


def say(body: dict[str, Any]) -> dict[str, Any]:
    text = str(body["messages"])
    return {"content": fields(verdict="3/4") if "verdict" in text else fields(answer=f"seed {body.get('seed')}")}


REFUSALS = {
    "OpenAI: a value": (
        "temperature",
        openai_error(
            "Unsupported value: 'temperature' does not support 0.7 with this model."
            " Only the default (1) value is supported.",
            "temperature",
            "unsupported_value",
        ),
    ),
    "OpenAI: a parameter": (
        "seed",
        openai_error(
            "Unsupported parameter: 'seed' is not supported with this model.", "seed", "unsupported_parameter"
        ),
    ),
    "only the field param": (
        "temperature",
        openai_error("Bad request", "temperature", "unsupported_parameter"),
    ),
    "OpenAI: unknown": ("seed", openai_error("Unrecognized request argument supplied: seed")),
    "Anthropic: thinking": (
        "temperature",
        anthropic_error("`temperature` may only be set to 1 when thinking is enabled."),
    ),
    "Anthropic: deprecated": ("temperature", anthropic_error("`temperature` is deprecated for this model.")),
    "pydantic": ("seed", pydantic_error("seed")),
    "vLLM": (
        "seed",
        (
            400,
            {
                "object": "error",
                "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not"
                " permitted', 'input': 1}]",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
        ),
    ),
    "Gemini": (
        "seed",
        (
            400,
            {
                "error": {
                    "code": 400,
                    "message": 'Invalid JSON payload received. Unknown name "seed" at'
                    " 'generation_config': Cannot find field.",
                    "status": "INVALID_ARGUMENT",
                }
            },
        ),
    ),
    "llama.cpp": (
        "seed",
        (501, {"error": {"code": 501, "message": "Unsupported param: seed", "type": "x"}}),
    ),
    "a bare sentence": ("temperature", (400, {"error": "temperature is not allowed for reasoning models"})),
}


@pytest.mark.parametrize("awaited", [False, True], ids=["called", "awaited"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_option_is_left_out_once_and_for_all(case: str, engine: str, awaited: bool) -> None:
    option, refusal = REFUSALS[case]
    with refusing_server(refusing(option, refusal)) as server, dspy.context(lm=lm_at(server, engine)):
        program = Fusion(dspy.Predict("question -> answer"), n=2)
        first = asyncio.run(program.acall(question="q")) if awaited else program(question="q")
        asked = len(server.bodies)
        again = asyncio.run(program.acall(question="q")) if awaited else program(question="q")
    assert first.pool.fallback is None
    assert first.pool.left_out == again.pool.left_out == {option: ("hosted_vllm/m",)}
    assert first.pool.total.calls == asked <= 3 + 3  # every call is counted, and each was made again once at most
    assert len(server.bodies) == asked + 3
    assert all(option not in body for body in server.bodies[asked:])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_every_step_of_every_program_does_without(kind: str, engine: str) -> None:
    def rule(body: dict[str, Any]) -> Refusal | None:
        for name in ("temperature", "seed"):
            if name in body:
                return openai_error(f"Unsupported parameter: '{name}'", name, "unsupported_parameter")
        return None

    with refusing_server(rule, say=say) as server, dspy.context(lm=lm_at(server, engine)):
        pool = PROGRAMS[kind]()(question="q").pool
    assert set(pool.left_out) == {"temperature", "seed"}
    assert pool.fallback is None
    assert all(candidate.ok and candidate.score_error is None for candidate in pool.candidates)


def test_candidates_differ_with_neither_temperature_nor_seed(tmp_path: Any) -> None:
    answers = iter("abcdef")

    def rule(body: dict[str, Any]) -> Refusal | None:
        named = next((name for name in ("temperature", "seed") if name in body), None)
        return openai_error("not supported", named, "unsupported_parameter") if named else None

    with (
        refusing_server(rule, say=lambda body: {"content": fields(answer=next(answers))}) as server,
        dspy.context(lm=lm_at(server, cache=True)),
    ):
        pool = Vote(dspy.Predict("question -> answer"), n=3)(question=str(tmp_path)).pool
    assert {candidate.prediction.answer for candidate in pool.candidates} == {"a", "b", "c"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "refusal",
    [
        openai_error("Invalid 'messages[0].content': temperature is not supported as a topic", "messages[0].content"),
        openai_error("The model `temperature` does not exist", None, "model_not_found"),
        openai_error("This model's maximum context length is 10 tokens; seed", "messages", "context_length_exceeded"),
        openai_error("Your prompt was flagged; the temperature is not allowed", None, "content_policy_violation"),
        (401, {"error": {"message": "temperature is not supported with this key", "type": "auth"}}),
        (500, {"error": {"message": "invalid temperature sensor", "type": "server_error"}}),
    ],
)
def test_another_error_is_no_refusal(engine: str, refusal: Refusal) -> None:
    with (
        refusing_server(lambda body: refusal) as server,
        dspy.context(lm=lm_at(server, engine)),
        pytest.raises(QuorumNotMet),
    ):
        Fusion(dspy.Predict("question -> answer"), n=2)(question="q")
    assert len(server.bodies) == 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "refusal",
    [
        anthropic_error("temperature: range: 0..1"),
        pydantic_error("temperature", "less_than_equal", "Input should be less than or equal to 1"),
        openai_error("temperature must be between 0 and 1", "temperature", "invalid_value"),
    ],
)
def test_a_temperature_out_of_range_leaves_lower_ones(engine: str, refusal: Refusal) -> None:
    rule = refusing("temperature", refusal, lambda value: value > 1)
    with refusing_server(rule) as server, dspy.context(lm=(lm := lm_at(server, engine))):
        hot = Vote(dspy.Predict("question -> answer"), n=1, temperature=1.3)(question="q").pool
        Vote(dspy.Predict("question -> answer"), n=1, temperature=0.8)(question="q")
    assert set(hot.left_out) == {"temperature"}
    assert [body.get("temperature") for body in server.bodies] == [1.3, None, 0.8]
    assert refuses(lm, "temperature", 1.6)
    assert not refuses(lm, "temperature", 0.8)


def test_of_two_that_exclude_each_other_the_users_own_stays() -> None:
    refusal = anthropic_error("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    both = lambda body: refusal if {"temperature", "top_p"} <= set(body) else None  # noqa: E731
    with refusing_server(both) as server, dspy.context(lm=lm_at(server, top_p=0.9)):
        Vote(dspy.Predict("question -> answer"), n=1)(question="q")
    assert server.bodies[-1]["top_p"] == 0.9
    assert "temperature" not in server.bodies[-1]


def test_what_dspy_knows_to_be_refused_is_not_sent() -> None:
    with refusing_server() as server, dspy.context(lm=lm_at(server, "auto", "openai/gpt-5-mini")):
        pool = Fusion(dspy.Predict("question -> answer"), n=2)(question="q").pool
    assert len(server.bodies) == 3
    assert not any("temperature" in body for body in server.bodies)
    assert pool.left_out == {"temperature": ("openai/gpt-5-mini",)}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_that_drops_or_refuses_an_option_says_so(engine: str) -> None:
    lm_name = "anthropic/claude-3-haiku-20240307"
    with refusing_server() as server, dspy.context(lm=lm_at(server, engine, lm_name)):
        pool = Vote(dspy.Predict("question -> answer"), n=2)(question="q").pool
    assert set(pool.left_out) == {"seed"}
    assert len(server.bodies) == 2


def test_a_token_limit_goes_by_the_name_that_the_server_wants() -> None:
    refusal = openai_error(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
        "unsupported_parameter",
    )
    rule = refusing("max_tokens", refusal)
    with refusing_server(rule) as server, dspy.context(lm=lm_at(server, "litellm", max_tokens=50)):
        pool = Vote(dspy.Predict("question -> answer"), n=1)(question="q").pool
    assert server.bodies[-1]["max_completion_tokens"] == 50
    assert pool.left_out == {}


def test_two_addresses_of_one_name_are_two_models() -> None:
    with refusing_server(refusing("seed", pydantic_error("seed"))) as strict, refusing_server() as lenient:
        for server in (strict, lenient):
            with dspy.context(lm=lm_at(server)):
                Vote(dspy.Predict("question -> answer"), n=1)(question="q")
    assert "seed" in lenient.bodies[0]


class _Engine:
    """An engine of somebody's own."""


def _model() -> Any:
    return SimpleNamespace(model="own/model", engine=_Engine(), kwargs={})


def test_what_an_engine_refused_is_not_held_against_another_that_comes_to_lie_in_its_place() -> None:
    models = [_model() for _ in range(1000)]
    for number in range(1000):
        refused_options.remember(models[number], refused_options.Refusal("temperature", 0.7))
    assert all(refuses(lm, "temperature") for lm in models)
    places = {id(lm.engine) for lm in models}
    models.clear()
    later = [_model() for _ in range(1000)]
    assert places & {id(lm.engine) for lm in later}, "none of them has the place of another"
    assert not any(refuses(lm, "temperature") for lm in later)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_is_begun_again_without_the_option(engine: str) -> None:
    async def tokens(server: RefusingServer) -> tuple[str, Any]:
        program = Fusion(dspy.Predict("question -> answer"), n=1)
        listener = dspy.streaming.StreamListener("answer", predict=program.fusor, predict_name="fusor")
        text, answer = "", None
        async for item in dspy.streamify(program, stream_listeners=[listener])(question="q"):
            if isinstance(item, dspy.Prediction):
                answer = item
            else:
                text += getattr(item, "chunk", "")
        return text, answer

    rule = refusing("temperature", pydantic_error("temperature"))
    with refusing_server(rule, say=lambda body: {"content": fields(answer="a long answer")}) as server:
        dspy.configure(lm=lm_at(server, engine))
        text, answer = asyncio.run(tokens(server))
    assert (text.strip(), answer.answer, answer.pool.fallback) == ("a long answer", "a long answer", None)


def test_one_line_in_the_log_per_model_and_option(caplog: pytest.LogCaptureFixture) -> None:
    with (
        refusing_server(refusing("seed", pydantic_error("seed"))) as server,
        dspy.context(lm=lm_at(server)),
    ):
        for _ in range(2):
            Vote(dspy.Predict("question -> answer"), n=3)(question="q")
    lines = [record.getMessage() for record in caplog.records if "does not take" in record.getMessage()]
    assert len(lines) == 1
    assert "hosted_vllm/m does not take seed" in lines[0]
