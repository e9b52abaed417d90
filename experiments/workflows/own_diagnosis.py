"""Diagnosing from Python: a user's own program, examples and metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models

from ..diagnoses.diagnosis_config import EXAMPLES, DiagnosisConfig
from ..diagnoses.look import prepare_look
from ..own_tasks.own_task import from_python
from ..presentation.safe_console import SafeConsole
from ..runs.ray_work import Engine
from .diagnosis_result import DiagnosisResult
from .diagnosis_workflow import look_at


def diagnose(
    program: dspy.Module,
    examples: Any,
    metric: Callable[..., Any] | str,
    *,
    inputs: Sequence[str] = (),
    output: str = "",
    count: int = EXAMPLES,
    n: int | None = None,
    lms: Sequence[dspy.BaseLM] = (),
    temperature: float | None = None,
    name: str = "",
    title: str = "",
    out: str | Path | None = None,
    bank: str = "",
    engine: Engine = "local",
    adapter: dspy.Adapter | None = None,
    max_concurrency: int = 8,
    tracking: bool = True,
    tracking_uri: str = "",
    seed: int = 0,
    progress: bool = True,
) -> DiagnosisResult:
    """Looks at a few candidates of a program and says whether choosing or fusing could pay, before money is spent.

    Draws ``n`` candidates for each of a few examples and measures one answer, a vote, the best choice there could be
    (oracle), how often the whole pool is wrong (beta), how different the candidates are, how all that grows with N, and
    what a comparison and a study would cost. What is drawn is kept, so the same call goes on after an interruption, and
    a comparison over the same ``bank`` pays for none of it again.

    Args:
        program: any ``dspy.Module``. Of one of this library's (``Fusion``, ``Vote``, ...) it is the program inside that
            is called, with its models, its n and its temperature.
        examples: as :func:`compare` takes them; of more than ``count``, a seeded sample is looked at.
        metric: as :func:`compare` takes it. An answer for which it raises is left out of the scores.
        inputs: the fields that the program gets; DSPy examples that say it themselves need none.
        output: the field with the right answer; a metric given by name compares it, and so does the vote.
        count: how many examples are looked at, at least 2; 20 to 50 are enough.
        n: candidates per example; None takes the program's own, or 5.
        lms: models that take turns; empty takes the program's own.
        temperature: of the candidates; None takes the program's own, or 0.7.
        name: of the task, in MLflow; empty takes the file's, or ``own``.
        title: of the page.
        out: folder of the diagnosis; None takes one under ``runs/`` that is the same for the same call.
        bank: SQLAlchemy URL of a bank that keeps the candidates, such as one that comparisons share; empty takes one in
            the folder.
        engine: ``local``, or ``ray`` for a Ray cluster, which needs the extra ``ray``.
        adapter: that the program runs under; None takes the one that DSPy is set to.
        max_concurrency: how many examples are worked on at a time.
        tracking: whether MLflow is told now; ``dspy-fusion sync`` tells it later.
        tracking_uri: MLflow store; empty takes ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` beside the folder.
        seed: of the sample of examples and of what is drawn.
        progress: whether progress is shown on standard error.

    Raises:
        ConfigurationError: an argument is wrong, an example does not say its inputs, or the metric gives no score.
        RecordError: ``out`` holds another diagnosis.
        QuorumNotMet: no attempt succeeded.

    Example:
        >>> print(diagnose(answer, "questions.csv", "exact", inputs=["question"], output="answer"))
    """
    if not isinstance(program, dspy.Module):
        raise ConfigurationError(
            f"program must be a dspy.Module, but is a {type(program).__name__}; an instance, not a class"
        )
    task, called = from_python(examples, metric, inputs=inputs, output=output, name=name, adapter=adapter)
    config = DiagnosisConfig(
        task=task.name,
        title=title,
        inputs=tuple(inputs),
        output=output,
        metric=called,
        examples=count,
        n=n,
        temperature=temperature,
        max_concurrency=max_concurrency,
        tracking=tracking,
        tracking_uri=tracking_uri,
        seed=seed,
    )
    look = prepare_look(config, load_models(), task=task, program=program, lms=lms)
    log = SafeConsole(stderr=True, quiet=not progress)
    looked = look_at(look, None if out is None else Path(out), log, bank_url=bank, engine=engine)
    return DiagnosisResult(looked.finding, looked.folder, looked.uri)
