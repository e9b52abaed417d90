"""The configuration of a diagnosis: what is drawn, and how large the steps after it would be. Only reads the file."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Annotated, Any

from pydantic import Field

from ..plans.run_config import RunConfig, relevant
from ..plans.typed_config import Count, Names, Temperature, Written, configuration, digest_of

EXAMPLES = 40
_IN_DIGEST_IF_SET = ("languages", "metric_judge", "adapter", "seed")
_SIZES = ("compared", "trials", "studied", "fusor", "judge", "judge_may_answer")  # what is told, not what is drawn


@configuration
class DiagnosisConfig(RunConfig):
    """A look at a few candidates for a few examples."""

    _: KW_ONLY
    task: str = ""
    """Name of the task: a built-in one, one that an installed package offers, or ``package.module:name`` of your own;
    rows of your own in ``data`` need none."""
    program: str = ""
    """The program whose answers are looked at, as ``package.module:name``; empty takes the task's own."""
    pool: Annotated[Names, Written(option="--models")] = ()
    """The models that answer, in turns; empty takes those of the program."""
    split: str = ""
    """Which examples of the task; empty takes the split that comparisons ask first."""
    examples: Annotated[int, Field(ge=2)] = EXAMPLES
    """How many to look at; 20 to 50 are enough."""
    n: Count | None = None
    """Candidates per example; None takes as many as the program draws, or 5."""
    temperature: Temperature | None = None
    """Of the candidates; None takes that of the program, or 1 for a task's own program."""
    fusor: str = ""
    """The model that would fuse, for the estimated cost."""
    judge: str = ""
    """The model that would judge, for the estimated cost."""
    compared: Count = 200
    """Questions of the comparison whose cost is estimated."""
    trials: Count = 40
    """Trials of the study whose cost is estimated."""
    studied: Count = 100
    """Questions that its trials are scored on."""

    @property
    def relevant(self) -> dict[str, Any]:
        """Everything that can change a candidate, as plain mappings and lists."""
        return relevant(self, but=_SIZES, if_set=_IN_DIGEST_IF_SET)

    @property
    def digest(self) -> str:
        """The first 12 hexadecimal digits of the hash of what is relevant."""
        return digest_of(self.relevant, 12)
