"""Comparing from Python: a user's own programs, examples and metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.serving.catalogue.models import load_models

from ..own_tasks.own_task import SPLIT, from_python
from ..plans.comparison_config import CompareConfig
from ..plans.own_programs import named
from ..presentation.safe_console import SafeConsole
from ..runs.comparison import prepare
from ..runs.ray_work import Engine
from .comparison_result import ComparisonResult
from .comparison_workflow import carried_out

_ALL = 10**9  # examples


def compare(
    programs: Mapping[str, dspy.Module] | Iterable[tuple[str, dspy.Module]],
    examples: Any,
    metric: Callable[..., Any] | str,
    *,
    inputs: Sequence[str] = (),
    output: str = "",
    name: str = "",
    title: str = "",
    seeds: int = 1,
    reference: str = "",
    every_n: bool = False,
    out: str | Path | None = None,
    bank: str = "",
    engine: Engine = "local",
    retry_failed: bool = False,
    adapter: dspy.Adapter | None = None,
    max_concurrency: int = 8,
    tracking: bool = True,
    tracking_uri: str = "",
    seed: int = 0,
    progress: bool = True,
) -> ComparisonResult:
    """Compares programs on the same examples: scores with paired intervals, costs, a verdict, a page, MLflow runs.

    Every answer is written down when it is there, so the same call goes on after an interruption and repeats no call
    that was paid. Programs of this library share the candidates they draw where they draw the same.

    Args:
        programs: the programs by the names that the tables give them: any ``dspy.Module``, of this library or not, of
            one step or several. Those that fuse or choose are judged against those that do not.
        examples: DSPy examples, mappings, a pandas frame, a ``datasets.Dataset``, the path of a JSONL, CSV or Parquet
            file, or ``hf:owner/name@revision``.
        metric: any DSPy metric with two, three or five arguments, which returns a bool, a number in [0, 1], or a
            prediction with ``score``; or ``exact``, ``number``, ``chrf`` or ``module:function``. Where it raises for
            one example, that answer is a failure with score 0.
        inputs: the fields that programs get; DSPy examples that say it themselves need none.
        output: the field with the right answer; a metric given by name compares it.
        name: of the task, in records and in MLflow; empty takes the file's, or ``own``.
        title: of the page.
        seeds: how often each program answers each example, with other samples each time.
        reference: the program that others are compared with; empty takes the first.
        every_n: whether programs of this library also run with fewer candidates, which tells how many are enough.
        out: folder of the run; None takes one under ``runs/`` that is the same for the same call.
        bank: SQLAlchemy URL of a bank that keeps the candidates, such as one that several runs share; empty takes one
            in the folder. A program that has a bank keeps its own.
        engine: ``local``, or ``ray`` for a Ray cluster, which needs the extra ``ray``.
        retry_failed: whether answers that failed before are tried again.
        adapter: that programs run under; None takes the one that DSPy is set to.
        max_concurrency: how many examples are worked on at a time.
        tracking: whether MLflow is told now; ``dspy-fusion sync`` tells it later.
        tracking_uri: MLflow store; empty takes ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` beside the run.
        seed: base of all seeds.
        progress: whether progress is shown on standard error.

    Raises:
        ConfigurationError: an argument is wrong, an example does not say its inputs, or the metric gives no score.
        RecordError: ``out`` holds another run, or the first answers all failed.
        KeyboardInterrupt: before anything was written down; later, the result says that it is not finished.

    Example:
        >>> programs = {"one answer": answer, "fused": Fusion(answer, n=5)}
        >>> print(compare(programs, "questions.csv", "exact", inputs=["question"], output="answer"))
    """
    listed = _listed(programs)
    task, called = from_python(examples, metric, inputs=inputs, output=output, name=name, adapter=adapter)
    config = CompareConfig(
        task.name,
        _strategies(listed, every_n=every_n),
        title=title,
        inputs=tuple(inputs),
        output=output,
        metric=called,
        examples=len(task.examples(SPLIT, _ALL)),
        bank=bank,
        seeds=seeds,
        reference=reference,
        out="" if out is None else str(out),
        max_concurrency=max_concurrency,
        tracking=tracking,
        tracking_uri=tracking_uri,
        seed=seed,
    )
    path = None if out is None else Path(out)
    comparison = prepare(config, load_models(), path, retry_failed=retry_failed, task=task, own=dict(listed))
    outcome = carried_out(comparison, SafeConsole(stderr=True, quiet=not progress), engine=engine)
    if outcome.views is None:
        if outcome.interrupted:
            raise KeyboardInterrupt
        raise RecordError(f"{outcome.run.folder.path} holds no records")
    return ComparisonResult(outcome.run, outcome.views, outcome.uri, not outcome.interrupted)


def _listed(programs: Any) -> list[tuple[str, dspy.Module]]:
    return [(str(name), program) for name, program in (programs.items() if isinstance(programs, Mapping) else programs)]


def _strategies(listed: Sequence[tuple[str, dspy.Module]], *, every_n: bool) -> Any:
    names = [name for name, _ in listed]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"two programs are called {name!r}; names must differ")
    if not names:
        raise ConfigurationError("there are no programs; give at least one, as {'name': program}")
    return named(dict(listed), every_n=every_n)
