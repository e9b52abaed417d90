from __future__ import annotations

from typing import Any

import pytest

from dspy_fusion.experiments.tasks.ifeval_rules import bind, bind_all
from dspy_fusion.programs.errors import ConfigurationError

WORDS = "length_constraints:number_words"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("keywords:nonsense", {}, r"^line 3: there is no instruction 'keywords:nonsense'; mend its id"),
        ("de:punctuation:no_comma", {}, r"there is no instruction 'de:punctuation:no_comma'"),
        (
            WORDS,
            {"num_words": 3},
            r"^line 3: the instruction '.*number_words' lacks 'relation'; it takes: num_words, relation$",
        ),
        (WORDS, {"num_words": 3, "relation": None}, r"lacks 'relation'"),
        (WORDS, {"num_words": 3, "relation": "at least", "extra": 1}, r"takes no 'extra'"),
        (
            WORDS,
            {"num_words": 3, "relation": "around"},
            r"relation = 'around'; 'around' is no relation; there are: at least, ",
        ),
        (WORDS, {"num_words": -3, "relation": "at least"}, r"num_words = -3; it should be a whole number, 0 or more"),
        (WORDS, {"num_words": 2.5, "relation": "at least"}, r"num_words = 2.5; it should be a whole number"),
        (WORDS, {"num_words": float("nan"), "relation": "at least"}, r"num_words = nan; it should be a whole number"),
        (WORDS, {"num_words": True, "relation": "at least"}, r"num_words = True"),
        (WORDS, ["at least"], r"the arguments of '.*' are \['at least'\]; they should be by name"),
        ("keywords:existence", {"keywords": "sea"}, r"keywords = 'sea'; it should be a list of texts"),
        ("keywords:existence", {"keywords": []}, r"keywords = \[\]; it should be a list of texts"),
        ("keywords:forbidden_words", {"forbidden_words": ["sea", 3]}, r"it should be a text that is not blank"),
        (
            "keywords:letter_frequency",
            {"letter": "ab", "let_frequency": 1, "let_relation": "at least"},
            r"'ab'; it should be one char",
        ),
        ("language:response_language", {"language": "zh"}, r"language = 'zh'; it should be one of: af, .*zh-cn, zh-tw"),
        ("fr:special_character:accents", {"word_to_accentuate": ["deja"]}, r"it should map texts to texts"),
        ("punctuation:no_comma", {"num_words": 1}, r"takes no 'num_words'; it takes: nothing$"),
    ],
)
def test_a_bad_instruction_is_named_with_its_place(name: str, arguments: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        bind(name, arguments, where="line 3")


def test_absent_arguments_may_be_none_and_counts_floats() -> None:
    instruction = bind(WORDS, {"num_words": 3.0, "relation": "at least", "keywords": None, "letter": None}, where="")
    assert instruction.followed_by("one two three")
    assert bind("punctuation:no_comma", None, where="").arguments == {}


def test_a_prompt_without_instructions_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="line 3: the prompt has no instruction"):
        bind_all([], [], where="line 3")
    with pytest.raises(ConfigurationError, match="line 3: 1 instructions have 2 sets of arguments"):
        bind_all(["punctuation:no_comma"], [{}, {}], where="line 3")


@pytest.mark.parametrize("name", ["keywords:existence", "fr:keywords:existence"])
def test_an_instruction_knows_its_category(name: str) -> None:
    assert bind(name, {"keywords": ["a"]}, where="").category == "keywords"
