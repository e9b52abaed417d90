"""The folder in which rows become a trained model: rows, training, report, each made once and gone on with.

Whatever was finished is never made again: the rows once their summary is there, a step once its checkpoint is, and all
of it once the report is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dspy_fusion.programs.errors import RecordError

from .collected import alone_in, check_about
from .fitting import Fitter
from .output_folder import check_free, claim, fingerprint
from .settings import Training, check_installed
from .training_progress import FineTuningProgress, FineTuningReport
from .training_row import TrainingRow

if TYPE_CHECKING:
    from .base_model import BaseModel

REPORT, ROWS, SUMMARY = "report.json", "rows.jsonl", "rows.json"
TooLong = Literal["raise", "drop_proposals"]


@dataclass(frozen=True)
class RowSource:
    """Where the rows of a training come from.

    Attributes:
        objective: its name, for the report.
        about: what the rows depend on, as plain data; another one is refused in the same folder.
        write: makes the rows, each of which a fitter has let through, or None for one that it has not.
        counts: once the rows are written, what is to be reported of them: fields of :class:`FineTuningReport`.
    """

    objective: str
    about: Mapping[str, Any]
    write: Callable[[Fitter], Iterator[TrainingRow | None]]
    counts: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class TrainingFolder:
    """A folder, the checkpoint that training begins with, and how it is trained."""

    output: Path
    base: str
    training: Training
    too_long: TooLong
    on_progress: Callable[[FineTuningProgress], None]

    def check(self, rows: int) -> str:
        """What can be known to fail before anything is paid for, with as many rows at most; nothing is touched.

        Returns:
            What is to be said of so few steps, or an empty string.

        Raises:
            ConfigurationError: the folder holds somebody else's files, a library is missing, or the steps do not reach
                beyond the warm-up.
        """
        check_free(self.output, self.base)
        check_installed()
        return self.training.check_rows(rows)

    def train(self, source: RowSource) -> FineTuningReport:
        """Goes through what is not there yet: rows, training, report."""
        from .base_model import load_base  # torch and transformers take seconds

        base = None if (self.output / REPORT).exists() else load_base(self.base, self.training)
        claim(self.output)
        with alone_in(self.output):
            chosen = {
                "base": self.base,
                "base_weights": fingerprint(self.base),
                "objective": source.objective,
                "too_long": self.too_long,
            }
            check_about(self.output / "about.json", {**chosen, **self.training.relevant, **source.about})
            if base is not None:
                self._train_from(base, source)
            return FineTuningReport.load(self.output / REPORT)

    def _train_from(self, base: BaseModel, source: RowSource) -> None:
        if not (self.output / SUMMARY).exists():
            self._write_rows(base, source)
        summary = json.loads((self.output / SUMMARY).read_text(encoding="utf-8"))
        few = self.training.check_rows(summary["rows"])
        from .training import last_loss, train

        steps = train(base, self.output / ROWS, self.output, self.training, self._log)
        adapter = str(self.output / "adapter") if self.training.lora else ""
        made = {"model": str(self.output / "model"), "adapter": adapter, "steps": steps, "loss": last_loss(self.output)}
        notes = (*_notes(summary), *([few] if few else []))
        FineTuningReport(source.objective, self.base, **made, **summary, notes=notes).save(self.output / REPORT)

    def _write_rows(self, base: BaseModel, source: RowSource) -> None:
        """Writes the rows, then what is to be said of them: with that, they are whole and never written again."""
        fitter = Fitter(base.tokens, base.context, self.too_long == "drop_proposals")
        rows = 0
        try:
            with (self.output / ROWS).open("w", encoding="utf-8") as file:
                for row in source.write(fitter):
                    if row is not None:
                        file.write(row.to_line())
                        rows += 1
            fitter.check(self.base)
            summary = {"rows": rows, "dropped_proposals": fitter.dropped, "tokens": fitter.longest, **source.counts()}
            beside = (self.output / SUMMARY).with_suffix(".partial")
            beside.write_text(json.dumps(summary), encoding="utf-8")
            beside.rename(self.output / SUMMARY)
        except OSError as error:
            raise RecordError(f"cannot write to {self.output}: {error.strerror}; what was collected is safe") from error

    def _log(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        self.on_progress(FineTuningProgress("training", step, steps, values))


def _notes(summary: Mapping[str, Any]) -> Iterator[str]:
    """What was left out, in words."""
    if count := summary.get("merged"):
        yield f"{count} examples equal others and were merged with them"
    if count := summary.get("unexplained"):
        yield f"{count} examples were left out: no reasoning of a proposal or a stronger model leads to their answers"
    if count := summary.get("failed"):
        yield f"{count} examples were left out because a model failed on them"
    if count := summary.get("dropped_proposals"):
        yield f"{count} proposals were left out because their rows were too long"
