"""Metrics of a user's own, asked in one way: a number in [0, 1] for an answer, or an error that says what is wrong."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from numbers import Real
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError, ScorerError
from dspy_fusion.programs.extras import needs

from ..readers.numbers import read_number
from ..tasks.named_objects import is_named, load_named
from ..tasks.translation_metrics import COMET_MODELS, comet_score, sentence_bleu, sentence_chrf
from .genai_scorers import as_metric, is_genai_scorer

Metric = Callable[..., Any]
Grade = Callable[[dspy.Example, dspy.Prediction], float]


def graded(metric: Metric) -> Grade:
    """A DSPy metric as a score.

    Args:
        metric: takes an example and a prediction, and a trace, and what GEPA gives besides, where it wants them;
            returns a bool, a number in [0, 1], or a prediction or mapping with ``score`` (``feedback`` is not used).
            Or a scorer of ``mlflow.genai``.

    Returns:
        A function that raises ``ScorerError`` where the metric raised or gave no number for one example, which is a
        failure of that example, and ``ConfigurationError`` where it gives what is no score for any.
    """
    if is_genai_scorer(metric):
        metric = as_metric(metric)
    if not callable(metric):
        raise ConfigurationError(f"metric must be a function of an example and a prediction, but got {metric!r}")
    further = _further(metric)

    def grade(example: dspy.Example, prediction: dspy.Prediction) -> float:
        """The metric's score; what it raises is a `ScorerError`."""
        try:
            said = metric(example, prediction, *further)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ScorerError(
                f"the metric raised {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            ) from error
        return _score(said)

    return grade


def metric_of(name: str, output: str) -> Grade:
    """A metric by its name in a configuration: ``exact``, ``number``, ``chrf``, ``bleu``, ``comet``, ``xcomet``, or
    ``module:function``.

    Raises:
        ConfigurationError: there is no such metric, or it needs the name of the answer's field.
    """
    if is_named(name):
        return graded(load_named(name, "metric"))
    if name not in (*_NAMED, *COMET_MODELS):
        raise ConfigurationError(
            f"there is no metric {name!r}; there are: {', '.join((*_NAMED, *COMET_MODELS))}, or your own as"
            " module:function"
        )
    if not output:
        raise ConfigurationError(f'metric {name!r} compares one field; name it, as in output = "answer"')
    if name in COMET_MODELS:
        with needs(f"the metric {name}", "comet"):
            import_module("comet")
        return _against_source(COMET_MODELS[name], output)
    return _comparing(_NAMED[name], output)


def _comparing(equal: Callable[[str, str], float], output: str) -> Grade:
    def grade(example: dspy.Example, prediction: dspy.Prediction) -> float:
        return equal(_field(prediction, output), str(example[output]))

    return grade


def _field(prediction: dspy.Prediction, output: str) -> str:
    if output not in prediction:
        raise ConfigurationError(
            f"the program answers without a field {output!r}, which output names; it has: "
            f"{', '.join(map(str, prediction.keys()))}"
        )
    return str(prediction[output])


def _exact(answer: str, right: str) -> float:
    return float(" ".join(answer.split()).casefold() == " ".join(right.split()).casefold())


def _number(answer: str, right: str) -> float:
    expected = read_number(right)
    if expected is None:
        raise ScorerError(f"the right answer {right[:60]!r} holds no number")
    return float(read_number(answer) == expected)


def _against_source(model: str, output: str) -> Grade:
    """A COMET model's score of an answer, of which the example's first input is the text that was translated."""

    def grade(example: dspy.Example, prediction: dspy.Prediction) -> float:
        source = str(next(iter(example.inputs().values()), ""))
        return comet_score(source, _field(prediction, output), str(example[output]), model=model)

    return grade


_NAMED: dict[str, Callable[[str, str], float]] = {
    "exact": _exact,
    "number": _number,
    "chrf": sentence_chrf,
    "bleu": sentence_bleu,
}


def _further(metric: Metric) -> list[None]:
    try:
        parameters = inspect.signature(metric).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [item for item in parameters if item.kind in kinds and item.default is item.empty]
    return [None] * max(0, len(needed) - 2)


def _score(said: Any) -> float:
    score = said.get("score") if isinstance(said, dspy.Prediction | Mapping) else said
    if score is None:
        raise ScorerError("the metric returned None for this answer")
    if not (isinstance(score, Real) or (type(score).__module__ == "numpy" and hasattr(score, "item"))):
        raise ConfigurationError(
            f"the metric returned {' '.join(repr(score).split())[:80]}, a {type(score).__name__}; it must return a"
            " bool, a number in [0, 1], or a dspy.Prediction with a score"
        )
    number = float(score)
    if not math.isfinite(number):
        raise ScorerError(f"the metric returned {score} for this answer")
    if not 0 <= number <= 1:
        raise ConfigurationError(f"the metric returned {number:g}; scores lie in [0, 1], so divide by the highest one")
    return number
