"""Candidates that do not fit the fusor's context: shortened by a stated rule, or fused in a tree of subsets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .calls.drawing import Steps
from .pools.candidates import Candidate, Usage

if TYPE_CHECKING:
    from .fusing_program import FusingProgram

_OVERFLOW = re.compile(
    r"ContextWindowExceeded|context[ _](?:length|window|size)|maximum (?:context|prompt|input) length"
    r"|(?:prompt|input|request) (?:is )?too (?:long|large)"
    r"|exceeds? the (?:available |maximum )?(?:context|number of tokens)",
    re.IGNORECASE,
)
_SMALLEST = 16  # candidates are cut to no less than a sixteenth
LEAST = 120
"""Characters that a candidate keeps however short it must become."""


def overflowed(candidate: Candidate) -> bool:
    """Whether a call failed because its prompt was too long for the model."""
    return candidate.error is not None and _OVERFLOW.search(candidate.error) is not None


def middle_out(text: str, part: int) -> str:
    """A text cut to one ``part``-th of its length: its beginning and its end, with a note of how much is missing."""
    room = max(LEAST, len(text) // part)
    if len(text) <= room:
        return text
    head, tail = (room + 1) // 2, room // 2
    return f"{text[:head]} [... {len(text) - room} characters left out ...] {text[len(text) - tail :]}"


def fused(
    program: FusingProgram, inputs: Mapping[str, Any], orders: Sequence[Sequence[Candidate]], **how: Any
) -> Steps[tuple[list[Candidate], str | None]]:
    """One fusion of each order of candidates, side by side; those that are too long as the program says.

    Returns:
        The fusions, each with the usage of all its tries, and how candidates were shortened, or None.
    """
    attempts = [program.fuse(inputs, order, index=index, **how) for index, order in enumerate(orders)]
    made: list[Candidate] = yield program.side_by_side(attempts)
    long = [index for index, candidate in enumerate(made) if overflowed(candidate)]
    if not long or program.on_overflow == "fail":
        return made, None
    notes: list[str] = []
    for index in long:
        if program.on_overflow == "tree" and len(orders[index]) > 2:
            better, note = yield from _tree(program, inputs, orders[index], index, how)
        else:
            better, note = yield from _shortened(program, inputs, orders[index], index, how)
        made[index] = replace(better, usage=made[index].usage + better.usage)
        notes.append(note)
    return made, notes[-1]


def _shortened(
    program: FusingProgram, inputs: Mapping[str, Any], order: Sequence[Candidate], index: int, how: Mapping[str, Any]
) -> Steps[tuple[Candidate, str]]:
    usage, part = Usage(), 1
    while True:
        part *= 2
        (written,) = yield program.side_by_side([program.fuse(inputs, order, index=index, part=part, **how)])
        usage += written.usage
        if part == _SMALLEST or not overflowed(written):
            note = f"candidates were cut in the middle to 1/{part} of their length to fit the fusor's context"
            return replace(written, usage=usage), note


def _tree(
    program: FusingProgram, inputs: Mapping[str, Any], order: Sequence[Candidate], index: int, how: Mapping[str, Any]
) -> Steps[tuple[Candidate, str]]:
    """Halves are fused first, each as it fits, and then their fusions."""
    half = (len(order) + 1) // 2
    below, cut = yield from fused(program, inputs, [order[:half], order[half:]], **how)
    usage = sum((candidate.usage for candidate in below[1:]), below[0].usage)
    note = "candidates were fused in a tree of subsets to fit the fusor's context" + (f"; {cut}" if cut else "")
    good = [candidate for candidate in below if candidate.ok]
    if len(good) < 2:
        return replace((good or below)[0], usage=usage), note
    written, _ = yield from _top(program, inputs, good, index, how)
    return replace(written, usage=usage + written.usage), note


def _top(
    program: FusingProgram, inputs: Mapping[str, Any], good: Sequence[Candidate], index: int, how: Mapping[str, Any]
) -> Steps[tuple[Candidate, str]]:
    (written,) = yield program.side_by_side([program.fuse(inputs, good, index=index, **how)])
    if not overflowed(written):
        return written, ""
    better, note = yield from _shortened(program, inputs, good, index, how)
    return replace(better, usage=better.usage + written.usage), note
