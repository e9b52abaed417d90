"""What asks the same as a held-out example is taken out of a training, however it is written."""

from __future__ import annotations

import unicodedata
from typing import Any

import dspy
import pytest

from dspy_fusion.experiments.runs.held_out import apart_from, asked_text
from dspy_fusion.optimizers.finetuning import TrainingRow
from dspy_fusion.programs import ConfigurationError, PlainAdapter

OTHER = dspy.Example(question="Who wrote it?").with_inputs("question")
ADAPTERS = [dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter(), PlainAdapter()]


def left(held_out: dspy.Example, row: TrainingRow) -> int:
    other = TrainingRow(({"role": "user", "content": "Something else."},), "a")
    kept, notes = apart_from([held_out], [row, other], lambda one: one.asked)
    assert bool(notes) == (len(kept) == 1)
    return len(kept)


@pytest.mark.parametrize(
    "written",
    [
        "where is the café?",
        unicodedata.normalize("NFD", "Where is the café?"),
        "Where\u00a0is  the café?\u200b",
        "\ufeffWhere is the café\uff1f",
        "\uff37here is\tthe café?\r\n",
    ],
)
def test_how_characters_are_written_makes_no_other_question(written: str) -> None:
    held_out = dspy.Example(question="Where is the café?").with_inputs("question")
    same = dspy.Example(question=written).with_inputs("question")
    kept, (note,) = apart_from([held_out], [same, OTHER], asked_text)
    assert kept == [OTHER]
    assert note.startswith("1 of 2 training examples")


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize(
    ("task", "inputs", "others"),
    [
        ("question -> answer", {"question": "Is 2 < 3?\n\nSay <b>why</b>."}, {"question": "Is 2 < 3?"}),
        ("text, limit: int -> answer", {"text": "One\ntwo.", "limit": 5}, {"text": "One\ntwo.", "limit": 6}),
        ("a, b -> answer", {"a": "2", "b": "3"}, {"a": "3", "b": "2"}),
    ],
)
def test_a_prompt_of_any_adapter_asks_what_its_inputs_ask(
    adapter: dspy.Adapter, shown: bool, task: str, inputs: dict[str, Any], others: dict[str, Any]
) -> None:
    signature: Any = dspy.Signature(task)
    if shown:
        signature = signature.append("candidates", dspy.InputField(), type_=list[str])
    candidates = {"candidates": ["one", "question: two"]} if shown else {}
    for fields, kept in ((inputs, 1), (others, 2)):
        messages = adapter.format(signature, [], {**fields, **candidates})
        row = TrainingRow(tuple(messages), "a")
        assert left(dspy.Example(**inputs).with_inputs(*inputs), row) == kept


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="all 1 training examples ask what the held-out examples ask"):
        apart_from([OTHER], [OTHER], asked_text)
