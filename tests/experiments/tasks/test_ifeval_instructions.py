from __future__ import annotations

from typing import Any

import pytest
from ifeval_cases import CASES, ENGLISH

from dspy_fusion.experiments.tasks.ifeval_rules import INSTRUCTIONS, bind


@pytest.mark.parametrize(("name", "arguments", "good", "bad"), CASES, ids=[case[0] for case in CASES])
def test_each_instruction_tells_a_following_response_from_another(
    name: str, arguments: dict[str, Any], good: str, bad: str
) -> None:
    instruction = bind(name, arguments, where="a test")
    assert instruction.followed_by(good)
    assert not instruction.followed_by(bad)
    assert not instruction.followed_by(" \n")


def test_every_instruction_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(INSTRUCTIONS)


def test_ifeval_has_its_25_types() -> None:
    assert len(ENGLISH) == len([name for name in INSTRUCTIONS if name.count(":") == 1]) == 25


@pytest.mark.parametrize(
    ("name", "arguments", "text", "followed"),
    [
        ("language:response_language", {"language": "hi"}, "12345 !?", True),  # nothing to go by is not held against it
        ("punctuation:no_comma", {}, "", False),
        (
            "length_constraints:number_sentences",
            {"num_sentences": 2, "relation": "less than"},
            "Dr. Po paid $3.50 at 5 p.m. today.",
            True,
        ),
        ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P.S. only", False),
        ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a\n] [b] [[c]", True),
        ("detectable_content:number_placeholders", {"num_placeholders": 3}, "[a\n] [b] [[c]", False),
        ("ja:startend:sentence_unified_end", {"ending": "です"}, "『海。』です。「空。", False),
        ("detectable_format:json_format", {}, "[" * 100_000, False),
        ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"}, "##", True),
        ("startend:quotation", {}, '"', False),
        ("ja:detectable_content:postscript", {"postscript_marker": "P.P.S."}, "P. P. S. また", True),
    ],
)
def test_edges_of_the_definitions(name: str, arguments: dict[str, Any], text: str, followed: bool) -> None:
    assert bind(name, arguments, where="a test").followed_by(text) is followed
