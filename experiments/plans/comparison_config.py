"""The configuration of a comparison, and of one way of answering.

What the programs themselves check (the values in ``options``, model names) is left to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, field
from typing import Any, ClassVar, Literal

from dspy_fusion.programs.errors import ConfigurationError

from .run_config import RunConfig, named_task, relevant
from .typed_config import Count, Temperature, configuration, digest_of

_IN_DIGEST_IF_SET = ("languages", "metric_judge", "adapter", "seed")  # runs from before there were these go on


@configuration
class StrategyConfig:
    """One way of answering, ``[[strategy]]`` in the file."""

    name: str
    """What the tables call it."""
    program: str
    """What it is built as: a name of ``strategies.ROLES``, or ``package.module:name`` of a program of your own."""
    pool: str = ""
    """Which models propose: a key of ``pools``, or the name of one model; a program of your own may bring its own."""
    n: Count | None = None
    """How many candidates are drawn (the width, for ``propose_aggregate``); None takes the comparison's ``n``."""
    temperature: Temperature | None = None
    """At which the candidates are drawn, 0 and up; None takes the comparison's ``temperature``."""
    fusor: str = ""
    """The model that writes the answer; empty takes the pool's first."""
    scorer: str = ""
    """What ranks the candidates, by a name of ``strategies.SCORERS``; empty where the program ranks none."""
    judge: str = ""
    """The model behind the scorer; for ``panel`` several, separated by commas."""
    every_n: bool = False
    """Whether it is also run with 1, 2, .. n-1 candidates, for the plot of quality against N."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the program as keyword arguments, which the program checks."""
    scorer_options: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the scorer as keyword arguments, such as ``rounds`` for ``pairwise``, or ``address`` and ``model`` for
    ``reward_model``, an HTTP server such as vLLM's."""
    role: Literal["", "single", "select", "fuse", "control"] = ""
    """What a program of your own does with its pool; empty tells that by its class. Built-in ones have theirs."""


@configuration
class CompareConfig(RunConfig):
    """A comparison: which strategies answer which examples of a task, how often."""

    _SHOWN: ClassVar[Mapping[str, str]] = {"strategies": "strategy"}
    strategies: tuple[StrategyConfig, ...]
    """In the order of the tables."""
    _: KW_ONLY
    split: str = "test"
    """Which examples of the task, by the name of a split."""
    examples: Count = 60
    """How many examples."""
    seeds: Count = 1
    """How often each strategy answers each example, with other samples each time."""
    n: Count = 5
    """Candidates per pool where a strategy does not say."""
    temperature: Temperature = 1.0
    """Of the candidates, where a strategy does not say."""
    reference: str = ""
    """Name of the strategy that the others are compared with; empty takes the first."""
    instructions: str = ""
    """Replaces the task's instructions, for models that have to be told the answer's form."""

    def __post_init__(self) -> None:
        """Checks what can be checked without models."""
        _check_comparison(self)

    @property
    def reference_name(self) -> str:
        """The name of the strategy that the others are compared with."""
        return self.reference or self.strategies[0].name

    @property
    def relevant(self) -> dict[str, Any]:
        """Everything that can change a record, as plain mappings and lists."""
        rest = relevant(self, but=("judge_may_answer",), if_set=_IN_DIGEST_IF_SET)
        return {**rest, "strategies": [_without_unset_role(item) for item in rest["strategies"]]}

    @property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the hash of what is relevant."""
        return digest_of(self.relevant, 12)

    @classmethod
    def _fields_of(cls, table: Mapping[str, Any], where: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        listed = table.get("strategy", [])
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise ConfigurationError(f"{where}: strategies are written as [[strategy]] tables")
        if "strategies" in table:
            raise ConfigurationError(
                f"{where}: unknown key 'strategies'; strategies are written as [[strategy]] tables"
            )
        rest = {key: value for key, value in table.items() if key != "strategy"}
        return named_task({**rest, "strategies": listed}, settings)

    def pool_models(self, pool: str) -> tuple[str, ...]:
        """The models of a pool; a name that is no pool is a model."""
        return self.pools.get(pool, (pool,))


def relevant_part(kept: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Of a configuration that a run's folder keeps, what can change a record."""
    part = {key: kept.get(key) for key in keys}
    if "strategies" not in part:
        return part
    return {**part, "strategies": [_without_unset_role(item) for item in part["strategies"] or ()]}


def _without_unset_role(strategy: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in strategy.items() if key != "role" or value}  # older runs have none


def _check_comparison(config: CompareConfig) -> None:
    names = [strategy.name for strategy in config.strategies]
    if not names:
        raise ConfigurationError("no strategies: add at least one [[strategy]] table")
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"two strategies are called {name!r}; names must differ")
    if config.reference and config.reference not in names:
        raise ConfigurationError(f"reference {config.reference!r} is no strategy; there are {', '.join(names)}")
