"""Pools under several instructions and temperatures, so that tuning them can be replayed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path

import dspy

from dspy_fusion.experiments.tasks import Task
from dspy_fusion.programs import BestOfN, Likelihood
from dspy_fusion.serving.recording_file import RequestRecording

from .choosing import INSTRUCTIONS, TEMPERATURES
from .plan import MBPP
from .recording import recorded, task_of

N = 4  # candidates of each pool
_AT_ONCE = 8  # problems


def draw_grid(folder: Path, count: int, *, threads: int, until: float) -> None:
    """Draws the pools of the first problems, eight problems after another."""
    recording, task = RequestRecording(folder / f"{MBPP.name}.jsonl"), task_of(MBPP)
    programs = list(_programs(task, recorded(MBPP, recording, threads=threads)))
    examples = task.examples("test", count)
    for start in range(0, count, _AT_ONCE):
        began, before = time.monotonic(), len(recording)
        for program in programs:
            if time.time() > until:
                return
            _answer(program, task, examples[start : start + _AT_ONCE])
        calls, took = len(recording) - before, time.monotonic() - began
        print(f"grid, problems {start} to {start + _AT_ONCE}: {calls} calls in {took:.0f} s", flush=True)


def grid_covered(recording: RequestRecording, most: int) -> int:
    """Of how many problems, in their order, every pool is recorded."""
    task = task_of(MBPP)
    programs = list(_programs(task, recorded(MBPP, recording)))
    recording.missing.clear()
    for count, example in enumerate(task.examples("test", most)):
        for program in programs:
            _answer(program, task, [example])
        if recording.missing:
            recording.missing.clear()
            return count
    return most


def _programs(task: Task, lm: dspy.LM) -> Iterator[dspy.Module]:
    for instructions, temperature in itertools.product(INSTRUCTIONS, TEMPERATURES):
        yield BestOfN(task.program(instructions), n=N, scorer=Likelihood(), lms=[lm], temperature=temperature)


def _answer(program: dspy.Module, task: Task, examples: Sequence[dspy.Example]) -> None:
    def answer(example: dspy.Example) -> None:
        with suppress(Exception), dspy.context(adapter=task.adapter()):  # a failed question is an outcome of the study
            program(**example.inputs())

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for future in [threads.submit(copy_context().run, answer, example) for example in examples]:
            future.result()
