"""What comparing, tuning, fine-tuning and synthesizing are all told, under the same keys with the same meaning."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from ..own_tasks.own_examples import is_own_data
from ..own_tasks.own_task import name_of
from .typed_config import Amount, Count, Names, Pools, Written, configuration, parse, read_toml

_PLACE = ("tracking", "tracking_uri", "out")  # where a run goes, which is nothing of what it is
_OWN = ("inputs", "output", "metric", "shots")  # that count where they are set
_MAY_CHANGE = (*_PLACE, "title", "data", "models", "bank", "max_concurrency")


@configuration
class RunConfig:
    """The shared part of a configuration."""

    _SHOWN: ClassVar[Mapping[str, str]] = {}  # fields that the file writes in another way, and how
    task: str
    """Name of the task: a built-in one, one that an installed package offers, or ``package.module:name`` of your own;
    rows of your own in ``data`` need none."""
    _: KW_ONLY
    title: str = ""
    """A line for the head of what is printed."""
    data: str = ""
    """Local folder with the task's files; empty takes that of ``DSPY_FUSION_DATA``, else the Hugging Face hub. Or rows
    of your own, which then are the task: a JSONL, CSV or Parquet file, or ``hf:owner/name@revision``."""
    inputs: Names = ()
    """Columns of your own rows that the programs get; empty takes all but ``output`` and ``id``."""
    output: str = ""
    """Column of your own rows that holds the right answer, and field in which programs answer."""
    metric: str = ""
    """How answers to your own rows are graded: ``exact``, ``number``, ``chrf``, ``bleu``, ``comet``, ``xcomet``, or
    ``module:function`` for any DSPy metric; of a built-in task, one of the metrics that it offers."""
    shots: Amount = 0
    """How many solved examples stand in the prompt (few-shot): of the task's split ``train`` or ``validation``, or the
    first of your own rows, which then are not asked."""
    languages: Names = ()
    """The languages to ask in, by their codes, of a task that has several; empty takes all."""
    adapter: str = ""
    """How the models are asked: ``chat``, ``json``, or ``plain`` for models that cannot fill in fields; empty takes
    the task's own way."""
    metric_judge: str = ""
    """The model that grades answers, for a task whose metric asks one; none of the models that answer."""
    judge_may_answer: bool = False
    """Whether a judge may be one of the models whose answers it judges all the same, although models prefer their own
    answers."""
    pools: Pools = field(default_factory=dict)
    """Named lists of models; candidate i of a pool is drawn from model i modulo their number."""
    models: Annotated[str, Written("models_file", "--models-file")] = ""
    """Path of the model catalogue, a models.toml, relative to the working directory; empty takes the one that lies
    there, or the built-in one."""
    bank: str = ""
    """SQLAlchemy URL of the bank that keeps candidates; empty takes the run's own."""
    seed: int = 0
    """Base of all seeds: of what is sampled, of orders and of searches."""
    max_concurrency: Annotated[Count, Written("concurrency")] = 8
    """How many examples are worked on at a time."""
    tracking: bool = True
    """Whether MLflow is told; what is on disk is the same either way, and ``dspy-fusion sync`` tells MLflow later."""
    tracking_uri: str = ""
    """MLflow store; empty takes ``MLFLOW_TRACKING_URI``, else mlflow.db beside the run."""
    out: str = ""
    """Folder of the run; empty takes one under runs/, named after what is run. An unfinished run there goes on."""

    @property
    def kept(self) -> dict[str, Any]:
        """The configuration as a run's folder keeps it, as plain data."""
        return plain({key: value for key, value in asdict(self).items() if key not in _PLACE})

    @classmethod
    def read(cls, path: Path, settings: Mapping[str, Any] | None = None) -> Self:
        """Reads a configuration from a TOML file; ``settings`` of the command line go before it.

        Raises:
            ConfigurationError: the file cannot be read, is no TOML, or holds a key or a value that is not allowed.
        """
        return cls.parse(read_toml(path), where=str(path), settings=settings)

    @classmethod
    def parse(
        cls, table: Mapping[str, Any], *, where: str = "configuration", settings: Mapping[str, Any] | None = None
    ) -> Self:
        """Makes a configuration of a parsed TOML table, over which ``settings`` go.

        Raises:
            ConfigurationError: a key is unknown or missing, or a value is not allowed.
        """
        return parse(
            cls, cls._fields_of(table, where, settings or {}), where=where, settings=settings, shown=cls._SHOWN
        )

    @classmethod
    def _fields_of(cls, table: Mapping[str, Any], where: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A table as the file has it, with its keys as this class's fields; for subclasses to change."""
        return named_task(table, settings)


def named_task(table: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A table with a name for the task that rows of the user's own are, where it has none."""
    data = str(settings.get("data", table.get("data", "")))
    if "task" in table or "task" in settings or not is_own_data(data):
        return dict(table)
    return {"task": name_of(data), **table}


def relevant(config: RunConfig, *, but: tuple[str, ...], if_set: tuple[str, ...]) -> dict[str, Any]:
    """What makes a run this one, as plain data.

    Args:
        config: of the run.
        but: fields that may be others when the run goes on.
        if_set: fields that count only where they are not as by default, so that runs from before there were these
            go on.
    """
    if_set = (*if_set, *_OWN)
    unset = {item.name: _default(item) for item in dataclasses.fields(config) if item.name in if_set}
    return {
        key: value
        for key, value in config.kept.items()
        if key not in (*but, *_MAY_CHANGE) and not (key in unset and value == unset[key])
    }


def plain(value: Any) -> Any:
    """A value as JSON reads it back."""
    return json.loads(json.dumps(value))


def _default(item: Any) -> Any:
    made = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
    return plain(made)
