"""DSPy's own optimizers compile our programs before and after our tuner does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, system_of
from tuning_problem import EXAMPLES, answer, exact, program, tuner


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
