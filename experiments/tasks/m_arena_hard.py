"""m-ArenaHard v2.0: 498 hard requests in 23 languages (arXiv 2506.20544), which FusioN is measured on (2510.00931).

The set has requests and no answers. Whoever grades needs a baseline's answers beside them (FusioN: Gemini 2.5 Pro), as
``m_arena_hard/baseline.jsonl`` in the local folder: rows with ``question_id``, ``language`` and ``answer``. A judge
says in both orders which answer is better, and a win must hold in both, as in the task ``arena``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import dspy

from dspy_fusion.programs.errors import ConfigurationError

from ..rows.row_files import Row, read_file
from ..rows.sources import DATA_VARIABLE, Source, data_folder
from .arena import Request, beats_baseline
from .grading import remembered
from .loading import Loader, UnreadableAnswer
from .task import Setup, Task

LANGUAGES = MappingProxyType(
    {
        "en": "English", "ar": "Arabic", "cs": "Czech", "de": "German", "el": "Greek", "es": "Spanish", "fa": "Persian",
        "fr": "French", "he": "Hebrew", "hi": "Hindi", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
        "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
        "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
    }
)  # fmt: skip
SOURCE = Source(
    licence="Apache-2.0",
    url="https://huggingface.co/datasets/CohereLabs/m-ArenaHard-v2.0",
    citation="arXiv 2506.20544",
    hub="CohereLabs/m-ArenaHard-v2.0",
    config="{language}",
    revision="24c65eff42cec85e30dd5db99d1a702c7ebaa8ab",
    splits=MappingProxyType({"test": "test"}),
    files=MappingProxyType({"test": ("m_arena_hard/{language}",)}),
    sizes=MappingProxyType({"test": 11454}),
    languages=LANGUAGES,
)
INSTANCE = MappingProxyType(
    {
        "prompt": "Écris une fonction qui renverse une liste chaînée, et explique pourquoi elle s'arrête.",
        "answer": "(réponse d'un modèle de référence)",
    }
)
_BASELINE = "m_arena_hard/baseline"
_FORMS = (".jsonl", ".jsonl.gz", ".json", ".parquet")


def make_task(setup: Setup) -> Task:
    """The task; an example's field ``answer`` is the baseline's, empty where there is none."""
    baseline = cache(lambda: _baseline(setup))
    loader = Loader(SOURCE, setup, lambda row, language, number: _example(row, language, number, baseline()), group=_of)

    def metric(example: dspy.Example, prediction: dspy.Prediction) -> float:
        """Whether the judge prefers the answer to the baseline's."""
        if not example.answer:
            raise ConfigurationError(
                f"m_arena_hard has no baseline answer to {example.id}; put the answers of a baseline into"
                f" {_BASELINE}.jsonl of the folder that data or {DATA_VARIABLE} names, rows with question_id, language"
                " and answer"
            )
        return beats_baseline(setup.required_judge("m_arena_hard"), example, prediction)

    return Task(
        name="m_arena_hard",
        instructions=Request.instructions,
        program=lambda instructions: dspy.Predict(Request.with_instructions(instructions)),
        adapter=dspy.ChatAdapter,
        examples=loader,
        metric=remembered(metric),
        answer_text=lambda outputs: str(outputs.get("answer") or ""),
        comparable=False,
        source=SOURCE,
        splits=tuple(SOURCE.files),
        instance=INSTANCE,
        group=_of,
        needs_judge=True,
        set_aside=loader.set_aside,
    )


def _example(row: Row, language: str, number: int, baseline: Mapping[tuple[str, str], str]) -> dspy.Example:
    prompt = row.get("prompt", "question")
    if not isinstance(prompt, str) or not prompt.strip():
        raise UnreadableAnswer("there is no request")
    name = str(row.values.get("question_id", number))
    return dspy.Example(
        id=f"{language}-{name}", prompt=prompt, answer=baseline.get((name, language), ""), language=LANGUAGES[language]
    ).with_inputs("prompt")


def _baseline(setup: Setup) -> dict[tuple[str, str], str]:
    """The baseline's answers by question and language; none where the local folder has no such file."""
    folder = data_folder(setup.data)
    places = [folder / f"{_BASELINE}{form}" for form in _FORMS] if folder else []
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    rows = list(read_file(path))
    return {
        (str(row.get("question_id")), str(row.get("language"))): str(row.get("answer", "generation", "output"))
        for row in rows
    }


def _of(example: dspy.Example) -> str:
    return example.language
