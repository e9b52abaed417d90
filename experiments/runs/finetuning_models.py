"""Where a fine-tuning's models come from.

The checkpoint that training begins with, the base as a model that answers, and who has the trained one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dspy

from dspy_fusion.optimizers.finetuning.files.output_folder import (
    check_free,
    check_ours,
    claim,
    mark,
    mark_whole,
    read_mark,
)
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.checkpoints.model_server import ModelServer
from dspy_fusion.serving.embedded.embedded_model import load_model
from dspy_fusion.serving.embedded.huggingface import huggingface_lm, to_huggingface
from dspy_fusion.serving.model_sampling import LocalSampling

from .finetuning_config import FineTuningConfig
from .judge_models import Models

BASE = "base"
"""What the model that is trained is called where pools and proposers name it."""


class WithBase:
    """A catalogue in which the model that is trained is called ``base``, whoever serves it."""

    def __init__(self, models: Models, base: dspy.BaseLM) -> None:
        self.models, self.base = models, base

    def lm(self, name: str) -> dspy.BaseLM:
        """The model of a name."""
        return self.base if name == BASE else self.models.lm(name)

    def price(self, name: str) -> Price:
        """What its tokens cost; the base's cost nothing."""
        return Price() if name == BASE else self.models.price(name)


def server_of(config: FineTuningConfig) -> ModelServer | None:
    """What serves the base and the trained model on this machine, where the configuration asks for it."""
    if not config.server:
        return None
    template = config.training.template_text if config.server == "transformers" else config.training.chat_template
    sampling: LocalSampling = {"max_tokens": config.answer_tokens}
    if config.stop:
        sampling["stop"] = list(config.stop)
    return ModelServer(
        config.server,
        merged=config.merged,
        arguments=tuple(config.server_arguments),
        command=config.server_command,
        context=config.training.max_length or 0,
        chat_template=template,
        device=config.training.device,
        **sampling,
    )


def checkpoint_of(config: FineTuningConfig, folder: Path) -> str | Path:
    """The checkpoint that training begins with; an embedded model becomes one in the run's folder, once."""
    check_free(folder, "" if config.is_embedded else config.base)
    claim(folder)
    if not config.is_embedded:
        return config.base
    checkpoint, source = folder / "base", load_model(config.base.removeprefix("embedded/"))
    check_ours(checkpoint)
    said = read_mark(checkpoint) or {}
    if "source" not in said:  # nothing is there, or half of it
        mark(checkpoint)
        to_huggingface(source.source, checkpoint)
        mark_whole(checkpoint, {"source": source.name})
    elif said["source"] != source.name:
        raise ConfigurationError(
            f"{folder} was made with another base, {said.get('source')}, not {source.name}; choose another folder"
        )
    return checkpoint


def serve_of(config: FineTuningConfig, models: Models) -> Callable[[Path], dspy.BaseLM] | None:
    """From the trained checkpoint to the model that answers; None where a server of this machine has it.

    Raises:
        ConfigurationError: nobody is named, the name is unknown, or its key is missing.
    """
    if config.server:
        return None
    if config.is_embedded:
        return huggingface_lm
    name = config.serve
    if not name:
        raise ConfigurationError(
            'serve is missing: name the model of the catalogue that will have the trained model, as in serve = "aft"'
        )
    models.lm(name)  # a name that is unknown, or whose key is missing, is told before anything is paid for
    return lambda folder: models.lm(name)
