"""Embedded checkpoints as Hugging Face ones and back: folders that transformers, TRL, PEFT and vLLM read.

Neither way needs those libraries or torch: a checkpoint is a few JSON files and one of weights, under the names that
ours have anyway.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

import dspy
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from dspy_fusion.programs.errors import ConfigurationError, RecordError

from ..model_sampling import OwnSampling
from . import SUFFIX
from .checkpoint import Architecture, Checkpoint, load_checkpoint, save_checkpoint
from .embedded_lm import embedded_lm
from .embedded_model import WEIGHTS, EmbeddedModel, load_model
from .tokenizer import ASSISTANT, BEGIN, END, USER, ChatTokenizer

CHAT_TEMPLATE = (
    "{{ '" + BEGIN + "' }}"
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '" + USER + "' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '" + ASSISTANT + "' }}"
    "{% generation %}{{ message['content'] + '" + END + "' }}{% endgeneration %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + ASSISTANT + "' }}{% endif %}"
)
"""Renders what :meth:`ChatTokenizer.prompt` does.

Unlike there, control tokens inside a text count, as with every Hugging Face template.
"""

_FIELDS = {
    "vocabulary_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "norm_epsilon": "rms_norm_eps",
    "max_positions": "max_position_embeddings",
}
_HEAD = "lm_head.weight"
_SETTINGS = {"attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True, "hidden_act": "silu"}
_TOKENIZER, _WEIGHTS, _CONFIG = "tokenizer.json", "model.safetensors", "config.json"


def to_huggingface(source: str | Path, folder: Path | str) -> Path:
    """Writes an embedded model as a Hugging Face Llama checkpoint with tokenizer and chat template.

    What is there is written over.

    Args:
        source: the name of a built-in model, or the path of a ``.safetensors`` file.
        folder: where to write; made where it is not there yet.

    Returns:
        The folder, which ``AutoModelForCausalLM`` and ``AutoTokenizer`` load, with float32 weights.

    Raises:
        ConfigurationError: there is no such model.
        RecordError: the folder cannot be written.
    """
    model, folder = load_model(source), Path(folder)
    path = Path(source) if str(source).endswith(SUFFIX) else WEIGHTS / f"{source}{SUFFIX}"
    checkpoint = load_checkpoint(path)
    try:
        _write_all(model, checkpoint, folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordError(f"cannot write to {folder}: {reason}; make room, or choose another place") from error
    return folder


def _write_all(model: EmbeddedModel, checkpoint: Checkpoint, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(checkpoint.weights, folder / _WEIGHTS, metadata={"format": "pt"})
    model.tokenizer.tokenizer.save(str(folder / _TOKENIZER))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    ids = {
        "bos_token_id": model.tokenizer.begin,
        "eos_token_id": model.tokenizer.end,
        "pad_token_id": model.tokenizer.end,
    }
    _write(folder / _CONFIG, _config(checkpoint.architecture) | ids)
    _write(folder / "generation_config.json", ids)
    named = {"bos_token": BEGIN, "eos_token": END, "pad_token": END}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": checkpoint.architecture.max_positions}
    _write(folder / "tokenizer_config.json", settings | named | {"clean_up_tokenization_spaces": False})


def from_huggingface(folder: Path | str, path: Path | str, *, int8: bool = True) -> Path:
    """Writes a Hugging Face Llama checkpoint, such as a fine-tuned one, as an embedded model, its tokenizer beside it.

    Args:
        folder: holds ``config.json``, ``model.safetensors`` in float32 and ``tokenizer.json``.
        path: the ``.safetensors`` file to write.
        int8: whether to round to the shipped models' eight bits; otherwise the file is four times as large and the
            logits are the same.

    Returns:
        ``path``, which ``embedded_lm`` takes.

    Raises:
        ConfigurationError: the checkpoint is not of the embedded models' kind; the message says what differs.
        RecordError: the file cannot be written.
    """
    folder, path = Path(folder), Path(path)
    config = _read_config(folder)
    weights = _read_weights(folder)
    architecture = _architecture(config, folder)
    if not (folder / _TOKENIZER).is_file():
        raise ConfigurationError(
            f"{folder} has no {_TOKENIZER}; put the tokenizer there that the model was trained with"
        )
    ChatTokenizer.from_file(folder / _TOKENIZER)
    beside = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if int8:
            save_checkpoint(beside, architecture, weights)
        else:
            save_file(weights, beside, metadata={"architecture": json.dumps(asdict(architecture))})
        shutil.copyfile(folder / _TOKENIZER, path.parent / _TOKENIZER)
        beside.rename(path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise RecordError(f"cannot write {path}: {reason}; make room, or choose another place") from error
    return path


def huggingface_lm(folder: Path | str, **sampling: Unpack[OwnSampling]) -> dspy.LM:
    """An embedded model of a Hugging Face checkpoint, which is converted to float32 beside it.

    Its name is that of the folder above.

    What ``AggregationFineTuning(serve=...)`` takes for embedded models; see :func:`from_huggingface` and
    ``embedded_lm``.
    """
    folder = Path(folder).resolve()
    name = folder.parent.name or folder.name
    path = folder.parent / "embedded" / f"{name}{SUFFIX}"
    if path.exists() and not _is_embedded(path):
        raise ConfigurationError(f"{path} is there and no embedded model; move it away, or the checkpoint")
    return embedded_lm(str(from_huggingface(folder, path, int8=False)), **sampling)


def _is_embedded(path: Path) -> bool:
    try:
        with safe_open(path, "np") as file:
            return "architecture" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _config(architecture: Architecture) -> dict[str, Any]:
    sizes = {theirs: getattr(architecture, ours) for ours, theirs in _FIELDS.items()}
    rope = {"rope_theta": architecture.rope_theta, "rope_type": "default"}
    kind = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32"}
    return {**kind, **sizes, **_SETTINGS, "num_key_value_heads": architecture.heads, "rope_parameters": rope}


def _architecture(config: dict[str, Any], folder: Path) -> Architecture:
    rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta", 10_000.0)}
    settings = {"model_type": "llama", "num_key_value_heads": config["num_attention_heads"], **_SETTINGS}
    for name, value in settings.items():
        if config.get(name, value) != value:
            raise ConfigurationError(f"{folder} has {name} = {config[name]!r}; embedded models have {value!r}")
    if rope.get("rope_type", "default") != "default":
        raise ConfigurationError(f"{folder} has rope_type = {rope['rope_type']!r}; embedded models have 'default'")
    sizes = {ours: config[theirs] for ours, theirs in _FIELDS.items()}
    return Architecture(**sizes, rope_theta=rope["rope_theta"])


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / _CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cannot read {folder / _CONFIG}: {error}; give the folder of a Hugging Face checkpoint"
        ) from error
    if missing := [name for name in _FIELDS.values() if name not in config]:
        raise ConfigurationError(f"{folder / _CONFIG} does not say {missing[0]}; give the folder of a Llama checkpoint")
    return config


def _read_weights(folder: Path) -> dict[str, np.ndarray]:
    try:
        weights = load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ConfigurationError(
            f"cannot read {folder / _WEIGHTS}: {error}; save the model unsharded, in float32, adapters merged"
        ) from error
    weights.pop(_HEAD, None)  # tied to the embedding
    if odd := sorted({str(value.dtype) for value in weights.values()} - {"float32"}):
        raise ConfigurationError(f"{folder / _WEIGHTS} holds {odd[0]} weights; save the model in float32")
    return weights


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
