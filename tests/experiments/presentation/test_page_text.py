from __future__ import annotations

import pytest

from dspy_fusion.experiments.presentation.page_text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("safe\u202egnp.exe", "safe[U+202E]gnp.exe"),
        ("a\x1b[31mb\x00", "a[U+001B][31mb[U+0000]"),
        ("zero\u200bwidth\ufeff", "zero[U+200B]width[U+FEFF]"),
        ("half \ud83d", "half [U+D83D]"),
        ("tag\U000e0041", "tag[U+E0041]"),
    ],
)
def test_what_would_not_be_seen_is_named(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_writing_of_any_language_is_left_alone() -> None:
    for text in ("می‌خواهم", "क्‍ष", "👩‍👩‍👧 ok", "line\n\ttab", "שלום"):
        assert visible(text) == text


def test_what_is_no_text_is_left_alone() -> None:
    assert [visible(value) for value in (3, None, 0.5)] == [3, None, 0.5]
