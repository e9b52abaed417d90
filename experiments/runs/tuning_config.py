"""The configuration of a study: TOML to a frozen dataclass, unknown keys refused by name. Only reads the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dspy_fusion.optimizers import Budget
from dspy_fusion.programs.errors import ConfigurationError

from ..plans.comparison_config import StrategyConfig, read_fields, read_toml

PRICES = ("tokens", "calls", "dollars", "gpu_seconds")
# What may be another in the next run of the same study.
_MAY_CHANGE = {
    "trials",
    "budget",
    "max_concurrency",
    "models",
    "data",
    "title",
    "tolerance",
    "proposer",
    "reflect_every",
    "proposals",
}


@dataclass(frozen=True)
class TuningConfig:
    """A study: which program on which task is tuned, with what, and for how long."""

    task: str
    """Name of the task."""
    program: StrategyConfig
    """What is tuned, ``[program]``; its ``n`` and options are where the search begins."""
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Named lists of models; candidate i of a pool is drawn from model i modulo their number."""
    title: str = ""
    """A line for the head of the report."""
    trials: int = 40
    """How many trials the study is to have."""
    data: str = ""
    """Local folder of the task's data; empty takes the environment variable ``DSPY_FUSION_DATA``,
    else the Hugging Face hub.
    """
    languages: tuple[str, ...] = ()
    """The languages to ask in, of a task that has several; empty takes all."""
    adapter: str = ""
    """How the models are spoken to, as in a comparison; empty takes the task's own adapter."""
    metric_judge: str = ""
    """The model that grades, for a task whose metric asks one."""
    judge_may_answer: bool = False
    """Whether the judge may be one of the models whose answers it judges."""
    split: str = ""
    """Which examples of the task the trials are scored on; empty takes ``validation``,
    ``train`` or the task's first.
    """
    examples: int = 60
    """How many of them."""
    held_out_split: str = ""
    """Which examples no trial sees; empty takes ``test``.

    Of the split that trials are scored on, it is the examples after those.
    """
    held_out: int = 60
    """How many of them."""
    temperature: float = 1.0
    """Of the candidates, where the search begins."""
    objectives: tuple[str, ...] = ("quality", "cost")
    """``["quality", "cost"]``, or ``["quality"]`` to search for quality alone."""
    tolerance: float = 0.0
    """How much quality, of 1, to give up for a lower cost."""
    price: str = "tokens"
    """What an answer costs: ``tokens``, ``calls``, ``dollars`` (of the model catalogue) or ``gpu_seconds``."""
    gpus: float = 0.0
    """How many GPUs serve the models, for ``gpu_seconds`` by wall time;
    0 takes what each model's catalogue entry says.
    """
    budget: Budget = field(default_factory=Budget)
    """Hard limits, ``[budget]``: ``calls``, ``tokens``, ``cost``, ``seconds``."""
    instructions: tuple[str, ...] = ()
    """Texts to choose from; empty takes the library's."""
    exclude: tuple[str, ...] = ()
    """Paths of parameters that stay as they are."""
    tune_task: bool = False
    """Whether the task's own instruction is tuned too; it takes a proposer."""
    proposer: str = ""
    """The model that writes new instructions; empty searches the given ones alone."""
    proposals: int = 4
    """How many new instructions to ask for at the beginning."""
    reflect_every: int = 10
    """After how many trials to rewrite the best instruction in view of its failures; 0 for never."""
    racing_error: float = 0.2
    """Chance of dropping a trial that would have turned out just good enough; 0 drops none."""
    seed: int = 0
    """Of the search and of the order of examples."""
    max_concurrency: int = 8
    """How many examples are worked on at a time."""
    models: str = ""
    """Path of the model catalogue; empty takes the one that is found, or the built-in one."""
    storage: str = ""
    """SQLAlchemy URL of the study, such as ``postgresql://...`` for several machines;
    empty takes a file in the run's folder.
    """

    def __post_init__(self) -> None:
        """Checks what the tuner and the programs do not check themselves."""
        for name in ("examples", "max_concurrency"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, but got {name}={getattr(self, name)}")
        if self.price not in PRICES:
            raise ConfigurationError(f"price must be one of {', '.join(PRICES)}, but got price={self.price!r}")
        if self.held_out < 0:
            raise ConfigurationError(f"held_out must be at least 0, but got held_out={self.held_out}")

    @property
    def digest(self) -> str:
        """The first 10 hexadecimal digits of the hash of what makes it this study;
        it may go on with more trials or another budget.
        """
        relevant = {
            key: value
            for key, value in asdict(self).items()
            if key not in _MAY_CHANGE and (value or key != "tune_task")
        }
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def wanted(self) -> tuple[Literal["quality", "cost"], ...]:
        """The objectives, as the tuner takes them."""
        return self.objectives  # type: ignore[return-value] (the tuner checks them)


def read_tuning_config(path: Path) -> TuningConfig:
    """Reads a study from a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or holds a key or a value that is not allowed.
    """
    return parse_tuning_config(read_toml(path), where=str(path))


def parse_tuning_config(table: Mapping[str, Any], *, where: str = "configuration") -> TuningConfig:
    """Makes a study of a parsed TOML table.

    Raises:
        ConfigurationError: a key is unknown or missing, or a value is not allowed.
    """
    given = dict(table)
    for name, cls in (("program", StrategyConfig), ("budget", Budget)):
        if name in given:
            if not isinstance(given[name], dict):
                raise ConfigurationError(f"{where}: {name} is written as a [{name}] table")
            inner = {"name": given[name].get("program", "?"), **given[name]} if name == "program" else given[name]
            given[name] = read_fields(cls, inner, f"{where}, [{name}]")
    for name in ("objectives", "instructions", "exclude", "languages"):
        if name in given:
            given[name] = _names(given[name], f"{where}: {name}")
    pools = given.get("pools", {})
    if not isinstance(pools, dict):
        raise ConfigurationError(f"{where}: [pools] maps each name to a list of model names")
    given["pools"] = {name: _names(models, f"{where}: pools.{name}") for name, models in pools.items()}
    return read_fields(TuningConfig, given, where)


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"{where} must be a list of texts, but got {value!r}")
    return tuple(value)
