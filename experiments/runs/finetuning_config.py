"""The configuration of a fine-tuning: TOML to a frozen dataclass, unknown keys refused by name. Only reads the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dspy_fusion.optimizers.finetuning import OBJECTIVES, Lora, Training
from dspy_fusion.programs.errors import ConfigurationError

from ..plans.comparison_config import StrategyConfig, read_fields, read_toml

SCORERS = ("", "metric", "judge")


@dataclass(frozen=True)
class FineTuningConfig:
    """A fine-tuning: which model learns to aggregate, on which examples of a task, from what."""

    task: str
    """Name of the task."""
    base: str
    """The model that is trained: ``embedded/NAME``, or a Hugging Face checkpoint (a folder, or a name on the Hub)."""
    program: StrategyConfig
    """The program whose fusor is trained, ``[program]``; its pool proposes when the result is measured."""
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Named lists of models."""
    title: str = ""
    """A line for the head of what is printed."""
    objective: str = "aft"
    """``aft``, or ``sft``, ``no_proposals`` or ``pseudo_aggregation`` to compare it with."""
    split: str = "train"
    """Which examples of the task are trained on."""
    examples: int = 1000
    """How many of them."""
    file: str = ""
    """A file of JSON lines with the task's inputs and outputs and ``proposals``, and ``scores`` where there are any,
    instead of a split.
    """
    held_out_split: str = "test"
    """Which examples the model is measured on, before and after."""
    held_out: int = 0
    """How many of them; 0 for a model that has to be served first."""
    proposers: str = ""
    """The pool or the model that proposals are sampled from; empty takes an embedded base itself (on-policy).

    Not with ``file``.
    """
    draws: int = 10
    """How many answers are drawn for an example."""
    keep: int = 5
    """How many of them become proposals, the best by the scorer."""
    scorer: str = "metric"
    """What ranks them: ``metric`` (the task's own, which knows the right answers), or ``judge``."""
    judge: str = ""
    """The model behind the judge."""
    references: str = ""
    """The stronger model that writes what is learned; empty learns the examples' own answers."""
    serve: str = ""
    """Name, in the model catalogue, of the trained model when a server has it; see ``examples/vllm_aft``.

    An embedded base needs none.
    """
    plain_share: float = 0.0
    """Share of the rows that show no proposals, in [0, 1)."""
    instructions: tuple[str, ...] = ()
    """Further instructions of the fusor; each row that shows proposals has one of these or the program's own."""
    too_long: str = "raise"
    """``raise``, or ``drop_proposals`` to leave out as few as the model's context demands."""
    tolerated_failures: float = 0.0
    """Share of the examples on which models may fail, in [0, 1)."""
    temperature: float = 0.7
    """Of the candidates when the result is measured."""
    training: Training = field(default_factory=Training)
    """How it is trained, ``[training]`` and ``[training.lora]``; ``lora = false`` trains all weights."""
    max_concurrency: int = 8
    """How many examples are worked on at a time."""
    models: str = ""
    """Path of the model catalogue; empty takes the one that is found, or the built-in one."""

    def __post_init__(self) -> None:
        """Checks what the optimizer and the programs do not check themselves."""
        if self.objective not in OBJECTIVES:
            raise ConfigurationError(
                f"objective must be one of {', '.join(OBJECTIVES)}, but got objective={self.objective!r}"
            )
        if self.scorer not in SCORERS:
            raise ConfigurationError(f"scorer must be 'metric', 'judge' or empty, but got scorer={self.scorer!r}")
        if self.scorer == "judge" and not self.judge:
            raise ConfigurationError('scorer = "judge" needs a model: judge = "..."')
        for name in ("examples", "max_concurrency"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, but got {name}={getattr(self, name)}")
        if self.file and self.proposers:
            raise ConfigurationError("file brings proposals of its own; leave out proposers")
        if not (self.file or self.proposers or self.is_embedded):
            raise ConfigurationError(
                "proposers is missing: name the model that has the base, served, or a pool, or give a file instead"
            )
        if self.held_out and not self.is_embedded:
            raise ConfigurationError(
                "held_out measures the trained model at once, which only an embedded base allows; set it to 0, serve"
                " the model and compare"
            )
        if self.held_out and not self.file and self.held_out_split == self.split:
            raise ConfigurationError(f"split and held_out_split must differ, but both are {self.split!r}")

    @property
    def is_embedded(self) -> bool:
        """Whether the base runs in this process."""
        return self.base.startswith("embedded/")

    def as_parameters(self) -> dict[str, str]:
        """For a tracking server: names and values as texts."""
        return {name: str(value) for name, value in _flat(asdict(self)).items()}


def read_finetuning_config(path: Path) -> FineTuningConfig:
    """Reads a fine-tuning from a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or holds a key or a value that is not allowed.
    """
    return parse_finetuning_config(read_toml(path), where=str(path))


def parse_finetuning_config(table: Mapping[str, Any], *, where: str = "configuration") -> FineTuningConfig:
    """Makes a fine-tuning of a parsed TOML table.

    Raises:
        ConfigurationError: a key is unknown or missing, or a value is not allowed.
    """
    given = dict(table)
    for name in ("program", "training"):
        if name in given and not isinstance(given[name], dict):
            raise ConfigurationError(f"{where}: {name} is written as a [{name}] table")
    if "program" in given:
        program = {"name": given["program"].get("program", "?"), **given["program"]}
        given["program"] = read_fields(StrategyConfig, program, f"{where}, [program]")
    if "training" in given:
        given["training"] = _training(given["training"], where)
    pools = given.get("pools", {})
    if not isinstance(pools, dict) or not all(isinstance(names, list) for names in pools.values()):
        raise ConfigurationError(f"{where}: [pools] maps each name to a list of model names")
    given["pools"] = {name: tuple(names) for name, names in pools.items()}
    return read_fields(FineTuningConfig, given, where)


def _training(table: Mapping[str, Any], where: str) -> Training:
    given = dict(table)
    if given.get("lora") is False:
        given["lora"] = None
    elif isinstance(given.get("lora"), dict):
        lora = dict(given["lora"])
        if isinstance(lora.get("targets"), list):
            lora["targets"] = tuple(lora["targets"])
        given["lora"] = read_fields(Lora, lora, f"{where}, [training.lora]")
    elif "lora" in given:
        raise ConfigurationError(
            f"{where}: lora is a [training.lora] table, or false to train all weights, but got {given['lora']!r}"
        )
    return read_fields(Training, given, f"{where}, [training]")


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
