"""Aggregation fine-tuning (AFT, arXiv 2501.11877): a model's weights are trained to write one answer from several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dspy_fusion.lazy_face import lazy_names

if TYPE_CHECKING:
    from .aggregation_finetuning import AggregationFineTuning as AggregationFineTuning
    from .aggregation_preferences import Preferences as Preferences
    from .files.training_row import TrainingRow as TrainingRow, read_training_rows as read_training_rows
    from .objectives import OBJECTIVES as OBJECTIVES, Objective as Objective
    from .proposals import GivenProposals as GivenProposals, Proposal as Proposal
    from .references import FusorReferences as FusorReferences, GoldReferences as GoldReferences
    from .row_finetuning import RowFineTuning as RowFineTuning
    from .sampled_proposals import SampledProposals as SampledProposals
    from .settings import Lora as Lora, Training as Training
    from .training_progress import FineTuningProgress as FineTuningProgress, FineTuningReport as FineTuningReport
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".aggregation_finetuning": ("AggregationFineTuning",),
            ".objectives": ("OBJECTIVES", "Objective"),
            ".aggregation_preferences": ("Preferences",),
            ".proposals": ("GivenProposals", "Proposal"),
            ".references": ("FusorReferences", "GoldReferences"),
            ".row_finetuning": ("RowFineTuning",),
            ".sampled_proposals": ("SampledProposals",),
            ".settings": ("Lora", "Training"),
            ".files.training_row": ("TrainingRow", "read_training_rows"),
            ".training_progress": ("FineTuningProgress", "FineTuningReport"),
        },
    )
