"""What tasks that ask for a Python function share: the question, the tests that an answer may see, and the grade.

An answer is graded by hidden tests in a process of its own (:class:`CodeTests` says what isolates it): 1 where it
passes all of them, as HumanEval's and MBPP's pass@1, else 0; the share of tests is an aspect.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy

from dspy_fusion.programs.scorers.code_process import CodeLimits, extract_code, run_tests

from ..rows.sources import Source
from .task import Setup, Task

LIMITS = CodeLimits(seconds=10.0)


class WriteFunction(dspy.Signature):
    """Write the Python function that the problem asks for, with the imports that it needs."""

    problem: str = dspy.InputField()
    code: str = dspy.OutputField(desc="the whole function in Python, and nothing else")


def code_task(
    name: str,
    setup: Setup,
    source: Source,
    examples: Callable[[str, int], list[dspy.Example]],
    *,
    instance: Mapping[str, Any],
    visible_tests: Callable[[Mapping[str, Any]], Sequence[str]],
) -> Task:
    """A task whose examples have ``problem``, ``prelude`` (code that stands before an answer) and ``tests``.

    Where an example has a ``head``, an answer that does not define the function ``entry_point`` goes on after that.
    """
    return Task(
        name=name,
        instructions=WriteFunction.instructions,
        program=lambda instructions: dspy.Predict(WriteFunction.with_instructions(instructions)),
        adapter=dspy.ChatAdapter,
        examples=examples,
        metric=lambda example, prediction: float(all(cause is None for cause in outcomes(example, prediction))),
        answer_text=lambda fields: str(fields.get("code", "")),
        comparable=False,
        source=source,
        splits=tuple(source.files),
        instance=instance,
        aspects=_aspects,
        vote_key=lambda code: extract_code(str(code)).strip(),
        visible_tests=visible_tests,
    )


def outcomes(example: dspy.Example, prediction: dspy.Prediction) -> list[str | None]:
    """For each hidden test None where the answer passes it, else why not."""
    return run_tests(_program(example, extract_code(str(prediction.get("code") or ""))), example.tests, LIMITS)


def _program(example: dspy.Example, code: str) -> str:
    head = example.get("head")
    if head and not re.search(rf"def\s+{re.escape(example.entry_point)}\b", code):
        return head + (code if code[:1].isspace() else textwrap.indent(code, "    "))
    return f"{example.prelude}\n{code}"


def _aspects(example: dspy.Example, prediction: dspy.Prediction) -> Mapping[str, float]:
    causes = outcomes(example, prediction)
    return {"tests passed": sum(cause is None for cause in causes) / len(causes)}
