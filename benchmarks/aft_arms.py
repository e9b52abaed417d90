"""The arms of the AFT papers in miniature: one embedded model, trained five ways on the same sheets.

The papers' base models can read their context and answer, and have never aggregated. Of the embedded models ``judge``
can read but gives no answers; a short training on solved sheets, without candidates, makes it such a base. (``sft``
does not learn to look at candidates in so few rows: it becomes a better solver instead.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.optimizers.finetuning import (
    AggregationFineTuning,
    FineTuningProgress,
    FusorReferences,
    GivenProposals,
    SampledProposals,
    Training,
)
from dspy_fusion.programs import ProposeAggregate
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.huggingface import huggingface_lm, to_huggingface

from .aft_data import POOL, share_right, solved

ANSWER_TOKENS = 120


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    objective: Literal["aft", "sft", "no_proposals", "pseudo_aggregation"]
    on_policy: bool = False


ARMS = {
    "sft": Arm("sft"),
    "aft off-policy": Arm("aft"),
    "aft on-policy": Arm("aft", on_policy=True),
    "no proposals": Arm("no_proposals"),
    "pseudo-aggregation": Arm("pseudo_aggregation"),
}
"""``sft`` learns the best of five teachers' answers, ``no proposals`` what a stronger fusor makes of the same five."""


@dataclass(frozen=True)
class Recipe:
    """What all arms share.

    Attributes:
        reader: the embedded model that becomes the base.
        base_rows: solved sheets it is first trained on.
        stronger: the one that writes references and direct answers.
        rate: the highest learning rate; all weights are trained.
        plain_share: of the rows of arms that show proposals; see :class:`AggregationFineTuning`.
    """

    reader: str = "judge"
    base_rows: int = 3000
    stronger: str = "aft"
    rate: float = 1e-3
    plain_share: float = 0.3

    def training(self, seed: int) -> Training:
        """The settings: small batches and all weights, since the model is small and the rows are few."""
        options: dict[str, Any] = {
            "lora": None,
            "learning_rate": self.rate,
            "batch_size": 8,
            "micro_batch": 8,
            "group_by_length": True,
        }
        return Training(**options, checkpoint_every=25, log_every=25, threads=1, device="cpu", seed=seed)


def worksheet_program(*, temperature: float = 0.7, **options: Any) -> ProposeAggregate:
    """Propose-and-aggregate over the task program, with the paper's sampling."""
    solve = dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))
    return ProposeAggregate(solve, temperature=temperature, aggregation_temperature=0.7, **options)


def train_base(folder: Path, recipe: Recipe, log: Callable[[str], None]) -> Path:
    """Trains the base that all arms and seeds begin with; returns its folder."""
    output = folder / "base"
    tuner = AggregationFineTuning(
        to_huggingface(recipe.reader, folder / recipe.reader),
        output=output,
        serve=huggingface_lm,
        objective="no_proposals",
        training=recipe.training(0),
        on_progress=lambda progress: _tell("base", progress, log),
    )
    tuner.compile(worksheet_program(width=POOL, depth=1), trainset=solved(recipe.base_rows))
    return output


def train_arm(
    name: str, folder: Path, recipe: Recipe, examples: list[dspy.Example], *, seed: int, log: Callable[[str], None]
) -> Path:
    """Trains an arm, or goes on with it; returns the embedded checkpoint.

    What is collected for an arm (proposals, references, direct answers) is shared with other arms and seeds where it is
    the same.
    """
    arm, output = ARMS[name], folder / f"seed-{seed}" / name.replace(" ", "-")
    base = train_base(folder, recipe, log)
    sampled = embedded_lm(str(embedded_path(base)), max_tokens=ANSWER_TOKENS)
    tuner = AggregationFineTuning(
        base / "model",
        output=output,
        serve=huggingface_lm,
        proposals=SampledProposals(sampled, keep=POOL, scorer=share_right)
        if arm.on_policy
        else GivenProposals(scores="scores"),
        references=FusorReferences(embedded_lm(recipe.stronger, max_tokens=ANSWER_TOKENS)),
        objective=arm.objective,
        training=recipe.training(seed),
        plain_share=recipe.plain_share if arm.objective in ("aft", "pseudo_aggregation") else 0.0,
        collected=folder / ("on-policy" if arm.on_policy else "off-policy"),
        tolerated_failures=0.02,
        num_threads=16,
        on_progress=lambda progress: _tell(name, progress, log),
    )
    tuner.compile(worksheet_program(width=POOL, depth=1), trainset=examples)
    return embedded_path(output)


def embedded_path(output: Path) -> Path:
    """Where ``huggingface_lm`` put the embedded model of a training."""
    return output / "embedded" / f"{output.name}.safetensors"


def _tell(name: str, progress: FineTuningProgress, log: Callable[[str], None]) -> None:
    if progress.stage == "training":
        log(f"{name}: step {progress.done}/{progress.total} loss {progress.values['loss']:.4f}")
    elif progress.done % 500 == 0:
        log(f"{name}: {progress.stage} {progress.done}/{progress.total}")
