"""One strategy on one example: the program is called, graded, and everything that happened becomes a record."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import dspy

from dspy_fusion.programs.candidates import Candidate, Pool
from dspy_fusion.programs.errors import BankError, ConfigurationError, FusionError

from .records import CandidateRecord, PartRecord, Record
from .strategies import Strategy
from .tasks import Task


def measure(task: Task, strategy: Strategy, program: dspy.Module, example: dspy.Example, seed: int) -> Record:
    """Calls ``program`` on ``example`` and records what came of it; a failed strategy is a record with its error and score 0.

    Raises:
        ConfigurationError: the program cannot be run as it was asked to, which would fail on every example.
        BankError: the bank cannot be used.
    """
    started = time.monotonic()
    inputs = dict(example.inputs().items())
    common = {"task": task.name, "example": example.id, "strategy": strategy.name, "seed": seed, "inputs": inputs}
    expected = task.answer_text(example.toDict())
    try:
        with dspy.context(adapter=task.adapter(), disable_history=True):
            prediction = program(**inputs)
    except (ConfigurationError, BankError):
        raise
    except FusionError as error:
        text = " ".join(str(error).split())[:500]
        return Record(
            **common, score=0.0, expected=expected, error=f"{type(error).__name__}: {text}", seconds=time.monotonic() - started
        )
    seconds = time.monotonic() - started
    pool: Pool = prediction.pool
    candidates = tuple(_candidate(task, strategy, example, candidate) for candidate in pool.candidates)
    answer = task.answer_text(prediction.toDict())
    return Record(
        **common,
        score=task.metric(example, prediction),
        expected=expected,
        answer=answer,
        candidates=candidates,
        parts=_parts(task, example, answer, candidates),
        usage=dict(pool.usage),
        depth=pool.depth,
        seconds=seconds + max((c.seconds for c in pool.candidates if c.replayed), default=0.0),
        replayed=sum(candidate.replayed for candidate in pool.candidates),
        fallback=pool.fallback,
    )


def _candidate(task: Task, strategy: Strategy, example: dspy.Example, candidate: Candidate) -> CandidateRecord:
    model = strategy.models[candidate.index % len(strategy.models)]
    if candidate.prediction is None:
        return CandidateRecord(None, model, 0.0, error=candidate.error)
    return CandidateRecord(
        text=task.answer_text(candidate.prediction.toDict()),
        model=model,
        score=task.metric(example, candidate.prediction),
        scorer_score=_finite(candidate.score),
        logprob=_finite(candidate.logprob),
    )


def _parts(task: Task, example: dspy.Example, answer: str, candidates: Sequence[CandidateRecord]) -> tuple[PartRecord, ...]:
    return task.parts(example, answer, [candidate.text for candidate in candidates]) if task.parts else ()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
