"""What is said of a fine-tuning while it runs, and what is known of it in the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dspy_fusion.programs.errors import RecordError
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.redaction import without_secrets

Stage = Literal["proposals", "references", "direct answers", "preferences", "training"]
"""What is under way."""


@dataclass(frozen=True)
class FineTuningProgress:
    """How far a fine-tuning is.

    Attributes:
        stage: what is under way.
        done: examples that have what the stage makes, or steps.
        total: of them.
        values: points of the training's curve: ``loss``, ``learning_rate`` and what else TRL reports; empty in other
            stages.
    """

    stage: Stage
    done: int
    total: int
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FineTuningReport:
    """What a fine-tuning did.

    Attributes:
        objective: its name.
        base: the checkpoint it began with.
        model: folder of the trained checkpoint, adapters merged.
        adapter: folder of the adapters, or an empty string where all weights were trained.
        rows: how many rows were trained on.
        dropped_proposals: how many proposals were left out because their rows were too long.
        failed: how many examples had to be left out because a model failed on them.
        merged: how many examples were left out because they equal another.
        unexplained: how many were left out because no reasoning led to their answers.
        unpaired: how many were left out because no aggregation was better than another.
        tokens: of the longest row.
        steps: of training.
        loss: mean over the last points of the curve.
        notes: what a reader should know of it, such as that there were few steps.
        measured: what an experiment measured of the trained model, as plain data; empty where nothing did.
    """

    objective: str
    base: str
    model: str
    adapter: str
    rows: int
    dropped_proposals: int
    tokens: int
    steps: int
    loss: float
    failed: int = 0
    merged: int = 0
    unexplained: int = 0
    unpaired: int = 0
    notes: tuple[str, ...] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)

    def of_folder(self, folder: Path) -> FineTuningReport:
        """The same of a folder that may have been moved since it was written."""
        adapter = str(folder / "adapter") if self.adapter else ""
        return replace(self, model=str(folder / "model"), adapter=adapter)

    def save(self, path: Path) -> None:
        """Writes it as JSON; raises ``RecordError`` where it cannot be written."""
        beside = path.with_suffix(".partial")
        try:
            beside.write_text(without_secrets(json.dumps(asdict(self), indent=2)) + "\n", encoding="utf-8")
            beside.rename(path)
        except OSError as error:
            raise RecordError(f"cannot write to {path.parent}: {error.strerror}; the model in it is whole") from error

    @classmethod
    def load(cls, path: Path) -> FineTuningReport:
        """Reads what :meth:`save` wrote.

        Raises:
            RecordError: there is no such file, or it holds something else.
        """
        try:
            said = read_json(path.read_text(encoding="utf-8"))
            return cls(**{**said, "notes": tuple(said.get("notes", ()))})
        except (OSError, ValueError, TypeError) as error:
            raise RecordError(f"cannot read the report {path}: {error}") from error
