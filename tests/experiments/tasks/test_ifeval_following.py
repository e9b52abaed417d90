from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from ifeval_cases import CASES, ENGLISH_TEXT

from dspy_fusion.experiments.tasks.ifeval_rules import Following, bind, following, loose_versions, official_scores

NO_COMMA = bind("punctuation:no_comma", {}, where="")
LOWERCASE = bind("change_case:english_lowercase", {}, where="")
TITLE = bind("detectable_format:title", {}, where="")


def test_there_are_eight_loose_versions() -> None:
    assert loose_versions("a\n*b*\nc") == ("a\n*b*\nc", "*b*\nc", "a\n*b*", "*b*", "a\nb\nc", "b\nc", "a\nb", "b")


@pytest.mark.parametrize(
    ("response", "strict", "loose"),
    [
        (ENGLISH_TEXT, True, True),
        (f"Sure, here it is:\n{ENGLISH_TEXT}", False, True),
        (f"{ENGLISH_TEXT}\nI hope, it helps!", False, True),
        (f"Sure, here:\n{ENGLISH_TEXT}\nI hope, it helps!", False, True),
        (f"Sure, Sir:\nHere, Sir:\n{ENGLISH_TEXT}", False, False),
    ],
)
def test_loose_forgives_a_first_and_a_last_line(response: str, strict: bool, loose: bool) -> None:
    assert following(response, [NO_COMMA, LOWERCASE]) == Following((strict, strict), (loose, loose))


def test_loose_forgives_asterisks() -> None:
    assert following("<*<a song>*>", [TITLE]) == Following((False,), (True,))


def test_a_blank_response_follows_nothing() -> None:
    assert following("  \n ", [NO_COMMA, TITLE]) == Following((False, False), (False, False))


def test_the_four_scores_pool_instructions_over_prompts() -> None:
    scores = official_scores([Following((True,), (True,)), Following((False, True, False), (True, True, True))])
    assert (scores.prompt_strict, scores.prompt_loose, scores.instruction_strict, scores.instruction_loose) == (
        0.5,
        1.0,
        0.5,
        1.0,
    )
    with pytest.raises(ValueError, match="there are no responses"):
        official_scores([])


def test_checks_in_many_threads_agree_with_one() -> None:
    jobs = [(bind(name, arguments, where=""), text) for name, arguments, good, bad in CASES for text in (good, bad)] * 4
    random.Random(0).shuffle(jobs)
    alone = [instruction.followed_by(text) for instruction, text in jobs]
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda job: job[0].followed_by(job[1]), jobs)) == alone


def test_the_language_of_a_doubtful_text_is_always_the_same() -> None:
    doubtful = bind("language:response_language", {"language": "pt"}, where="")
    text = "PRADA OR NIKE? " * 11
    assert len({doubtful.followed_by(text) for _ in range(20)}) == 1
