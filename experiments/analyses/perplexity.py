"""Perplexity of what SFT and AFT would train on, under the model before training (AFT, arXiv 2501.11877,
section 6.1 and figure 6).

Targets and prompts are made by the code that makes training rows, so what is measured is what would be learned.
Everything is kept on disk as soon as it is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.optimizers.finetuning import OBJECTIVES, FusorReferences, GoldReferences, SampledProposals
from dspy_fusion.optimizers.finetuning.aggregation_rows import RowWriter
from dspy_fusion.optimizers.finetuning.files.collected import Collected, Failures
from dspy_fusion.optimizers.finetuning.files.training_row import TrainingRow
from dspy_fusion.optimizers.finetuning.gathering import Gathering
from dspy_fusion.programs import ProposeAggregate
from dspy_fusion.programs.errors import QuorumNotMet
from dspy_fusion.programs.tasks.signatures import input_digest

from ..tasks import Task
from .likelihoods import AnswerLikelihood

_ROLES = {
    "aft": "AFT",
    "sft": "SFT",
    "no_proposals": "AFT, proposals removed",
    "pseudo_aggregation": "pseudo-aggregation",
}


@dataclass(frozen=True)
class TargetRecord:
    """How likely the model finds one target."""

    target: str
    """Which kind of training set it belongs to."""
    example: str
    """Name of the example."""
    loglikelihood: float
    """Sum of its tokens' natural log-probabilities."""
    tokens: int
    """How many there are, the one that ends it included."""


@dataclass(frozen=True)
class Sources:
    """Where targets come from.

    Attributes:
        proposers: by kind, such as ``on-policy`` (the model itself) and ``off-policy`` (others), the models that
            propose.
        references: the stronger model that aggregates; None takes the examples' own answers.
        draws: answers drawn for an example.
        keep: how many of them become proposals, the best by the task's metric.
        threads: examples at once.
    """

    proposers: Mapping[str, Sequence[dspy.BaseLM]]
    references: dspy.BaseLM | None
    draws: int = 10
    keep: int = 5
    threads: int = 8

    def objectives(self) -> tuple[str, ...]:
        """The kinds of training sets that can be made; pseudo-aggregation needs a stronger model."""
        return ("sft", "aft", "no_proposals", *(("pseudo_aggregation",) if self.references is not None else ()))


def target_rows(
    task: Task, examples: Sequence[dspy.Example], sources: Sources, folder: Path, on_progress: Callable[[str], None]
) -> dict[str, dict[str, TrainingRow]]:
    """Training rows by kind of training set and by example.

    What models wrote is kept in the folder and not asked for again.

    Raises:
        ConfigurationError: the folder was made with other settings, or an example has no answer.
        QuorumNotMet: proposals failed for an example.
        FusorFailed: a reference did.
    """
    rows_of_targets: dict[str, dict[str, TrainingRow]] = {}
    with dspy.context(adapter=task.adapter(), disable_history=True):
        fusing = ProposeAggregate(task.program(task.instructions), depth=1)
        writer, names = RowWriter(fusing), {id(example): str(example.id) for example in examples}
        for kind, lms in sources.proposers.items():
            for objective in sources.objectives():
                gathering = _gathering(fusing, task, examples, sources, lms, objective, folder / kind)
                gathering.on_progress = lambda progress, kind=kind: on_progress(
                    f"{kind}, {progress.stage}: {progress.done}"
                )
                gathering.check(examples)
                rows = rows_of_targets.setdefault(f"{_ROLES[objective]}, {kind}", {})
                for material in gathering.collect(examples):
                    inputs = material.example.inputs().toDict()
                    if gathering.objective.shows_proposals:
                        row = writer.aggregating(inputs, material.shown, material.outputs)
                    else:
                        row = writer.solving(inputs, material.outputs)
                    rows[names[id(material.example)]] = row
    return rows_of_targets


def measure_targets(
    rows: Mapping[str, Mapping[str, TrainingRow]],
    likelihood: AnswerLikelihood,
    path: Path,
    *,
    on_row: Callable[[int], None],
) -> tuple[TargetRecord, ...]:
    """The likelihood of every row's completion; those that are on disk are not computed again.

    Raises:
        ConfigurationError: the file was made with another model, or a row does not fit the model.
        RecordError: the file cannot be written.
    """
    records = Collected(path, {"base": likelihood.name})
    keys = {
        _key(target, example, row): (target, example, row)
        for target, own in rows.items()
        for example, row in own.items()
    }

    def make(key: str) -> dict[str, Any]:
        target, example, row = keys[key]
        score = likelihood.of(row)
        return asdict(TargetRecord(target, example, score.total, score.tokens))

    records.fill(keys, make, threads=1, failures=Failures("likelihoods", 0, QuorumNotMet), on_kept=on_row)
    return tuple(TargetRecord(**records[key]) for key in keys)


def _key(target: str, example: str, row: TrainingRow) -> str:
    digest = hashlib.sha256(json.dumps(row.as_messages(), sort_keys=True).encode()).hexdigest()[:16]
    return "\t".join((target, example, digest))


def _gathering(
    fusing: ProposeAggregate,
    task: Task,
    examples: Sequence[dspy.Example],
    sources: Sources,
    lms: Sequence[dspy.BaseLM],
    name: str,
    folder: Path,
) -> Gathering:
    references = GoldReferences() if sources.references is None else FusorReferences(sources.references)
    by_inputs = {input_digest(example.inputs().toDict()): example for example in examples}

    def metric(arguments: dict[str, Any], prediction: dspy.Prediction) -> float:
        return task.metric(by_inputs[input_digest(arguments)], prediction)

    proposals = SampledProposals(list(lms), draws=sources.draws, keep=sources.keep, scorer=metric)
    return Gathering(
        fusing, proposals, references, OBJECTIVES[name], folder, sources.threads, 0.0, lambda progress: None
    )
