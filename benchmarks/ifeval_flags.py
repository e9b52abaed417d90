"""Our checks against recorded ones: M-IFEval's published responses of thirteen models carry the flags that its own code
gave them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dspy_fusion.experiments.rows.row_files import Row, read_file
from dspy_fusion.experiments.tasks.ifeval_rules.binding import Instruction, bind_all
from dspy_fusion.experiments.tasks.ifeval_rules.following import Following, following
from dspy_fusion.programs.errors import ConfigurationError


@dataclass(frozen=True)
class Comparison:
    """One model's response to one prompt: which of its instructions it follows, as we check and as recorded."""

    language: str
    prompt: str
    """The prompt's id."""
    model: str
    instructions: tuple[Instruction, ...]
    ours: Following
    recorded: Following


@dataclass(frozen=True)
class Difference:
    """An instruction that one side finds followed and the other does not."""

    prompt: str
    """The prompt's id."""
    model: str
    instruction: str
    """Its id."""
    loose: bool
    """Whether the loose flags differ, else the strict ones."""
    ours: bool
    """Whether we find it followed; recorded is the contrary."""


def compare_recorded(path: Path) -> Iterator[Comparison]:
    """The comparisons of a file of recorded responses, in its order; a response that was not given counts as blank.

    Raises:
        ConfigurationError: the file cannot be read, a column is missing, or an instruction is unknown.
    """
    for row in read_file(path):
        language, prompt = str(row.get("lang")), str(row.get("id"))
        instructions = bind_all(row.get("instruction_id_list"), row.get("kwargs"), where=f"{row.where} ({prompt})")
        for candidate in row.get("candidates"):
            recorded = _flags(row, candidate, len(instructions))
            ours = following(candidate["response"] or "", instructions)
            yield Comparison(language, prompt, candidate["model"], instructions, ours, recorded)


def differences(comparison: Comparison) -> list[Difference]:
    """The flags that differ, strict ones first."""
    differing = []
    for loose in (False, True):
        sides = (
            (comparison.ours.loose, comparison.recorded.loose)
            if loose
            else (comparison.ours.strict, comparison.recorded.strict)
        )
        for instruction, ours, recorded in zip(comparison.instructions, *sides, strict=True):
            if ours != recorded:
                differing.append(Difference(comparison.prompt, comparison.model, instruction.id, loose, ours))
    return differing


def _flags(row: Row, candidate: dict[str, list[bool]], count: int) -> Following:
    flags = Following(tuple(candidate["strict"]), tuple(candidate["loose"]))
    if not len(flags.strict) == len(flags.loose) == count:
        raise ConfigurationError(
            f"{row.where}: {count} instructions, but {len(flags.strict)} strict and {len(flags.loose)} loose flags"
        )
    return flags
