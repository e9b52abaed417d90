from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of

from dspy_fusion.experiments.tasks import Setup, load_task
from dspy_fusion.experiments.tasks.geofact_x import INSTANCE
from dspy_fusion.experiments.tasks.grading import ask_judge, remembered
from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.programs.errors import ConfigurationError, ScorerError, UnreadableVerdict

EXAMPLE = dspy.Example(id="sw-0", **INSTANCE).with_inputs("question", "language")


def judge(answer: Callable[[Any], Any] = lambda request: {"verdict": "Sound. Rating: 4"}) -> ScriptedLM:
    return ScriptedLM(answer, name="scripted/judge")


def aspects(lm: ScriptedLM | None, **fields: str) -> dict[str, float]:
    task = load_task("geofact_x", judge=lm)
    assert task.aspects is not None
    return dict(task.aspects(EXAMPLE, dspy.Prediction(**fields)))


def test_reasoning_is_rated_where_there_is_a_judge() -> None:
    answer = {"answer": "Nairobi", "reasoning": "Serikali iko Nairobi."}
    assert aspects(None, **answer) == {"accuracy": 1.0}
    lm = judge()
    assert aspects(lm, **answer) == {"accuracy": 1.0, "reasoning": 0.75, "unjudged": 0.0}
    assert INSTANCE["reference"] in prompt_of(lm.requests[0])


@pytest.mark.parametrize("verdict", ["I cannot say", "Rating: 9"])
def test_a_verdict_that_is_none_is_counted(verdict: str) -> None:
    assert aspects(judge(lambda request: {"verdict": verdict}), answer="Mombasa") == {"accuracy": 0.0, "unjudged": 1.0}


def test_a_judge_that_fails_is_counted() -> None:
    def fail(request: Any) -> None:
        raise ConnectionError("no route")

    assert aspects(judge(fail), answer="Nairobi") == {"accuracy": 1.0, "unjudged": 1.0}


def test_judging_counts_for_no_strategy() -> None:
    meter = Meter(limited=False)
    with dspy.context(usage_tracker=meter, callbacks=[meter]):
        ask_judge(judge(), dspy.Signature("question -> verdict"), question="?")
    assert meter.usage.calls == 0


def test_an_answer_is_graded_once_for_all_threads() -> None:
    asked: list[str] = []

    def grade(example: dspy.Example, prediction: dspy.Prediction) -> float:
        asked.append(prediction.answer)
        if prediction.answer == "unreadable":
            raise UnreadableVerdict("no verdict")
        return len(asked)

    once = remembered(grade)
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: once(EXAMPLE, dspy.Prediction(answer="a")), range(8))) == {1}
    for _ in range(2):
        with pytest.raises(UnreadableVerdict, match="no verdict"):
            once(EXAMPLE, dspy.Prediction(answer="unreadable"))
    assert asked == ["a", "unreadable"]


def test_a_failure_of_another_kind_is_tried_again() -> None:
    outcomes = iter([OSError("disk"), 1.0])

    def grade(example: dspy.Example, prediction: dspy.Prediction) -> float:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    once = remembered(grade)
    with pytest.raises(OSError, match="disk"):
        once(EXAMPLE, dspy.Prediction(answer="a"))
    assert once(EXAMPLE, dspy.Prediction(answer="a")) == 1


def test_a_missing_judge_is_asked_for_by_its_option() -> None:
    with pytest.raises(
        ConfigurationError, match="the metric of arena asks a judge; name a model, as in metric_judge ="
    ):
        Setup().required_judge("arena")
    with pytest.raises(ScorerError, match="the judge gave no verdict"):
        ask_judge(judge(lambda request: "no fields"), dspy.Signature("question -> verdict: int"), question="?")
