"""A small fine-tuning of the embedded generalist.

Run as a script, it kills itself after step 5, one step after a checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.optimizers.finetuning import AggregationFineTuning, FineTuningProgress, Training
from dspy_fusion.programs import Fusion, PlainAdapter
from dspy_fusion.serving.embedded.huggingface import huggingface_lm

EXAMPLES = [
    dspy.Example(
        worksheet=f"(a) {i} + {j}",
        answers=f"(a) {i} + {j} = {i + j}",
        proposals=[f"(a) {i} + {j} = {i + j + k}" for k in range(3)],
    ).with_inputs("worksheet")
    for i in range(12, 18)
    for j in (3, 40)
]


def program() -> Any:
    return Fusion(dspy.Predict(make_signature("worksheet -> answers", "Work out every part of the worksheet.")), n=3)


def fine_tuning(base: Path, output: Path, **changes: Any) -> AggregationFineTuning:
    """Six steps of two rows; ``changes`` are options of the optimizer or of its training."""
    training = {name: changes.pop(name) for name in list(changes) if name in Training.__dataclass_fields__}
    small: dict[str, Any] = {"lora": None, "learning_rate": 1e-3, "batch_size": 2, "micro_batch": 2}
    steps: dict[str, Any] = {"checkpoint_every": 2, "log_every": 1, "threads": 1}
    return AggregationFineTuning(
        base, output=output, training=Training(**{**small, **steps, **training}), **{"serve": huggingface_lm, **changes}
    )


def die(progress: FineTuningProgress) -> None:
    if progress.stage == "training" and progress.done == 5:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    dspy.configure(adapter=PlainAdapter())
    fine_tuning(Path(sys.argv[1]), Path(sys.argv[2]), on_progress=die).compile(program(), trainset=EXAMPLES)
