from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import dspy
import pytest
from shared_data import DATA, needs_data

from dspy_fusion.experiments.records.record import Record
from dspy_fusion.experiments.tasks import Task, load_task
from dspy_fusion.experiments.tasks.ifeval import official_scores_of
from dspy_fusion.programs.errors import ConfigurationError

ROWS: list[dict[str, Any]] = [
    {
        "key": 7,
        "prompt": "Two sentences or more on ships, no comma.",
        "instruction_id_list": ["length_constraints:number_sentences", "punctuation:no_comma"],
        "kwargs": [{"relation": "at least", "num_sentences": 2, "letter": None}, {"letter": None}],
    },
    {"key": 8, "prompt": "No comma.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
]


def ifeval(folder: Path, rows: list[dict[str, Any]] = ROWS) -> Task:
    (folder / "ifeval").mkdir()
    (folder / "ifeval" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_task("ifeval", data=folder)


def answer(text: str) -> dspy.Prediction:
    return dspy.Prediction(response=text)


def test_an_answer_scores_when_it_follows_everything(tmp_path: Path) -> None:
    task = ifeval(tmp_path)
    example = copy.deepcopy(task.examples("test", 1)[0])
    assert task.metric(example, answer("Ships sail. They sink.")) == 1.0
    assert task.metric(example, answer("Ships sail, then sink. Yes.")) == 0.0
    assert task.metric(example, dspy.Prediction(response=None)) == 0.0


def test_aspects_are_the_four_official_scores_of_one_answer(tmp_path: Path) -> None:
    task = ifeval(tmp_path)
    assert task.aspects is not None
    aspects = task.aspects(task.examples("test", 1)[0], answer("Sure, here:\nShips sail."))
    assert aspects == {"prompt_strict": 0.0, "prompt_loose": 0.0, "instruction_strict": 0.0, "instruction_loose": 0.5}


def test_examples_are_grouped_by_category_and_keep_their_arguments(tmp_path: Path) -> None:
    task = ifeval(tmp_path)
    first, second = task.examples("test", 2)
    assert [first.id, second.id] == ["ifeval-7", "ifeval-8"]
    assert [task.group(first), task.group(second)] == ["several", "punctuation"]
    assert first.kwargs == [{"relation": "at least", "num_sentences": 2}, {}]
    assert set(first.inputs().keys()) == {"prompt"}


def test_parts_are_the_instructions(tmp_path: Path) -> None:
    task = ifeval(tmp_path)
    assert task.parts is not None
    parts = task.parts(
        task.examples("test", 1)[0], "Ships sail. They sink.", ["Ships sail, or sink. Yes.", None, "Ships sail."]
    )
    assert [(part.kind, part.right, part.same_as) for part in parts] == [
        ("length_constraints", True, (0,)),
        ("punctuation", True, (2,)),
    ]


def test_official_scores_count_every_instruction_once(tmp_path: Path) -> None:
    task = ifeval(tmp_path)
    assert task.aspects is not None
    records = []
    for example, text in zip(task.examples("test", 2), ("Ships sail.", "No comma"), strict=True):
        shared = {
            "task": "ifeval",
            "strategy": "s",
            "seed": 0,
            "expected": task.answer_text(example.toDict()),
            "example": example.id,
        }
        records.append(
            Record(**shared, score=task.metric(example, answer(text)), aspects=task.aspects(example, answer(text)))
        )
    scores = official_scores_of(records)
    assert (scores.prompt_strict, scores.instruction_strict) == (0.5, pytest.approx(2 / 3))
    failed = Record(
        task="ifeval", strategy="s", seed=0, example="x", expected=records[0].expected, score=0.0, error="late"
    )
    assert official_scores_of([*records, failed]).instruction_strict == pytest.approx(2 / 5)
    with pytest.raises(ConfigurationError, match="need records of that task"):
        official_scores_of([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instruction_id_list": ["a:b"]}, r"test\.jsonl, line 1: there is no instruction 'a:b'"),
        ({"kwargs": [{}, {}]}, r"line 1: 1 instructions have 2 sets of arguments"),
        ({"kwargs": "none"}, r"line 1: instruction_id_list and kwargs should be lists"),
        ({"kwargs": [{"num_words": 3}]}, r"line 1: the instruction 'punctuation:no_comma' takes no 'num_words'"),
    ],
)
def test_bad_rows_are_named_with_file_and_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ifeval(tmp_path, [ROWS[1] | change]).examples("test", 1)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    row = {name: value for name, value in ROWS[1].items() if name != "kwargs"}
    with pytest.raises(
        ConfigurationError, match="lacks a column 'kwargs'; its columns are: key, prompt, instruction_id_list"
    ):
        ifeval(tmp_path, [row]).examples("test", 1)


@needs_data
def test_all_541_prompts_load() -> None:
    task = load_task("ifeval", data=DATA)
    examples = task.examples("test", 1000)
    assert len(examples) == task.source.sizes["test"] == 541
    assert sum(len(example.kwargs) for example in examples) == 834


def test_the_instance_is_an_example_of_the_task(tmp_path: Path) -> None:
    task = ifeval(tmp_path)
    example = dspy.Example(id="instance", **task.instance)
    assert task.metric(example, answer("It stands on a rock " * 12)) == 1.0


def test_the_program_asks_the_prompt_alone(tmp_path: Path) -> None:
    task = ifeval(tmp_path)
    signature = task.program(task.instructions).signature
    messages = task.adapter().format(signature, [], {"prompt": "No comma."})
    assert [message["content"] for message in messages] == [task.instructions, "No comma."]
