"""Replaying the study from its recordings: the same comparisons as anywhere, and no model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
from rich.console import Console

from dspy_fusion.experiments.evidence.summary import Summary
from dspy_fusion.experiments.plans.strategy_programs import Site, build
from dspy_fusion.experiments.presentation.text_table import TextTable
from dspy_fusion.experiments.reports.views import Views
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.experiments.tasks import Task
from dspy_fusion.experiments.workflows.comparison_workflow import Outcome, carried_out
from dspy_fusion.programs.errors import RecordError
from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.recording_file import RequestRecording

from .arms import MostConsistentModel, TestedElseFused
from .plan import GATED, MUX, STUDIES, TEMPERATURE, Study, configured
from .recording import asking, recorded, task_of

RECORDINGS = Path(__file__).parents[2] / "experiments" / "recordings" / "real_models"
ABOUT = "about.json"


@dataclass(frozen=True)
class StudyModels:
    """The model of a study where comparisons look for models."""

    lms: dict[str, dspy.LM]

    def lm(self, name: str) -> dspy.LM:
        """The recorded model."""
        return self.lms[name]

    def price(self, name: str) -> Price:
        """Nothing: it runs on one's own machine."""
        return Price()


def opened(study: Study, folder: Path = RECORDINGS) -> RequestRecording:
    """The recording of a study: the packed one, or one that still grows."""
    packed = folder / f"{study.name}.jsonl.gz"
    return RequestRecording(packed if packed.is_file() else folder / f"{study.name}.jsonl")


def covered(study: Study, recording: RequestRecording, most: int, *, deep: bool) -> int:
    """Of how many questions, in their order, every call of every arm is recorded."""
    config, lm, task = configured(study, most, deep=deep), recorded(study, recording), task_of(study)
    programs = [build(s, Site(task, config.instructions, {study.model: lm}, None, 0)) for s in asking(config)]
    recording.missing.clear()
    for count, example in enumerate(task.examples(config.split, most)):
        for program in programs:
            try:
                with dspy.context(adapter=task.adapter()):
                    program(**example.inputs())
            except Exception as error:  # noqa: BLE001 (a question that failed when it was recorded fails again)
                del error
            if recording.missing:
                recording.missing.clear()
                return count
    return most


def replayed(study: Study, examples: int, out: Path, *, deep: bool, folder: Path = RECORDINGS) -> Views:
    """The comparison of a study, from what was recorded.

    Raises:
        NotRecorded: it lacks an answer.
        RecordError: nothing came of it.
    """
    recordings = {name: opened(STUDIES[name], folder) for name in (study.name, study.beside) if name}
    lms = {name: recorded(STUDIES[name], recording) for name, recording in recordings.items()}
    config, lm, task = configured(study, examples, deep=deep), lms[study.name], task_of(study)
    own = _own(study, task, list(lms.values()))
    comparison = prepare(config, StudyModels({study.model: lm}), out, task=task, own=own)
    outcome: Outcome = carried_out(comparison, Console(quiet=True))
    for recording in recordings.values():
        recording.check_complete()
    if outcome.views is None:
        raise RecordError(f"{out} holds no records")
    return outcome.views


def curve_table(summary: Summary) -> TextTable:
    """Quality at every n, a row for each arm that has a curve."""
    sizes = sorted({row.strategy.n for row in summary.curve})
    names = dict.fromkeys(row.strategy.curve_of or row.strategy.name for row in summary.curve)
    points = {(row.strategy.curve_of or row.strategy.name, row.strategy.n): row.score.mean for row in summary.curve}
    rows = [(name, *(f"{100 * points[name, n]:.1f}" if (name, n) in points else "" for n in sizes)) for name in names]
    return TextTable("percent right by number of candidates", ("arm", *map(str, sizes)), tuple(rows))


def _own(study: Study, task: Task, lms: list[dspy.LM]) -> dict[str, dspy.Module]:
    """The arms that are programs of their own, by the study's model and the one beside it."""
    own: dict[str, dspy.Module] = {}
    program = task.program(study.instructions)
    if study.tested and task.visible_tests is not None:
        own[GATED] = TestedElseFused(program, lms[0], n=study.middle, tests=task.visible_tests, temperature=TEMPERATURE)
    if study.beside:
        own[MUX] = MostConsistentModel(program, lms, n=study.n, normalize=task.vote_key, temperature=TEMPERATURE)
    return own


def about(folder: Path = RECORDINGS) -> dict[str, Any]:
    """What the recordings say of themselves: models, licences, hashes, numbers of questions."""
    return json.loads((folder / ABOUT).read_text(encoding="utf-8"))
