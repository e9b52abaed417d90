"""What is done beside the steps of a training: points of the curve, marks on checkpoints, and which of them are kept.

A checkpoint is marked before it is written and counts once its mark lists its files, which is done last: what
``kill -9`` left half-written is thrown away, and what somebody else put there is left alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.json_text import read_json

from .files.output_folder import is_whole, mark, mark_whole, read_mark, remove
from .objectives import Method

Log = Callable[[int, int, Mapping[str, float]], None]
_KEPT = 2


class _Marking:
    """TRL's trainers, with their checkpoints marked as ours, the last two kept, and tokens counted on after an
    interruption.

    They tell nobody that they were used. Of several processes the first one marks.
    """

    args: Any
    state: Any
    _total_train_tokens: float

    def _send_telemetry(self) -> None:
        pass

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(str(self.args.output_dir))
        here = folder / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            mark(here)
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        if not self.args.should_save:
            return
        mark_whole(here, {"tokens": float(self._total_train_tokens)})
        for step in sorted(complete_checkpoints(folder))[:-_KEPT]:
            remove(folder / f"checkpoint-{step}")

    def go_on(self, checkpoint: Path | None) -> None:
        """Trains, from a checkpoint where there is one."""
        if checkpoint is not None:
            tokens = (read_mark(checkpoint) or {}).get("tokens")
            self._total_train_tokens = tokens if isinstance(tokens, int | float) else 0
        trainer: Any = self
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def trainer_class(method: Method) -> Any:
    """The trainer of a method; each is imported where it is used, which takes seconds."""
    if method == "dpo":
        from trl.trainer.dpo_trainer import DPOTrainer as Trainer
    elif method == "grpo":
        from trl.trainer.grpo_trainer import GRPOTrainer as Trainer
    else:
        from trl.trainer.sft_trainer import SFTTrainer as Trainer
    return type(f"Marking{Trainer.__name__}", (_Marking, Trainer), {})


def complete_checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints of ours that are whole, by their steps."""
    paths = {path.name.rpartition("-")[2]: path for path in folder.glob("checkpoint-*")}
    return {int(step): path for step, path in paths.items() if step.isdigit() and is_whole(path)}


def newest_checkpoint(folder: Path, *, clean: bool = True) -> Path | None:
    """The newest complete checkpoint; with ``clean``, those of ours that are not complete are removed."""
    whole = complete_checkpoints(folder)
    for path in folder.glob("checkpoint-*") if clean else ():
        if path not in whole.values() and read_mark(path) is not None:
            remove(path)
    return whole[max(whole)] if whole else None


def read_curve(path: Path) -> list[dict[str, Any]]:
    """The points of a curve; a line that is none, such as a torn one, is passed over."""
    points = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError):
            point = read_json(line)
            if isinstance(point, dict) and all(isinstance(point.get(name), int | float) for name in ("step", "loss")):
                points.append(point)
    return points


class Curve(TrainerCallback):
    """Appends each point to a file of JSON lines.

    Points after the checkpoint that training goes on from are taken out first.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self.path, self._log = path, log

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Forgets the points after the step that the training goes on from."""
        if not state.is_world_process_zero:
            return
        kept = [point for point in read_curve(self.path) if point["step"] <= state.global_step]
        self.path.write_text("".join(f"{json.dumps(point)}\n" for point in kept))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_log = control.should_log or state.global_step == state.max_steps

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Adds a point to the curve; a loss that is not finite ends the training."""
        values = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if "loss" not in values:
            return  # the summary in the end
        if not state.is_world_process_zero:
            return
        if not math.isfinite(values["loss"]):
            raise ConfigurationError(f"the loss is {values['loss']} at step {state.global_step}; lower learning_rate")
        with self.path.open("a") as file:
            file.write(json.dumps({"step": state.global_step, **values}) + "\n")
        self._log(state.global_step, state.max_steps, values)
