"""Training with TRL and PEFT: rows of messages in, checkpoints and a curve on the way, a merged model out."""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import datasets
import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from trl.trainer.sft_config import SFTConfig

from dspy_fusion.programs.errors import ConfigurationError, RecordError

from .base_model import BaseModel
from .output_folder import mark, mark_whole, remove
from .settings import Lora, Training
from .training_steps import Curve, Log, MarkingTrainer, newest_checkpoint
from .weight_checks import adapter_config, load_weights

CURVE = "curve.jsonl"
POINTS = 10
"""A training of fewer steps than ``log_every`` times this has a point more often."""
_WRITING = (OSError, SafetensorError, RuntimeError)
_UNWRITTEN = ("No space left", "file write failed", "PytorchStreamWriter", "iostream", "Disk quota")


def train(base: BaseModel, rows: Path, folder: Path, training: Training, log: Log) -> int:
    """Trains on a file of rows and leaves ``model`` and, with LoRA, ``adapter`` in the folder;
    goes on where it was interrupted.

    Args:
        base: what training begins with.
        rows: JSON lines with ``prompt`` and ``completion``.
        folder: of the checkpoints, the curve and the result.
        training: the settings.
        log: called with the step, the number of steps and the values of each point of the curve.

    Returns:
        The number of steps.

    Raises:
        ConfigurationError: the memory does not suffice, or the loss is no number any more.
        RecordError: the folder cannot be written; earlier checkpoints are safe.
    """
    with _quiet(), _own_generators(), _threads(training.threads):
        mark(folder / "checkpoints")
        trainer = _trainer(base, rows, folder, training, log)
        try:
            trainer.go_on(newest_checkpoint(folder / "checkpoints"))
        except torch.OutOfMemoryError as error:
            raise ConfigurationError(
                f"out of memory with micro_batch={training.micro_batch}; lower it, batch_size stays what it is;"
                " finished checkpoints are kept and the same call goes on with them"
            ) from error
        except _WRITING as error:
            raise_unless_written(error, folder, "earlier checkpoints are safe, the same call goes on with them")
        _export(trainer, base, folder, training.lora)
        return trainer.state.global_step


def last_loss(folder: Path, points: int = 3) -> float:
    """The mean loss of the curve's last points."""
    losses = [json.loads(line)["loss"] for line in (folder / CURVE).read_text().splitlines()[-points:]]
    return sum(losses) / len(losses) if losses else math.nan


def _trainer(base: BaseModel, rows: Path, folder: Path, training: Training, log: Log) -> MarkingTrainer:
    is_lora, on_cpu = training.lora is not None, base.device == "cpu"
    model = load_weights(base.name, dtype=torch.float32 if on_cpu or not is_lora else "auto")
    data = _rows(rows, folder)
    trainer = MarkingTrainer(
        model=model,
        args=_arguments(folder, training, training.steps(len(data)), on_cpu=on_cpu),
        train_dataset=data,
        processing_class=base.tokenizer,
        peft_config=adapter_config(training.lora),
        callbacks=[Curve(folder / CURVE, log)],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _rows(path: Path, folder: Path) -> datasets.Dataset:
    try:
        return datasets.Dataset.from_json(str(path), cache_dir=str(folder / "cache"))  # type: ignore[return-value]
    except (OSError, datasets.exceptions.DatasetGenerationError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise RecordError(f"cannot prepare the rows of {path}: {' '.join(str(cause).split())[:200]}") from error


def _arguments(folder: Path, training: Training, steps: int, *, on_cpu: bool) -> SFTConfig:
    return SFTConfig(
        output_dir=str(folder / "checkpoints"),
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=training.warmup,  # below 1 it is a share of the steps
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.rows_at_once,
        gradient_accumulation_steps=training.batch_size // training.rows_at_once,
        weight_decay=training.weight_decay,
        train_sampling_strategy="group_by_length" if training.group_by_length else "random",
        completion_only_loss=True,
        max_length=None,  # rows were measured; TRL would cut them
        eos_token=training.eos_token or None,
        bf16=training.mixed_precision and not on_cpu and torch.cuda.is_bf16_supported(),
        use_cpu=on_cpu,
        gradient_checkpointing=training.gradient_checkpointing and not on_cpu,
        save_steps=training.checkpoint_every,
        logging_steps=max(1, min(training.log_every, steps // POINTS)),
        report_to=[],
        disable_tqdm=True,
        seed=training.seed,
        data_seed=training.seed,
    )


def _export(trainer: MarkingTrainer, base: BaseModel, folder: Path, lora: Lora | None) -> None:
    model: Any = trainer.model
    if lora is not None:
        _save(model, base, folder / "adapter")
        model = model.merge_and_unload()
    _save(model, base, folder / "model")


def _save(model: Any, base: BaseModel, folder: Path) -> None:
    """Writes beside the place first, so that a folder that is there is whole."""
    beside = folder.with_name(folder.name + ".partial")
    for old in (beside, folder):
        remove(old)
    mark(beside)
    try:
        model.save_pretrained(beside)
        base.tokenizer.save_pretrained(beside)
        mark_whole(beside)
        beside.rename(folder)
    except _WRITING as error:
        raise_unless_written(error, folder, "the checkpoints are safe, the same call writes it again")


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


@contextmanager
def _own_generators() -> Iterator[None]:
    """Leaves the process's random generators as they were: training seeds them all."""
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (only kept and put back)
    with torch.random.fork_rng(enabled=True):
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)  # noqa: NPY002


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, which the caller has of its own, and no advice on options that TRL itself sets."""
    bars = (datasets.utils.logging.is_progress_bar_enabled(), transformers.utils.logging.is_progress_bar_enabled())
    datasets.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if bars[0]:
            datasets.utils.logging.enable_progress_bar()
        if bars[1]:
            transformers.utils.logging.enable_progress_bar()
