from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.tasks import Task, load_task
from dspy_fusion.experiments.tasks.loading import examples_digest
from dspy_fusion.programs.errors import ConfigurationError


def gsm8k(folder: Path, *answers: str) -> Task:
    return task(
        "gsm8k", folder, "gsm8k/test", *({"question": f"{i}?", "answer": answer} for i, answer in enumerate(answers))
    )


def task(name: str, folder: Path, file: str, *rows: dict[str, Any], **options: Any) -> Task:
    path = folder / f"{file}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_task(name, data=folder, **options)


def test_rows_without_a_readable_right_answer_are_set_aside_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = gsm8k(tmp_path, "#### 1", "no mark", "#### many", "#### 2")
    with caplog.at_level(logging.WARNING):
        assert [(example.id, example.answer) for example in made.examples("test", 3)] == [
            ("gsm8k-0", "1"),
            ("gsm8k-3", "2"),
        ]
    aside = [(row.where.rpartition("/")[2], row.why) for row in made.set_aside("test")]
    expected = [("no line that begins with ####", 2), ("'many' is no number", 3)]
    assert all(
        where == f"test.jsonl, line {line}" and why in said
        for (where, said), (why, line) in zip(aside, expected, strict=True)
    )
    assert "2 rows set aside, the first: " in caplog.text
    assert "2 examples in split 'test', fewer than the 3 asked for" in caplog.text


def test_a_split_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no example of split 'test' can be used; .*line 1: the solution has no line"
    ):
        gsm8k(tmp_path, "none").examples("test", 1)


def test_two_rows_of_one_id_are_both_named(tmp_path: Path) -> None:
    rows = [{"qid": name, "question": "?", "answer": True} for name in ("a", "b", "a")]
    with pytest.raises(ConfigurationError, match=r"two rows have the id 'a': .*line 1, and .*line 3"):
        task("strategyqa", tmp_path, "strategyqa/test", *rows).examples("test", 1)


def test_a_renamed_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"line 1 lacks a column 'answer'; its columns are: question, solution"
    ):
        task("gsm8k", tmp_path, "gsm8k/test", {"question": "?", "solution": "#### 1"}).examples("test", 1)


def test_groups_are_taken_in_turn_and_examples_are_nested(tmp_path: Path) -> None:
    rows = [{"subject": subject, "question": "?", "choices": ["1", "2"], "answer": 1} for subject in "aaabbc"]
    made = task("mmlu", tmp_path, "mmlu/test", *rows)
    examples = made.examples("test", 6)
    assert [made.group(example) for example in examples] == ["a", "b", "c", "a", "b", "a"]
    assert [example.id for example in made.examples("test", 4)] == [example.id for example in examples[:4]]


def test_a_folder_may_hold_some_languages_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = task("mgsm", tmp_path, "mgsm/sw", {"question": "?", "answer": "1"})
    assert [example.language for example in made.examples("test", 1)] == ["Swahili"]
    assert "holds 1 of 11 languages: sw" in caplog.text
    with pytest.raises(ConfigurationError, match=r"holds no mgsm/de\.jsonl\.gz"):
        load_task("mgsm", data=tmp_path, languages=["de"]).examples("test", 1)


def test_languages_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="the task 'mgsm' has no language 'xx'; it has: en, bn, de"):
        load_task("mgsm", languages=["xx"])
    with pytest.raises(ConfigurationError, match="the task 'gsm8k' has no language 'en'; it has one language only"):
        load_task("gsm8k", languages=["en"])


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    before = examples_digest(gsm8k(tmp_path, "#### 1").examples("test", 1))
    assert examples_digest(gsm8k(tmp_path, "#### 1").examples("test", 1)) == before
    assert examples_digest(gsm8k(tmp_path, "#### 2").examples("test", 1)) != before
