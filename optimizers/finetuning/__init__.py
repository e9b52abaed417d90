"""Aggregation fine-tuning (AFT, arXiv 2501.11877): a model's weights are trained to write one answer from several."""

from __future__ import annotations

from .aggregation_finetuning import AggregationFineTuning
from .objectives import OBJECTIVES, Objective
from .proposals import GivenProposals, Proposal, SampledProposals
from .references import FusorReferences, GoldReferences
from .settings import Lora, Training
from .training_progress import FineTuningProgress, FineTuningReport

__all__ = [
    "OBJECTIVES",
    "AggregationFineTuning",
    "FineTuningProgress",
    "FineTuningReport",
    "FusorReferences",
    "GivenProposals",
    "GoldReferences",
    "Lora",
    "Objective",
    "Proposal",
    "SampledProposals",
    "Training",
]
