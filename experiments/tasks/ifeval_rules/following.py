"""Which of its instructions a response follows, strictly and loosely, and the four official scores (IFEval,
arXiv 2311.07911, section 3).

Loosely: some of eight versions of the response follows it, with or without asterisks, the first line and the last line.
That forgives fonts of Markdown and a line of greeting, at the price of some false passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .binding import Instruction


@dataclass(frozen=True)
class Following:
    """Which of a prompt's instructions a response follows, in the order of the instructions."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]


@dataclass(frozen=True)
class OfficialScores:
    """The four scores that IFEval reports, each in [0, 1]."""

    prompt_strict: float
    """Share of prompts all of whose instructions are followed."""
    prompt_loose: float
    instruction_strict: float
    """Share of instructions that are followed, over all prompts together: a prompt with three counts three times."""
    instruction_loose: float


def following(response: str, instructions: Sequence[Instruction]) -> Following:
    """Checks a response; what is followed strictly is followed loosely."""
    strict = tuple(instruction.followed_by(response) for instruction in instructions)
    versions = [version for version in dict.fromkeys(loose_versions(response)) if version != response]
    pairs = zip(strict, instructions, strict=True)
    return Following(strict, tuple(done or any(map(instruction.followed_by, versions)) for done, instruction in pairs))


def loose_versions(response: str) -> tuple[str, ...]:
    """The response as it is, and without its first line, its last line, or both; then the same without asterisks."""
    lines = response.split("\n")
    cut = (response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])))
    return cut + tuple(version.replace("*", "") for version in cut)


def official_scores(followings: Iterable[Following]) -> OfficialScores:
    """The four scores of several responses, each to its own prompt.

    Raises:
        ValueError: there are none.
    """
    every = list(followings)
    if not every:
        raise ValueError("there are no responses to score")
    return OfficialScores(
        prompt_strict=_share([all(one.strict) for one in every]),
        prompt_loose=_share([all(one.loose) for one in every]),
        instruction_strict=_share([done for one in every for done in one.strict]),
        instruction_loose=_share([done for one in every for done in one.loose]),
    )


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)
