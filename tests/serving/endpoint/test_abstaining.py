"""A served program that is not sure enough says so, and never guesses in silence."""

from __future__ import annotations

from collections.abc import Iterator

import dspy
import pytest

from dspy_fusion.programs import Vote
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server

from .conftest import ask, scripted


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    lm = scripted.ScriptedLM(lambda request: {"answer": f"{request.config.seed}"})
    task = dspy.Predict("question -> answer")
    strict = Vote(task, n=4, lms=[lm], abstain_below=0.5)
    marking = Vote(task, n=4, lms=[lm], abstain_below=0.5, on_abstain="mark")
    with endpoint_server([ServedProgram("strict", strict), ServedProgram("marking", marking)]) as url:
        yield url


def test_an_unsure_answer_is_an_error_with_its_reason(served: str) -> None:
    response = ask(served, "strict")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (502, "abstained")
    assert error["message"] == "the program is not sure enough: confidence 0.250 is below abstain_below=0.5"
    assert response.headers["x-should-retry"] == "false"


def test_or_it_comes_with_the_reason(served: str) -> None:
    about = ask(served, "marking").json()["dspy_fusion"]
    assert (about["confidence"], about["outputs"]) == (0.25, {"answer": "0"})
    assert about["abstained"].startswith("confidence 0.250 is below")
