"""MSVAMP: short word problems in ten languages (arXiv 2310.20246), a translation of SVAMP;
row i is the same problem in each.
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
        "th": "Thai",
        "zh": "Chinese",
    }
)

SOURCE = Source(
    licence="MIT (the hub's card says Apache-2.0)",
    url="https://github.com/microsoft/MathOctopus",
    citation="arXiv 2310.20246",
    hub="Mathoctopus/MSVAMP",
    config="{language}",
    revision="301e2b3b168be70058c89c21c2fbdc9262102add",
    splits=MappingProxyType({"test": "test"}),
    files=MappingProxyType({"test": ("msvamp/{local}", "msvamp/{language}")}),
    sizes=MappingProxyType({"test": 10_000}),
    languages=LANGUAGES,
    local_languages=MappingProxyType({code: name.lower() for code, name in LANGUAGES.items()}),
)

INSTANCE = MappingProxyType(
    {
        "question": (
            "Julia spielte am Montag mit 18 Kindern Fangen, am Dienstag mit 10. Mit wie vielen Kindern mehr am Montag?"
        ),
        "language": "German",
        "answer": "8.0",
    }
)


def make_task(setup: Setup) -> Task:
    """The task."""
    return math_task("msvamp", setup, SOURCE, _example, instance=INSTANCE)


def _example(row: Row, language: str, number: int) -> dspy.Example:
    name = row.values.get("id", number)
    question, answer = str(row.get("question", "m_query")), str(row.get("answer", "response"))
    return problem(SOURCE, id=f"{language}-{name}", question=question, answer=answer, language=language)
