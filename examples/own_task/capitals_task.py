"""A task that a package offers: name it as ``capitals_task:make_task``, or by its entry point once it is installed."""

from collections.abc import Mapping
from typing import Any

import dspy

from dspy_fusion.experiments import Task
from dspy_fusion.experiments.tasks import Setup, Source

ROWS = {"France": "Paris", "Japan": "Tokyo", "Kenya": "Nairobi", "Peru": "Lima"}


def make_task(setup: Setup) -> Task:
    """The task; it needs no data and no judge, so nothing of ``setup`` is read."""
    return Task(
        name="capitals",
        instructions="Name the capital of the country, and nothing else.",
        program=lambda instructions: dspy.Predict(dspy.Signature("country -> capital", instructions)),
        adapter=dspy.ChatAdapter,
        examples=_examples,
        metric=lambda example, prediction: float(str(prediction.capital).strip() == example.capital),
        answer_text=_text,
        comparable=True,
        source=Source(licence="CC0-1.0", url="made up here", citation=""),
        splits=("test",),
        instance={"country": "France", "capital": "Paris"},
    )


def _examples(split: str, n: int) -> list[dspy.Example]:
    rows = list(ROWS.items())[:n]
    return [dspy.Example(id=name, country=name, capital=capital).with_inputs("country") for name, capital in rows]


def _text(fields: Mapping[str, Any]) -> str:
    return str(fields.get("capital", ""))
