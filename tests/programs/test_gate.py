"""The gate: where candidates agree, no fusor and no further layer is asked."""

from __future__ import annotations

from typing import Any, Literal

import dspy
import pytest
from conftest import ScriptedLM, answers, is_fusor, prompt_of
from dspy.utils.exceptions import ContextWindowExceededError

from dspy_fusion.optimizers.tuning.search_space import SearchSpace
from dspy_fusion.programs import ConfigurationError, Fusion, FusorFailed, ProposeAggregate


class Labelled(dspy.Signature):
    """Label."""

    question: str = dspy.InputField()
    reason: str = dspy.OutputField()
    label: Literal["x", "y"] = dspy.OutputField()
    count: int = dspy.OutputField()


def labelled(labels: str, counts: str) -> ScriptedLM:
    def answer(request: Any) -> dict[str, str]:
        seed = request.config.seed or 0
        if is_fusor(request):
            return {"reason": "fused", "label": "y", "count": "99"}
        return {"reason": f"because {seed}", "label": labels[seed], "count": counts[seed]}

    return ScriptedLM(answer)


def test_a_unanimous_pool_needs_no_fusor() -> None:
    lm = ScriptedLM(answers("Paris", "paris.", "Paris", fused="Rome"))
    with dspy.context(lm=lm):
        prediction = Fusion(dspy.Predict("question -> answer"), n=3, gate=1.0)(question="q")
    assert len(lm.requests) == prediction.pool.total.calls == 3
    assert (prediction.answer, prediction.pool.chosen, prediction.pool.saved) == ("Paris", 0, 1)
    assert prediction.pool.gated == "3 candidates agree: answer 1.00 >= 1"


def test_without_a_gate_the_fusor_is_always_asked() -> None:
    lm = ScriptedLM(answers("a"))
    with dspy.context(lm=lm):
        pool = Fusion(dspy.Predict("question -> answer"), n=3)(question="q").pool
    assert (len(lm.requests), pool.gated, pool.saved) == (4, None, 0)


def test_a_lower_gate_lets_a_majority_speak() -> None:
    with dspy.context(lm=ScriptedLM(answers("b", "a", "a", "a", fused="f"))):
        program = Fusion(dspy.Predict("question -> answer"), n=4, gate=0.75)
        assert program(question="q").answer == "a"
        program.gate.share.value = 0.8
        assert program(question="q").answer == "f"


def test_all_fields_that_can_be_voted_on_must_agree() -> None:
    with dspy.context(lm=labelled("xxx", "123")):
        assert Fusion(dspy.Predict(Labelled), n=3, gate=0.6)(question="q").count == 99
    with dspy.context(lm=labelled("xxx", "112")):
        prediction = Fusion(dspy.Predict(Labelled), n=3, gate=0.6)(question="q")
    assert (prediction.label, prediction.count, prediction.reason) == ("x", 1, "because 0")


def test_a_gate_can_stand_at_single_fields() -> None:
    with dspy.context(lm=labelled("xxy", "123")):
        pool = Fusion(dspy.Predict(Labelled), n=3, gate={"label": 0.6})(question="q").pool
        assert pool.gated == "3 candidates agree: label 0.67 >= 0.6"
        assert Fusion(dspy.Predict(Labelled), n=3, gate={"label": 0.7})(question="q").pool.gated is None


def test_one_candidate_agrees_with_nobody() -> None:
    lm = ScriptedLM(answers("a", fused="f"))
    with dspy.context(lm=lm):
        assert Fusion(dspy.Predict("question -> answer"), n=1, gate=0.0)(question="q").answer == "f"


def test_layers_above_an_agreeing_one_are_left_out() -> None:
    lm = ScriptedLM(answers("a"))
    with dspy.context(lm=lm):
        pool = ProposeAggregate(dspy.Predict("question -> answer"), width=4, depth=3, gate=1.0)(question="q").pool
    assert len(lm.requests) == 4
    assert (pool.saved, pool.layers) == (9, ())

    lm = ScriptedLM(answers("a", "b", "c", fused="same"))
    with dspy.context(lm=lm, trace=[]):
        prediction = ProposeAggregate(dspy.Predict("question -> answer"), width=3, depth=3, gate=1.0)(question="q")
        assert dspy.settings.trace[-1][2].answer == "same"
    assert len(lm.requests) == 6
    assert prediction.answer == "same"
    assert prediction.pool.gated == "layer 1: 3 candidates agree: answer 1.00 >= 1"
    assert (prediction.pool.saved, prediction.pool.chosen, prediction.pool.depth) == (4, None, 2)


def test_the_gate_is_saved_and_tuned(tmp_path: Any) -> None:
    program = Fusion(dspy.Predict(Labelled), gate={"label": 0.7})
    program.gate.by_field["label"].value = 0.9
    program.save(tmp_path / "program.json")
    loaded = Fusion(dspy.Predict(Labelled), gate={"label": 0.7})
    loaded.load(tmp_path / "program.json")
    assert loaded.gate.by_field["label"].value == 0.9
    names = {dimension.name for dimension in SearchSpace.of(Fusion(dspy.Predict(Labelled), gate=0.8)).dimensions}
    assert "gate.share" in names


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (1.5, r"gate must be at most 1\.0, but got gate=1\.5"),
        (
            {"colour": 0.5},
            r"gate names 'colour', which is no output of the task; it has \['reason'",
        ),
        ({}, "gate must name at least one output field"),
        ({"label": -1}, r"gate of label must be at least 0\.0"),
        ("all", "gate must be a finite number, but got gate='all'"),
    ],
)
def test_a_gate_that_cannot_be_is_refused(gate: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Fusion(dspy.Predict(Labelled), gate=gate)


def narrow(most: int, texts: list[str]) -> ScriptedLM:
    """A model whose fusor takes prompts of at most so many characters."""

    def answer(request: Any) -> dict[str, str]:
        if not is_fusor(request):
            return {"answer": texts[request.config.seed]}
        if len(prompt_of(request)) > most:
            raise ContextWindowExceededError(model="scripted/model", message="too long")
        return {"answer": "fused"}

    return ScriptedLM(answer)


LONG = [f"{i} " + "word " * 600 + f"end {i}" for i in range(4)]


def test_candidates_that_do_not_fit_are_cut_in_the_middle() -> None:
    lm = narrow(5000, LONG)
    with dspy.context(lm=lm):
        prediction = Fusion(dspy.Predict("question -> answer"), n=4)(question="q")
    assert prediction.answer == "fused"
    assert prediction.pool.fallback is None
    assert (
        prediction.pool.shortened
        == "candidates were cut in the middle to 1/4 of their length to fit the fusor's context"
    )
    shown = prompt_of(lm.requests[-1])
    assert all(f"{i} word" in shown and f"end {i}" in shown for i in range(4))
    assert "characters left out" in shown
    assert prediction.pool.usage["fusor"].calls == 3
    assert prediction.pool.total.calls == len(lm.requests) == 7


def test_or_they_are_fused_in_a_tree_of_subsets() -> None:
    lm = narrow(8000, LONG)
    with dspy.context(lm=lm):
        prediction = Fusion(dspy.Predict("question -> answer"), n=4, on_overflow="tree")(question="q")
    assert prediction.answer == "fused"
    assert prediction.pool.shortened == "candidates were fused in a tree of subsets to fit the fusor's context"
    assert prediction.pool.usage["fusor"].calls == 4  # one that failed, two halves, one of both
    assert not any("left out" in prompt_of(request) for request in lm.requests)


def test_middle_layers_are_shortened_too() -> None:
    with dspy.context(lm=narrow(5000, LONG)):
        prediction = ProposeAggregate(dspy.Predict("question -> answer"), width=4, depth=2)(question="q")
    assert prediction.answer == "fused"
    assert prediction.pool.shortened.startswith("candidates were cut")
    assert all(candidate.ok for candidate in prediction.pool.layers[0])


def test_what_fits_in_no_way_falls_back_or_fails_as_asked() -> None:
    with dspy.context(lm=narrow(10, LONG)):
        assert "ContextWindow" in Fusion(dspy.Predict("question -> answer"), n=4)(question="q").pool.fallback
        with pytest.raises(FusorFailed, match="ContextWindow"):
            Fusion(dspy.Predict("question -> answer"), n=4, on_overflow="fail", on_fusor_failure="raise")(question="q")
    with pytest.raises(ConfigurationError, match="on_overflow must be 'shorten', 'tree' or 'fail'"):
        Fusion(dspy.Predict("question -> answer"), on_overflow="cut")  # pyright: ignore[reportArgumentType]
