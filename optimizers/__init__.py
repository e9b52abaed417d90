"""Optimizers: DSPy teleprompters that tune what programs of this library expose, prompts and numbers together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dspy_fusion.lazy_face import lazy_names

if TYPE_CHECKING:
    from .bootstrap import Interval as Interval
    from .tuning.instruction_proposals import InstructionProposer as InstructionProposer
    from .tuning.optuna_tuner import OptunaTuner as OptunaTuner
    from .tuning.plugged_proposers import GEPAProposer as GEPAProposer, MIPROProposer as MIPROProposer
    from .tuning.scores.budget import (
        Budget as Budget,
        BudgetSpent as BudgetSpent,
        Price as Price,
        Spend as Spend,
        calls as calls,
        dollars as dollars,
        gpu_seconds as gpu_seconds,
        tokens as tokens,
    )
    from .tuning.scores.metric import MetricError as MetricError
    from .tuning.search.coordinate_sampler import CoordinateSampler as CoordinateSampler
    from .tuning.search_space import Dimension as Dimension, SearchSpace as SearchSpace
    from .tuning.tuning_report import Progress as Progress, TrialReport as TrialReport, TuningReport as TuningReport
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".tuning.scores.budget": (
                "Budget", "BudgetSpent", "Price", "Spend", "calls", "dollars", "gpu_seconds", "tokens",
            ),
            ".tuning.search.coordinate_sampler": ("CoordinateSampler",),
            ".tuning.instruction_proposals": ("InstructionProposer",),
            ".tuning.plugged_proposers": ("GEPAProposer", "MIPROProposer"),
            ".tuning.scores.metric": ("MetricError",),
            ".tuning.optuna_tuner": ("OptunaTuner",),
            ".bootstrap": ("Interval",),
            ".tuning.search_space": ("Dimension", "SearchSpace"),
            ".tuning.tuning_report": ("Progress", "TrialReport", "TuningReport"),
        },
    )  # fmt: skip
