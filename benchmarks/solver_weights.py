"""Makes the embedded solver: ``python -m benchmarks.solver_weights --out FOLDER``.

The papers' base models can read their context and answer, and have never aggregated. Of the embedded models ``judge``
can read but gives no answers; a short training on solved sheets, without candidates, makes it such a base: ``solver``.
(``sft`` does not learn to look at candidates in so few rows: it becomes a better solver instead.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.optimizers.finetuning import AggregationFineTuning, FineTuningProgress, Training
from dspy_fusion.programs import Fusion, PlainAdapter
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS
from dspy_fusion.serving.embedded.huggingface import from_huggingface, huggingface_lm, to_huggingface

from .aft_data import solved

ROWS = 2000


def main() -> None:
    """Trains it and writes ``solver.safetensors``; interrupted, the same command goes on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=ROWS, help="solved sheets")
    options = parser.parse_args()
    tuner = AggregationFineTuning(
        to_huggingface("judge", options.out / "judge"),
        output=options.out / "base",
        serve=huggingface_lm,
        objective="no_proposals",
        training=settings(),
        on_progress=_tell,
    )
    program = Fusion(dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS)))
    with dspy.context(adapter=PlainAdapter(), disable_history=True):
        tuner.compile(program, trainset=solved(options.rows))
    print(from_huggingface(tuner.output / "model", options.out / "solver.safetensors"))


def settings(seed: int = 0, rate: float = 1e-3, epochs: float = 1.0) -> Training:
    """Small batches and all weights, since the model is small and the rows are few."""
    return Training(
        lora=None,
        learning_rate=rate,
        epochs=epochs,
        batch_size=8,
        micro_batch=8,
        group_by_length=True,
        checkpoint_every=25,
        log_every=25,
        threads=1,
        device="cpu",
        seed=seed,
    )


def _tell(progress: FineTuningProgress) -> None:
    if progress.stage == "training":
        print(f"step {progress.done}/{progress.total} loss {progress.values['loss']:.4f}", flush=True)


if __name__ == "__main__":
    main()
