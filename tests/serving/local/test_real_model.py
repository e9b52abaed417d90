"""A real model of 135 M parameters, where its file is on this machine; a few tokens of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dspy
import pytest

from dspy_fusion.programs import BestOfN, ConfigurationError, Fusion, Likelihood, PlainAdapter
from dspy_fusion.serving.local.local_lm import local_lm
from dspy_fusion.serving.local.model_files import model_file


@pytest.fixture(scope="module")
def smollm() -> Iterator[Any]:
    pytest.importorskip("xllamacpp")
    try:
        model_file("smollm2-135m")
    except ConfigurationError as error:
        pytest.skip(f"the file of SmolLM2 is not on this machine: {error}")
    lm = local_lm("smollm2-135m", context=512, parallel=2, threads=1, max_tokens=24)
    yield lm
    lm.engine.server.close()


def test_it_answers_fuses_and_knows_how_likely_its_answers_are(smollm: Any) -> None:
    ask = dspy.Predict(dspy.Signature("question -> answer", "Answer with one word."))
    with dspy.context(adapter=PlainAdapter(), lm=smollm):
        assert "paris" in ask(question="What is the capital of France?", config={"temperature": 0}).answer.lower()
        best = BestOfN(ask, n=2, scorer=Likelihood(), temperature=0.7)(question="What is the capital of France?")
        assert all(-20 < candidate.logprob < 0 for candidate in best.pool.good)
        fused = Fusion(ask, n=2, compare=False, temperature=0.7)(question="What is the capital of France?")
    assert fused.answer
    assert fused.pool.total.calls == 3
    assert fused.pool.fallback is None


def test_an_overlong_prompt_is_a_failure_that_names_the_context(smollm: Any) -> None:
    ask = dspy.Predict("question -> answer")
    with dspy.context(adapter=PlainAdapter(), lm=smollm), pytest.raises(dspy.LMError, match="context"):
        ask(question="word " * 2000)
