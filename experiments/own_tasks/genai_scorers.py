"""Scorers of ``mlflow.genai.evaluate`` as metrics here, and judges of ours as scorers there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.programs.calls.drawing import run
from dspy_fusion.programs.errors import ConfigurationError, ScorerError
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.scorers.scorer import Reward, Scorer, as_scorer, scored

if TYPE_CHECKING:
    from mlflow.genai.scorers import Scorer as GenaiScorer

_SAID = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0, "pass": 1.0, "fail": 0.0}
_EXPECTED = "expected_response"  # what MLflow's own scorers call the right answer


def is_genai_scorer(metric: object) -> bool:
    """Whether something is a scorer of MLflow's; MLflow is not imported to find out."""
    return any(
        f"{kind.__module__}.{kind.__name__}" == "mlflow.genai.scorers.base.Scorer" for kind in type(metric).__mro__
    )


def as_metric(scorer: Any) -> Callable[[dspy.Example, dspy.Prediction], float]:
    """A scorer of MLflow's as a metric.

    It is given the example's inputs, its labels as ``expectations`` (the only label as ``expected_response`` too) and
    the answer: the value of the only output field, or all fields by name. It must give one number in [0, 1], a bool,
    or ``yes`` or ``no``, as it is or as the value of a ``Feedback``.
    """

    def metric(example: dspy.Example, prediction: dspy.Prediction) -> float:
        """The scorer's value of a prediction."""
        labels = {name: value for name, value in example.labels().items() if name != "id"}
        if len(labels) == 1:
            labels.setdefault(_EXPECTED, next(iter(labels.values())))
        fields = dict(prediction.items())
        outputs = next(iter(fields.values())) if len(fields) == 1 else fields
        return _value(scorer.run(inputs=dict(example.inputs().items()), outputs=outputs, expectations=labels), scorer)

    return metric


def genai_scorer(
    scorer: Scorer | Reward, task: str | type[dspy.Signature], *, name: str = "judge", instructions: str = ""
) -> GenaiScorer:
    """One of our scorers, such as an ``LMJudge``, as a scorer of ``mlflow.genai.evaluate``.

    Args:
        scorer: any scorer of this library, or a function of inputs and a prediction.
        task: the signature of the task; ``outputs`` are its output fields by name, or the value of the only one.
        name: of the feedback.
        instructions: what the task asks for, which a judge is told; empty takes the signature's.

    Raises:
        ConfigurationError: the scorer is none, or needs log-probabilities, which an answer alone has none of.
        MissingExtra: mlflow is not installed.

    Example:
        >>> mlflow.genai.evaluate(data=rows, predict_fn=ask, scorers=[genai_scorer(LMJudge(lm), "question -> answer")])
    """
    from dspy_fusion.programs.extras import needs

    with needs("genai_scorer()", "experiments"):
        from mlflow.entities import Feedback
        from mlflow.genai.scorers import scorer as decorated
    signature = make_signature(task) if isinstance(task, str) else task
    bound = as_scorer(scorer, signature).told(instructions or signature.instructions)
    if bound.needs_logprobs:
        raise ConfigurationError(f"{type(bound).__name__} needs log-probabilities, which a finished answer has none of")

    def score(inputs: dict[str, Any], outputs: Any) -> Feedback:
        """The score of an output of the program."""
        prediction = dspy.Prediction(**_fields(outputs, signature))
        with dspy.context(adapter=dspy.ChatAdapter(), trace=None, disable_history=True):
            (graded,) = run(scored(bound, inputs, [Candidate(0, prediction)])).candidates
        if graded.score is None:
            raise ScorerError(graded.score_error or f"{type(bound).__name__} gave no score")
        return Feedback(value=graded.score)

    return decorated(score, name=name)


def _fields(outputs: Any, signature: type[dspy.Signature]) -> dict[str, Any]:
    if isinstance(outputs, dspy.Prediction):
        return dict(outputs.items())
    if isinstance(outputs, Mapping):
        return {str(name): value for name, value in outputs.items()}
    return {next(reversed(signature.output_fields)): outputs}


def _value(said: Any, scorer: Any) -> Any:
    """What a scorer said, as what a metric may say."""
    if isinstance(said, list):
        if len(said) != 1:
            raise ConfigurationError(f"the scorer {scorer.name!r} gave {len(said)} feedbacks; a metric is one number")
        (said,) = said
    if hasattr(said, "value") and hasattr(said, "error"):
        if said.error is not None:
            raise ScorerError(f"the scorer {scorer.name!r} failed: {said.error}")
        said = said.value
    return _SAID.get(str(said).lower(), said) if isinstance(said, str) else said
