"""The configuration of a study. Only reads the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, field
from typing import Any, Literal

from dspy_fusion.optimizers import Budget

from ..plans.comparison_config import StrategyConfig
from ..plans.run_config import RunConfig, named_task, relevant
from ..plans.typed_config import Amount, Count, Names, Temperature, configuration, digest_of

PriceName = Literal["tokens", "calls", "dollars", "gpu_seconds"]
# What may be another in the next run of the same study.
_MAY_CHANGE = ("trials", "budget", "tolerance", "proposer", "reflect_every", "proposals")


@configuration
class TuningConfig(RunConfig):
    """A study: which program on which task is tuned, with what, and for how long."""

    program: StrategyConfig
    """What is tuned, ``[program]``; its ``n`` and options are where the search begins."""
    _: KW_ONLY
    trials: Count = 40
    """How many trials the study is to have."""
    split: str = ""
    """Which examples of the task the trials are scored on; empty takes ``validation``,
    ``train`` or the task's first.
    """
    examples: Count = 60
    """How many of them."""
    held_out_split: str = ""
    """Which examples no trial sees; empty takes ``test``.

    Of the split that trials are scored on, it is the examples after those.
    """
    held_out: Amount = 60
    """How many of them."""
    temperature: Temperature = 1.0
    """Of the candidates, where the search begins."""
    objectives: Names = ("quality", "cost")
    """``["quality", "cost"]``, or ``["quality"]`` to search for quality alone."""
    tolerance: float = 0.0
    """How much quality, of 1, to give up for a lower cost."""
    price: PriceName = "tokens"
    """What an answer costs: ``tokens``, ``calls``, ``dollars`` (of the model catalogue) or ``gpu_seconds``."""
    gpus: float = 0.0
    """How many GPUs serve the models, for ``gpu_seconds`` by wall time;
    0 takes what each model's catalogue entry says.
    """
    budget: Budget = field(default_factory=Budget)
    """Hard limits, ``[budget]``: ``calls``, ``tokens``, ``cost``, ``seconds``."""
    instructions: Names = ()
    """Texts to choose from; empty takes the library's."""
    adapters: Names = ()
    """Ways of asking the models to choose from, beside the task's own: ``chat``, ``json``, ``xml``, ``plain``."""
    reasoning: Names = ()
    """Rooms that candidates' reasoning may get, to choose from: such as ``field``, ``low``, ``1024 tokens``."""
    exclude: Names = ()
    """Paths of parameters that stay as they are."""
    tune_task: bool = False
    """Whether the task's own instruction is tuned too; it takes a proposer."""
    proposer: str = ""
    """The model that writes new instructions; empty searches the given ones alone."""
    proposals: int = 4
    """How many new instructions to ask for at the beginning."""
    reflect_every: int = 10
    """After how many trials to rewrite the best instruction in view of its failures; 0 for never."""
    racing_error: float = 0.02
    """Chance of dropping a trial that would have turned out just good enough; 0 drops none."""
    storage: str = ""
    """SQLAlchemy URL of the study, such as ``postgresql://...`` for several machines;
    empty takes a file in the run's folder.
    """

    @property
    def digest(self) -> str:
        """The first 10 hexadecimal digits of the hash of what makes it this study.

        It may go on with more trials or another budget.
        """
        return digest_of(relevant(self, but=_MAY_CHANGE, if_set=("tune_task", "adapters", "reasoning")), 10)

    @property
    def wanted(self) -> tuple[Literal["quality", "cost"], ...]:
        """The objectives, as the tuner takes them."""
        return self.objectives  # type: ignore[return-value] (the tuner checks them)

    @classmethod
    def _fields_of(cls, table: Mapping[str, Any], where: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        return named_task(named_program(table), settings)


def named_program(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with a name for its ``[program]``, which needs none in a file."""
    program = table.get("program")
    return (
        {**table, "program": {"name": program.get("program", "?"), **program}}
        if isinstance(program, dict)
        else {**table}
    )
