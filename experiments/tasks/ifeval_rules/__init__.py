"""IFEval: which instructions a response follows, checked by rules (arXiv 2311.07911), in four languages (M-IFEval,
arXiv 2502.04688).
"""

from .binding import Instruction, bind, bind_all
from .following import Following, OfficialScores, following, loose_versions, official_scores
from .instruction_types import INSTRUCTIONS

__all__ = [
    "INSTRUCTIONS",
    "Following",
    "Instruction",
    "OfficialScores",
    "bind",
    "bind_all",
    "following",
    "loose_versions",
    "official_scores",
]
