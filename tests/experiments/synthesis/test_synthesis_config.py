from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.synthesis.synthesis_config import SynthesisConfig
from dspy_fusion.programs.errors import ConfigurationError

GIVEN: dict[str, Any] = {"prompts": {"file": "p.jsonl"}, "teachers": ["a", "b"], "fusion": {"fusor": "f"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teachers": []}, "no teachers"),
        ({"teachers": "a"}, "teachers must be a list of texts, but got 'a'"),
        ({"teacher": ["a"]}, "unknown key 'teacher'"),
        ({"prompts": {}}, "exactly one of file, hub and task, but got none"),
        ({"prompts": {"file": "p", "task": "t"}}, "exactly one of file, hub and task, but got file, task"),
        ({"prompts": {"flie": "p"}}, r"\[prompts\]: unknown key 'flie'"),
        ({"prompts": "p.jsonl"}, r"prompts is written as a \[prompts\] table"),
        ({"fusion": None}, "2 candidates a row and no way to make one answer"),
        ({"fusion": {}}, r"\[fusion\]: the key 'fusor' is missing"),
        (
            {"best": {"scorer": "taste"}},
            "scorer must be one of judge, pairwise, likelihood, reward_model, metric, but got scorer='taste'",
        ),
        ({"best": {"scorer": "judge"}}, "scorer 'judge' needs a model"),
        ({"rows": -1}, "rows must be at least 0, but got rows=-1"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"shard_rows": 0}, "shard_rows must be at least 1"),
        ({"temperature": 2.5}, "temperature must be at most 2, but got temperature=2.5"),
        ({"temperature": "hot"}, "temperature must be of type float, but got 'hot'"),
        ({"gates": {"near_duplicates": 2}}, "near_duplicates must be at most 1"),
        ({"gates": {"pattern": "("}}, "is no regular expression"),
        ({"gates": {"format": "yaml"}}, "format must be one of json or empty"),
        ({"gates": {"min_characters": 9, "max_characters": 3}}, "but got 9 and 3"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SynthesisConfig.parse({**GIVEN, **change})


def test_only_what_changes_rows_changes_the_digest() -> None:
    same = {"title": "t", "rows": 5, "concurrency": 7, "models": "m.toml"}
    digest = SynthesisConfig.parse(GIVEN).digest
    assert SynthesisConfig.parse({**GIVEN, **same}).digest == digest
    assert SynthesisConfig.parse({**GIVEN, "temperature": 0.4}).digest != digest


def test_one_teacher_alone_needs_no_choice() -> None:
    assert SynthesisConfig.parse({"prompts": {"task": "t"}, "teachers": ["a"]}).candidates == 1


def test_the_configuration_that_comes_with_the_package_is_one() -> None:
    import dspy_fusion.experiments.synthesis as package

    shipped = Path(package.__path__[0]).parent / "configs" / "synthesize.toml"
    assert SynthesisConfig.read(shipped).teachers == ("plus", "minus", "times")
