"""The arguments of a check, read from a data set into the types that its signature names.

A data set may give whole numbers as floats, and languages name relations in their own words.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NewType, get_type_hints

from dspy_fusion.programs.extras import needs

from .relation import Relation, relation_of

_SEED = 0
_lock = threading.Lock()


def language_of(text: str) -> str | None:
    """The language as langdetect's code (ISO 639-1, and ``zh-cn`` and ``zh-tw``),
    or None where the text has no letters to go by.

    The same text gives the same answer, in any thread.

    Raises:
        ConfigurationError: langdetect is not installed.
    """
    from langdetect.lang_detect_exception import LangDetectException

    detector = _factory().create()
    try:
        detector.append(text)
        return detector.detect()
    except LangDetectException:
        return None


def known_languages() -> frozenset[str]:
    """The codes that ``language_of`` can answer."""
    return frozenset(_factory().get_lang_list())


def _factory() -> Any:
    with _lock:
        return _loaded_factory()


@lru_cache(maxsize=1)
def _loaded_factory() -> Any:
    with needs("IFEval", "tasks"):
        from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory
    factory = DetectorFactory()
    factory.load_profile(PROFILES_DIRECTORY)
    factory.seed = _SEED
    return factory


Character = NewType("Character", str)
"""A text of one character."""
Language = NewType("Language", str)
"""A language that can be told from others, by its code."""


@dataclass(frozen=True)
class Parameter:
    """One argument that a check takes."""

    name: str
    """As the data set names it."""
    read: Callable[[Any], Any]
    """From the data set's value to the check's type; raises ValueError where that cannot be."""
    required: bool
    """Whether the check cannot do without."""


def parameters_of(check: Callable[..., bool]) -> dict[str, Parameter]:
    """The arguments that a check takes beside the text, by name; those that a partial has settled are left out."""
    function, settled = (check.func, check.keywords) if isinstance(check, partial) else (check, {})
    types = get_type_hints(function)
    return {
        name: Parameter(name, _READERS[types[name]], required=parameter.default is inspect.Parameter.empty)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in settled
    }


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer() or value < 0:
        raise ValueError("it should be a whole number, 0 or more")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("it should be a text that is not blank")
    return value


def _character(value: Any) -> Character:
    if len(_text(value)) != 1:
        raise ValueError("it should be one character")
    return Character(value)


def _language(value: Any) -> Language:
    if _text(value) not in known_languages():
        raise ValueError(f"it should be one of: {', '.join(sorted(known_languages()))}")
    return Language(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, list | tuple) or not value:
        raise ValueError("it should be a list of texts")
    return [_text(item) for item in value]


def _spellings(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise ValueError("it should map texts to texts")
    return {_text(key): _text(item) for key, item in value.items()}


_READERS: dict[Any, Callable[[Any], Any]] = {
    int: _count,
    str: _text,
    Character: _character,
    Language: _language,
    list[str]: _texts,
    dict[str, str]: _spellings,
    Relation: lambda value: relation_of(_text(value)),
}
