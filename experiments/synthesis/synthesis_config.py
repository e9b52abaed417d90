"""The configuration of a synthesis. Only reads the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from dspy_fusion.programs.errors import ConfigurationError

from ..plans.run_config import RunConfig, named_task, relevant
from ..plans.typed_config import Amount, Count, Names, Written, configuration, digest_of

Share = Annotated[float, Field(ge=0, le=1)]
Warmth = Annotated[float, Field(ge=0, le=2)]
_OF_TASKS = ("data", "languages", "adapter", "metric_judge", "program")
_IN_DIGEST_IF_SET = ("languages", "adapter", "metric_judge", "program")  # syntheses from before there were these go on


@configuration
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


@configuration
class BestConfig:
    """How the best candidate is found, ``[best]``."""

    scorer: Literal["judge", "pairwise", "likelihood", "reward_model", "metric"]
    """``judge``, ``pairwise``, ``likelihood``, ``reward_model``, or for prompts of a task its own ``metric``."""
    model: str = ""
    """The model behind ``judge`` and ``pairwise``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the scorer as keyword arguments, such as ``address`` and ``model`` for ``reward_model``."""


@configuration
class FusionConfig:
    """How one answer is written from all candidates, ``[fusion]``."""

    fusor: str
    """The model that writes it."""
    instructions: str = "FUSE"
    """What it is told: a text, or the name of one of the library's, such as ``FUSE`` or ``AGGREGATE``."""
    temperature: Warmth = 0.0
    """At which it writes."""
    shuffle: bool = True
    """Whether it sees the candidates in a seeded order of their own, so that no place is always the same teacher's."""


@configuration
class GatesConfig:
    """What a row must be like to be kept, ``[gates]``.

    A row that is not stays in its file with the reason and is not exported.
    """

    format: Literal["", "json"] = ""
    """``json`` where the answer must be JSON; empty where it may be anything."""
    pattern: str = ""
    """A regular expression that must be found in the answer; empty for none."""
    min_characters: Amount = 1
    """How long the answer must be."""
    max_characters: Amount = 0
    """How long it may be; 0 for any length."""
    refusals: bool = True
    """Whether an answer that begins with a refusal is dropped."""
    refusal_patterns: Names = ()
    """Further regular expressions, looked for at the answer's beginning in any case of letters."""
    language: bool = True
    """Whether an answer that is surely in another language than the prompt is dropped."""
    near_duplicates: Share = 0.9
    """The similarity, in (0, 1], from which a row is dropped for an earlier one; 0 for never."""


@configuration
class SynthesisConfig(RunConfig):
    """A synthesis: which prompts, which teachers, and how one answer is made of theirs."""

    _: KW_ONLY
    task: str = ""
    """Name of one of the library's tasks that gives the prompts, as ``task`` in ``[prompts]`` does; rows of your own in
    ``data`` need none."""
    program: str = ""
    """A program of your own, as ``package.module:name``, whose signature and instructions word the questions of a task
    or of your own rows; empty takes the task's own."""
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    """Where the prompts come from."""
    teachers: Names
    """The models that answer every prompt; a key of ``pools`` stands for its models."""
    best: BestConfig | None = None
    """How the best candidate is found; None where none is wanted."""
    fusion: FusionConfig | None = None
    """How an answer is fused; None where none is wanted. Where both are wanted, the fused answer is the row's."""
    gates: GatesConfig = field(default_factory=GatesConfig)
    """What a row must be like to be kept."""
    system: str | None = None
    """System text of the teachers; empty for none, None takes the task's instructions where a task gives the
    prompts.
    """
    temperature: Warmth = 0.3
    """Of the teachers (0.3: FusioN, arXiv 2510.00931)."""
    samples: Count = 1
    """How many answers each teacher gives to each prompt."""
    rows: Amount = 0
    """How many prompts are worked on, from the first; 0 for all. A finished synthesis goes on when this is raised."""
    deadline_seconds: float | None = None
    """Wall time for the teachers' round, the scorer's and the fusor's; what is late is a failure on the row.

    None waits.
    """
    shard_rows: Count = 1000
    """How many rows a finished file holds."""
    max_concurrency: Annotated[Count, Written("concurrency")] = 32
    """How many rows are worked on at a time."""

    def __post_init__(self) -> None:
        """Checks what can be checked without models or prompts."""
        if self.task and not self.prompts.task:
            object.__setattr__(self, "prompts", replace(self.prompts, task=self.task))
        named = (name for teacher in self.teachers for name in self.pools.get(teacher, (teacher,)))
        object.__setattr__(self, "teachers", tuple(named))
        _check(self)

    @property
    def candidates(self) -> int:
        """How many candidates a row has."""
        return len(self.teachers) * self.samples

    @property
    def relevant(self) -> dict[str, Any]:
        """Everything that can change a row, as plain mappings and lists."""
        return relevant(self, but=("task", "pools", "rows", "judge_may_answer"), if_set=_IN_DIGEST_IF_SET)

    @property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the hash of what is relevant."""
        return digest_of(self.relevant, 12)

    @classmethod
    def _fields_of(cls, table: Mapping[str, Any], where: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        return dict(table) if "prompts" in table else named_task(table, settings)


def _check(config: SynthesisConfig) -> None:
    if config.task and config.task != config.prompts.task:
        raise ConfigurationError(
            f"task is {config.task!r}, but [prompts] takes {config.prompts.task!r}; leave out one of them"
        )
    sources = [name for name in ("file", "hub", "task") if getattr(config.prompts, name)]
    if len(sources) != 1:
        raise ConfigurationError(
            f"[prompts] needs exactly one of file, hub and task, but got {', '.join(sources) or 'none'}"
        )
    if not config.teachers:
        raise ConfigurationError('no teachers: name at least one model, as in teachers = ["plus", "minus"]')
    if strange := next((name for name in _OF_TASKS if getattr(config, name) and not config.prompts.task), ""):
        raise ConfigurationError(f"{strange} is for prompts of a task; leave it out, or take task = NAME")
    if config.metric_judge in config.teachers and not config.judge_may_answer:
        raise ConfigurationError(
            f"metric_judge {config.metric_judge!r} would grade its own answers; name another model, or set "
            "judge_may_answer = true"
        )
    if config.candidates > 1 and config.best is None and config.fusion is None:
        raise ConfigurationError(
            f"{config.candidates} candidates a row and no way to make one answer of them; "
            "add [best] with a scorer, [fusion] with a fusor, or both"
        )
    _check_best(config)
    _check_gates(config.gates)


def _check_best(config: SynthesisConfig) -> None:
    best = config.best
    if best is not None and best.scorer in ("judge", "pairwise") and not best.model:
        raise ConfigurationError(f'[best] scorer {best.scorer!r} needs a model, such as model = "judge"')
    if best is not None and best.scorer == "metric" and not config.prompts.task:
        raise ConfigurationError("[best] scorer 'metric' is a task's; give task = NAME, or take another scorer")


def _check_gates(gates: GatesConfig) -> None:
    if gates.max_characters and gates.max_characters < gates.min_characters:
        raise ConfigurationError(
            "[gates] max_characters must not be below min_characters, "
            f"but got {gates.min_characters} and {gates.max_characters}"
        )
    for pattern in (gates.pattern, *gates.refusal_patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigurationError(f"[gates] {pattern!r} is no regular expression: {error}") from error
