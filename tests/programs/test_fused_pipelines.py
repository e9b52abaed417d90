"""Fusors of programs that do not say what they answer with: the task is what their first answers show it to be."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Literal

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of, system_of
from dspy.teleprompt import BootstrapFewShot

from dspy_fusion.programs import CandidateBank, ConfigurationError, Fusion, ProposeAggregate

FUSING = {
    "Fusion": lambda program, **options: Fusion(program, n=3, **options),
    "ProposeAggregate": lambda program, **options: ProposeAggregate(program, width=2, depth=3, **options),
}
TRAIN = [dspy.Example(question=f"q{i}", answer="fused").with_inputs("question") for i in range(6)]


class Second(dspy.Signature):
    """Answer in one word. Never say no."""

    question: str = dspy.InputField()
    draft: str = dspy.InputField()
    answer: str = dspy.OutputField()
    kind: Literal["short", "long"] = dspy.OutputField()


class Pipeline(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict(dspy.Signature("question -> draft", "Draft with care."))
        self.second = dspy.Predict(Second)

    def forward(self, question: str) -> dspy.Prediction:
        return self.second(question=question, draft=self.first(question=question).draft)


class Renaming(dspy.Module):
    """One predictor, whose fields are not those of the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = dspy.Predict("text -> summary")

    def forward(self, document: str, pages: int) -> dspy.Prediction:
        return dspy.Prediction(title=self.inner(text=document).summary, pages=pages)


def fields_of(request: Any) -> list[str]:
    asked = system_of(request).split("Your output fields are:")[-1].split("All interactions")[0]
    return re.findall(r"`(\w+)` \(", asked)


def answer(request: Any) -> dict[str, str]:
    """All fields that are asked for; a fusor that was told to be careful is right."""
    good = is_fusor(request) and "careful" in system_of(request)
    seed = request.config.seed or 0
    said = {"answer": "fused" if good else f"a{seed}", "kind": "short", "pages": "7", "title": f"t{seed}"}
    return {name: said.get(name, "Be careful.") for name in fields_of(request)}


def exact(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    return float(prediction.answer == example.answer)


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("compare", [False, True])
@pytest.mark.parametrize("kind", FUSING)
def test_a_pipeline_is_fused_in_the_fields_of_its_answers(kind: str, compare: bool, awaited: bool) -> None:
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        program = FUSING[kind](Pipeline(), instructions="Be careful.", compare=compare)
        fused = asyncio.run(program.acall(question="q")) if awaited else program(question="q")
    assert fused.toDict() == {"answer": "fused", "kind": "short"}
    assert fused.pool.fallback is None
    assert (fused.pool.comparison is not None) == compare
    last = lm.requests[-1]
    assert fields_of(last) == [*(["comparison"] if compare else []), "answer", "kind"]
    assert "Draft with care.\n\nAnswer in one word. Never say no." in prompt_of(last)
    assert '\\"kind\\": \\"short\\"' in prompt_of(last)


@pytest.mark.parametrize("kind", FUSING)
def test_a_hand_written_module_is_fused_in_its_own_fields(kind: str, tmp_path: Any) -> None:
    bank, lm = CandidateBank(f"sqlite:///{tmp_path}/bank.db"), ScriptedLM(answer)
    with dspy.context(lm=lm):
        program = FUSING[kind](Renaming(), bank=bank)
        first = program(document="d", pages=7)
        calls = len(lm.requests)
        again = program(document="d", pages=7)
    assert first.toDict() == again.toDict() == {"title": first.title, "pages": 7}
    assert first.title.startswith("t")
    assert len(lm.requests) == calls


def test_more_fields_than_its_only_predictors_do_not_confuse_a_fusor() -> None:
    class Noting(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = dspy.Predict("question -> answer")

        def forward(self, question: str) -> dspy.Prediction:
            said = self.inner(question=question).answer
            return dspy.Prediction(answer=said, **({"note": "odd"} if said == "a1" else {}))

    with dspy.context(lm=ScriptedLM(answer)):
        assert Fusion(Noting(), n=3, instructions="Be careful.")(question="q").toDict() == {"answer": "fused"}


@pytest.mark.parametrize("kind", FUSING)
def test_answers_with_different_fields_are_told_what_to_pass(kind: str) -> None:
    class Wavering(Pipeline):
        def forward(self, question: str) -> dspy.Prediction:
            said = super().forward(question=question)
            return dspy.Prediction(**{"answer" if said.answer == "a1" else "other": said.answer})

    with (
        dspy.context(lm=ScriptedLM(answer)),
        pytest.raises(
            ConfigurationError,
            match=r"Wavering answers with different fields \(\['other'\] and \['answer'\]\).*pass signature='inputs",
        ),
    ):
        FUSING[kind](Wavering())(question="q")


@pytest.mark.parametrize("kind", FUSING)
def test_a_fusor_that_fails_falls_back_to_the_pipelines_answer(kind: str) -> None:
    failing = ScriptedLM(lambda request: "nothing" if is_fusor(request) else answer(request))
    with dspy.context(lm=failing):
        fused = FUSING[kind](Pipeline())(question="q")
    assert fused.toDict() == {"answer": fused.answer, "kind": "short"}
    assert fused.pool.fallback


def test_a_task_field_named_as_one_of_ours_makes_ours_step_aside() -> None:
    class Odd(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = dspy.Predict("task -> draft"), dspy.Predict("draft -> comparison")

        def forward(self, task: str) -> dspy.Prediction:
            return self.second(draft=self.first(task=task).draft)

    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        fused = Fusion(Odd(), n=2)(task="t")
    assert fused.toDict() == {"comparison": "Be careful."}
    assert fields_of(lm.requests[-1]) == ["comparison_", "comparison"]
    assert fused.pool.comparison == "Be careful."


def test_miprov2_and_few_shot_bootstrapping_tune_a_fused_pipeline() -> None:
    pytest.importorskip("optuna")
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        optimizer = dspy.MIPROv2(
            metric=exact, auto=None, num_candidates=3, prompt_model=lm, task_model=lm, max_bootstrapped_demos=0,
            max_labeled_demos=0,
        )  # fmt: skip
        compiled = optimizer.compile(
            Fusion(Pipeline(), n=2), trainset=TRAIN, valset=TRAIN, num_trials=6, minibatch=False
        )
        few_shot = BootstrapFewShot(metric=exact, max_labeled_demos=0)
        shown = few_shot.compile(Fusion(Pipeline(), n=2, instructions="Be careful."), trainset=TRAIN)
        shown(question="new")
    assert "careful" in compiled.fusor.signature.instructions
    assert shown.fusor.demos[0].answer == "fused"
    assert "fused" in "".join(message.text for message in lm.requests[-1].messages[:-1])


def test_gepa_rewrites_the_fusor_of_a_pipeline() -> None:
    def feedback(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
        return dspy.Prediction(score=exact(gold, pred), feedback="be careful")

    reflection = ScriptedLM(
        lambda request: '{"new_instruction": "Be careful when you fuse."}', name="scripted/reflection"
    )
    with dspy.context(lm=ScriptedLM(answer)):
        optimizer = dspy.GEPA(metric=feedback, max_metric_calls=150, reflection_lm=reflection, num_threads=1)
        compiled = optimizer.compile(Fusion(Pipeline(), n=2), trainset=TRAIN, valset=TRAIN)
        assert dspy.Evaluate(devset=TRAIN, metric=exact, display_progress=False)(compiled).score == 100.0


def test_a_fused_pipeline_is_saved_and_loaded(tmp_path: Any) -> None:
    program = Fusion(Pipeline(), n=2)
    program.fusor.signature = program.fusor.signature.with_instructions("Be careful.")
    program.save(tmp_path / "program.json")
    loaded = Fusion(Pipeline(), n=2)
    loaded.load(tmp_path / "program.json")
    with dspy.context(lm=ScriptedLM(answer)):
        assert loaded(question="q").answer == "fused"
        assert loaded.deepcopy()(question="q").answer == "fused"
