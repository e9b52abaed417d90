"""Optimizers: DSPy teleprompters that tune what programs of this library expose, prompts and numbers together."""

from __future__ import annotations

from .tuning.budget import Budget, BudgetSpent, Price, Spend, calls, dollars, gpu_seconds, tokens
from .tuning.instruction_proposals import InstructionProposer
from .tuning.metric import MetricError
from .tuning.optuna_tuner import OptunaTuner
from .tuning.score_intervals import Interval
from .tuning.search_space import Dimension, SearchSpace
from .tuning.tuning_report import Progress, TrialReport, TuningReport

__all__ = [
    "Budget",
    "BudgetSpent",
    "Dimension",
    "InstructionProposer",
    "Interval",
    "MetricError",
    "OptunaTuner",
    "Price",
    "Progress",
    "SearchSpace",
    "Spend",
    "TrialReport",
    "TuningReport",
    "calls",
    "dollars",
    "gpu_seconds",
    "tokens",
]
