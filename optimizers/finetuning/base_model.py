"""The checkpoint that training begins with: its tokenizer and its limits,
checked before a model is asked or a GPU is filled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from dspy_fusion.programs.errors import ConfigurationError

from .settings import Training
from .training_row import TrainingRow
from .weight_checks import check_adapters, check_files, load_weights

NEEDS_GPU = 300_000_000
"""Parameters from which on training on a CPU has to be asked for."""


@dataclass(frozen=True)
class BaseModel:
    """A Hugging Face checkpoint that can be trained.

    Attributes:
        name: its folder, or its name on the Hub.
        tokenizer: with the chat template in it.
        context: how many tokens a row may have.
        device: ``cpu`` or ``cuda``.
    """

    name: str
    tokenizer: Any
    context: int
    device: str

    def tokens(self, row: TrainingRow) -> int:
        """How many tokens a row has, prompt and answer together.

        Raises:
            ConfigurationError: the chat template cannot write it, for instance because it knows no system text.
        """
        messages = [*row.prompt, {"role": "assistant", "content": row.completion}]
        try:
            return len(self.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False))
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise ConfigurationError(
                f"the chat template of {self.name} cannot write the roles {roles}: {error}; give another with"
                " Training(chat_template=...)"
            ) from error


def load_base(name: str, training: Training) -> BaseModel:
    """Loads the tokenizer and the configuration, and sees to it that there are weights and layers for adapters.

    Raises:
        ConfigurationError: there is no such checkpoint, its weights cannot be read, it has no chat template, no layers
            that the adapters fit, or it needs a GPU that is not there.
    """
    try:
        config, tokenizer = AutoConfig.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"cannot load the checkpoint {name!r}: {reason}; give a folder or a name on the Hub"
        ) from error
    check_files(name)
    tokenizer.chat_template = training.template_text or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise ConfigurationError(
            f"the checkpoint {name!r} has no chat template, so it is not clear how a prompt is written; give one, such"
            " as its instruct sibling's: Training(chat_template='template.jinja', eos_token='...')"
        )
    if training.eos_token and training.eos_token not in tokenizer.get_vocab():
        raise ConfigurationError(
            f"eos_token={training.eos_token!r} is no token of {name!r}; give the token that ends an answer"
        )
    if training.lora is not None:
        check_adapters(name, config, training.lora)
    device = _device(name, config, training)
    if _parameters(config) <= NEEDS_GPU:
        load_weights(name, dtype="auto")
    return BaseModel(name, tokenizer, _context(config, tokenizer, training), device)


def _context(config: Any, tokenizer: Any, training: Training) -> int:
    limits = [training.max_length, getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    return min(int(limit) for limit in limits if limit)


def _device(name: str, config: Any, training: Training) -> str:
    if torch.cuda.is_available() and training.device != "cpu":
        if torch.cuda.device_count() > 1:
            raise ConfigurationError(
                f"{torch.cuda.device_count()} GPUs are visible, but this trains on one; choose it:"
                " CUDA_VISIBLE_DEVICES=0"
            )
        return "cuda"
    if training.device == "cuda":
        raise ConfigurationError(
            "device='cuda' needs a GPU, and torch sees none; use device='auto', or a torch build for your GPU"
        )
    parameters = _parameters(config)
    if training.device == "auto" and parameters > NEEDS_GPU:
        raise ConfigurationError(
            f"{name!r} has {parameters / 1e9:.1f} billion parameters and needs a GPU, and torch sees none; device='cpu'"
            " would train it all the same, very slowly"
        )
    return "cpu"


def _parameters(config: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(config).parameters())
