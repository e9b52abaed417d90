"""The checkpoint that training begins with.

Its tokenizer and its limits, checked before a model is asked or a GPU is filled.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from dspy_fusion.programs.errors import ConfigurationError

from .files.training_row import TrainingRow
from .objectives import Method
from .settings import Training
from .weight_checks import check_adapters, check_files, check_room, load_weights

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
        """How many tokens a row has, prompt and answer together; of a preference with the longer answer.

        Raises:
            ConfigurationError: the chat template cannot write it, for instance because it knows no system text.
        """
        messages = list(row.prompt)
        answers = [row.completion, *([row.rejected] if row.rejected else [])]
        try:
            for answer in filter(str.strip, answers):
                self.check_template(messages, answer)
            return max(self._size([*messages, {"role": "assistant", "content": answer}]) for answer in answers)
        except TemplateError as error:
            roles = ", ".join([*(message["role"] for message in messages), "assistant"])
            raise ConfigurationError(
                f"the chat template of {self.name} cannot write the roles {roles}: {error}; give another with"
                " Training(chat_template=...)"
            ) from error

    def check_template(self, prompt: list[dict[str, str]], answer: str) -> None:
        """Raises ``ConfigurationError`` where what is learned would not be what is asked for: a prompt with its answer
        begins otherwise than the prompt alone, the answer is changed, or nothing ends it.
        """
        asked = self._text(prompt, add_generation_prompt=True)
        whole = self._text([*prompt, {"role": "assistant", "content": answer}], add_generation_prompt=False)
        same = next((i for i, sign in enumerate(asked) if not whole.startswith(sign, i)), len(asked))
        wrong = ""
        if same < len(asked):
            wrong = f"asks for an answer by {asked[same:][:40]!r} but writes {whole[same:][:40]!r} before one"
        elif answer.strip() not in (rest := whole[same:]):
            wrong = f"writes the answer {answer[:40]!r} as {rest[:60]!r}"
        elif not rest.rpartition(answer.strip())[2].strip():
            wrong = "ends an answer with nothing, so no model could learn where to end"
        if wrong:
            raise ConfigurationError(
                f"the chat template of {self.name} {wrong}; give another with Training(chat_template=...)"
            )

    def _text(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
        )

    def _size(self, messages: list[dict[str, str]]) -> int:
        return len(self.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False))


def load_base(name: str, training: Training, folder: Path | None = None) -> BaseModel:
    """Loads the tokenizer and the configuration, and sees to it that there are weights, layers for adapters, and room
    in memory and, where the results' folder is given, on its disk.

    Raises:
        ConfigurationError: there is no such checkpoint, its weights cannot be read, it has no chat template, no layers
            that the adapters fit, or it needs a GPU, memory or disk that is not there.
    """
    try:
        config, tokenizer = AutoConfig.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"cannot load the checkpoint {name!r}: {reason}; give a folder or a name on the Hub"
        ) from error
    check_files(name)
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True  # told by us
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
    if folder is not None:
        check_room(name, _parameters(config), training.lora, folder, on_cpu=device == "cpu")
    if _parameters(config) <= NEEDS_GPU:
        load_weights(name, dtype="auto")
    base = BaseModel(name, tokenizer, _context(config, tokenizer, training), device)
    with suppress(TemplateError):  # of roles, which are told by the row that has them
        base.check_template([{"role": "user", "content": "Why?"}], "Because.")
    return base


def _context(config: Any, tokenizer: Any, training: Training) -> int:
    limits = [training.max_length, getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    return min(int(limit) for limit in limits if limit)


def _device(name: str, config: Any, training: Training) -> str:
    if torch.cuda.is_available() and training.device != "cpu":
        if (training.processes or 1) > torch.cuda.device_count():
            raise ConfigurationError(
                f"processes={training.processes} need a GPU each, but {torch.cuda.device_count()} are visible"
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


def together(base: BaseModel, training: Training, method: Method) -> int:
    """How many processes train.

    Raises:
        ConfigurationError: a step has no row for each of them, or the method cannot be dealt out.
    """
    count = training.processes or (torch.cuda.device_count() if base.device == "cuda" else 1)
    if method == "grpo" and count > 1:
        if training.processes is None:
            return 1
        raise ConfigurationError("objective='grpo' asks its scorer in this process, so it trains in one: processes=1")
    if training.batch_size % (training.rows_at_once * count):
        raise ConfigurationError(
            f"batch_size={training.batch_size} cannot be dealt out to {count} processes of"
            f" micro_batch={training.rows_at_once}; make it a multiple of {training.rows_at_once * count}"
        )
    return count


def _parameters(config: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(config).parameters())
