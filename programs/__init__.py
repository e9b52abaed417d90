"""Programs that draw several candidates for a task and take one of them, or make a new answer from them.

``CandidateBank`` is loaded when it is first asked for, because SQLAlchemy would double the time that importing this
package takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .best_of_n import BestOfN
from .budgeted import BudgetedEvaluate
from .calibration import calibrate
from .calls.limits import limited
from .errors import (
    Abstained,
    BankError,
    ConfigurationError,
    FusionError,
    FusorFailed,
    LimitReached,
    MissingExtra,
    MissingKey,
    QuorumNotMet,
    RecordError,
    ScorerError,
    UnknownOption,
    UnreadableVerdict,
)
from .fusion import Fusion
from .pools.candidates import Candidate, Pool, PooledPrediction, Usage
from .propose_aggregate import ProposeAggregate
from .scorers.code_agreement import CodeAgreement
from .scorers.code_process import CodeLimits
from .scorers.code_tests import CodeTests
from .scorers.gen_select import GenSelect
from .scorers.judge_panel import JudgePanel
from .scorers.judges import LMJudge
from .scorers.pairwise_judge import PairVerdict, PairwiseJudge
from .scorers.panel_agreement import PanelAgreement, panel_agreement
from .scorers.reward_model import RewardModel
from .scorers.scorer import Likelihood, RewardFunction, Scorer, Scores
from .scorers.tournament import PairwiseTournament
from .scorers.universal_self_consistency import UniversalSelfConsistency
from .stopping import Stopping
from .tasks.hyperparameters import Hyperparameter
from .tasks.instructions import FUSOR_INSTRUCTIONS
from .tasks.plain_adapter import PlainAdapter
from .tasks.signatures import candidate_text, fusor_signature, judge_signature, task_signature
from .vote import Vote

if TYPE_CHECKING:
    from .banks.bank import CandidateBank

__all__ = [
    "FUSOR_INSTRUCTIONS",
    "Abstained",
    "BankError",
    "BestOfN",
    "BudgetedEvaluate",
    "Candidate",
    "CandidateBank",
    "CodeAgreement",
    "CodeLimits",
    "CodeTests",
    "ConfigurationError",
    "Fusion",
    "FusionError",
    "FusorFailed",
    "GenSelect",
    "Hyperparameter",
    "JudgePanel",
    "LMJudge",
    "Likelihood",
    "LimitReached",
    "MissingExtra",
    "MissingKey",
    "PairVerdict",
    "PairwiseJudge",
    "PairwiseTournament",
    "PanelAgreement",
    "PlainAdapter",
    "Pool",
    "PooledPrediction",
    "ProposeAggregate",
    "QuorumNotMet",
    "RecordError",
    "RewardFunction",
    "RewardModel",
    "Scorer",
    "ScorerError",
    "Scores",
    "Stopping",
    "UniversalSelfConsistency",
    "UnknownOption",
    "UnreadableVerdict",
    "Usage",
    "Vote",
    "calibrate",
    "candidate_text",
    "fusor_signature",
    "judge_signature",
    "limited",
    "panel_agreement",
    "task_signature",
]


def __getattr__(name: str) -> Any:
    if name == "CandidateBank":
        from .banks.bank import CandidateBank

        return CandidateBank
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
