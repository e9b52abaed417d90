"""A fine-tuning that is ready to run: everything the user typed has been checked, and nothing was called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.optimizers.finetuning import (
    AggregationFineTuning,
    FusorReferences,
    GivenProposals,
    GoldReferences,
    Preferences,
    RowFineTuning,
    SampledProposals,
    TrainingRow,
)
from dspy_fusion.programs import CandidateBank, LMJudge, RewardModel
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.scorers.scorer import Reward, Scorer
from dspy_fusion.programs.tasks.signatures import input_digest, signature_of
from dspy_fusion.serving.checkpoints.model_server import ModelServer

from ..own_tasks.own_examples import is_own_data
from ..plans.comparison_config import CompareConfig
from ..plans.own_programs import pools_of_own, with_own
from ..plans.strategies import model_names, planned
from ..plans.strategy_programs import Site, build
from ..rows.row_files import read_file
from ..tasks import Task
from .finetuning_config import FineTuningConfig
from .finetuning_models import BASE, WithBase, checkpoint_of, serve_of, server_of
from .held_out import apart_from, asked_text
from .judge_models import Models, graded_task, metric_judge
from .run_folder import RunFolder


@dataclass(frozen=True)
class FineTuning:
    """A fine-tuning that is ready to run: everything the user typed has been checked, and nothing was called.

    Attributes:
        config: as the user wrote it.
        task: its task.
        program: the program as it is, the base behind its fusor where that is embedded.
        examples: what is trained on.
        held_out: what is measured.
        base: the model before, where it runs on this machine.
        optimizer: with everything it needs.
        notes: what was left out of the training, in words.
        server: what serves the base and the trained model, where this run starts it.
    """

    config: FineTuningConfig
    task: Task
    program: Any
    examples: list[dspy.Example]
    held_out: list[dspy.Example]
    base: dspy.BaseLM | None
    optimizer: AggregationFineTuning | RowFineTuning
    notes: tuple[str, ...] = ()
    server: ModelServer | None = None


def prepare_finetuning(
    config: FineTuningConfig, models: Models, folder: Path, rows: Sequence[TrainingRow] = ()
) -> FineTuning:
    """Checks a fine-tuning and builds its program and its optimizer.

    Args:
        config: what to train.
        models: makes models from their names.
        folder: where the optimizer keeps everything.
        rows: what a student learns as it is, instead of examples.

    Raises:
        ConfigurationError: a name or an option is wrong.
    """
    server = server_of(config)
    base = models.lm(config.base) if config.is_embedded else server.lm(config.base) if server else None
    models = models if base is None else WithBase(models, base)
    comparison = CompareConfig(
        config.task, (config.program,), pools=config.pools, n=config.keep, temperature=config.temperature
    )
    comparison, own = with_own(comparison)
    (strategy, *_) = planned(comparison)
    if strategy.role != "fuse":
        raise ConfigurationError(f"[program] {strategy.program!r} has no fusor; take fusion or propose_aggregate")
    lms = {name: models.lm(name) for name in (*model_names((strategy,)), *pools_of_own(comparison))}
    task = graded_task(config, metric_judge(config, models, lms))
    held_out = list(task.examples(config.held_out_split, config.held_out)) if config.held_out else []
    examples, notes = ([], ()) if rows else apart_from(held_out, _examples(config, task), asked_text)
    checkpoint = checkpoint_of(config, folder)  # which takes the folder, so all that was typed is read by now
    bank = CandidateBank(config.bank or RunFolder(folder).bank_url)
    program = build(strategy, Site(task, task.instructions, lms, bank, config.seed, own=own))
    shared: dict[str, Any] = {"output": folder, "server": server, "serve": serve_of(config, models)}
    training = replace(config.training, seed=config.training.seed or config.seed)
    if rows:
        rows, notes = apart_from(held_out, list(rows), lambda row: row.asked)
        student = RowFineTuning(checkpoint, rows, training=training, **shared)
        return FineTuning(config, task, program, [], held_out, base, student, notes, server)
    optimizer = AggregationFineTuning(
        checkpoint,
        proposals=_given(config, models, task, examples)
        if config.file
        else _sampled(config, comparison, models, task, examples, bank),
        references=FusorReferences(models.lm(config.references)) if config.references else GoldReferences(),
        objective=config.objective,
        preferences=_preferences(config, models, task, examples, base),
        training=training,
        plain_share=config.plain_share,
        instructions=config.instructions,
        too_long=config.too_long,
        tolerated_failures=config.tolerated_failures,
        num_threads=config.max_concurrency,
        **shared,
    )
    return FineTuning(config, task, program, examples, held_out, base, optimizer, notes, server)


def _preferences(
    config: FineTuningConfig, models: Models, task: Task, examples: Sequence[dspy.Example], base: dspy.BaseLM | None
) -> Preferences | None:
    scorer = _scorer(config, models, task, examples)
    if config.objective not in ("dpo", "grpo") or scorer is None:
        return None
    numbers = {"draws": config.aggregations, "pass_at": config.pass_at, "beta": config.beta}
    return Preferences(scorer, lm=base, answer_tokens=config.answer_tokens, **numbers)


def _sampled(
    config: FineTuningConfig,
    comparison: CompareConfig,
    models: Models,
    task: Task,
    examples: Sequence[dspy.Example],
    bank: CandidateBank | None,
) -> SampledProposals:
    names = comparison.pool_models(config.proposers or BASE)
    lms = [models.lm(name) for name in names]
    scorer = _scorer(config, models, task, examples)
    return SampledProposals(lms, draws=config.draws, keep=config.keep, scorer=scorer, seed=config.seed, bank=bank)


def _given(config: FineTuningConfig, models: Models, task: Task, examples: Sequence[dspy.Example]) -> GivenProposals:
    """The proposals of a file, the best by the file's own scores where it has any, else by the scorer."""
    if field := _scores_field(examples):
        return GivenProposals(scores=field, keep=config.keep)
    return GivenProposals(keep=config.keep, scorer=_scorer(config, models, task, examples))


def _scorer(
    config: FineTuningConfig, models: Models, task: Task, examples: Sequence[dspy.Example]
) -> Scorer | Reward | None:
    if config.scorer == "judge":
        return LMJudge(models.lm(config.judge), **config.scorer_options)
    if config.scorer == "reward_model":
        return RewardModel(**config.scorer_options)
    return _Graded(task, examples) if config.scorer == "metric" else None


class _Graded:
    """The task's metric as a reward function, which gets the inputs alone."""

    def __init__(self, task: Task, examples: Sequence[dspy.Example]) -> None:
        self.task = task
        self.examples = {input_digest(example.inputs().toDict()): example for example in examples}

    def __call__(self, arguments: dict[str, Any], prediction: dspy.Prediction) -> float:
        return self.task.metric(self.examples[input_digest(arguments)], prediction)

    def bank_identity(self) -> list[Any]:
        """What tells this scorer from others: the metric; the examples are told apart by themselves."""
        return [self.task.name, self.task.metric]


def _examples(config: FineTuningConfig, task: Task) -> list[dspy.Example]:
    if not config.file:
        first = config.held_out if is_own_data(config.data) else 0  # own rows have one split, whose first are held out
        return list(task.examples(config.split, first + config.examples)[first:])
    inputs = list(signature_of(task.program(task.instructions).predictors()[0]).input_fields)
    rows = list(islice(read_file(Path(config.file).expanduser()), config.examples))
    scored = [row for row in rows if "scores" in row.values]
    for row in rows:
        for name in (*inputs, "proposals", *(["scores"] if scored else [])):
            row.get(name)
    return [dspy.Example(**row.values).with_inputs(*inputs) for row in rows]


def _scores_field(examples: Sequence[dspy.Example]) -> str:
    return "scores" if examples and "scores" in examples[0] else ""
