"""MGSM: the first 250 test problems of GSM8K in eleven languages (arXiv 2210.03057).

Row i is the same problem in each.
"""

from __future__ import annotations

from types import MappingProxyType

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .math_answers import math_task, problem
from .task import Setup, Task

LANGUAGES = MappingProxyType(
    {
        "en": "English",
        "bn": "Bengali",
        "de": "German",
        "es": "Spanish",
        "fr": "French",
        "ja": "Japanese",
        "ru": "Russian",
        "sw": "Swahili",
        "te": "Telugu",
        "th": "Thai",
        "zh": "Chinese",
    }
)

# The set under its first name, juletxara/mgsm, is a loading script, which datasets no longer runs.
SOURCE = Source(
    licence="CC-BY-4.0",
    url="https://github.com/google-research/url-nlp/tree/main/mgsm",
    citation="arXiv 2210.03057",
    hub="CohereLabs/global-mgsm",
    config="{language}",
    revision="29087245a1a9788d4e0413f4927e994d49633bbb",
    splits=MappingProxyType({"test": "test"}),
    files=MappingProxyType({"test": ("mgsm/{language}",)}),
    sizes=MappingProxyType({"test": 2750}),
    languages=LANGUAGES,
)

INSTANCE = MappingProxyType(
    {
        "question": (
            "Eine Robe braucht 2 Ballen blaue Faser und halb so viel weiße Faser. Wie viele Ballen braucht sie"
            " insgesamt?"
        ),
        "language": "German",
        "answer": "3",
    }
)


def make_task(setup: Setup) -> Task:
    """The task."""
    return math_task("mgsm", setup, SOURCE, _example, instance=INSTANCE)


def _example(row: Row, language: str, number: int) -> dspy.Example:
    name = row.values.get("id", number)
    answer = str(row.get("answer_number", "answer"))
    return problem(SOURCE, id=f"{language}-{name}", question=str(row.get("question")), answer=answer, language=language)
