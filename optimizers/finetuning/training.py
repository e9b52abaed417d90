"""Training with TRL and PEFT: rows of messages in, checkpoints and a curve on the way, a merged model out."""

from __future__ import annotations

import math
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.sft_config import SFTConfig

from dspy_fusion.programs.errors import ConfigurationError, RecordError

from .base_model import BaseModel
from .files.output_folder import mark, mark_whole, remove
from .files.training_row import TrainingRow
from .rewards import HowToLearn, Rewards
from .settings import Lora, Training
from .training_steps import Curve, Log, newest_checkpoint, read_curve, trainer_class
from .weight_checks import WRITING, adapter_config, load_weights, raise_unless_written, silent_transformers

CURVE = "curve.jsonl"
POINTS = 10
"""A training of fewer steps than ``log_every`` times this has a point more often."""


def train(base: BaseModel, rows: Path, folder: Path, training: Training, log: Log, how: HowToLearn) -> int:
    """Trains on a file of rows and leaves ``model`` and, with LoRA, ``adapter`` in the folder.

    Goes on where it was interrupted.

    Args:
        base: what training begins with.
        rows: JSON lines as :class:`TrainingRow` writes them.
        folder: of the checkpoints, the curve and the result.
        training: the settings.
        log: called with the step, the number of steps and the values of each point of the curve.
        how: the method.

    Returns:
        The number of steps.

    Raises:
        ConfigurationError: the memory does not suffice, or the loss is no number any more.
        RecordError: the folder cannot be written; earlier checkpoints are safe.
    """
    with _quiet(), _own_generators(), _threads(training.threads):
        if is_first():
            mark(folder / "checkpoints")
        trainer = _trainer(base, rows, folder, training, log, how)
        try:
            trainer.go_on(newest_checkpoint(folder / "checkpoints", clean=is_first()))
        except torch.OutOfMemoryError as error:
            raise ConfigurationError(
                f"out of memory with micro_batch={training.micro_batch}; lower it, batch_size stays what it is;"
                " finished checkpoints are kept and the same call goes on with them"
            ) from error
        except WRITING as error:
            raise_unless_written(error, folder, "earlier checkpoints are safe, the same call goes on with them")
        if is_first():
            _export(trainer, base, folder, training.lora)
        return trainer.state.global_step


def last_loss(folder: Path, points: int = 3) -> float:
    """The mean loss of the curve's last points."""
    losses = [point["loss"] for point in read_curve(folder / CURVE)[-points:]]
    return sum(losses) / len(losses) if losses else math.nan


def _trainer(base: BaseModel, rows: Path, folder: Path, training: Training, log: Log, how: HowToLearn) -> Any:
    is_lora, on_cpu = training.lora is not None, base.device == "cpu"
    model = load_weights(base.name, dtype=torch.float32 if on_cpu or not is_lora else "auto")
    data = _rows(rows, folder)
    steps = training.steps(len(data), how.draws)
    room = _room(base, data) if how.method == "grpo" else 0
    arguments = _arguments(folder, training, steps, how, room, on_cpu=on_cpu)
    if processes() == 1 and arguments.n_gpu > 1:
        arguments._n_gpu = 1  # or transformers would put the model on all that it sees
    trainer = trainer_class(how.method)(
        model=model,
        args=arguments,
        train_dataset=data,
        processing_class=base.tokenizer,
        peft_config=adapter_config(training.lora),
        callbacks=[Curve(folder / CURVE, log)],
        **({} if how.rewards is None else {"reward_funcs": [_rewarding(how.rewards)]}),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _room(base: BaseModel, data: datasets.Dataset) -> int:
    """Tokens that the model's context leaves for an answer to the longest prompt."""
    return base.context - max(base.tokens(TrainingRow(tuple(row["prompt"]), "")) for row in data)  # type: ignore[call-overload]


def _rewarding(rewards: Rewards) -> Any:
    """The rewards as TRL asks for them."""

    def reward(completions: list[Any], example: list[str], proposals: list[int], **_: Any) -> list[float]:
        texts = [said if isinstance(said, str) else said[-1]["content"] for said in completions]
        return rewards.of(texts, example, proposals)

    return reward


def _rows(path: Path, folder: Path) -> datasets.Dataset:
    try:
        return datasets.Dataset.from_json(str(path), cache_dir=str(folder / "cache"))  # type: ignore[return-value]
    except (OSError, datasets.exceptions.DatasetGenerationError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise RecordError(f"cannot prepare the rows of {path}: {' '.join(str(cause).split())[:200]}") from error


def _arguments(folder: Path, training: Training, steps: int, how: HowToLearn, room: int, *, on_cpu: bool) -> Any:
    shared: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"),
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": training.warmup,  # below 1 it is a share of the steps
        "num_train_epochs": training.epochs,
        "per_device_train_batch_size": training.rows_at_once,
        "gradient_accumulation_steps": training.batch_size // (training.rows_at_once * processes()),
        "weight_decay": training.weight_decay,
        "bf16": training.mixed_precision and not on_cpu and torch.cuda.is_bf16_supported(),
        "use_cpu": on_cpu,
        "gradient_checkpointing": training.gradient_checkpointing and not on_cpu,
        "save_steps": training.checkpoint_every,
        "logging_steps": max(1, min(training.log_every, steps // POINTS)),
        "report_to": [],
        "disable_tqdm": True,
        "seed": training.seed,
        "data_seed": training.seed,
    }
    if how.method == "grpo" and (wanted := how.preferences) is not None:
        return GRPOConfig(
            **shared,
            num_generations=wanted.draws,
            temperature=wanted.temperature,
            max_completion_length=max(1, min(wanted.answer_tokens, room)),
            beta=how.beta(0.0),
        )
    shared["max_length"] = None  # rows were measured; TRL would cut them
    if how.method == "dpo":
        return DPOConfig(**shared, beta=how.beta(0.1), precompute_ref_log_probs=training.lora is None)
    sampling = "group_by_length" if training.group_by_length else "random"  # which TRL has for this method alone
    eos = training.eos_token or None
    return SFTConfig(**shared, completion_only_loss=True, eos_token=eos, train_sampling_strategy=sampling)


def is_first() -> bool:
    """Whether this process writes: of several that train together, the first one does."""
    return int(os.environ.get("RANK", "0")) == 0


def processes() -> int:
    """How many processes train together: as many as a launcher such as ``accelerate launch`` started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _export(trainer: Any, base: BaseModel, folder: Path, lora: Lora | None) -> None:
    model: Any = trainer.model
    if lora is not None:
        _save(model, base, folder / "adapter")
        model = merged(model)
    _save(model, base, folder / "model")


def merged(model: Any) -> Any:
    """A model with its adapters merged in: added up in float32 and rounded once to the weights' own precision."""
    precision = next(parameter.dtype for name, parameter in model.named_parameters() if "lora_" not in name)
    if precision == torch.float32:
        return model.merge_and_unload()
    return model.to("cpu", torch.float32).merge_and_unload().to(precision)


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
    except WRITING as error:
        raise_unless_written(error, folder, "the checkpoints are safe, the same call writes it again")


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
    """No progress bars, which the caller has of its own, no advice on options that TRL itself sets, and no word of
    weights that are tied to others when a checkpoint is read.
    """
    has_bars = datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    try:
        with silent_transformers(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if has_bars:
            datasets.utils.logging.enable_progress_bar()
