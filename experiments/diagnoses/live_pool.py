"""A small pool drawn now.

A few examples of a task, a few candidates each, graded and made into the same questions as recorded ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any

import dspy
import numpy as np

from dspy_fusion.programs import Candidate, CandidateBank, Vote
from dspy_fusion.programs.calls.interrupts import given_up_when_interrupted
from dspy_fusion.programs.errors import ConfigurationError, FusionError, QuorumNotMet
from dspy_fusion.programs.pools.selection import normalized

from ..recordings.recording import RecordedCandidate, RecordedQuestion
from ..runs.ray_work import Engine, reachable, spread
from ..tasks import Task


@dataclass(frozen=True)
class PartFacts:
    """What the parts of answers say, on a task that has parts: means over examples, in [0, 1]."""

    vote: float
    """Score of the answer in which every part is what most candidates give."""
    best: float
    """Score of an answer that took every part from a candidate that has it right."""


@dataclass(frozen=True)
class LivePool:
    """What was drawn."""

    questions: tuple[RecordedQuestion, ...]
    parts: PartFacts | None
    failures: tuple[str, ...]
    """Why candidates failed, one text each."""


@dataclass(frozen=True)
class Drawing:
    """How a pool is drawn."""

    task: Task
    instructions: str
    models: tuple[str, ...]
    """Their names, in the order in which they take turns."""
    lms: Mapping[str, dspy.BaseLM]
    """Empty where the program brings its own, which then go by one name."""
    n: int
    temperature: float | None
    bank: CandidateBank | None
    max_concurrency: int
    program: dspy.Module | None = None
    """Whose answers are drawn; None takes the task's own program."""
    field: str = ""
    """The output field that is compared between candidates; empty takes the last."""
    seed: int = 0


def draw_pool(
    drawing: Drawing, examples: Sequence[dspy.Example], on_example: Callable[[], None], *, engine: Engine = "local"
) -> LivePool:
    """Draws and grades candidates for some examples; those that the bank has are replayed.

    Args:
        drawing: how.
        examples: of the drawing's task.
        on_example: called whenever an example is done.
        engine: ``local``, or ``ray`` for a Ray cluster.

    Raises:
        QuorumNotMet: no model answered anything.
        ConfigurationError: a model or the metric cannot be used as it is configured.
    """
    program = voting(drawing)
    with dspy.context(adapter=drawing.task.adapter(), disable_history=True):
        pools = (_on_ray if engine == "ray" else _here)(program, drawing, examples, on_example)
        failures = tuple(cause for pool in pools for cause in pool.causes)
        if not any(pool.candidates for pool in pools):
            raise QuorumNotMet(f"no model answered any of {len(examples)} examples; the first cause:", failures[:1])
        questions = [
            _question(drawing, example, pool.candidates) for example, pool in zip(examples, pools, strict=True)
        ]
        parts = _part_facts(drawing.task, examples, pools)
    return LivePool(tuple(questions), parts, failures)


def _here(
    program: Vote, drawing: Drawing, examples: Sequence[dspy.Example], on_example: Callable[[], None]
) -> list[_Drawn]:
    with ThreadPoolExecutor(drawing.max_concurrency) as threads, given_up_when_interrupted():
        futures = [threads.submit(copy_context().run, _drawn, program, example, on_example) for example in examples]
        try:
            return [future.result() for future in futures]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)  # whoever began the threads waits for them


def _on_ray(
    program: Vote, drawing: Drawing, examples: Sequence[dspy.Example], on_example: Callable[[], None]
) -> list[_Drawn]:
    settings = {name: dspy.settings.get(name) for name in ("lm", "adapter")}
    pools: dict[int, _Drawn] = {}
    program.bank = reachable(program.bank) if program.bank is not None else None

    def keep(result: tuple[int, _Drawn]) -> None:
        pools[result[0]] = result[1]
        on_example()

    spread(_Draws(program, settings), list(enumerate(examples)), keep, threads=drawing.max_concurrency)
    return [pools[place] for place in range(len(examples))]


@dataclass(frozen=True)
class _Draws:
    """Draws the pool of an example, in whatever process this was unpickled."""

    program: Vote
    settings: Mapping[str, Any]

    def __call__(self, item: tuple[int, dspy.Example]) -> tuple[int, _Drawn]:
        place, example = item
        known = {name: value for name, value in self.settings.items() if value is not None}
        with dspy.context(**known, disable_history=True):
            drawn = _drawn(self.program, example, lambda: None)
        return place, _Drawn(tuple(replace(c, trace=(), exception=None) for c in drawn.candidates), drawn.causes)


def voting(drawing: Drawing) -> Vote:
    """The program that draws a pool; making it checks what can be checked without a call."""
    lms = [drawing.lms[name] for name in drawing.models] if drawing.lms else None
    options: dict[str, Any] = {"lms": lms, "temperature": drawing.temperature, "bank": drawing.bank}
    program = drawing.program or drawing.task.program(drawing.instructions)
    return Vote(program, n=drawing.n, seed=drawing.seed, **options)


@dataclass(frozen=True)
class _Drawn:
    candidates: tuple[Candidate, ...]
    causes: tuple[str, ...]


def _drawn(program: Vote, example: dspy.Example, on_example: Callable[[], None]) -> _Drawn:
    try:
        candidates = program(**example.inputs()).pool.candidates
        found = _Drawn(tuple(c for c in candidates if c.ok), tuple(c.error or "" for c in candidates if not c.ok))
    except QuorumNotMet as error:
        found = _Drawn((), error.causes)
    on_example()
    return found


def _question(drawing: Drawing, example: dspy.Example, candidates: Sequence[Candidate]) -> RecordedQuestion:
    task, recorded = drawing.task, []
    for candidate in candidates:
        source = drawing.models[candidate.index % len(drawing.models)]
        draw = candidate.index // len(drawing.models)
        recorded.append(_recorded(drawing, example, candidate, source, draw))
    text = "\n".join(str(value) for value in example.inputs().values())
    return RecordedQuestion(
        str(example.id), text, tuple(recorded), task.answer_text(example.toDict()), task.group(example)
    )


def _recorded(
    drawing: Drawing, example: dspy.Example, candidate: Candidate, source: str, draw: int
) -> RecordedCandidate:
    task, prediction = drawing.task, candidate.prediction or dspy.Prediction()
    field = drawing.field if drawing.field in prediction else list(prediction.keys())[-1]
    key = (task.vote_key or normalized)(prediction[field])
    return RecordedCandidate(
        source,
        task.answer_text(prediction.toDict()),
        answer=str(key) if task.comparable else None,
        quality=_quality(task, example, prediction),
        logprob=candidate.logprob,
        draw=draw,
        tokens_in=candidate.usage.tokens_in,
        tokens_out=candidate.usage.tokens_out,
    )


def _quality(task: Task, example: dspy.Example, prediction: dspy.Prediction) -> float | None:
    try:
        return float(task.metric(example, prediction))
    except ConfigurationError:
        raise
    except FusionError:
        return None  # a judge that could not be read; the question is left out of the scores


def _part_facts(task: Task, examples: Sequence[dspy.Example], pools: Sequence[_Drawn]) -> PartFacts | None:
    if task.parts is None or task.vote_parts is None:
        return None
    votes, bests = [], []
    for example, pool in zip(examples, pools, strict=True):
        predictions = [candidate.prediction for candidate in pool.candidates if candidate.prediction is not None]
        if not predictions:
            votes.append(0.0)
            bests.append(0.0)
            continue
        voted = dspy.Prediction(**task.vote_parts(dict(example.inputs().items()), predictions))
        votes.append(task.metric(example, voted))
        texts = [task.answer_text(prediction.toDict()) for prediction in predictions]
        parts = task.parts(example, task.answer_text(example.toDict()), texts)
        bests.append(float(np.mean([bool(part.same_as) for part in parts])))
    return PartFacts(float(np.mean(votes)), float(np.mean(bests)))
