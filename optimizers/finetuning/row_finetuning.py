"""RowFineTuning: a student learns rows that are there already, such as those of a synthesis."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt import Teleprompter

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.visible_options import refuse_unknown

from .aggregation_rows import fusing_program, present_adapter
from .files.training_row import TrainingRow
from .fitting import Fitter
from .objectives import Method
from .serving_models import Serving, memory_of, served_by
from .settings import Training
from .training_folder import RowSource, TrainingFolder
from .training_progress import FineTuningProgress


class RowFineTuning(Teleprompter):
    """Trains a model on rows of prompts and answers as they are, and puts it behind a program's fusor.

    What :class:`AggregationFineTuning` does with its rows, without collecting any: marked folder, checkpoints, curve,
    ``model``, ``adapter``, report; the same call goes on after ``kill -9``. Equal rows are merged. Rows with a rejected
    answer are learned as preferences (DPO, arXiv 2305.18290), with a beta of 0.1.

    Args:
        base: a Hugging Face checkpoint: a folder, or a name on the Hub.
        rows: what is learned; :func:`~.training_row.read_training_rows` reads a file of them.
        output: a folder for checkpoints, the curve and the results.
        serve: from the folder of the trained checkpoint to the model that answers.
        server: instead of ``serve``; see :class:`AggregationFineTuning`.
        training: how it is trained.
        on_progress: called for each point of the curve.

    Raises:
        ConfigurationError: an option, a row or the checkpoint is wrong, or the ``output`` is another training's.
        RecordError: the disk is full.
    """

    def __init__(
        self,
        base: str | Path,
        rows: Sequence[TrainingRow],
        *,
        output: str | Path,
        serve: Callable[[Path], dspy.BaseLM] | None = None,
        server: Serving | None = None,
        training: Training | None = None,
        on_progress: Callable[[FineTuningProgress], None] | None = None,
    ) -> None:
        super().__init__()
        if not rows:
            raise ConfigurationError("there are no rows to learn; give rows with a prompt and a completion")
        pairs = sum(bool(row.rejected) for row in rows)
        if pairs not in (0, len(rows)):
            raise ConfigurationError(
                f"{pairs} of {len(rows)} rows are preferences and the others are not; train on one kind after the other"
            )
        self.method: Method = "dpo" if pairs else "sft"
        self.base, self.output, self.server = str(base), Path(output), server
        self.serve = served_by(serve, server, self.base)
        self.rows, self.training = tuple(rows), training or Training()
        self.on_progress = on_progress or (lambda progress: None)

    def check(self, student: dspy.Module, examples: Sequence[dspy.Example] = ()) -> None:
        """Raises for what can be known to fail before a model is asked; ``examples`` are not used."""
        folder = self._checked(student)
        folder.load(RowSource("rows", {}, lambda _: iter(()), dict, self.method, None, None, *memory_of(self.server)))

    def _checked(self, student: dspy.Module) -> TrainingFolder:
        fusing_program(student)
        if self.server is not None:
            self.server.check()
        folder = TrainingFolder(self.output, self.base, self.training, "raise", self.on_progress)
        folder.check(len({row.to_line() for row in self.rows}))
        return folder

    def compile(
        self, student: dspy.Module, *, trainset: list[dspy.Example] | None = None, **unknown: Any
    ) -> dspy.Module:
        """Trains, and returns a copy of the program with the trained model behind its fusor.

        Args:
            student: a module with one Fusion or ProposeAggregate in it; it stays as it is.
            trainset: not used; the rows are what is learned.
            **unknown: none; anything else is refused.
        """
        refuse_unknown("RowFineTuning.compile", unknown, ("student", "trainset"))
        folder = self._checked(student)
        unique = list(dict.fromkeys(row.to_line() for row in self.rows))
        by_line = {row.to_line(): row for row in self.rows}

        def write(fitter: Fitter) -> Iterator[TrainingRow | None]:
            for place, line in enumerate(unique):
                yield fitter.fit(place, (), lambda _, line=line: by_line[line])

        digest = hashlib.sha256("".join(unique).encode()).hexdigest()[:16]
        merged = len(self.rows) - len(unique)
        memory = memory_of(self.server)
        about, counts = {"rows": digest}, {"merged": merged}
        source = RowSource("rows", about, write, lambda: counts, self.method, None, None, *memory)
        report = folder.train(source)
        compiled: Any = student.deepcopy()
        model = Path(report.model)
        fusing_program(compiled).put_trained(self.serve(model), model, present_adapter())
        compiled.finetuning_report = report
        return compiled
