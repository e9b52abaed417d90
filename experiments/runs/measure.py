"""One strategy on one example: the program is called, graded, and everything that happened becomes a record."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import dspy
import numpy as np

from dspy_fusion.programs.calls.awaiting import answer_of
from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.programs.errors import BankError, ConfigurationError, FusionError
from dspy_fusion.programs.pools.candidates import Candidate, Pool, Usage
from dspy_fusion.programs.redaction import described, redacting
from dspy_fusion.serving.catalogue.model_entry import Price

from ..plans.strategies import Strategy
from ..pools.ceiling import check_ceiling
from ..records.record import CandidateRecord, PartRecord, Record
from ..tasks import Task

_log = redacting(logging.getLogger(__name__))
_AMOUNTS = ("calls", "tokens_in", "tokens_out")


def measure(
    task: Task,
    strategy: Strategy,
    program: dspy.Module,
    example: dspy.Example,
    seed: int,
    *,
    prices: Mapping[str, Price],
) -> Record:
    """Calls ``program`` on ``example`` and records what came of it.

    A failed strategy is a record with its error and score 0.

    ``prices`` are by the models' own names, ``lm.model``; a model that is not in it costs nothing.

    Raises:
        ConfigurationError: the program cannot be run as it was asked to, which would fail on every example.
        BankError: the bank cannot be used.
        CeilingBroken: an answer that was chosen from the pool scores above the best candidate.
    """
    started, meter = time.monotonic(), Meter(limited=False)
    common = _asked(task, strategy, example, seed)
    try:
        prediction = _answered(task, program, common["inputs"], meter)
    except (ConfigurationError, BankError):
        raise
    except Exception as error:
        if not (strategy.is_own or isinstance(error, FusionError)):
            raise
        common |= {"error": _told(error), "usage": {"failed": meter.usage}}
        return Record(**common, **_spent(meter, prices), score=0.0, seconds=time.monotonic() - started)
    seconds = time.monotonic() - started
    outcome = _graded(task, strategy, example, prediction, meter.usage, seconds)
    return Record(**common, **_spent(meter, prices), **outcome)


def _asked(task: Task, strategy: Strategy, example: dspy.Example, seed: int) -> dict[str, Any]:
    """The fields of a record that are known before the program is called."""
    return {
        "task": task.name,
        "example": example.id,
        "strategy": strategy.name,
        "seed": seed,
        "inputs": dict(example.inputs().items()),
        "expected": task.answer_text(example.toDict()),
        "group": task.group(example),
    }


def _answered(task: Task, program: dspy.Module, inputs: Mapping[str, Any], meter: Meter) -> dspy.Prediction:
    """What the program answers, under the task's adapter, with everything that it asks counted."""
    callbacks = [*(dspy.settings.callbacks or []), meter]
    with dspy.context(adapter=task.adapter(), usage_tracker=meter, callbacks=callbacks, disable_history=True):
        prediction: Any = answer_of(program, inputs)
    if not isinstance(prediction, dspy.Prediction):
        raise ConfigurationError(
            f"{type(program).__name__} returned a {type(prediction).__name__}; a program must return a dspy.Prediction"
        )
    return prediction


def _graded(
    task: Task, strategy: Strategy, example: dspy.Example, prediction: dspy.Prediction, spent: Usage, seconds: float
) -> dict[str, Any]:
    """The fields of a record that an answer gives: its score, its candidates' scores, and what its pool says."""
    pool = _pool(prediction, spent)
    candidates = tuple(_candidate(task, strategy, example, candidate) for candidate in pool.candidates)
    answer = task.answer_text(prediction.toDict())
    score, error = _score(task, example, prediction)
    _check_choice(task, strategy, pool, score, candidates)
    return {
        "score": score,
        "aspects": _aspects(task, example, prediction) if error is None else {},
        "answer": answer,
        "candidates": candidates,
        "shown": () if pool.layers else pool.shown,  # after middle layers, the fusor sees their answers and no proposal
        "parts": _parts(task, example, answer, candidates),
        "usage": _usage(pool, spent) if strategy.is_own else dict(pool.usage),
        "depth": pool.depth,
        "seconds": seconds + max((c.seconds for c in pool.candidates if c.replayed), default=0.0),
        "fallback": pool.fallback,
        "confidence": _finite(pool.confidence),
        "saved": pool.saved,
        "abstained": pool.abstained,
        "error": error,
    }


def _pool(prediction: dspy.Prediction, spent: Usage) -> Pool:
    """The prediction's pool; of a program that has none, one without candidates whose calls all followed each other."""
    pool = getattr(prediction, "pool", None)
    return pool if isinstance(pool, Pool) else Pool((), usage={"candidates": spent}, depth=spent.calls)


def _usage(pool: Pool, spent: Usage) -> dict[str, Usage]:
    """The usage by role; what a program asked besides its pool counts with the candidates."""
    known, first = pool.total, pool.usage.get("candidates", Usage())
    more = [max(0, getattr(spent, name) - getattr(known, name)) for name in _AMOUNTS]
    rest = Usage(*(getattr(first, name) + extra for name, extra in zip(_AMOUNTS, more, strict=True)))
    return {**pool.usage, "candidates": rest if any(more) else first}


def _check_choice(
    task: Task, strategy: Strategy, pool: Pool, score: float, candidates: Sequence[CandidateRecord]
) -> None:
    """A candidate that was returned unchanged scores no more than the best of them.

    Only a judge may say otherwise the second time.
    """
    changed = strategy.is_own and strategy.role != "select"  # who knows what it does with what was chosen
    if pool.chosen is not None and candidates and not task.needs_judge and not changed:
        check_ceiling(strategy.name, np.array(score), np.array(max(candidate.score for candidate in candidates)))


def _score(task: Task, example: dspy.Example, prediction: dspy.Prediction) -> tuple[float, str | None]:
    """The score of an answer; 0 and the reason where it could not be graded."""
    try:
        return task.metric(example, prediction), None
    except ConfigurationError:
        raise
    except FusionError as error:
        return 0.0, f"not graded: {_told(error)}"


def _aspects(task: Task, example: dspy.Example, prediction: dspy.Prediction) -> dict[str, float]:
    """The further scores; none where they could not be had, so that their means are over the answers that have them."""
    try:
        return dict(task.aspects(example, prediction)) if task.aspects else {}
    except ConfigurationError:
        raise
    except FusionError as error:
        _log.warning("no further scores for %s: %s", example.id, _told(error))
        return {}


def _told(error: Exception) -> str:
    return described(error, 600)


def _spent(meter: Meter, prices: Mapping[str, Price]) -> dict[str, Any]:
    """Calls made now, and what all calls cost, replayed ones included."""
    billed = ((prices.get(model, Price()), usage) for model, usage in meter.by_model.items())
    cost = sum(price.cost_usd(usage.tokens_in, usage.tokens_out) for price, usage in billed)
    return {"calls_made": sum(usage.calls for usage in meter.spent.values()), "cost_usd": cost}


def _candidate(task: Task, strategy: Strategy, example: dspy.Example, candidate: Candidate) -> CandidateRecord:
    model = strategy.models[candidate.index % len(strategy.models)]
    if candidate.prediction is None:
        return CandidateRecord(None, model, 0.0, error=candidate.error)
    score, error = _score(task, example, candidate.prediction)
    return CandidateRecord(
        text=task.answer_text(candidate.prediction.toDict()),
        model=model,
        score=score,
        error=error,
        scorer_score=_finite(candidate.score),
        logprob=_finite(candidate.logprob),
    )


def _parts(
    task: Task, example: dspy.Example, answer: str, candidates: Sequence[CandidateRecord]
) -> tuple[PartRecord, ...]:
    return task.parts(example, answer, [candidate.text for candidate in candidates]) if task.parts else ()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
