"""Experiments: what measures the programs.

The command is ``dspy-fusion``; as a library, begin with the names of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dspy_fusion.lazy_face import lazy_names

if TYPE_CHECKING:
    from .own_tasks.genai_scorers import genai_scorer as genai_scorer
    from .plans.comparison_config import CompareConfig as CompareConfig, StrategyConfig as StrategyConfig
    from .runs.comparison import Comparison as Comparison
    from .tasks import Task as Task, load_task as load_task
    from .workflows.comparison_result import ComparisonResult as ComparisonResult
    from .workflows.diagnosis_result import DiagnosisResult as DiagnosisResult
    from .workflows.own_comparison import compare as compare
    from .workflows.own_diagnosis import diagnose as diagnose
    from .workflows.own_tuning import tune as tune
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".own_tasks.genai_scorers": ("genai_scorer",),
            ".plans.comparison_config": ("CompareConfig", "StrategyConfig"),
            ".runs.comparison": ("Comparison",),
            ".tasks": ("Task", "load_task"),
            ".workflows.comparison_result": ("ComparisonResult",),
            ".workflows.diagnosis_result": ("DiagnosisResult",),
            ".workflows.own_comparison": ("compare",),
            ".workflows.own_diagnosis": ("diagnose",),
            ".workflows.own_tuning": ("tune",),
        },
    )
