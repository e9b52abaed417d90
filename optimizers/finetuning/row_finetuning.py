"""RowFineTuning: a student learns rows that are there already, such as those of a synthesis."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt import Teleprompter

from dspy_fusion.programs.errors import ConfigurationError

from .aggregation_finetuning import fusing_program
from .aggregation_rows import present_adapter
from .fitting import Fitter
from .settings import Training
from .training_folder import RowSource, TrainingFolder
from .training_progress import FineTuningProgress
from .training_row import TrainingRow


class RowFineTuning(Teleprompter):
    """Trains a model on rows of prompts and answers as they are, and puts it behind a program's fusor.

    What :class:`AggregationFineTuning` does with its rows, without collecting any: marked folder, checkpoints, curve,
    ``model``, ``adapter``, report; the same call goes on after ``kill -9``. Equal rows are merged.

    Args:
        base: a Hugging Face checkpoint: a folder, or a name on the Hub.
        rows: what is learned; :func:`~.training_row.read_training_rows` reads a file of them.
        output: a folder for checkpoints, the curve and the results.
        serve: from the folder of the trained checkpoint to the model that answers.
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
        serve: Callable[[Path], dspy.BaseLM],
        training: Training | None = None,
        on_progress: Callable[[FineTuningProgress], None] | None = None,
    ) -> None:
        super().__init__()
        if not rows:
            raise ConfigurationError("there are no rows to learn; give rows with a prompt and a completion")
        self.base, self.output, self.serve = str(base), Path(output), serve
        self.rows, self.training = tuple(rows), training or Training()
        self.on_progress = on_progress or (lambda progress: None)

    def compile(self, student: dspy.Module, *, trainset: list[dspy.Example] | None = None, **_: Any) -> dspy.Module:
        """Trains, and returns a copy of the program with the trained model behind its fusor.

        Args:
            student: a module with one Fusion or ProposeAggregate in it; it stays as it is.
            trainset: not used; the rows are what is learned.
        """
        fusing_program(student)
        folder = TrainingFolder(self.output, self.base, self.training, "raise", self.on_progress)
        unique = list(dict.fromkeys(row.to_line() for row in self.rows))
        folder.check(len(unique))
        by_line = {row.to_line(): row for row in self.rows}

        def write(fitter: Fitter) -> Iterator[TrainingRow | None]:
            for place, line in enumerate(unique):
                yield fitter.fit(place, (), lambda _, line=line: by_line[line])

        digest = hashlib.sha256("".join(unique).encode()).hexdigest()[:16]
        merged = len(self.rows) - len(unique)
        report = folder.train(RowSource("rows", {"rows": digest}, write, lambda: {"merged": merged}))
        compiled: Any = student.deepcopy()
        model = Path(report.model)
        fusing_program(compiled).put_trained(self.serve(model), model, present_adapter())
        compiled.finetuning_report = report
        return compiled
