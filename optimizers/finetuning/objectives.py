"""What a model is trained to write from what: AFT, its SFT baseline, and the paper's two ablations (AFT,
arXiv 2501.11877, section 6.1); beyond the paper, preferences among the model's own aggregations (DPO, arXiv 2305.18290)
and rewards for them (GRPO, arXiv 2402.03300).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ObjectiveName = Literal["aft", "sft", "no_proposals", "pseudo_aggregation", "dpo", "grpo"]
Method = Literal["sft", "dpo", "grpo"]
"""How rows are learned: by heart, as one answer preferred to another, or by trying and being rewarded."""


@dataclass(frozen=True)
class Objective:
    """A kind of training row.

    Attributes:
        name: as the option ``objective`` says it.
        shows_proposals: whether the prompt is the fusor's, with the proposals in it, or else the task's own.
        target: what is learned: the ``reference``, the ``best`` proposal by score, the stronger model's ``direct``
            answer, which is no aggregation of these proposals, or the better of a ``pair`` of aggregations.
        method: how.
    """

    name: ObjectiveName
    shows_proposals: bool
    target: Literal["reference", "best", "direct", "pair"]
    method: Method = "sft"


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("aft", True, "reference"),
        Objective("sft", False, "best"),
        Objective("no_proposals", False, "reference"),
        Objective("pseudo_aggregation", True, "direct"),
        Objective("dpo", True, "pair", "dpo"),
        Objective("grpo", True, "reference", "grpo"),
    )
}
"""By name."""
