"""The direct client against a real server on the loopback interface."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmarks.inference_server import InferenceServer, inference_server
from dspy_fusion.experiments.synthesis.recipe import direct_lm
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.model_entry import ModelEntry


@pytest.fixture(scope="module")
def server() -> Any:
    with inference_server(0, 0.0) as running:
        yield running


@pytest.mark.parametrize("model", ["openai/m", "hosted_vllm/org/m"])
def test_it_says_what_the_catalogue_s_own_says(server: InferenceServer, model: str) -> None:
    entry = ModelEntry(model, address=server.address, engine="native", sampling={"max_tokens": 50})
    direct, own = direct_lm(entry, connections=4), entry.lm()
    assert direct("why?", temperature=0.3, seed=1) == own("why?", temperature=0.3, seed=1)
    assert asyncio.run(direct.acall("how?")) == own("how?")
    assert direct.model == own.model


def test_more_calls_than_connections_wait_for_each_other(server: InferenceServer) -> None:
    lm = direct_lm(ModelEntry("openai/m", address=server.address, engine="native"), connections=2)

    async def many() -> list[Any]:
        return await asyncio.gather(*(lm.acall(f"q{i}") for i in range(9)))

    assert len({tuple(answers) for answers in asyncio.run(many())}) == 9


def test_another_engine_stays_as_the_catalogue_makes_it() -> None:
    assert direct_lm(ModelEntry("openai/m", address="http://127.0.0.1:1/v1"), connections=1).engine == "litellm"


def test_what_the_native_client_would_drop_is_still_refused() -> None:
    with pytest.raises(ConfigurationError, match="the native engine does not send top_k"):
        direct_lm(ModelEntry("openai/m", engine="native", sampling={"top_k": 5}), connections=1)
