"""The folder in which rows become a trained model: rows, training, report, each made once and gone on with.

Whatever was finished is never made again: the rows once their summary is there, a step once its checkpoint is, and all
of it once the report is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dspy_fusion.programs.errors import RecordError
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.weights_digest import weights_digest

from .aggregation_preferences import Preferences
from .files.collected import alone_in, check_about
from .files.output_folder import check_free, claim
from .files.training_row import TrainingRow
from .fitting import Fitter
from .objectives import Method
from .rewards import HowToLearn, Rewards
from .settings import Training, check_installed
from .training_progress import FineTuningProgress, FineTuningReport

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
        method: how they are learned.
        preferences: the numbers of learning from preferences.
        rewards: of what the model draws while it learns.
        release: frees the memory that models took which made the rows; called before training begins.
        is_idle: whether they take none now, so that what is free can be compared with what training needs.
    """

    objective: str
    about: Mapping[str, Any]
    write: Callable[[Fitter], Iterator[TrainingRow | None]]
    counts: Callable[[], Mapping[str, Any]]
    method: Method = "sft"
    preferences: Preferences | None = None
    rewards: Rewards | None = None
    release: Callable[[], None] = lambda: None
    is_idle: Callable[[], bool] = lambda: True

    @property
    def draws(self) -> int:
        """How many answers to each row are drawn while it is learned."""
        return self.preferences.draws if self.method == "grpo" and self.preferences is not None else 1


@dataclass(frozen=True)
class TrainingFolder:
    """A folder, the checkpoint that training begins with, and how it is trained."""

    output: Path
    base: str
    training: Training
    too_long: TooLong
    on_progress: Callable[[FineTuningProgress], None]

    def check(self, rows: int, draws: int = 1) -> str:
        """What can be known to fail before anything is paid for, with as many rows at most, each of which so many
        answers are drawn to; nothing is touched.

        Returns:
            What is to be said of so few steps, or an empty string.

        Raises:
            ConfigurationError: the folder holds somebody else's files, a library is missing, or the steps do not reach
                beyond the warm-up.
        """
        check_free(self.output, self.base)
        check_installed()
        return self.training.check_rows(rows, draws)

    def load(self, source: RowSource) -> BaseModel | None:
        """The checkpoint that training begins with, checked with all that training needs.

        None where there is a report already.
        """
        from .base_model import load_base, together  # torch and transformers take seconds

        if (self.output / REPORT).exists():
            return None
        base = load_base(self.base, self.training, self.output if source.is_idle() else None)
        together(base, self.training, source.method)
        return base

    def train(self, source: RowSource) -> FineTuningReport:
        """Goes through what is not there yet: rows, training, report."""
        base = self.load(source)
        claim(self.output)
        with alone_in(self.output):
            chosen = {
                "base": self.base,
                "base_weights": weights_digest(self.base),
                "objective": source.objective,
                "too_long": self.too_long,
            }
            check_about(self.output / "about.json", {**chosen, **self.training.relevant, **source.about})
            if base is not None:
                self._train_from(base, source)
            return FineTuningReport.load(self.output / REPORT).of_folder(self.output)

    def _train_from(self, base: BaseModel, source: RowSource) -> None:
        if not (self.output / SUMMARY).exists():
            self._write_rows(base, source)
        source.release()
        summary = self._summary()
        few = self.training.check_rows(summary["rows"], source.draws)
        from .training import last_loss

        steps = self._learn(base, source)
        adapter = str(self.output / "adapter") if self.training.lora else ""
        made = {"model": str(self.output / "model"), "adapter": adapter, "steps": steps, "loss": last_loss(self.output)}
        notes = (*_notes(summary), *([few] if few else []))
        FineTuningReport(source.objective, self.base, **made, **summary, notes=notes).save(self.output / REPORT)

    def _summary(self) -> dict[str, Any]:
        """What was said of the rows when they were whole, and still holds of them."""
        path, said = self.output / SUMMARY, dict[str, Any]()
        try:
            said = dict(read_json(path.read_text(encoding="utf-8")))
            known, rows = said.pop("digest", None), said["rows"]
            is_same = known in (None, _digest(self.output / ROWS)) and isinstance(rows, int)
            wrong = "" if is_same else f"{ROWS} is another by now"
        except (OSError, ValueError, TypeError, KeyError) as error:
            wrong = f"it cannot be read: {type(error).__name__}: {error}"
        if wrong:
            raise RecordError(
                f"{path} does not say what is in {ROWS}: {wrong}; remove {path}, and the rows are written again from"
                " what was collected (rows of your own are learned by RowFineTuning, or --from)"
            )
        return said

    def _learn(self, base: BaseModel, source: RowSource) -> int:
        from .base_model import together
        from .training import train
        from .training_process import train_in_processes

        shared = (self.output / ROWS, self.output, self.training, self._log)
        if (count := together(base, self.training, source.method)) > 1:
            on_cpu = base.device == "cpu"
            return train_in_processes(count, base.name, *shared, source.method, source.preferences, on_cpu=on_cpu)
        return train(base, *shared, HowToLearn(source.method, source.preferences, source.rewards))

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
            summary["digest"] = _digest(self.output / ROWS)
            beside = (self.output / SUMMARY).with_suffix(".partial")
            beside.write_text(json.dumps(summary), encoding="utf-8")
            beside.rename(self.output / SUMMARY)
        except OSError as error:
            raise RecordError(f"cannot write to {self.output}: {error.strerror}; what was collected is safe") from error

    def _log(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        self.on_progress(FineTuningProgress("training", step, steps, values))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _notes(summary: Mapping[str, Any]) -> Iterator[str]:
    """What was left out, in words."""
    if count := summary.get("merged"):
        yield f"{count} examples equal others and were merged with them"
    if count := summary.get("unexplained"):
        yield f"{count} examples were left out: no reasoning of a proposal or a stronger model leads to their answers"
    if count := summary.get("unpaired"):
        yield f"{count} examples were left out: no aggregation of theirs is better than another"
    if count := summary.get("failed"):
        yield f"{count} examples were left out because a model failed on them"
    if count := summary.get("dropped_proposals"):
        yield f"{count} proposals were left out because their rows were too long"
