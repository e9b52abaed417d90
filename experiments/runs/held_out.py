"""Held-out examples are what a training has not seen: what asks the same is taken out of it, wherever it comes from.

Two questions are the same when they differ at most in spaces, capitals, and how Unicode writes their characters. An
example asks what its inputs say; a row of a training file, which has a whole prompt, what its last message says, with
whatever an adapter put around it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.signatures import plain

T = TypeVar("T")
_MARKS = (r"\[\[ ## (?:{names}) ## \]\]", r"<(?:{names})>", r"^(?:{names}):")
"""What stands before an input's value: by DSPy's adapters in brackets or tags, by ours a name and a colon."""


def apart_from(
    held_out: Sequence[dspy.Example], training: Sequence[T], asked: Callable[[T], str]
) -> tuple[list[T], tuple[str, ...]]:
    """The training without what asks the same as a held-out example, and what is to be said of that.

    Args:
        held_out: what the result is measured on.
        training: what is trained on.
        asked: from one of it to what it asks.

    Raises:
        ConfigurationError: nothing is left.
    """
    questions = {question for example in held_out for question in _questions(example)}
    readers = [_reader(names) for names in {tuple(example.inputs().keys()) for example in held_out}]
    kept = [one for one in training if not any(q in questions for q in _asked(asked(one), readers))]
    removed = len(training) - len(kept)
    if removed and not kept:
        raise ConfigurationError(
            f"all {removed} training examples ask what the held-out examples ask; train on others, or hold out others"
        )
    said = f"{removed} of {len(training)} training examples ask what held-out examples ask and were left out"
    return kept, ((said,) if removed else ())


def asked_text(example: dspy.Example) -> str:
    """What an example asks: its inputs, one after another; typed ones as their plain data.

    Args:
        example: with its inputs named.
    """
    return "\n".join(_values(example))


Question = str | tuple[tuple[str, str], ...]
"""A whole text, or the inputs by their names."""


def _questions(example: dspy.Example) -> Iterator[Question]:
    if whole := _squeezed(asked_text(example)):
        yield whole
        yield tuple(sorted(zip(example.inputs().keys(), map(_squeezed, _values(example)), strict=True)))


def _values(example: dspy.Example) -> list[str]:
    return [value if isinstance(value, str) else str(plain(value)) for value in example.inputs().values()]


def _asked(text: str, readers: Sequence[Callable[[str], Question]]) -> Iterator[Question]:
    yield _squeezed(text)
    yield from (read(text) for read in readers)


def _reader(names: Sequence[str]) -> Callable[[str], Question]:
    """Reads the inputs of these names out of a message.

    Of one that an input has twice, such as a demonstration, the last.
    """
    either = "|".join(map(re.escape, names))
    mark = re.compile("|".join(one.format(names=either) for one in _MARKS), re.MULTILINE)
    ends = {"[": r"\[\[ ## |^Respond with ", "<": rf"</(?:{either})>"}  # by how the mark begins

    def read(text: str) -> Question:
        """The fields of the question that a prompt ends with."""
        values = {}
        for place in mark.finditer(text):
            (name,) = re.findall(rf"\b(?:{either})\b", place[0])
            rest = text[place.end() :]
            end = re.search(ends.get(place[0][0], _MARKS[-1].format(names=either)), rest, re.MULTILINE)
            values[name] = _squeezed(rest[: end.start()] if end else rest)
        return tuple(sorted(values.items()))

    return read


def _squeezed(text: str) -> str:
    """A text as it is compared: one form of each character, no invisible ones, no capitals, single spaces."""
    one_form = unicodedata.normalize("NFKC", text)
    seen = "".join(sign for sign in one_form if unicodedata.category(sign) != "Cf")
    return " ".join(seen.split()).casefold()
