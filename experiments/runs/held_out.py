"""Held-out examples are what a training has not seen: what asks the same is taken out of it, wherever it comes from.

Two questions are the same when they differ in spaces and capitals at most. An example of several inputs asks what all
of them say; a row of a training file, which has a whole prompt, what its last message says, with whatever an adapter
put around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.signatures import plain

T = TypeVar("T")


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
    questions = {_squeezed(asked_text(example)) for example in held_out} - {""}
    kept = [one for one in training if not _is_asked(_squeezed(asked(one)), questions)]
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
    return "\n".join(value if isinstance(value, str) else str(plain(value)) for value in example.inputs().values())


def _squeezed(text: str) -> str:
    return " ".join(text.split()).casefold()


def _is_asked(question: str, questions: set[str]) -> bool:
    """Whether it is one of the questions, or a prompt that has one in it between an adapter's marks."""
    if question in questions:
        return True
    ends = (" [[ ##", " respond with")
    return "##" in question and any(f"]] {known}{end}" in question for known in questions for end in ends)
