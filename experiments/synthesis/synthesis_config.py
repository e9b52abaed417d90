"""The configuration of a synthesis: TOML to frozen dataclasses, unknown keys refused by name, and a digest.

Only reads the file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

from ..plans.comparison_config import read_fields, read_toml

SCORERS = ("judge", "pairwise", "likelihood", "reward_model")
FORMATS = ("", "json")
_MAY_CHANGE = ("title", "rows", "concurrency", "models")


@dataclass(frozen=True)
class PromptsConfig:
    """Where the prompts come from, ``[prompts]``: exactly one of ``file``, ``hub`` and ``task``."""

    file: str = ""
    """A JSON lines, CSV or Parquet file; the first two may be compressed with gzip."""
    hub: str = ""
    """Name of a data set on the Hugging Face hub, or a local folder that ``datasets.load_dataset`` reads."""
    task: str = ""
    """Name of one of the library's tasks; its instructions become the teachers' system text."""
    column: str = "prompt"
    """The column that holds the prompt, of a file or a hub data set."""
    language_column: str = ""
    """The column that holds the prompt's language as an ISO 639-1 code; empty where there is none."""
    language: str = ""
    """The language of all prompts; empty has it found out where the gates want to know."""
    split: str = "train"
    """The split of a hub data set or a task."""
    subset: str = ""
    """The configuration of a hub data set."""
    revision: str = ""
    """The commit of a hub data set; empty takes the newest."""

    @property
    def name(self) -> str:
        """The file, data set or task."""
        return self.file or self.hub or self.task


@dataclass(frozen=True)
class BestConfig:
    """How the best candidate is found, ``[best]``."""

    scorer: str
    """``judge``, ``pairwise``, ``likelihood`` or ``reward_model``."""
    model: str = ""
    """The model behind ``judge`` and ``pairwise``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the scorer as keyword arguments, such as ``address`` and ``model`` for ``reward_model``."""


@dataclass(frozen=True)
class FusionConfig:
    """How one answer is written from all candidates, ``[fusion]``."""

    fusor: str
    """The model that writes it."""
    instructions: str = "FUSE"
    """What it is told: a text, or the name of one of the library's, such as ``FUSE`` or ``AGGREGATE``."""
    temperature: float = 0.0
    """At which it writes."""
    shuffle: bool = True
    """Whether it sees the candidates in a seeded order of their own, so that no place is always the same teacher's."""


@dataclass(frozen=True)
class GatesConfig:
    """What a row must be like to be kept, ``[gates]``.

    A row that is not stays in its file with the reason and is not exported.
    """

    format: str = ""
    """``json`` where the answer must be JSON; empty where it may be anything."""
    pattern: str = ""
    """A regular expression that must be found in the answer; empty for none."""
    min_characters: int = 1
    """How long the answer must be."""
    max_characters: int = 0
    """How long it may be; 0 for any length."""
    refusals: bool = True
    """Whether an answer that begins with a refusal is dropped."""
    refusal_patterns: tuple[str, ...] = ()
    """Further regular expressions, looked for at the answer's beginning in any case of letters."""
    language: bool = True
    """Whether an answer that is surely in another language than the prompt is dropped."""
    near_duplicates: float = 0.9
    """The similarity, in (0, 1], from which a row is dropped for an earlier one; 0 for never."""


@dataclass(frozen=True)
class SynthesisConfig:
    """A synthesis: which prompts, which teachers, and how one answer is made of theirs."""

    prompts: PromptsConfig
    """Where the prompts come from."""
    teachers: tuple[str, ...]
    """The models that answer every prompt."""
    best: BestConfig | None = None
    """How the best candidate is found; None where none is wanted."""
    fusion: FusionConfig | None = None
    """How an answer is fused; None where none is wanted. Where both are wanted, the fused answer is the row's."""
    gates: GatesConfig = field(default_factory=GatesConfig)
    """What a row must be like to be kept."""
    title: str = ""
    """A line for the data set's card."""
    system: str | None = None
    """System text of the teachers; empty for none, None takes the task's instructions where a task gives the
    prompts.
    """
    temperature: float = 0.3
    """Of the teachers (0.3: FusioN, arXiv 2510.00931)."""
    samples: int = 1
    """How many answers each teacher gives to each prompt."""
    rows: int = 0
    """How many prompts are worked on, from the first; 0 for all. A finished synthesis goes on when this is raised."""
    seed: int = 0
    """Base of the seeds: each row and each candidate in it has its own."""
    deadline_seconds: float | None = None
    """Wall time for the teachers' round, the scorer's and the fusor's; what is late is a failure on the row.

    None waits.
    """
    shard_rows: int = 1000
    """How many rows a finished file holds."""
    concurrency: int = 32
    """How many rows are worked on at a time."""
    models: str = ""
    """Path of the model catalogue, relative to the working directory; empty takes the one that is found there,
    or the built-in one.
    """

    def __post_init__(self) -> None:
        """Checks what can be checked without models or prompts."""
        _check(self)

    @property
    def candidates(self) -> int:
        """How many candidates a row has."""
        return len(self.teachers) * self.samples

    @property
    def relevant(self) -> dict[str, Any]:
        """Everything that can change a row, as plain mappings and lists."""
        return json.loads(json.dumps({key: value for key, value in asdict(self).items() if key not in _MAY_CHANGE}))

    @property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the hash of what is relevant."""
        return hashlib.sha256(json.dumps(self.relevant, sort_keys=True).encode()).hexdigest()[:12]


_TABLES = {"prompts": PromptsConfig, "best": BestConfig, "fusion": FusionConfig, "gates": GatesConfig}


def read_synthesis_config(path: Path) -> SynthesisConfig:
    """Reads a synthesis from a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or holds a key or a value that is not allowed.
    """
    return parse_synthesis_config(read_toml(path), where=str(path))


def parse_synthesis_config(table: Mapping[str, Any], *, where: str = "configuration") -> SynthesisConfig:
    """Makes a synthesis of a parsed TOML table, or of one that was written as JSON.

    Raises:
        ConfigurationError: a key is unknown or missing, or a value is not allowed.
    """
    given = {key: value for key, value in table.items() if value is not None}
    for name, cls in _TABLES.items():
        if name in given:
            if not isinstance(given[name], Mapping):
                raise ConfigurationError(f"{where}: {name} is written as a [{name}] table")
            inner = dict(given[name])
            if "refusal_patterns" in inner:
                inner["refusal_patterns"] = _texts(inner["refusal_patterns"], f"{where}: gates.refusal_patterns")
            given[name] = read_fields(cls, inner, f"{where}, [{name}]")
    if "teachers" in given:
        given["teachers"] = _texts(given["teachers"], f"{where}: teachers")
    return read_fields(SynthesisConfig, given, where)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"{where} must be a list of texts, but got {value!r}")
    return tuple(value)


def _check(config: SynthesisConfig) -> None:
    sources = [name for name in ("file", "hub", "task") if getattr(config.prompts, name)]
    if len(sources) != 1:
        raise ConfigurationError(
            f"[prompts] needs exactly one of file, hub and task, but got {', '.join(sources) or 'none'}"
        )
    if not config.teachers:
        raise ConfigurationError('no teachers: name at least one model, as in teachers = ["plus", "minus"]')
    for name, least in (("samples", 1), ("rows", 0), ("shard_rows", 1), ("concurrency", 1)):
        if getattr(config, name) < least:
            raise ConfigurationError(f"{name} must be at least {least}, but got {name}={getattr(config, name)}")
    for name, value in (
        ("temperature", config.temperature),
        ("fusion.temperature", config.fusion.temperature if config.fusion else 0.0),
    ):
        if not 0 <= value <= 2:
            raise ConfigurationError(f"{name} must be between 0 and 2, but got {name}={value}")
    if config.candidates > 1 and config.best is None and config.fusion is None:
        raise ConfigurationError(
            f"{config.candidates} candidates a row and no way to make one answer of them; "
            "add [best] with a scorer, [fusion] with a fusor, or both"
        )
    _check_best(config.best)
    _check_gates(config.gates)


def _check_best(best: BestConfig | None) -> None:
    if best is None:
        return
    if best.scorer not in SCORERS:
        raise ConfigurationError(f"[best] scorer must be one of {', '.join(SCORERS)}, but got scorer={best.scorer!r}")
    if best.scorer in ("judge", "pairwise") and not best.model:
        raise ConfigurationError(f'[best] scorer {best.scorer!r} needs a model, such as model = "judge"')


def _check_gates(gates: GatesConfig) -> None:
    if gates.format not in FORMATS:
        raise ConfigurationError(f"[gates] format must be 'json' or empty, but got format={gates.format!r}")
    if gates.min_characters < 0 or (gates.max_characters and gates.max_characters < gates.min_characters):
        raise ConfigurationError(
            "[gates] min_characters must be from 0 and max_characters not below it, "
            f"but got {gates.min_characters} and {gates.max_characters}"
        )
    if not 0 <= gates.near_duplicates <= 1:
        raise ConfigurationError(
            f"[gates] near_duplicates must be between 0 and 1, but got near_duplicates={gates.near_duplicates}"
        )
    for pattern in (gates.pattern, *gates.refusal_patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(f"[gates] {pattern!r} is no regular expression: {error}") from error
