"""DSPy's own optimizers compile our programs before and after our tuner does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of, system_of
from tuning_problem import EXAMPLES, answer, exact, program, tuner

from dspy_fusion.programs import BestOfN, Fusion, LMJudge, ProposeAggregate


def any_fields(request: Any) -> dict[str, str]:
    """Also answers MIPROv2's own questions."""
    if "question" in str(request.messages[-1].text) and "`answer`" in system_of(request):
        return answer(request)
    asked = ("observations", "summary", "program_description", "module_description", "proposed_instruction")
    return dict.fromkeys(asked, "Be careful.")


def mipro(student: dspy.Module) -> Any:
    no_demos: dict[str, Any] = {"max_bootstrapped_demos": 0, "max_labeled_demos": 0}
    prompts = ScriptedLM(any_fields)
    optimizer = dspy.MIPROv2(exact, auto=None, num_candidates=2, prompt_model=prompts, task_model=prompts, **no_demos)
    return optimizer.compile(student, trainset=EXAMPLES[:6], valset=EXAMPLES[:6], num_trials=2, minibatch=False)


def gepa(student: dspy.Module) -> Any:
    def feedback(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
        return dspy.Prediction(score=exact(gold, pred), feedback="take more care")

    reflection = ScriptedLM(
        lambda request: '{"new_instruction": "Be careful when you fuse."}', name="scripted/reflection"
    )
    optimizer = dspy.GEPA(metric=feedback, max_metric_calls=30, reflection_lm=reflection, num_threads=1)
    return optimizer.compile(student, trainset=EXAMPLES[:6], valset=EXAMPLES[:6])


@pytest.mark.parametrize("compiled", [mipro, gepa])
def test_dspys_optimizers_compile_before_and_after(tmp_path: Path, compiled: Callable[[dspy.Module], Any]) -> None:
    with dspy.context(lm=ScriptedLM(answer)):
        tuned = tuner(tmp_path, trials=4).compile(compiled(program()), valset=EXAMPLES)
        again = compiled(tuned)
        assert again.n.value == tuned.n.value
        assert again(question="q1").answer in ("yes", "no")


POLICY = "Refunds go to 'other', never 'billing'."


JUDGE = ScriptedLM(lambda request: {"verdict": "1/1"}, name="scripted/judge")


def bootstrap(student: dspy.Module) -> Any:
    return dspy.BootstrapFewShot(metric=lambda e, p, t=None: True, max_labeled_demos=0).compile(
        student, trainset=EXAMPLES[:4]
    )


@pytest.mark.parametrize("compiled", [mipro, gepa, bootstrap])
@pytest.mark.parametrize(
    "make",
    [
        lambda task: Fusion(task, n=2),
        lambda task: ProposeAggregate(task, width=2, depth=2),
        lambda task: BestOfN(task, n=2, scorer=LMJudge(JUDGE)),
    ],
    ids=["Fusion", "ProposeAggregate", "BestOfN"],
)
def test_the_task_is_told_after_a_compile(compiled: Callable[[dspy.Module], Any], make: Any) -> None:
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        made = compiled(make(dspy.Predict(dspy.Signature("question -> answer", POLICY))))
        before, judged = len(lm.requests), len(JUDGE.requests)
        made(question="q1")
    told = made.task_text()
    assert told == made.program.signature.instructions
    asked = [*lm.requests[before:], *JUDGE.requests[judged:]]
    assert len(asked) >= 3
    assert all(told in f"{system_of(request)}\n{prompt_of(request)}" for request in asked)


def test_what_gepa_writes_for_the_task_reaches_the_fusor_and_the_fusing_text_stays_apart() -> None:
    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        made = gepa(Fusion(dspy.Predict(dspy.Signature("question -> answer", POLICY)), n=2))
        made.program.signature = made.program.signature.with_instructions("Written by an optimizer.")
        made.fusor.signature = made.fusor.signature.with_instructions("Join them.")
        made(question="q1")
    fusing = lm.requests[-1]
    assert "[[ ## task ## ]]\nWritten by an optimizer." in prompt_of(fusing)
    assert "Join them." in system_of(fusing)
    assert POLICY not in system_of(fusing) + prompt_of(fusing)
