"""Diagnosing for a person: candidates are drawn, looked at and written down, and MLflow is told."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.errors import ConfigurationError

from ..diagnoses.diagnosis_run import Finding
from ..diagnoses.diagnosis_tables import diagnosis_tables, sentences, spending_table, to_json
from ..diagnoses.look import Look
from ..presentation.progress import ProgressView
from ..presentation.quiet import only_errors_logged
from ..records.outbox import Told, parameters_of
from ..reports.tables_page import TablesPage
from ..runs.ray_work import Engine
from ..runs.run_file import read_about, writing
from ..runs.run_folder import RunFolder, default_folder, open_run
from ..runs.run_tracker import Tracker
from ..runs.run_writer import Place
from ..runs.tracking import default_uri, without_password
from ..tasks.loading import examples_about, examples_digest
from .comparison_workflow import warner

_NUMBERS = "diagnosis.json"


@dataclass(frozen=True)
class LookedAt:
    """A diagnosis that was drawn and written down.

    Attributes:
        finding: what was found.
        folder: where it lies.
        uri: of the MLflow store that was told; empty where none was.
    """

    finding: Finding
    folder: RunFolder
    uri: str


def look_at(look: Look, path: Path | None, log: Console, *, bank_url: str = "", engine: Engine = "local") -> LookedAt:
    """Draws what is not drawn yet, looks at all of it, writes it down and tells MLflow.

    Args:
        look: what to look at.
        path: folder of the diagnosis; None takes one under ``runs/`` that is the same for the same diagnosis.
        log: for progress and warnings.
        engine: ``local``, or ``ray`` for a Ray cluster.
        bank_url: of the bank that keeps what is drawn; empty takes one in the folder.

    Raises:
        ConfigurationError: the folder or the bank cannot be used, or nothing can be said about gains.
        RecordError: the folder holds another diagnosis.
        QuorumNotMet: no model answered.
    """
    config, examples = look.config, look.examples
    path = path or default_folder(config, look.fingerprints, prefix="diagnose-")
    task, split = look.drawing.task, config.split or look.drawing.task.splits[0]
    folder = open_run(path, config, look.fingerprints, examples=examples_about(task, split, examples))
    bank, uri = CandidateBank(bank_url or folder.bank_url), config.tracking_uri or default_uri(folder)
    log.print(look.told(bank), markup=False, highlight=False, soft_wrap=True)
    place = Place(uri, f"dspy-fusion diagnose {look.drawing.task.name}", folder.path)
    tracker = Tracker(place, warner(log), connected=config.tracking)
    quiet = only_errors_logged("dspy_fusion", "dspy", "LiteLLM")  # failures are counted
    with quiet, ProgressView(log, "examples", total=len(examples)) as progress:
        finding, _ = look.run(bank, progress.advance, engine=engine)
    with writing(folder.path):
        _write(look, finding, folder)
        run_id = tracker.finish(_told(look, finding))
    return LookedAt(finding, folder, without_password(uri) if run_id else "")


def show_finding(finding: Finding, console: Console, log: Console) -> None:
    """Prints the tables, the recommendation with its reasons, and the notes."""
    for table in (*diagnosis_tables(finding.diagnosis), spending_table(finding.spending, priced=finding.is_priced)):
        console.print(table.rich())
        console.print()
    for place, sentence in enumerate(sentences(finding.diagnosis)):
        console.print(sentence, style=None if place else "bold", markup=False, highlight=False, soft_wrap=True)
    for note in finding.notes:
        log.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)


def write_numbers(path: Path, finding: Finding) -> None:
    """Writes all numbers as JSON; raises ``ConfigurationError`` where the file cannot be written."""
    content = json.dumps(to_json(finding.diagnosis, finding.spending), indent=1, ensure_ascii=False, allow_nan=False)
    try:
        path.write_text(content + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}; choose another file with --out") from error


def _write(look: Look, finding: Finding, folder: RunFolder) -> None:
    from ..pools.curve_plot import draw_curves  # matplotlib is loaded only where figures are drawn

    write_numbers(folder.path / _NUMBERS, finding)
    diagnosis, drawing = finding.diagnosis, look.drawing
    plot = draw_curves(diagnosis.measured, folder.plots)
    advice, (head, *_) = diagnosis.advice, sentences(diagnosis)
    setup = {**parameters_of(look.config.kept), **read_about(folder.about, ("environment",))["environment"]}
    setup |= {
        "candidates per example": drawing.n,
        "temperature": drawing.temperature,
        "models": ", ".join(drawing.models),
    }
    page = TablesPage(
        title=look.config.title or f"{drawing.task.name}: what more candidates could gain",
        about=f"{len(look.examples)} examples, {drawing.n} candidates each, of {', '.join(drawing.models)}",
        head=head,
        because=[reason[0].upper() + reason[1:] for reason in advice.reasons],
        parts={"Not known from this": advice.unknown},
        notes=finding.notes,
        tables=(*diagnosis_tables(diagnosis), spending_table(finding.spending, priced=finding.is_priced)),
        plots=[plot],
        setup={name: str(value) for name, value in setup.items()},
    )
    folder.page.write_text(page.render(), encoding="utf-8")


def _told(look: Look, finding: Finding) -> Told:
    """What MLflow is told."""
    diagnosis, drawing = finding.diagnosis, look.drawing
    measured, prospects = diagnosis.measured, diagnosis.prospects
    values: dict[str, float] = {"examples": len(look.examples), "n_recommended": diagnosis.advice.n}
    ways = {"single": prospects.single, "best_model": prospects.best}
    ways |= {way.name: measured.curves[way.name][-1] for way in measured.ways}
    for name, estimate in ways.items():
        values |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    values |= {"beta": measured.beta.share, "beta_upper": measured.beta.upper}
    spent = next(iter(finding.spending.values()))
    values |= {"tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out, "cost_usd": spent.usd}
    plain = {"task": drawing.task.name, "n": drawing.n, "models": ", ".join(drawing.models)}
    return Told(
        parameters={**parameters_of(look.config.kept), **plain, "temperature": drawing.temperature},
        metrics={name: float(value) for name, value in values.items() if not math.isnan(value)},
        tags={"verdict": "; ".join(sentences(diagnosis)[:2]), "recommended": diagnosis.advice.strategy},
        files=["run.json", _NUMBERS, "report.html", "plots"],
        tables={"candidates.json": _side_by_side(finding)},
        data=_data(look),
        status="FINISHED",
    )


def _side_by_side(finding: Finding) -> Mapping[str, Any]:
    """One row a candidate."""
    heads = ["example", "inputs", "expected", "candidate", "answer", "score"]
    questions = finding.diagnosis.overview.pool.questions
    rows = [
        [question.id, question.text, question.gold, candidate.column, candidate.text, candidate.quality]
        for question in questions
        for candidate in question.candidates
    ]
    return {"columns": heads, "data": rows}


def _data(look: Look) -> Mapping[str, str]:
    source = {"task": look.drawing.task.name, "data": look.config.data}
    return {
        "name": f"{look.drawing.task.name} {look.config.split or 'test'}"[:500],
        "digest": examples_digest(look.examples)[:36],
        "source_type": "dspy-fusion",
        "source": json.dumps(source),
        "profile": json.dumps({"num_rows": len(look.examples)}),
    }
