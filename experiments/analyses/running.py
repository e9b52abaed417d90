"""Running the analyses that ask models.

Each checks what was typed, goes on where it was interrupted, and returns what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.optimizers.finetuning.files.training_row import TrainingRow, read_training_rows
from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.banks.bank_keys import lm_fingerprint
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks import instructions
from dspy_fusion.serving.catalogue.models import ModelCatalogue

from ..evidence.summary import Summary, summarize
from ..own_tasks.adapters import spoken
from ..plans.comparison_config import CompareConfig
from ..runs.comparison import prepare
from ..runs.record_progress import RunProgress
from ..runs.run_folder import read_run
from ..tasks import Task, load_task
from .likelihoods import likelihood_of
from .perplexity import Sources, TargetRecord, measure_targets, target_rows
from .pool_subsets import SubsetRecord, fuse_subsets
from .subset_fusions import SubsetFusions


@dataclass(frozen=True)
class Asked:
    """What all these analyses are told."""

    task: str
    examples: int
    split: str
    data: str = ""
    adapter: str = ""
    threads: int = 8

    def load(self) -> tuple[Task, tuple[dspy.Example, ...]]:
        """The task and its examples.

        Raises ``ConfigurationError`` for a task, a split or an adapter that does not exist.
        """
        if self.examples < 2:
            raise ConfigurationError(f"--examples must be at least 2, but got {self.examples}")
        task = spoken(load_task(self.task, data=self.data or None), self.adapter)
        if task.needs_judge:
            raise ConfigurationError(
                f"the metric of {task.name} asks a judge, which this analysis does not have; take another task"
            )
        return task, tuple(task.examples(self.split or task.splits[0], self.examples))


def run_grid(
    config: CompareConfig, catalogue: ModelCatalogue, folder: Path | None, progress: Callable[..., RunProgress]
) -> tuple[Summary, Path]:
    """Runs or continues a grid.

    Args:
        config: of ``grid_config``.
        catalogue: of models.
        folder: of the run; None takes one named after the configuration.
        progress: makes the display, given ``total`` and ``done``.

    Raises:
        ConfigurationError: a name or an option is wrong.
        RecordError: the folder holds another run.
    """
    comparison = prepare(config, catalogue, folder)
    try:
        with progress(total=comparison.total, done=len(comparison.done)) as bar:
            comparison.run(bar.add)
    finally:
        comparison.records.close()
    run = read_run(comparison.folder.path)
    return summarize(run.config, run.records), comparison.folder.path


def run_subsets(
    asked: Asked,
    models: Sequence[str],
    catalogue: ModelCatalogue,
    folder: Path,
    *,
    fusor: str,
    numbers: Mapping[str, Any],
    on_example: Callable[[int], None],
) -> tuple[SubsetRecord, ...]:
    """Runs or continues an analysis of subsets.

    Args:
        asked: the task and its examples.
        models: the pool, which takes turns.
        catalogue: of models.
        folder: of the bank and of what was found.
        fusor: writes the fused answers; empty takes the pool's first.
        numbers: ``count``, ``size``, ``limit``, ``temperature`` and ``seed`` of :class:`SubsetFusions`.
        on_example: told how many questions are there, after each.

    Raises:
        ConfigurationError: a name or a number is wrong, or the folder holds another run.
    """
    task, examples = asked.load()
    lms = {name: catalogue.lm(name) for name in (*models, *([fusor] if fusor else []))}
    program = SubsetFusions(
        task.program(task.instructions),
        lms=[lms[name] for name in models],
        fusor_lm=lms[fusor or models[0]],
        instructions=instructions.AGGREGATE,
        **numbers,
    )
    about = {**numbers, "task": task.name, "adapter": asked.adapter, "pool": list(models), "fusor": fusor or models[0]}
    about["models"] = {name: lm_fingerprint(lm) for name, lm in lms.items()}
    _make(folder)
    program.bank = CandidateBank(f"sqlite:///{folder / 'bank.db'}")
    path = folder / "questions.jsonl"
    return fuse_subsets(task, program, examples, path, about=about, threads=asked.threads, on_example=on_example)


def run_perplexity(
    asked: Asked | None,
    base: str,
    catalogue: ModelCatalogue,
    folder: Path,
    *,
    teachers: Sequence[str],
    references: str,
    rows: Mapping[str, Path],
    limit: int,
    draws: int,
    keep: int,
    on_progress: Callable[[str], None],
) -> tuple[TargetRecord, ...]:
    """Makes targets, or reads those of files, and measures their likelihood.

    Args:
        asked: the task whose targets are made; None measures files alone.
        base: the model before training.
        catalogue: of models.
        folder: of all that is kept.
        teachers: propose off-policy; may be none.
        references: the stronger model that aggregates; empty takes the examples' own answers.
        rows: files of training rows, as the fine-tuning writes them, by the name that the table has for them.
        limit: how many rows of each file are measured, the first.
        draws: answers drawn for an example.
        keep: how many of them become proposals.
        on_progress: told what has been done, in words.

    Raises:
        ConfigurationError: a name or a number is wrong, a row does not fit the model, or the folder holds another run.
        RecordError: a file of rows cannot be read.
    """
    if asked is None and not rows:
        raise ConfigurationError("there is nothing to measure: give --task, or --rows NAME=FILE")
    likelihood = likelihood_of(base, catalogue)
    rows_of = {name: _read_rows(path, limit) for name, path in rows.items()}
    if asked is not None:
        task, examples = asked.load()
        proposers = _proposers(base, teachers, catalogue)
        sources = Sources(
            proposers, catalogue.lm(references) if references else None, draws=draws, keep=keep, threads=asked.threads
        )
        rows_of = target_rows(task, examples, sources, folder, on_progress) | rows_of
    file = folder / "likelihoods.jsonl"
    return measure_targets(rows_of, likelihood, file, on_row=lambda done: on_progress(f"likelihoods: {done}"))


def _proposers(base: str, teachers: Sequence[str], catalogue: ModelCatalogue) -> dict[str, list[dspy.BaseLM]]:
    proposers: dict[str, list[dspy.BaseLM]] = {}
    if base in catalogue.names or base.startswith("embedded/"):
        proposers["on-policy"] = [catalogue.lm(base)]
    if teachers:
        proposers["off-policy"] = [catalogue.lm(name) for name in teachers]
    if not proposers:
        raise ConfigurationError(
            "nobody proposes: name models with --teachers (a checkpoint's own answers need a server)"
        )
    return proposers


def _read_rows(path: Path, limit: int) -> dict[str, TrainingRow]:
    return {f"row {place}": row for place, row in enumerate(islice(read_training_rows(path), limit))}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the folder {folder}: {error.strerror}; choose another with --out"
        ) from error
