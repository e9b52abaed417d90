"""The configuration of a fine-tuning. Only reads the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, field
from pathlib import Path
from typing import Annotated, Any, Literal

from dspy_fusion.optimizers.finetuning import Training
from dspy_fusion.optimizers.finetuning.objectives import ObjectiveName
from dspy_fusion.programs.errors import ConfigurationError

from ..plans.comparison_config import StrategyConfig
from ..plans.run_config import RunConfig, named_task
from ..plans.typed_config import Amount, Count, Names, Temperature, Written, configuration, parse, read_toml
from .tuning_config import named_program


@configuration
class FineTuningConfig(RunConfig):
    """A fine-tuning: which model learns to aggregate, on which examples of a task, from what."""

    base: str
    """The model that is trained: ``embedded/NAME``, or a Hugging Face checkpoint (a folder, or a name on the Hub)."""
    program: StrategyConfig
    """The program whose fusor is trained, ``[program]``; its pool proposes when the result is measured."""
    _: KW_ONLY
    objective: ObjectiveName = "aft"
    """``aft``, or ``sft``, ``no_proposals`` or ``pseudo_aggregation`` to compare it with."""
    split: str = "train"
    """Which examples of the task are trained on."""
    examples: Count = 1000
    """How many of them."""
    file: str = ""
    """A file of JSON lines with the task's inputs and outputs and ``proposals``, and ``scores`` where there are any,
    instead of a split.
    """
    rows: Annotated[str, Written("from", "--from")] = ""
    """The folder of a synthesis or of a fine-tuning, or a file of rows with ``prompt`` and ``completion`` or with
    ``messages``: a student learns its rows as they are, instead of examples.
    """
    held_out_split: str = "test"
    """Which examples the model is measured on, before and after."""
    held_out: Amount = 0
    """How many of them; 0 for a model that has to be served first."""
    proposers: str = ""
    """The pool or the model that proposals are sampled from; empty takes an embedded base itself (on-policy).

    Not with ``file``.
    """
    draws: Count = 10
    """How many answers are drawn for an example."""
    keep: Count = 5
    """How many of them become proposals, the best by the scorer."""
    scorer: Literal["", "metric", "judge", "reward_model"] = "metric"
    """What ranks them: ``metric`` (the task's own, which knows the right answers), ``judge``, or ``reward_model``."""
    judge: str = ""
    """The model behind the judge."""
    scorer_options: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the scorer as keyword arguments: ``address`` and ``model`` for ``reward_model``, an HTTP server."""
    references: str = ""
    """The stronger model that writes what is learned; empty learns the examples' own answers."""
    seeds: Count = 3
    """How often the result of fusing is measured, with other candidates each time."""
    serve: str = ""
    """Name, in the model catalogue, of the trained model when a server has it; see ``examples/vllm_aft``.

    An embedded base needs none.
    """
    plain_share: float = 0.0
    """Share of the rows that show no proposals, in [0, 1)."""
    instructions: Names = ()
    """Further instructions of the fusor; each row that shows proposals has one of these or the program's own."""
    too_long: Literal["raise", "drop_proposals"] = "raise"
    """``raise``, or ``drop_proposals`` to leave out as few as the model's context demands."""
    tolerated_failures: float = 0.0
    """Share of the examples on which models may fail, in [0, 1)."""
    temperature: Temperature = 0.7
    """Of the candidates when the result is measured."""
    training: Training = field(default_factory=Training)
    """How it is trained, ``[training]`` and ``[training.lora]``; ``lora = false`` trains all weights."""

    def __post_init__(self) -> None:
        """Checks what the optimizer and the programs do not check themselves."""
        if self.scorer == "judge" and not self.judge:
            raise ConfigurationError('scorer = "judge" needs a model: judge = "..."')
        if self.scorer == "reward_model" and not {"address", "model"} <= set(self.scorer_options):
            raise ConfigurationError(
                'scorer = "reward_model" needs scorer_options = { address = "http://...", model = "..." }'
            )
        if self.file and self.proposers:
            raise ConfigurationError("file brings proposals of its own; leave out proposers")
        if self.rows and (self.file or self.proposers):
            raise ConfigurationError("from brings rows that are finished; leave out file and proposers")
        if not (self.file or self.rows or self.proposers or self.is_embedded):
            raise ConfigurationError(
                "proposers is missing: name the model that has the base, served, or a pool, or give a file instead"
            )
        if self.held_out and not self.is_embedded:
            raise ConfigurationError(
                "held_out measures the trained model at once, which only an embedded base allows; set it to 0, serve"
                " the model and compare"
            )
        if self.held_out and not (self.file or self.rows) and self.held_out_split == self.split:
            raise ConfigurationError(f"split and held_out_split must differ, but both are {self.split!r}")

    @property
    def is_embedded(self) -> bool:
        """Whether the base runs in this process."""
        return self.base.startswith("embedded/")


def read_finetuning_config(path: Path, settings: Mapping[str, Any] | None = None) -> FineTuningConfig:
    """Reads a fine-tuning from a TOML file; ``settings`` of the command line go before it.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or holds a key or a value that is not allowed.
    """
    return parse_finetuning_config(read_toml(path), where=str(path), settings=settings)


def parse_finetuning_config(
    table: Mapping[str, Any], *, where: str = "configuration", settings: Mapping[str, Any] | None = None
) -> FineTuningConfig:
    """Makes a fine-tuning of a parsed TOML table.

    Raises:
        ConfigurationError: a key is unknown or missing, or a value is not allowed.
    """
    whole = named_task(named_program(table), settings or {})
    training = whole.get("training")
    if isinstance(training, dict) and "lora" in training:
        lora = training["lora"]
        if lora is not False and not isinstance(lora, dict):
            raise ConfigurationError(
                f"{where}: lora is a [training.lora] table, or false to train all weights, but got {lora!r}"
            )
        whole["training"] = {**training, "lora": lora or None}
    return parse(FineTuningConfig, whole, where=where, settings=settings)
