"""A study for kills, with instructions proposed and rewritten, and what it leaves in its folder."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dspy_fusion.experiments.records.outbox import Outbox, as_told
from dspy_fusion.optimizers import TuningReport

from .compare_run import kept_marks

TRIALS = 6
CONFIG = f"""
task = "worksheets"
trials = {TRIALS}
examples = 8
held_out = 3
exclude = ["temperature", "fusor_temperature", "shuffle", "compare"]
instructions = ["Join what is right.", "Follow what most of them say."]
proposer = "proposer"
proposals = 2
reflect_every = 2
max_concurrency = 3
models = "models.toml"

[pools]
both = ["one", "two"]

[program]
program = "fusion"
pool = "both"
fusor = "fusor"
n = 2
"""
_OF_RUNS = (
    "storage",
    "spent",
    "replayed",
    "spent_cost",
    "notes",
    "trials",
    "chosen",
    "pareto",
)  # those with trials' numbers are below


def written(folder: Path) -> set[str]:
    """The marks of all answers that a study has kept: of its programs, and of the model that writes instructions."""
    texts = kept_marks(folder / "tuning.db", "dspy_fusion_texts", "text")
    return kept_marks(folder / "tuning-bank.db") | texts


def found_by(folder: Path) -> dict[str, Any]:
    """What a study found, without the trials' numbers: a trial that is taken up gets a new one."""
    report = TuningReport.load(folder / "tuning_report.json")
    trials = [{name: value for name, value in asdict(trial).items() if name != "number"} for trial in report.trials]
    places = {trial.number: place for place, trial in enumerate(report.trials)}
    whole = {name: value for name, value in asdict(report).items() if name not in _OF_RUNS}
    chosen = None if report.chosen is None else places[report.chosen]
    return {**whole, "trials": trials, "chosen": chosen, "pareto": [places[number] for number in report.pareto]}


def outcomes_of(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What every program did on every example, but for times and for which calls were replayed."""
    with sqlite3.connect(folder / "tuning.db") as database:
        rows = list(
            database.execute("SELECT program, example, payload FROM dspy_fusion_scores WHERE program != 'proposals'")
        )
    loaded = {(program, example): json.loads(payload) for program, example, payload in rows}
    return {
        key: {n: v for n, v in row.items() if n not in ("seconds", "spent", "spent_cost")}
        for key, row in loaded.items()
    }


def told(folder: Path) -> list[int]:
    """The numbers of the trials in the outbox."""
    told = map(as_told, Outbox(folder / "outbox.jsonl").messages())
    return sorted(int(item.tags["dspy_fusion.trial"]) for item in told if item.run)


def workers_of(folder: Path) -> set[str]:
    """The names of all workers that have ever been at a study."""
    with sqlite3.connect(f"file:{folder / 'tuning.db'}?mode=ro", uri=True, timeout=30) as database:
        try:
            return {row[0] for row in database.execute("SELECT worker FROM dspy_fusion_workers")}
        except sqlite3.OperationalError:
            return set()
