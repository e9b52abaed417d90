"""The configuration of a comparison: TOML to frozen dataclasses, unknown keys refused by name, and a digest.

Only reads the file.

What the programs themselves check (the values in ``options``, model names) is left to them.
"""

from __future__ import annotations

import collections.abc
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from dspy_fusion.programs.errors import ConfigurationError

_NOT_IN_DIGEST = ("max_concurrency", "models", "bank", "title", "data", "judge_may_answer")
_IN_DIGEST_IF_SET = ("languages", "metric_judge", "adapter")  # runs from before there were these go on


@dataclass(frozen=True)
class StrategyConfig:
    """One way of answering, ``[[strategy]]`` in the file."""

    name: str
    """What the tables call it."""
    program: str
    """What it is built as; the names are those of ``strategies.ROLES``."""
    pool: str
    """Which models propose: a key of ``pools``, or the name of one model."""
    n: int | None = None
    """How many candidates are drawn (the width, for ``propose_aggregate``); None takes the comparison's ``n``."""
    temperature: float | None = None
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
    """Handed to the scorer as keyword arguments, such as ``rounds`` for ``pairwise``."""


@dataclass(frozen=True)
class CompareConfig:
    """A comparison: which strategies answer which examples of a task, how often."""

    task: str
    """Name of the task."""
    strategies: tuple[StrategyConfig, ...]
    """In the order of the tables."""
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Named lists of models; candidate i of a pool is drawn from model i modulo their number."""
    title: str = ""
    """A line for the head of the report."""
    split: str = "test"
    """Which examples of the task, by the name of a split."""
    languages: tuple[str, ...] = ()
    """The languages to ask in, by their codes, of a task that has several; empty takes all."""
    data: str = ""
    """Local folder with the task's files; empty takes that of ``DSPY_FUSION_DATA``, else the Hugging Face hub."""
    examples: int = 60
    """How many examples."""
    seeds: int = 1
    """How often each strategy answers each example, with other samples each time."""
    n: int = 5
    """Candidates per pool where a strategy does not say."""
    temperature: float = 1.0
    """Of the candidates, where a strategy does not say."""
    reference: str = ""
    """Name of the strategy that the others are compared with; empty takes the first."""
    metric_judge: str = ""
    """The model that grades answers, for a task whose metric asks one; none of the models that answer."""
    judge_may_answer: bool = False
    """Whether a judge may be one of the models whose answers it judges all the same,
    although models prefer their own answers.
    """
    instructions: str = ""
    """Replaces the task's instructions, for models that have to be told the answer's form."""
    adapter: str = ""
    """How the models are asked: ``chat``, ``json``, or ``plain`` for models that cannot fill in fields;
    empty takes the task's own way.
    """
    max_concurrency: int = 8
    """How many examples are worked on at a time."""
    models: str = ""
    """Path of the model catalogue, relative to the working directory; empty takes the one that is found there,
    or the built-in one.
    """
    bank: str = ""
    """SQLAlchemy URL of the candidate bank; empty takes a file in the run's folder."""

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
        kept = {
            key: value
            for key, value in asdict(self).items()
            if key not in _NOT_IN_DIGEST and (value or key not in _IN_DIGEST_IF_SET)
        }
        return json.loads(json.dumps(kept))

    @property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the hash of what is relevant."""
        return hashlib.sha256(json.dumps(self.relevant, sort_keys=True).encode()).hexdigest()[:12]

    def pool_models(self, pool: str) -> tuple[str, ...]:
        """The models of a pool; a name that is no pool is a model."""
        return self.pools.get(pool, (pool,))


def read_config(path: Path) -> CompareConfig:
    """Reads a comparison from a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or holds a key or a value that is not allowed.
    """
    return parse_config(read_toml(path), where=str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises ``ConfigurationError`` where it cannot be read or is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error


def parse_config(table: Mapping[str, Any], *, where: str = "configuration") -> CompareConfig:
    """Makes a comparison of a parsed TOML table, in which the strategies stand under ``strategy``.

    Raises:
        ConfigurationError: a key is unknown or missing, or a value is not allowed.
    """
    table = dict(table)
    listed = table.pop("strategy", [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise ConfigurationError(f"{where}: strategies are written as [[strategy]] tables")
    strategies = tuple(
        read_fields(StrategyConfig, item, f"{where}, strategy {item.get('name', '?')!r}") for item in listed
    )
    pools = table.get("pools", {})
    if not isinstance(pools, dict) or not all(_is_names(models) for models in pools.values()):
        raise ConfigurationError(f"{where}: [pools] maps each name to a list of at least one model name")
    languages = table.get("languages", [])
    if not _is_names(languages) and languages not in ([], ()):
        raise ConfigurationError(
            f'{where}: languages must be a list of codes such as ["de", "sw"], but got {languages!r}'
        )
    given = {
        **table,
        "pools": {name: tuple(models) for name, models in pools.items()},
        "languages": tuple(languages),
        "strategies": strategies,
    }
    if "strategies" in table:
        raise ConfigurationError(f"{where}: unknown key 'strategies'; strategies are written as [[strategy]] tables")
    return read_fields(CompareConfig, given, where)


def differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names what differs between two configurations as plain mappings, one text per leaf."""
    found: list[str] = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {_short(old)} -> {_short(new)}")
    return found


def read_fields(cls: type, given: Mapping[str, Any], where: str) -> Any:
    """A dataclass of a table; raises ``ConfigurationError`` for a key that is unknown or missing,
    or a value of another type.
    """
    allowed = {item.name: item for item in fields(cls)}
    for key in given:
        if key not in allowed:
            shown = ", ".join("strategy" if name == "strategies" else name for name in allowed)
            raise ConfigurationError(f"{where}: unknown key {key!r}; allowed are {shown}")
    for name, item in allowed.items():
        if item.default is MISSING and item.default_factory is MISSING and name not in given:
            raise ConfigurationError(f"{where}: the key {name!r} is missing")
    hints = get_type_hints(cls)
    return cls(**{key: _typed(value, hints[key], f"{where}: {key}") for key, value in given.items()})


def _typed(value: Any, hint: Any, where: str) -> Any:
    wanted = next((kind for kind in (str, bool, int, float) if kind in (hint, *get_args(hint))), None)
    if get_origin(hint) in (tuple, collections.abc.Mapping) or wanted is None:
        return value
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ConfigurationError(f"{where} must be of type {wanted.__name__}, but got {value!r}")
    return value


def _check_comparison(config: CompareConfig) -> None:
    for name in ("examples", "seeds", "n", "max_concurrency"):
        if getattr(config, name) < 1:
            raise ConfigurationError(f"{name} must be at least 1, but got {name}={getattr(config, name)}")
    if config.temperature < 0:
        raise ConfigurationError(f"temperature must be at least 0, but got temperature={config.temperature}")
    names = [strategy.name for strategy in config.strategies]
    if not names:
        raise ConfigurationError("no strategies: add at least one [[strategy]] table")
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"two strategies are called {name!r}; names must differ")
    if config.reference and config.reference not in names:
        raise ConfigurationError(f"reference {config.reference!r} is no strategy; there are {', '.join(names)}")
    for strategy in config.strategies:
        if strategy.n is not None and strategy.n < 1:
            raise ConfigurationError(f"strategy {strategy.name!r}: n must be at least 1, but got n={strategy.n}")
        if strategy.temperature is not None and strategy.temperature < 0:
            raise ConfigurationError(
                f"strategy {strategy.name!r}: temperature must be at least 0, but got {strategy.temperature}"
            )


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, str) for item in value)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
