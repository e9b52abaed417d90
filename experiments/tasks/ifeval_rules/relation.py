"""How a count is compared with what an instruction asks for.

The four languages of the prompts say it in their own words.
"""

from __future__ import annotations

from enum import Enum

from dspy_fusion.programs.errors import ConfigurationError


class Relation(Enum):
    """A comparison of a count with a threshold."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    LESS_THAN = "less than"

    def holds(self, count: int, threshold: int) -> bool:
        """Whether the count is as asked."""
        if self is Relation.AT_LEAST:
            return count >= threshold
        return count <= threshold if self is Relation.AT_MOST else count < threshold


_WORDS = {
    "at least": Relation.AT_LEAST,
    "al menos": Relation.AT_LEAST,
    "au moins": Relation.AT_LEAST,
    "以上": Relation.AT_LEAST,
    "at most": Relation.AT_MOST,
    "como máximo": Relation.AT_MOST,
    "less than": Relation.LESS_THAN,
    "moins de": Relation.LESS_THAN,
    "未満": Relation.LESS_THAN,
}


def relation_of(words: str) -> Relation:
    """The relation that the words of a prompt's language name.

    Raises:
        ConfigurationError: they name none.
    """
    if words not in _WORDS:
        raise ConfigurationError(f"{words!r} is no relation; there are: {', '.join(_WORDS)}")
    return _WORDS[words]
