from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.synthesis.gates import Gates, base_code, language_of
from dspy_fusion.experiments.synthesis.refusals import RefusalGate
from dspy_fusion.experiments.synthesis.synthesis_config import SynthesisConfig
from dspy_fusion.experiments.synthesis.synthesized_rows import Row
from dspy_fusion.programs.errors import ConfigurationError

ENGLISH = "The harbour lies behind the old town, and in the evening the fishermen mend their nets there."
GERMAN = "Der Hafen liegt hinter der alten Stadt, und am Abend flicken die Fischer dort ihre Netze."


def gates(folder: Path, **settings: Any) -> Gates:
    given = {"language": False, "near_duplicates": 0, **settings}
    table = {"prompts": {"file": "p.jsonl"}, "teachers": ["a"], "gates": given}
    return Gates(SynthesisConfig.parse(table), folder / "duplicates.db")


@pytest.mark.parametrize(
    ("settings", "answer", "gate", "why"),
    [
        ({}, "  \n", "parse", "the answer is blank"),
        ({"format": "json"}, "{nearly}", "parse", "the answer is no JSON"),
        ({"pattern": r"^\(a\)"}, "(b) 2", "parse", "the pattern is not found"),
        ({}, "I'm sorry, but I can't help with that.", "refusal", "the teacher refused: I'm sorry"),
        ({"refusal_patterns": ["computer says no"]}, "Computer says NO.", "refusal", "Computer says NO"),
        ({"min_characters": 10}, "short", "length", "5 characters, at least 10 wanted"),
        ({"max_characters": 3}, "long", "length", "4 characters, at most 3 wanted"),
    ],
)
def test_each_gate_drops_and_says_why(
    tmp_path: Path, row: Callable[..., Row], settings: dict[str, Any], answer: str, gate: str, why: str
) -> None:
    dropped = gates(tmp_path, **settings).mark(row(0, answer)).dropped
    assert dropped is not None
    assert dropped.gate == gate
    assert why in dropped.why


@pytest.mark.parametrize(
    "settings", [{"format": "json"}, {"pattern": r"^\{"}, {"min_characters": 2, "max_characters": 9}]
)
def test_an_answer_that_is_as_wanted_passes(tmp_path: Path, row: Callable[..., Row], settings: dict[str, Any]) -> None:
    assert gates(tmp_path, **settings).mark(row(0, '{"a": 1}')).dropped is None


@pytest.mark.parametrize(
    "answer",
    [
        "I am sorry, but I cannot assist with that request.",
        "Sorry, I can\N{RIGHT SINGLE QUOTATION MARK}t do this.",
        "As an AI language model, I don't have opinions.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
        "К сожалению, я не могу помочь с этим.",  # noqa: RUF001
        "很抱歉，我无法回答这个问题。",  # noqa: RUF001
        "申し訳ありませんが、お答えできません。",
    ],
)
def test_refusals_are_found_in_many_languages(answer: str) -> None:
    assert RefusalGate().found(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "You could answer: I'm sorry, but I can't help with that.",
        "I cannot recommend this book highly enough.",
        "Es tut mir leid, dass du warten musstest; ich kann dir jetzt helfen.",
        "Unfortunately, the battle was lost.",
    ],
)
def test_what_only_sounds_like_a_refusal_is_none(answer: str) -> None:
    assert RefusalGate().found(answer) is None


def test_an_answer_in_another_language_is_dropped(tmp_path: Path, row: Callable[..., Row]) -> None:
    pytest.importorskip("py3langid")
    gate = gates(tmp_path, language=True)
    found = gate.mark(row(0, GERMAN, ENGLISH))
    assert found.language == "en"
    assert found.dropped is not None
    assert found.dropped.why == "the prompt is in en, the answer in de"
    assert gate.mark(row(0, ENGLISH, ENGLISH)).dropped is None
    assert gate.mark(replace(row(0, GERMAN, ENGLISH), language="de-AT")).dropped is None
    assert gate.mark(row(0, "42", ENGLISH)).dropped is None


def test_a_text_says_its_language_only_where_that_is_sure() -> None:
    pytest.importorskip("py3langid")
    texts = (ENGLISH, GERMAN, "안녕하세요 저는 학생입니다", "(a) 4 + 5 = 9", "")
    assert [language_of(text) for text in texts] == ["en", "de", "ko", "", ""]
    assert base_code("pt_BR") == "pt"
    assert base_code("nb") == base_code("nn") == "no"


def test_a_language_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("py3langid")
    table = {"prompts": {"file": "p", "language": "klingon"}, "teachers": ["a"]}
    with pytest.raises(ConfigurationError, match=r"the language gate does not know 'klingon'; give an ISO 639-1 code"):
        Gates(SynthesisConfig.parse(table), tmp_path / "d")


def test_a_copy_is_dropped_for_the_earlier_row(tmp_path: Path, row: Callable[..., Row]) -> None:
    pytest.importorskip("datasketch")
    gate = gates(tmp_path, near_duplicates=0.9)
    assert gate.mark(row(3, ENGLISH)).dropped is None
    dropped = gate.mark(row(4, ENGLISH)).dropped
    assert dropped is not None
    assert dropped.why == "like row 3, similarity 1.00"
