"""The configuration of a fine-tuning. Only reads the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, field
from typing import Annotated, Any, Literal

from dspy_fusion.optimizers.finetuning import Training
from dspy_fusion.optimizers.finetuning.objectives import ObjectiveName
from dspy_fusion.programs.errors import ConfigurationError

from ..own_tasks.own_examples import is_own_data
from ..plans.comparison_config import StrategyConfig
from ..plans.run_config import RunConfig, named_task
from ..plans.typed_config import Amount, Count, Names, Temperature, Written, configuration
from .tuning_config import named_program


@configuration
class FineTuningConfig(RunConfig):
    """A fine-tuning: which model learns to aggregate, on which examples of a task, from what."""

    base: str
    """The model that is trained: ``embedded/NAME``, or a Hugging Face checkpoint (a folder, or a name on the Hub).

    Where it runs on this machine (embedded, or by ``server``), pools and proposers may call it ``base``.
    """
    program: StrategyConfig
    """The program whose fusor is trained, ``[program]``; its pool proposes when the result is measured."""
    _: KW_ONLY
    objective: ObjectiveName = "aft"
    """``aft``, or ``sft``, ``no_proposals`` or ``pseudo_aggregation`` to compare it with; ``dpo`` and ``grpo`` learn
    from aggregations that the scorer tells apart."""
    split: str = "train"
    """Which examples of the task are trained on."""
    examples: Count = 1000
    """How many of them."""
    file: str = ""
    """A file with the task's inputs and outputs and ``proposals``, and ``scores`` where there are any, instead of a
    split: JSON lines, a JSON array, Parquet, or CSV with lists in JSON.
    """
    rows: Annotated[str, Written("from", "--from")] = ""
    """The folder of a synthesis or of a fine-tuning, or a file of rows with ``prompt`` and ``completion`` or with
    ``messages``: a student learns its rows as they are, instead of examples.
    """
    from_format: Literal["sft", "aft", "preference"] = "sft"
    """What is made of the rows of a synthesis: prompts with answers, aggregations, or pairs, which are learned by
    DPO."""
    from_answer: Literal["auto", "fused", "best"] = "auto"
    """Which answer of a synthesis ``sft`` teaches: the fused one, the best candidate, or the row's own."""
    held_out_split: str = "test"
    """Which examples the model is measured on, before and after; of rows of your own the first ones are."""
    held_out: Amount = 0
    """How many of them; 0 where another machine serves the trained model."""
    proposers: str = ""
    """The pool or the model that proposals are sampled from; empty takes a base of this machine itself (on-policy).

    Not with ``file``.
    """
    draws: Count = 10
    """How many answers are drawn for an example."""
    keep: Count = 5
    """How many of them become proposals, the best by the scorer."""
    scorer: Literal["", "metric", "judge", "reward_model"] = "metric"
    """What ranks them, and aggregations: ``metric`` (the task's own, which knows the right answers), ``judge``, or
    ``reward_model``."""
    judge: str = ""
    """The model behind the judge."""
    scorer_options: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the scorer as keyword arguments: ``address`` and ``model`` for ``reward_model``, an HTTP server."""
    references: str = ""
    """The stronger model that writes what is learned; empty learns the examples' own answers."""
    aggregations: Count = 8
    """For ``dpo`` and ``grpo``: aggregations of each pool that are compared or rewarded."""
    pass_at: Count = 1
    """For ``grpo``: for how many of its answers together the model is rewarded where it is shown no proposals."""
    beta: float | None = None
    """For ``dpo`` and ``grpo``: how strongly the model is held to what it was; empty takes 0.1 and 0."""
    seeds: Count = 3
    """How often the result of fusing is measured, with other candidates each time."""
    serve: str = ""
    """Name, in the model catalogue, of the trained model when a server of yours has it; see ``examples/vllm_aft``.

    A base of this machine needs none.
    """
    server: Literal["", "transformers", "vllm"] = ""
    """What serves the base while it answers, and the trained model in the end, on this machine, one at a time and with
    the memory free for training between them; empty for an embedded base, and for servers of yours."""
    server_arguments: Names = ()
    """Further arguments of ``vllm serve``."""
    server_command: str = "vllm"
    """The program, where it is not on the path."""
    answer_tokens: Count = 1024
    """Of an answer of the models that ``server`` serves, at most."""
    stop: Names = ()
    """Texts before which answers of the models that ``server`` serves end, as base models need them."""
    merged: bool = False
    """Whether ``server`` serves adapters merged into the weights, instead of laid over the base."""
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
        if self.rows and self.objective != "aft":
            raise ConfigurationError(
                f'from brings rows that are finished, so objective = "{self.objective}" would change nothing; leave it'
                ' out (from_format = "preference" learns by DPO)'
            )
        if not self.rows and (self.from_format, self.from_answer) != ("sft", "auto"):
            raise ConfigurationError("from_format and from_answer say what is made of the rows of from; give from, too")
        if self.server and self.is_embedded:
            raise ConfigurationError(f"an embedded base needs no server; leave out server = {self.server!r}")
        if self.server and self.serve:
            raise ConfigurationError("server and serve both say who has the trained model; leave one out")
        if self.objective in ("dpo", "grpo") and not self.scorer:
            raise ConfigurationError(f'objective = "{self.objective}" needs a scorer: "metric" or "judge"')
        if not (self.file or self.rows or self.proposers or self.is_here):
            raise ConfigurationError(
                "proposers is missing: name the model that has the base, served, or a pool, or give a file instead; or"
                ' have the base served here: server = "vllm" or "transformers"'
            )
        if self.held_out and not self.is_here:
            raise ConfigurationError(
                "held_out measures the trained model at once, for which it must run on this machine; set server ="
                ' "vllm" or "transformers", or set it to 0, serve the model and compare'
            )
        is_named = not (self.file or self.rows or is_own_data(self.data))
        if self.held_out and is_named and self.held_out_split == self.split:
            raise ConfigurationError(f"split and held_out_split must differ, but both are {self.split!r}")

    @property
    def is_embedded(self) -> bool:
        """Whether the base is an embedded model."""
        return self.base.startswith("embedded/")

    @property
    def is_here(self) -> bool:
        """Whether the base and the trained model run on this machine, started and ended by the run itself."""
        return self.is_embedded or bool(self.server)

    @classmethod
    def _fields_of(cls, table: Mapping[str, Any], where: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        whole = named_task(named_program(table), settings)
        training = whole.get("training")
        if isinstance(training, dict) and "lora" in training:
            lora = training["lora"]
            if lora is not False and not isinstance(lora, dict):
                raise ConfigurationError(
                    f"{where}: lora is a [training.lora] table, or false to train all weights, but got {lora!r}"
                )
            whole["training"] = {**training, "lora": lora or None}
        return whole
