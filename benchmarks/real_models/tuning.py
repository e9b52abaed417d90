"""Tuning on a real model, replayed: ``python -m benchmarks.real_models --tune``.

Half of the recorded MBPP problems are tuned on, the other half is held out. Two studies: how many answers are drawn
and how one is taken, on all problems with pools of eight; and these together with the instruction and the temperature,
on the problems whose pools of four were recorded under all of them. Beside ``OptunaTuner`` stand random search with as
many requests, and MIPROv2 over the same instructions with the program's own numbers, or with a vote of the largest n.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.experiments.presentation.text_table import TextTable
from dspy_fusion.experiments.statistics.intervals import Interval, paired_difference
from dspy_fusion.experiments.tasks import Task
from dspy_fusion.programs.scorers.code_process import runs_remembered

from .choosing import INSTRUCTIONS, TEMPERATURES, WAYS, Choosing
from .grid import N
from .plan import MBPP, TEMPERATURE
from .recording import recorded, task_of
from .replaying import RECORDINGS, opened
from .searches import Halves, by_mipro, studied

_ASKED = ("instructions", "temperature")


def tune(
    count: int, *, every_knob: bool, trials: int = 24, seed: int = 0, folder: Path = RECORDINGS
) -> list[TextTable]:
    """Tunes on every second problem, and says what it gained on the others; the surface beside it.

    Args:
        count: problems.
        every_knob: whether instructions and temperature are tuned too.
        trials: of a study.
        seed: of the searches.
        folder: of the recordings.

    Raises:
        NotRecorded: an answer is missing.
    """
    recording, task = opened(MBPP, folder), task_of(MBPP)
    examples = task.examples("test", count)
    lm, most = recorded(MBPP, recording), N if every_knob else MBPP.n
    halves = Halves(task, lm, most, list(examples[::2]), list(examples[1::2]), trials)
    with dspy.context(adapter=task.adapter()), runs_remembered():
        programs = dict(_tuned_programs(halves, every_knob=every_knob, seed=seed))
        before = _scores(halves.program(), halves)
        rows = [_row(name, program, calls, before, halves) for name, (program, calls) in programs.items()]
        surface = [_point(halves, setting) for setting in _settings(halves.most, every_knob=every_knob)]
    recording.check_complete()
    title = f"{len(halves.seen)} problems tuned on, {len(halves.unseen)} held out"
    head = ("program", "instruction", "temperature", "way", "n", "held out %", "against the untuned", "requests")
    surface_head = ("instruction", "temperature", "way", "n", "tuned on %", "held out %")
    return [TextTable(title, head, tuple(rows)), TextTable("the surface", surface_head, tuple(surface))]


def _tuned_programs(halves: Halves, *, every_knob: bool, seed: int) -> Iterator[tuple[str, tuple[Choosing, int]]]:
    exclude = () if every_knob else _ASKED
    ours, calls = studied(halves, exclude=exclude, seed=seed)
    yield "as it was", (halves.program(), 0)
    yield "OptunaTuner", (ours, calls)
    yield "random search", studied(halves, exclude=exclude, seed=seed, requests=calls)
    if every_knob:
        text, asked = by_mipro(halves, seed)
        yield "MIPROv2", (halves.program(instructions=text), asked)
        yield (
            f"MIPROv2, then a vote of {halves.most}",
            (
                halves.program(instructions=text, way="vote", n=halves.most),
                asked,
            ),
        )


def _settings(most: int, *, every_knob: bool) -> Iterator[dict[str, Any]]:
    sizes = [n for n in (1, 2, 4, 8) if n <= most]
    for instructions in INSTRUCTIONS if every_knob else INSTRUCTIONS[:1]:
        for temperature in TEMPERATURES if every_knob else (TEMPERATURE,):
            for way in WAYS:
                for n in sizes if not every_knob else (most,):
                    if way != "first" or n == (most if every_knob else 1):
                        yield {"instructions": instructions, "temperature": temperature, "way": way, "n": n}


def _scores(program: dspy.Module, halves: Halves, *, seen: bool = False) -> dict[tuple[str, int], float]:
    examples = halves.seen if seen else halves.unseen
    return {(str(example.id), 0): _score(program, halves.task, example) for example in examples}


def _score(program: dspy.Module, task: Task, example: dspy.Example) -> float:
    try:
        return task.metric(example, program(**example.inputs()))
    except Exception:  # noqa: BLE001 (no answer is an answer that is wrong)
        return 0.0


def _row(
    name: str, program: Choosing, calls: int, before: dict[tuple[str, int], float], halves: Halves
) -> tuple[str, ...]:
    scores = _scores(program, halves)
    gain: Interval = paired_difference(scores, before)
    text = f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" if calls else ""
    mean = sum(scores.values()) / len(scores)
    return name, *_shown(program.setting), f"{100 * mean:.1f}", text, str(calls or "")


def _point(halves: Halves, setting: dict[str, Any]) -> tuple[str, ...]:
    program = halves.program(**setting)
    means = [
        sum(scores.values()) / len(scores) for scores in (_scores(program, halves, seen=seen) for seen in (True, False))
    ]
    return *_shown(setting), *(f"{100 * mean:.1f}" for mean in means)


def _shown(setting: dict[str, Any]) -> tuple[str, ...]:
    number = INSTRUCTIONS.index(setting["instructions"]) + 1
    n = 1 if setting["way"] == "first" else setting["n"]
    return str(number), f"{setting['temperature']:g}", setting["way"], str(n)
