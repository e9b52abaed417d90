"""What can be known of a checkpoint's weights and of its adapters before anything is paid for.

Files are opened and their heads read; a model small enough for a CPU is loaded whole. Adapters are put on a model
without weights.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM

from dspy_fusion.programs.errors import ConfigurationError, RecordError

from .settings import Lora

_CHECKPOINTS = 3  # two are kept while another is written, each with weights and two moments
_INDEX = "model.safetensors.index.json"
WRITING = (OSError, SafetensorError, RuntimeError)
"""What safetensors, torch and the system raise for a file that cannot be written, among other things."""
_UNWRITTEN = (
    "No space left",
    "file write failed",
    "PytorchStreamWriter",
    "inline_container",
    "iostream",
    "Disk quota",
    "File too large",
)
_KINDS = ("*.safetensors", "pytorch_model*.bin")


def check_files(name: str) -> None:
    """Raises ``ConfigurationError`` where a folder has no weights, or files of weights that cannot be read."""
    folder = Path(name)
    if not folder.is_dir():
        return  # a name on the Hub, whose files are checked when they are loaded
    files = sorted(path for kind in _KINDS for path in folder.glob(kind))
    if not files:
        raise ConfigurationError(
            f"the checkpoint {name!r} has no weights: there is no model.safetensors in it; give a whole checkpoint"
        )
    if (folder / _INDEX).is_file():
        wanted = set(json.loads((folder / _INDEX).read_text(encoding="utf-8")).get("weight_map", {}).values())
        if missing := sorted(wanted - {path.name for path in files}):
            raise ConfigurationError(f"the checkpoint {name!r} lacks {missing[0]}; fetch it again")
    for path in files:
        if path.suffix == ".safetensors":
            _check_head(path)


def load_weights(name: str, *, dtype: Any) -> Any:
    """The model with its weights.

    Raises:
        ConfigurationError: they cannot be read, are not this model's, or some are missing.
    """
    try:
        with silent_transformers():
            loaded: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, output_loading_info=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, EOFError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = next((line for line in str(error).strip().splitlines() if line.strip()), type(error).__name__)
        raise ConfigurationError(
            f"cannot load the weights of {name!r}: {reason[:200]}; fetch the checkpoint again, or give another"
        ) from error
    model, told = loaded
    missing = sorted(told.get("missing_keys") or ())
    mismatched = sorted(str(key[0] if isinstance(key, tuple) else key) for key in told.get("mismatched_keys") or ())
    if missing or mismatched:
        raise ConfigurationError(
            f"the weights of {name!r} are not those of its config.json: {(missing or mismatched)[0]} is missing or has"
            " another shape; fetch the checkpoint again, or give another"
        )
    return model


def adapter_config(lora: Lora | None) -> LoraConfig | None:
    """The settings of the adapters as PEFT has them."""
    if lora is None:
        return None
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type="CAUSAL_LM"
    )


def check_room(name: str, parameters: int, lora: Lora | None, folder: Path, *, on_cpu: bool) -> None:
    """Raises ``ConfigurationError`` where memory or disk cannot hold the training, whatever the rows are.

    Counted are weights, gradients and AdamW's two moments, what is written of them, and no activations.
    """
    bytes_each = 4 if on_cpu or lora is None else 2
    needed = parameters * (bytes_each if lora is not None else 4 * bytes_each)
    free = _free_memory(on_cpu=on_cpu)
    cure = "take a smaller model" if lora is not None else "train adapters (lora), or take a smaller model"
    if free is not None and needed > free:
        raise ConfigurationError(
            f"training {name!r} needs at least {_size(needed)} of {'memory' if on_cpu else 'GPU memory'}, but"
            f" {_size(free)} are free; {cure}"
        )
    written = parameters * (bytes_each if lora is not None else 4 * bytes_each + 2 * bytes_each * _CHECKPOINTS)
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    if written > (room := shutil.disk_usage(place).free):
        raise ConfigurationError(
            f"training {name!r} writes at least {_size(written)} to {folder}, but {_size(room)} are free;"
            " make room, or choose another output folder"
        )


def _size(count: float) -> str:
    """Bytes as a person reads them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _free_memory(*, on_cpu: bool) -> int | None:
    """Bytes that can still be taken, or None where the system does not say."""
    if not on_cpu:
        return torch.cuda.mem_get_info()[0]
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def check_adapters(name: str, config: Any, lora: Lora) -> None:
    """Raises ``ConfigurationError`` for targets that match no layer or one that another is tied to, and a rank larger
    than the layers.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    layers = {path: module for path, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    known = sorted({path.rpartition(".")[2] for path in layers})
    targets = () if isinstance(lora.targets, str) else lora.targets
    paths = [path for path, _ in model.named_modules()]
    if unmatched := [target for target in targets if not any(_matches(path, target) for path in paths)]:
        raise ConfigurationError(
            f"targets={lora.targets!r}: no layer of {name!r} is called {unmatched[0]!r}; there are {', '.join(known)}"
        )
    if tied := _tied(model, config, targets):
        raise ConfigurationError(
            f"targets={lora.targets!r}: in {name!r} {tied} has the same weights as the other end of the model, which"
            " merged adapters would change too; leave it out"
        )
    largest = max((min(layer.in_features, layer.out_features) for layer in layers.values()), default=lora.rank)
    if lora.rank > largest:
        raise ConfigurationError(
            f"rank={lora.rank} is larger than the layers of {name!r}, whose smaller side is at most {largest}; lower it"
        )
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of transformers, about PEFT
            get_peft_model(model, adapter_config(lora), low_cpu_mem_usage=True)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"targets={lora.targets!r} fit no layer of {name!r}; there are {', '.join(known)}"
        ) from error


def raise_unless_written(error: Exception, folder: Path, what_is_safe: str) -> NoReturn:
    """Raises ``RecordError`` for what failed because a file could not be written, and anything else as it is.

    safetensors and torch do not say so by the type: theirs are their own error and a ``RuntimeError``.
    """
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        text = error.strerror or text
    elif not isinstance(error, SafetensorError) and not any(sign in text for sign in _UNWRITTEN):
        raise error
    raise RecordError(f"cannot write to {folder}: {text[:200]}; {what_is_safe}") from error


def _tied(model: Any, config: Any, targets: Sequence[str]) -> str:
    """The name of a target that is one of the two ends of a model whose weights are the same; empty for none."""
    if not getattr(config, "tie_word_embeddings", False):
        return ""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    paths = [path for path, module in model.named_modules() if any(module is end for end in ends)]
    return next((target for target in targets if any(_matches(path, target) for path in paths)), "")


def _matches(path: str, target: str) -> bool:
    return path == target or path.endswith(f".{target}")


def _check_head(path: Path) -> None:
    try:
        with safe_open(path, "np") as file:
            empty = not file.keys()
    except (SafetensorError, OSError) as error:
        raise ConfigurationError(
            f"cannot read the weights in {path}: {error}; fetch the checkpoint again, or give another"
        ) from error
    if empty:
        raise ConfigurationError(f"there are no weights in {path}; fetch the checkpoint again, or give another")


@contextmanager
def silent_transformers() -> Iterator[None]:
    """Without transformers' progress bars, and its report on what it loaded, which ours takes the place of."""
    logger = logging.getLogger("transformers")
    before, bars = logger.level, transformers.utils.logging.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(before)
        if bars:
            transformers.utils.logging.enable_progress_bar()
