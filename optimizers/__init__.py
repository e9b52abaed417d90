"""Optimizers: DSPy teleprompters that tune what programs of this library expose, prompts and numbers together."""

from __future__ import annotations

from .budget import Budget, BudgetSpent, Price, Spend, calls, dollars, gpu_seconds, tokens
from .instruction_proposals import InstructionProposer
from .intervals import Interval
from .metric import MetricError
from .optuna_tuner import OptunaTuner
from .search_space import Dimension, SearchSpace
from .tuning_report import Progress, TrialReport, TuningReport

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
