"""Training with TRL and PEFT: rows of messages in, checkpoints and a curve on the way, a merged model out.

A checkpoint counts once a mark is in it, which is written last: what ``kill -9`` left half-written is thrown away.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from peft import LoraConfig
from transformers import AutoModelForCausalLM, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from dspy_fusion.programs.errors import ConfigurationError, RecordError

from .base_model import BaseModel
from .settings import Lora, Training

Log = Callable[[int, int, Mapping[str, float]], None]
CURVE = "curve.jsonl"
_COMPLETE = "complete"


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
        resumed = newest_checkpoint(folder / "checkpoints")
        trainer = _trainer(base, rows, folder, training, log)
        try:
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        except torch.OutOfMemoryError as error:
            raise ConfigurationError(
                f"out of memory with micro_batch={training.micro_batch}; lower it, batch_size stays what it is;"
                " finished checkpoints are kept and the same call goes on with them"
            ) from error
        except OSError as error:
            raise RecordError(f"cannot write to {folder}: {error.strerror}; earlier checkpoints are safe") from error
        _export(trainer, base, folder, training.lora)
        return trainer.state.global_step


def last_loss(folder: Path, points: int = 3) -> float:
    """The mean loss of the curve's last points."""
    losses = [json.loads(line)["loss"] for line in (folder / CURVE).read_text().splitlines()[-points:]]
    return sum(losses) / len(losses) if losses else math.nan


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; incomplete ones are removed."""
    found = {int(path.name.rpartition("-")[2]): path for path in folder.glob("checkpoint-*")}
    for step in sorted(found, reverse=True):
        if (found[step] / _COMPLETE).exists():
            return found[step]
        shutil.rmtree(found[step])
    return None


def _trainer(base: BaseModel, rows: Path, folder: Path, training: Training, log: Log) -> SFTTrainer:
    is_lora, on_cpu = training.lora is not None, base.device == "cpu"
    model = AutoModelForCausalLM.from_pretrained(base.name, dtype=torch.float32 if on_cpu or not is_lora else "auto")
    trainer = _SilentTrainer(
        model=model,
        args=_arguments(folder, training, on_cpu=on_cpu),
        train_dataset=datasets.Dataset.from_json(str(rows), cache_dir=str(folder / "cache")),
        processing_class=base.tokenizer,
        peft_config=_adapters(training.lora),
        callbacks=[_Curve(folder / CURVE, log), _Mark()],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _arguments(folder: Path, training: Training, *, on_cpu: bool) -> SFTConfig:
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
        save_total_limit=2,
        logging_steps=training.log_every,
        report_to=[],
        disable_tqdm=True,
        seed=training.seed,
        data_seed=training.seed,
    )


def _adapters(lora: Lora | None) -> LoraConfig | None:
    if lora is None:
        return None
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type="CAUSAL_LM"
    )


class _SilentTrainer(SFTTrainer):
    """TRL's, which would tell the Hub that it was used."""

    def _send_telemetry(self) -> None:
        pass


class _Curve(TrainerCallback):
    """Appends each point to a file of JSON lines; points after the checkpoint that training goes on from are taken out
    first.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self.path, self._log = path, log

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        points = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= state.global_step]
        self.path.write_text("".join(f"{line}\n" for line in points))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_log = control.should_log or state.global_step == state.max_steps

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        values = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if "loss" not in values:
            return  # the summary in the end
        if not math.isfinite(values["loss"]):
            raise ConfigurationError(f"the loss is {values['loss']} at step {state.global_step}; lower learning_rate")
        with self.path.open("a") as file:
            file.write(json.dumps({"step": state.global_step, **values}) + "\n")
        self._log(state.global_step, state.max_steps, values)


class _Mark(TrainerCallback):
    """Marks a checkpoint as complete."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE).touch()


def _export(trainer: SFTTrainer, base: BaseModel, folder: Path, lora: Lora | None) -> None:
    model: Any = trainer.model
    if lora is not None:
        _save(model, base, folder / "adapter")
        model = model.merge_and_unload()
    _save(model, base, folder / "model")


def _save(model: Any, base: BaseModel, folder: Path) -> None:
    """Writes beside the place first, so that a folder that is there is whole."""
    beside = folder.with_name(folder.name + ".partial")
    for old in (beside, folder):
        shutil.rmtree(old, ignore_errors=True)
    try:
        model.save_pretrained(beside)
        base.tokenizer.save_pretrained(beside)
        beside.rename(folder)
    except OSError as error:
        raise RecordError(
            f"cannot write {folder}: {error.strerror}; the checkpoints are safe, the same call writes it again"
        ) from error


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
