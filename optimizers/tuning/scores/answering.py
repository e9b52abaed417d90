"""One answer of a program under a study: what it said, what it took, and why it failed where it did."""

from __future__ import annotations

import json
import time

import dspy

from dspy_fusion.programs import BankError, ConfigurationError, PooledPrediction, candidate_text
from dspy_fusion.programs.calls.attempts import describe
from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.programs.redaction import without_secrets
from dspy_fusion.programs.tasks.signatures import plain

from .budget import BudgetSpent, Price, Spend, priced
from .metric import AnswerUsage
from .study_store import Outcome


def answered(
    program: dspy.Module, example: dspy.Example, key: str, price: Price, failure_score: float
) -> tuple[dspy.Prediction, Outcome, AnswerUsage]:
    """Calls a program on an example: its prediction, the outcome before anyone has judged it, and what it took.

    Raises:
        BankError: what keeps the models' answers failed, or the budget is used up, or the program is set up wrongly;
            anything else that it raises is kept as the outcome's error.
    """
    meter, started = Meter(limited=False), time.monotonic()
    error: str | None = None
    prediction = dspy.Prediction()
    callbacks = [*(dspy.settings.callbacks or []), meter]
    with dspy.context(usage_tracker=meter, callbacks=callbacks, trace=[], disable_history=True):
        try:
            prediction = program(**example.inputs())
        except (BankError, BudgetSpent, ConfigurationError):
            raise
        except Exception as failure:  # noqa: BLE001 (a failed example is data)
            error = describe(failure)
    seconds = time.monotonic() - started
    spent = Spend(meter.spent, seconds, sum(meter.gpu_seconds.values()))
    outcome = Outcome(
        key,
        failure_score,
        cost=priced(price, Spend(meter.by_model, seconds, spent.gpu_seconds)),
        usage=meter.usage,
        spent=spent.total,
        spent_cost=priced(price, spent),
        seconds=seconds,
        feedback=error or "",
        answer=without_secrets(json.dumps(prediction.toDict(), default=plain, ensure_ascii=False))[:2000],
        candidates=_shown(program, prediction),
        error=error,
        fell_back=meter.has_fallback,
    )
    return prediction, outcome, AnswerUsage(**vars(meter.usage), seconds=seconds, by_model=dict(meter.by_model))


def _shown(program: dspy.Module, prediction: dspy.Prediction) -> tuple[str, ...]:
    pool = prediction.pool if isinstance(prediction, PooledPrediction) else None
    signature = getattr(program, "signature", None)
    if pool is None or signature is None:
        return ()
    answers = (candidate.prediction for candidate in pool.good)
    return tuple(without_secrets(candidate_text(signature, answer))[:1000] for answer in answers if answer is not None)
