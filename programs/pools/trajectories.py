"""Trajectories: the steps by which a candidate came to its answer, as text, and as much of it as a budget allows.

Steps are read off what DSPy's agents return as ``trajectory`` (``ReAct``, ``CodeAct``, ``RLM``) or as ``history``
(``ReActV2``); of any other program of several steps they are what each of its predictors wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from ..tasks.signatures import plain
from .candidates import Candidate

CHARACTERS = 4
"""What a token is taken to be, in characters: budgets are kept without any model's tokenizer."""
FIELDS = ("trajectory", "history")
"""Where agents leave their steps."""
_LEAST = 40  # characters that a step keeps; where that is too much, steps in the middle are left out
_NUMBERED = re.compile(r"(.+)_(\d+)")


def steps_of(candidate: Candidate) -> list[str]:
    """A candidate's steps in order; none for an answer of a single step, and for one that failed."""
    if candidate.prediction is None:
        return []
    for name in FIELDS:
        value = candidate.prediction.get(name)
        if value is not None and (steps := _steps(value)):
            return steps
    rows = [row[2].toDict() if isinstance(row[2], dspy.Prediction) else row[2] for row in candidate.trace]
    return [_step(row) for row in rows if isinstance(row, Mapping)] if len(rows) > 1 else []


def fitted(trajectories: Sequence[Sequence[str]], tokens: int) -> tuple[list[str], bool]:
    """Several trajectories as numbered steps that together take at most about so many tokens.

    Each gets the same room. The longest steps are cut in the middle first, all to one length; where not even 40
    characters a step fit, the steps in the middle are left out, so that the beginning and the end stay.

    Returns:
        One text a trajectory, and whether anything is missing from any of them.
    """
    room = tokens * CHARACTERS // max(1, sum(bool(steps) for steps in trajectories))
    made = [_fitted(steps, room) for steps in trajectories]
    return [text for text, _ in made], any(is_cut for _, is_cut in made)


def cut_middle(text: str, most: int) -> str:
    """A text of at most about ``most`` characters: its beginning and its end, with a sign of how much is missing."""
    if len(text) <= most:
        return text
    sign = f" [... {len(text) - most} characters ...] "
    return f"{text[: (most + 1) // 2]}{sign}{text[len(text) - most // 2 :]}"


def segment(steps: Sequence[str], first: int, last: int, most: int) -> str:
    """Steps ``first`` to ``last``, counted from 1, whole as far as ``most`` characters go."""
    chosen = range(max(1, first), min(len(steps), last) + 1)
    return cut_middle("\n".join(f"{number}. {steps[number - 1]}" for number in chosen), most)


def matches(steps: Sequence[str], words: str, most: int) -> str:
    """The steps that hold most of the words, in order.

    Of long ones what stands around the words, so that all together take about ``most`` characters.
    """
    wanted = set(re.findall(r"\w+", words.casefold()))
    held = [len(wanted & set(re.findall(r"\w+", step.casefold()))) for step in steps]
    best = max(held, default=0)
    chosen = [place for place, count in enumerate(held) if count == best] if best else []
    room = most // max(1, len(chosen))
    return "\n".join(f"{place + 1}. {_around(steps[place], wanted, room)}" for place in chosen)


def _around(step: str, words: set[str], most: int) -> str:
    """The stretch of a step with the most different words of those, the first of equally good ones."""
    if len(step) <= most:
        return step
    hits = [(match.start(), match[0].casefold()) for match in re.finditer(r"\w+", step)]
    hits = [(place, word) for place, word in hits if word in words]
    begins = [max(0, min(place - most // 4, len(step) - most)) for place, _ in hits]
    begin = max(begins, key=lambda start: (len({w for p, w in hits if start <= p < start + most}), -start))
    rest = len(step) - begin - most
    return f"[... {begin} characters ...] {step[begin : begin + most]}" + (
        f" [... {rest} characters ...]" if rest else ""
    )


def _fitted(steps: Sequence[str], room: int) -> tuple[str, bool]:
    numbered = [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
    if sum(map(len, numbered)) <= room:
        return "\n".join(numbered), False
    length = _level([len(step) for step in numbered], room)
    if length >= _LEAST:
        return "\n".join(cut_middle(step, length) for step in numbered), True
    keep = max(1, room // _LEAST)
    head, tail = numbered[: (keep + 1) // 2], numbered[len(numbered) - keep // 2 :] if keep > 1 else []
    missing = [f"[... {len(numbered) - len(head) - len(tail)} steps ...]"]
    return "\n".join(
        [*(cut_middle(step, _LEAST) for step in (*head,)), *missing, *(cut_middle(s, _LEAST) for s in tail)]
    ), True


def _level(lengths: Sequence[int], room: int) -> int:
    """The length to which the longest must be cut so that all together fit."""
    rest, count = room, len(lengths)
    for length in sorted(lengths):
        if length * count > rest:
            return rest // count
        rest, count = rest - length, count - 1
    return max(lengths, default=0)


def _steps(value: Any) -> list[str]:
    if isinstance(value, dspy.History):
        return [_step(message) for message in value.messages]
    if isinstance(value, str):
        return [line for line in value.splitlines() if line.strip()]
    if isinstance(value, Mapping):
        return [_step(parts) for parts in _by_number(value)]
    if isinstance(value, list | tuple):
        return [_step(item) if isinstance(item, Mapping) else str(plain(item)) for item in value]
    return []


def _by_number(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``{"thought_0": ..., "observation_0": ..., "thought_1": ...}`` by number."""
    steps: dict[int, dict[str, Any]] = {}
    for name, part in value.items():
        match = _NUMBERED.fullmatch(str(name))
        name, number = (match[1], int(match[2])) if match else (str(name), len(steps))
        steps.setdefault(number, {})[name] = part
    return [steps[number] for number in sorted(steps)]


def _step(parts: Mapping[str, Any]) -> str:
    said = {
        str(name): part if isinstance(part, str) else json.dumps(plain(part), ensure_ascii=False)
        for name, part in parts.items()
        if part not in (None, "", [], {})
    }
    if {"tool_name", "tool_args"} <= said.keys():
        said["call"] = f"{said.pop('tool_name')}({said.pop('tool_args')})"
        if "observation" in said:
            said["observation"] = said.pop("observation")  # after the call
    return "; ".join(f"{name}: {' '.join(text.split())}" for name, text in said.items())
