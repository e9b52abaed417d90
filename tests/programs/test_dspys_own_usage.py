"""DSPy's own usage of BestOfN, as its tests and its documentation write it, with our class in the place of DSPy's."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import dspy
import numpy as np
import pytest
from conftest import ScriptedLM, answers
from dspy.predict.predict import Predict
from dspy.primitives.prediction import Prediction
from dspy.utils.dummies import DummyLM

from dspy_fusion.programs import BestOfN as OurBestOfN, ConfigurationError, QuorumNotMet

BOTH = pytest.mark.parametrize("BestOfN", [dspy.BestOfN, OurBestOfN], ids=["dspy", "ours"])


class DummyModule(dspy.Module):
    def __init__(self, signature: str, forward_fn: Callable[..., Any]) -> None:
        super().__init__()
        self.predictor = Predict(signature)
        self.forward_fn = forward_fn

    def forward(self, **kwargs: Any) -> Prediction:
        return self.forward_fn(self, **kwargs)


def belgium() -> DummyLM:
    return DummyLM([{"answer": "Brussels"}, {"answer": "City of Brussels"}, {"answer": "Brussels"}])


@BOTH
def test_all_attempts_where_none_passes(BestOfN: Any) -> None:  # noqa: N803
    dspy.configure(lm=belgium())
    calls = {"module": 0, "reward": 0}

    def count_calls(self: Any, **kwargs: Any) -> Prediction:
        calls["module"] += 1
        return self.predictor(**kwargs)

    def reward_fn(kwargs: dict[str, Any], pred: Prediction) -> float:
        calls["reward"] += 1
        return 1.0 if len(pred.answer) == 1 else 0.0

    best_of_n = BestOfN(module=DummyModule("question -> answer", count_calls), N=3, reward_fn=reward_fn, threshold=1.0)
    result = best_of_n(question="What is the capital of Belgium?")
    assert result.answer == "Brussels"
    assert calls == {"module": 3, "reward": 3}


@BOTH
def test_stops_at_the_first_that_passes(BestOfN: Any) -> None:  # noqa: N803
    dspy.configure(lm=belgium())
    calls = []

    def count_calls(self: Any, **kwargs: Any) -> Prediction:
        calls.append(kwargs)
        return self.predictor(**kwargs)

    module = DummyModule("question -> answer", count_calls)
    best_of_n = BestOfN(module, 3, lambda args, pred: float(len(pred.answer.split()) == 1), 1.0)
    assert best_of_n(question="What is the capital of Belgium?").answer == "Brussels"
    assert len(calls) == 1


@BOTH
def test_default_fail_count(BestOfN: Any) -> None:  # noqa: N803
    dspy.configure(lm=belgium())

    def always_raise(self: Any, **kwargs: Any) -> Prediction:
        raise ValueError("Deliberately failing")

    module = DummyModule("question -> answer", always_raise)
    best_of_n = BestOfN(module=module, N=3, reward_fn=lambda _, __: 1.0, threshold=0.0)
    with pytest.raises(ValueError, match="Deliberately failing"):
        best_of_n(question="What is the capital of Belgium?")


@BOTH
def test_custom_fail_count(BestOfN: Any) -> None:  # noqa: N803
    dspy.configure(lm=belgium())
    calls = []

    def raise_twice(self: Any, **kwargs: Any) -> Prediction:
        if len(calls) < 2:
            calls.append(kwargs)
            raise ValueError("Deliberately failing")
        return self.predictor(**kwargs)

    module = DummyModule("question -> answer", raise_twice)
    best_of_n = BestOfN(module=module, N=3, reward_fn=lambda _, __: 1.0, threshold=0.0, fail_count=1)
    with pytest.raises(ValueError, match="Deliberately failing"):
        best_of_n(question="What is the capital of Belgium?")
    assert len(calls) == 2


@BOTH
@pytest.mark.parametrize("fail_count", [None, 1, 2, 3])
@pytest.mark.parametrize("fails", ["x..x", ".xx.", "x.x.", "xx..", "...x", "xxx.", ".x.x"])
def test_failures_are_counted_alike(BestOfN: Any, fail_count: int | None, fails: str) -> None:  # noqa: N803
    made: list[str] = []

    def maybe_raise(self: Any, **kwargs: Any) -> Prediction:
        made.append(fails[len(made)])
        if made[-1] == "x":
            raise KeyError("no")
        return Prediction(answer=str(len(made)))

    def outcome(kind: Any) -> tuple[str, int]:
        made.clear()
        module = DummyModule("question -> answer", maybe_raise)
        program = kind(module=module, N=4, reward_fn=lambda args, pred: 0.5, threshold=1.0, fail_count=fail_count)
        try:
            return program(question="q").answer, len(made)
        except KeyError:
            return "KeyError", len(made)

    with dspy.context(lm=ScriptedLM(answers("a"))):
        assert outcome(BestOfN) == outcome(dspy.BestOfN)


@BOTH
def test_a_reward_function_that_raises_is_a_failure(BestOfN: Any) -> None:  # noqa: N803
    def reward_fn(args: dict[str, Any], pred: Prediction) -> float:
        raise ZeroDivisionError("reward")

    with dspy.context(lm=ScriptedLM(answers("a"))), pytest.raises(ZeroDivisionError):
        BestOfN(module=Predict("question -> answer"), N=3, reward_fn=reward_fn, threshold=1.0)(question="q")


@BOTH
def test_the_documentations_example(BestOfN: Any) -> None:  # noqa: N803
    dspy.configure(lm=DummyLM([{"reasoning": "r", "answer": text} for text in ("A city", "Brussels", "Brussels")]))

    def one_word_answer(args: dict[str, Any], pred: Prediction) -> float:
        return 1.0 if len(pred.answer.split()) == 1 else 0.0

    qa = dspy.ChainOfThought("question -> answer")
    best_of_3 = BestOfN(module=qa, N=3, reward_fn=one_word_answer, threshold=1.0)
    assert best_of_3(question="What is the capital of Belgium?").answer == "Brussels"
    assert (best_of_3.N, best_of_3.threshold, best_of_3.fail_count) == (3, 1.0, 3)
    assert best_of_3.module is qa
    assert best_of_3.reward_fn({}, Prediction(answer="one")) == 1.0


@BOTH
@pytest.mark.parametrize(
    "number", [np.float32(0.5), np.int64(1), np.bool_(True), True, Decimal("0.5"), Prediction(score=0.5), np.array(0.5)]
)
def test_rewards_of_every_kind(BestOfN: Any, number: Any) -> None:  # noqa: N803
    with dspy.context(lm=ScriptedLM(answers("a"))):
        program = BestOfN(Predict("question -> answer"), 2, lambda args, pred: number, 0.5)
        assert program(question="q").answer == "a"


def test_where_dspy_returns_none_ours_raises_what_failed() -> None:
    def always_raise(self: Any, **kwargs: Any) -> Prediction:
        raise ValueError("Deliberately failing")

    module = DummyModule("question -> answer", always_raise)
    with dspy.context(lm=ScriptedLM(answers("a"))), pytest.raises(ValueError, match="Deliberately failing"):
        OurBestOfN(module=module, N=1, reward_fn=lambda _, __: 1.0, threshold=0.0)(question="q")
    with dspy.context(lm=ScriptedLM(answers("a"))), pytest.raises(QuorumNotMet, match="Deliberately failing"):
        OurBestOfN(module, n=1, scorer=lambda _, __: 1.0)(question="q")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scorer": len}, "BestOfN needs one of program= and module=, which mean the same"),
        ({"program": 1, "module": 1, "scorer": len}, "BestOfN needs only one of program= and module="),
        ({"program": Predict("q -> a")}, "BestOfN needs one of scorer= and reward_fn="),
        ({"program": Predict("q -> a"), "n": 2, "N": 2, "scorer": len}, "BestOfN needs only one of n= and N="),
    ],
)
def test_two_names_for_one_thing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        OurBestOfN(**options)
