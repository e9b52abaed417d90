"""The arms of the AFT papers in miniature: one embedded model, trained five ways on the same sheets, and then further.

The base is ``solver``, which can read candidates and answer, and has never aggregated, like the papers' base models.
The further arms begin with the one that was trained off-policy, on sheets of their own: the same again, preferences
among its own aggregations, and rewards for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.optimizers.finetuning import (
    AggregationFineTuning,
    FineTuningProgress,
    FusorReferences,
    GivenProposals,
    Preferences,
    SampledProposals,
    Training,
)
from dspy_fusion.optimizers.finetuning.objectives import OBJECTIVES, ObjectiveName
from dspy_fusion.programs import ProposeAggregate
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.huggingface import huggingface_lm, to_huggingface

from .aft_data import POOL, share_right
from .solver_weights import settings

ANSWER_TOKENS = 120


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        objective: what is learned.
        on_policy: whether the proposals are the base's own.
        further: whether it goes on from ``FIRST``, on sheets of its own.
        pass_at: for how many of its draws together it is rewarded where it is shown no proposals, half of its rows; 1
            for an arm that is shown some in all of them.
    """

    objective: ObjectiveName
    on_policy: bool = False
    further: bool = False
    pass_at: int = 1


ARMS = {
    "sft": Arm("sft"),
    "aft off-policy": Arm("aft"),
    "aft on-policy": Arm("aft", on_policy=True),
    "no proposals": Arm("no_proposals"),
    "pseudo-aggregation": Arm("pseudo_aggregation"),
    "aft more": Arm("aft", further=True),
    "aft then dpo": Arm("dpo", further=True),
    "aft then grpo": Arm("grpo", further=True),
    "aft v2": Arm("grpo", further=True, pass_at=4),
}
FIRST = "aft off-policy"
"""What the further arms begin with."""
"""``sft`` learns the best of five teachers' answers, ``no proposals`` what a stronger fusor makes of the same five."""


@dataclass(frozen=True)
class Recipe:
    """What all arms share.

    Attributes:
        base: the embedded model that all arms begin with.
        stronger: the one that writes references and direct answers.
        rate: the highest learning rate; all weights are trained.
        further_rate: that of preferences and rewards.
        draws: aggregations of a pool that are compared or rewarded.
        plain_share: of the rows of arms that show proposals; see :class:`AggregationFineTuning`.
    """

    base: str = "solver"
    stronger: str = "aft"
    rate: float = 1e-3
    further_rate: float = 1e-4
    draws: int = 8
    plain_share: float = 0.3

    def training(self, arm: Arm, seed: int) -> Training:
        """The settings: small batches and all weights, since the model is small and the rows are few."""
        if OBJECTIVES[arm.objective].method == "sft":
            return settings(seed, self.rate / 2 if arm.further else self.rate)
        return replace(settings(seed, self.further_rate), batch_size=32 if arm.objective == "grpo" else 8)

    def plain(self, arm: Arm) -> float:
        """The share of an arm's rows that show no proposals."""
        if arm.objective == "grpo":
            return 0.5 if arm.pass_at > 1 else 0.0
        return self.plain_share if arm.objective in ("aft", "pseudo_aggregation") else 0.0


def worksheet_program(*, temperature: float = 0.7, **options: Any) -> ProposeAggregate:
    """Propose-and-aggregate over the task program, with the paper's sampling."""
    solve = dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))
    return ProposeAggregate(solve, temperature=temperature, aggregation_temperature=0.7, **options)


def base_folder(folder: Path, recipe: Recipe) -> Path:
    """The checkpoint that all arms and seeds begin with."""
    return to_huggingface(recipe.base, folder / recipe.base)


def train_arm(
    name: str, folder: Path, recipe: Recipe, examples: list[dspy.Example], *, seed: int, log: Callable[[str], None]
) -> Path:
    """Trains an arm, or goes on with it; returns the embedded checkpoint.

    What is collected for an arm (proposals, references, direct answers) is shared with other arms and seeds where it is
    the same.
    """
    arm, output = ARMS[name], folder / f"seed-{seed}" / _slug(name)
    first = folder / f"seed-{seed}" / _slug(FIRST)
    sampled = embedded_lm(recipe.base, max_tokens=ANSWER_TOKENS)
    collected = "further" if arm.further else "on-policy" if arm.on_policy else "off-policy"
    tuner = AggregationFineTuning(
        first / "model" if arm.further else base_folder(folder, recipe),
        output=output,
        serve=huggingface_lm,
        proposals=SampledProposals(sampled, keep=POOL, scorer=share_right)
        if arm.on_policy
        else GivenProposals(scores="scores"),
        references=FusorReferences(embedded_lm(recipe.stronger, max_tokens=ANSWER_TOKENS)),
        objective=arm.objective,
        preferences=_preferences(arm, recipe, first),
        training=recipe.training(arm, seed),
        plain_share=recipe.plain(arm),
        collected=output if arm.objective == "dpo" else folder / collected,
        tolerated_failures=0.02,
        num_threads=16,
        on_progress=lambda progress: _tell(name, progress, log),
    )
    tuner.compile(worksheet_program(width=POOL, depth=1), trainset=examples)
    return embedded_path(output)


def _preferences(arm: Arm, recipe: Recipe, first: Path) -> Preferences | None:
    if OBJECTIVES[arm.objective].method == "sft":
        return None
    lm = embedded_lm(str(embedded_path(first)), max_tokens=ANSWER_TOKENS)
    return Preferences(share_right, lm=lm, draws=recipe.draws, answer_tokens=ANSWER_TOKENS, pass_at=arm.pass_at)


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def embedded_path(output: Path) -> Path:
    """Where ``huggingface_lm`` put the embedded model of a training."""
    return output / "embedded" / f"{output.name}.safetensors"


def scores_path(folder: Path, seed: int, name: str) -> Path:
    """Where what was measured of an arm is kept."""
    return folder / f"scores-{seed}-{_slug(name)}.json"


def _tell(name: str, progress: FineTuningProgress, log: Callable[[str], None]) -> None:
    if progress.stage == "training":
        log(f"{name}: step {progress.done}/{progress.total} loss {progress.values['loss']:.4f}")
    elif progress.done % 500 == 0:
        log(f"{name}: {progress.stage} {progress.done}/{progress.total}")
