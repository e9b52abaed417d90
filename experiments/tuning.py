"""A study that is ready to run: everything the user typed has been checked, and nothing was called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dspy
import optuna

from dspy_fusion.optimizers import InstructionProposer, OptunaTuner, Price, Progress, calls, dollars, gpu_seconds, tokens
from dspy_fusion.programs import instructions

from .compare import Models
from .config import CompareConfig
from .strategies import Site, build, model_names, planned
from .tasks import Task, load_task
from .tuning_config import TuningConfig

_FIRST_N = 5  # where the search begins, if the configuration does not say


@dataclass(frozen=True)
class Tuning:
    """What is tuned, on what.

    Attributes:
        config: as the user wrote it.
        task: its task.
        program: the program as it is.
        examples: what trials are scored on.
        held_out: what no trial sees.
        lms: the models that are asked, the proposer's last.
        price: what an answer costs.
        proposer: writes new instructions, or None.
    """

    config: TuningConfig
    task: Task
    program: dspy.Module
    examples: list[dspy.Example]
    held_out: list[dspy.Example]
    lms: tuple[dspy.BaseLM, ...]
    price: Price
    proposer: InstructionProposer | None

    def run(self, storage: str, study: str, on_progress: Callable[[Progress], None]) -> Any:
        """Runs or continues the study; returns the tuned program, with its ``tuning_report``."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        config = self.config
        tuner = OptunaTuner(
            self.task.metric,
            trials=config.trials,
            storage=storage,
            study=study,
            instructions=[_text(name) for name in config.instructions] or None,
            proposer=self.proposer,
            proposals=config.proposals,
            reflect_every=config.reflect_every,
            objectives=config.wanted,
            tolerance=config.tolerance,
            price=self.price,
            budget=config.budget,
            racing_error=config.racing_error,
            exclude=config.exclude,
            num_threads=config.max_concurrency,
            seed=config.seed,
            on_progress=on_progress,
        )
        with dspy.context(adapter=self.task.adapter(), disable_history=True):
            return tuner.compile(self.program, valset=self.examples, testset=self.held_out)


def prepare_tuning(config: TuningConfig, models: Models) -> Tuning:
    """Checks a study and builds its program.

    Args:
        config: what to tune.
        models: makes models from their names.

    Raises:
        ConfigurationError: a name or an option is wrong.
    """
    task = load_task(config.task)
    n, temperature = config.program.n or _FIRST_N, config.temperature
    comparison = CompareConfig(config.task, (config.program,), config.pools, n=n, temperature=temperature)
    (strategy, *_) = planned(comparison)
    lms = {name: models.lm(name) for name in model_names((strategy,))}
    proposer = InstructionProposer(models.lm(config.proposer), seed=config.seed) if config.proposer else None
    names = [*lms, *([config.proposer] if config.proposer else [])]
    return Tuning(
        config=config,
        task=task,
        program=build(strategy, Site(task, task.instructions, lms, None, 0)),
        examples=list(task.examples(config.split, config.examples)),
        held_out=list(task.examples(config.held_out_split, config.held_out)),
        lms=tuple(models.lm(name) for name in names),
        price=_price(config, models, names),
        proposer=proposer,
    )


def _price(config: TuningConfig, models: Models, names: list[str]) -> Price:
    if config.price == "dollars":
        return dollars({str(models.lm(name).model): (models.price(name).input, models.price(name).output) for name in names})
    return {"tokens": tokens, "calls": calls, "gpu_seconds": gpu_seconds(config.gpus)}[config.price]


def _text(name: str) -> str:
    return str(getattr(instructions, name, name)) if name.isupper() else name
