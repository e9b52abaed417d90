"""Metrics that ask a judge: the call, and a memory, so that an answer that several strategies give is judged once.

Strategies share candidates. If one answer were judged anew for each of them, an inconstant judge would let a strategy
that chooses beat the best candidate.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import dspy

from dspy_fusion.programs.errors import FusionError, ScorerError
from dspy_fusion.programs.redaction import described

Grade = TypeVar("Grade")


def ask_judge(judge: dspy.BaseLM, signature: type[dspy.Signature], **inputs: Any) -> dspy.Prediction:
    """What a judge says at temperature 0.

    Neither the call nor its tokens count for the strategy whose answer is graded.

    Raises:
        ScorerError: the call failed, or its answer lacks a field.
    """
    try:
        with dspy.context(
            lm=judge, adapter=dspy.ChatAdapter(), callbacks=[], usage_tracker=None, trace=[], disable_history=True
        ):
            return dspy.Predict(signature)(**inputs, config={"temperature": 0.0})
    except FusionError:
        raise
    except Exception as error:
        raise ScorerError(f"the judge gave no verdict ({described(error, 250)})") from error


def remembered(
    grade: Callable[[dspy.Example, dspy.Prediction], Grade],
) -> Callable[[dspy.Example, dspy.Prediction], Grade]:
    """The same function, called once for each answer to an example.

    While one thread works an answer out, the others wait for it.

    A failure is remembered too, so that it is counted as often as the answer is given, and not paid for again.
    """
    grades: dict[tuple[str, str], Future[Grade]] = {}
    lock = threading.Lock()

    def once(example: dspy.Example, prediction: dspy.Prediction) -> Grade:
        """The grade of an answer, which whoever asks at the same time waits for."""
        key = str(example.id), _content(prediction)
        with lock:
            mine = key not in grades
            future = grades.setdefault(key, Future())
        if mine:
            try:
                future.set_result(grade(example, prediction))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, FusionError):
                    with lock:
                        del grades[key]
                raise
        return future.result()

    return once


def _content(prediction: Mapping[str, Any] | dspy.Prediction) -> str:
    return json.dumps(dict(prediction.items()), sort_keys=True, default=str)
