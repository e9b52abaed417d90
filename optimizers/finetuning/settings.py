"""How a model is trained.

By default as in the paper (AFT, arXiv 2501.11877, section 4), and where it is silent as LLaMA-Factory does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import require

FEW_STEPS = 20
"""Below this many steps a training is said to be short."""
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


def check_installed(libraries: tuple[str, ...] = LIBRARIES) -> None:
    """Raises ``MissingExtra`` with the extra to install when a library is missing; imports none of them."""
    require("fine-tuning", "finetune", *libraries)


def whole(name: str, value: Any, least: int = 1) -> None:
    """Raises ``ConfigurationError`` for what is no whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of at least {least}, but got {name}={value!r}")


def real(name: str, value: Any, said: str, within: Callable[[float], bool]) -> None:
    """Raises ``ConfigurationError`` for what is no finite number within limits, which ``said`` puts into words."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not within(value) or not math.isfinite(value):
        raise ConfigurationError(f"{name} must be {said}, but got {name}={value!r}")


# What may be another when an interrupted training goes on: how it runs, not what comes out but for rounding.
_MAY_CHANGE = ("micro_batch", "checkpoint_every", "log_every", "device", "threads", "gradient_checkpointing")


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (arXiv 2106.09685).

    The model's own weights stay, small factors beside them are learned and merged in the end.
    """

    rank: int = 8
    """Of the factors, at least 1; the paper's 8."""
    alpha: int = 16
    """Their scale is ``alpha / rank``; the paper does not say, LLaMA-Factory takes twice the rank."""
    dropout: float = 0.0
    """In [0, 1)."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get adapters, or ``"all-linear"`` for all but the output head."""

    def __post_init__(self) -> None:
        """Checks the values."""
        for name in ("rank", "alpha"):
            whole(name, getattr(self, name))
        real("dropout", self.dropout, "in [0, 1)", lambda value: 0 <= value < 1)
        names = [self.targets] if isinstance(self.targets, str) else self.targets
        if not isinstance(names, list | tuple) or not names or not all(isinstance(n, str) and n for n in names):
            raise ConfigurationError(
                f"targets must be 'all-linear' or names of layers, but got targets={self.targets!r}"
            )


@dataclass(frozen=True)
class Training:
    """How long, how fast and on what a model is trained; the loss is taken on the answer's tokens alone."""

    lora: Lora | None = Lora()
    """Adapters; None trains all weights, which suits tiny models."""
    learning_rate: float = 1e-4
    """The highest one, which a cosine then lowers to 0."""
    warmup: float = 0.1
    """Share of the steps over which the rate rises to it, in [0, 1)."""
    epochs: float = 1.0
    """How often each row is seen."""
    batch_size: int = 128
    """Rows per step."""
    micro_batch: int = 8
    """Rows at once, of which a step accumulates as many as make up ``batch_size``; fewer need less memory."""
    weight_decay: float = 0.0
    """Of AdamW."""
    max_length: int | None = None
    """Tokens of a row, prompt and answer together; None for as many as the model takes. No row is ever cut."""
    chat_template: str = ""
    """A Jinja template, or the path of one, for a checkpoint that has none."""
    eos_token: str = ""
    """The token that ends an answer, where the template ends it with another one than the tokenizer says."""
    group_by_length: bool = False
    """Put rows of about the same length into one batch: less padding, a less random order. Not for preferences and
    rewards."""
    checkpoint_every: int = 50
    """Steps between checkpoints; the last two are kept."""
    log_every: int = 10
    """Steps between points of the curve."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes the GPU where there is one, and refuses to train a large model without."""
    mixed_precision: bool = True
    """Compute in bfloat16 on a GPU that has it; without, in the weights' own precision, which suits tiny models."""
    gradient_checkpointing: bool = True
    """On a GPU, compute activations twice instead of keeping them: less memory, about a third more time."""
    processes: int | None = None
    """That train together, each on a GPU of its own, started by ``accelerate launch``; a step's rows are dealt out to
    them. None takes as many as there are GPUs, and one on a CPU."""
    threads: int | None = None
    """Of torch on a CPU; None leaves it to torch."""
    seed: int = 0
    """Of the adapters' first values and of the rows' order."""

    def __post_init__(self) -> None:
        """Checks the values."""
        for name in ("learning_rate", "epochs"):
            real(name, getattr(self, name), "more than 0", lambda value: value > 0)
        for name in ("batch_size", "micro_batch", "checkpoint_every", "log_every"):
            whole(name, getattr(self, name))
        for name in ("max_length", "processes", "threads"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))
        if self.batch_size % self.rows_at_once:
            raise ConfigurationError(
                f"batch_size={self.batch_size} is no multiple of micro_batch={self.micro_batch}; make it one"
            )
        real("warmup", self.warmup, "in [0, 1)", lambda value: 0 <= value < 1)
        real("weight_decay", self.weight_decay, "at least 0", lambda value: value >= 0)
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigurationError(f"device must be 'auto', 'cpu' or 'cuda', but got device={self.device!r}")

    @property
    def rows_at_once(self) -> int:
        """``micro_batch``, or the whole batch where that is smaller."""
        return min(self.micro_batch, self.batch_size)

    def steps(self, rows: int, draws: int = 1) -> int:
        """How many steps a training on so many rows has; of each row so many answers are drawn in a step."""
        return math.ceil(self.epochs * math.ceil(rows * draws / self.batch_size))

    def check_rows(self, rows: int, draws: int = 1) -> str:
        """What is to be said of a training on so many rows; an empty string where nothing is.

        Raises:
            ConfigurationError: the learning rate would still rise in the last step, or there is one step that only
                begins to.
        """
        steps = self.steps(rows, draws)
        warming = math.ceil(self.warmup * steps)
        run = f"{steps} step{'s' * (steps > 1)} (batch_size={self.batch_size}, epochs={self.epochs:g}, {rows} rows)"
        if warming >= steps:
            raise ConfigurationError(
                f"warmup={self.warmup:g} takes {warming} of {run}, so nothing would be learned; set warmup=0, lower"
                " batch_size, or give more examples"
            )
        return f"{run} are few; lower batch_size or give more examples" if steps < FEW_STEPS else ""

    @property
    def template_text(self) -> str:
        """The chat template as text; read from its file where a path was given.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        if not self.chat_template or "{" in self.chat_template:
            return self.chat_template
        try:
            return Path(self.chat_template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the chat template {self.chat_template!r}: {error}") from error

    @property
    def relevant(self) -> dict[str, Any]:
        """What must be the same for an interrupted training to go on, as plain data."""
        kept = {name: value for name, value in asdict(self).items() if name not in _MAY_CHANGE}
        return kept | {"chat_template": self.template_text}
