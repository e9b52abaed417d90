"""A study that is ready to run: everything the user typed has been checked, and nothing was called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import dspy
import optuna

from dspy_fusion.optimizers import (
    InstructionProposer,
    OptunaTuner,
    Price,
    Progress,
    calls,
    dollars,
    gpu_seconds,
    tokens,
)
from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks import instructions
from dspy_fusion.serving.catalogue.list_prices import prices_of

from ..own_tasks.own_examples import is_own_data
from ..plans.comparison_config import CompareConfig
from ..plans.own_programs import lms_of, pools_of_own, with_own
from ..plans.strategies import model_names, planned
from ..plans.strategy_programs import Site, build
from ..tasks import Task
from .judge_models import Models, graded_task, metric_judge
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
            tune_task=config.tune_task,
            adapters=cast("Any", config.adapters),  # the tuner checks them
            reasoning=config.reasoning,
            exclude=config.exclude,
            num_threads=config.max_concurrency,
            bank=CandidateBank(config.bank) if config.bank else None,
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
    n, temperature = config.program.n or _FIRST_N, config.temperature
    comparison = CompareConfig(config.task, (config.program,), pools=config.pools, n=n, temperature=temperature)
    comparison, own = with_own(comparison)
    strategy, *_ = planned(comparison)
    lms = {name: models.lm(name) for name in (*model_names((strategy,)), *pools_of_own(comparison))}
    task = graded_task(config, metric_judge(config, models, lms))
    examples, held_out = _examples(config, task)
    proposer = InstructionProposer(models.lm(config.proposer), seed=config.seed) if config.proposer else None
    names = [*lms, *([config.proposer] if config.proposer else [])]
    return Tuning(
        config=config,
        task=task,
        program=build(strategy, Site(task, task.instructions, lms, None, config.seed, own=own)),
        examples=examples,
        held_out=held_out,
        lms=(*lms_of(own.values()).values(), *(models.lm(name) for name in names)),
        price=_price(config, models, names, own.values()),
        proposer=proposer,
    )


def _examples(config: TuningConfig, task: Task) -> tuple[list[dspy.Example], list[dspy.Example]]:
    """What trials are scored on, and what none of them sees."""
    split = config.split or next(name for name in ("validation", "train", *task.splits) if name in task.splits)
    other = config.held_out_split or ("test" if "test" in task.splits else split)
    if other != split:
        return list(task.examples(split, config.examples)), (
            list(task.examples(other, config.held_out)) if config.held_out else []
        )
    both = list(task.examples(split, config.examples + config.held_out))
    if is_own_data(config.data) and 2 <= len(both) < config.examples + config.held_out and config.held_out:
        place = max(1, round(len(both) * config.examples / (config.examples + config.held_out)))
        return both[:place], both[place:]
    if len(both) <= config.examples:
        raise ConfigurationError(
            f"the split {split!r} has {len(both)} examples, so none is left after the {config.examples} that trials are"
            " scored on; set examples lower, or held_out_split to another split"
        )
    return both[: config.examples], both[config.examples :]


def _price(config: TuningConfig, models: Models, names: list[str], own: Iterable[dspy.Module]) -> Price:
    if config.price == "dollars":
        prices = prices_of(lms_of(own).values()) | {str(models.lm(name).model): models.price(name) for name in names}
        return dollars({name: (price.input, price.output) for name, price in prices.items()})
    return {"tokens": tokens, "calls": calls, "gpu_seconds": gpu_seconds(config.gpus or None)}[config.price]


def _text(name: str) -> str:
    return str(getattr(instructions, name, name)) if name.isupper() else name
