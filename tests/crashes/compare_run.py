"""A comparison for kills: every kind of call that a bank keeps,
on a server that answers the same request in the same way.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from .answering_server import AnsweringServer, marks_in

MODELS = ("one", "two", "fusor", "judge", "proposer")
_TIMES = ("seconds", "calls_made")  # calls that a killed run had made are replayed
CONFIG = """
task = "worksheets"
examples = 4
seeds = 2
n = 3
max_concurrency = 3
models = "models.toml"

[pools]
both = ["one", "two"]

[[strategy]]
name = "single"
program = "single"
pool = "one"

[[strategy]]
name = "vote"
program = "vote"
pool = "both"
every_n = true

[[strategy]]
name = "oracle"
program = "oracle"
pool = "both"

[[strategy]]
name = "judged"
program = "best_of_n"
pool = "both"
scorer = "judge"
judge = "judge"

[[strategy]]
name = "fusion"
program = "fusion"
pool = "both"
fusor = "fusor"

[[strategy]]
name = "layers"
program = "propose_aggregate"
pool = "both"
fusor = "two"
options = { depth = 2 }
"""


def write_models(folder: Path, server: AnsweringServer) -> None:
    tables = (
        f'[{name}]\noverride = true\nmodel = "openai/{name}"\naddress = "{server.address}"\nengine = "native"\n'
        for name in MODELS
    )
    (folder / "models.toml").write_text("".join(tables))


def records_of(folder: Path) -> list[dict[str, Any]]:
    """All records but for their times, in one order; a key that was written twice is there twice."""
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().split("\n") if line]
    without = ({name: value for name, value in row.items() if name not in _TIMES} for row in rows)
    return sorted(without, key=lambda row: (row["example"], row["strategy"], row["seed"]))


def kept_marks(database: Path, table: str = "dspy_fusion_candidates", column: str = "payload") -> set[str]:
    """The marks of the answers that a database keeps, read from a copy: opening it would mend what the kill left."""
    with tempfile.TemporaryDirectory() as folder:
        for end in ("", "-wal"):
            if Path(f"{database}{end}").exists():
                shutil.copy(f"{database}{end}", folder)
        with sqlite3.connect(Path(folder) / database.name) as copy:
            try:
                return marks_in("".join(row[0] for row in copy.execute(f"SELECT {column} FROM {table}")))
            except sqlite3.OperationalError:
                return set()  # killed before the table was made
            finally:
                copy.rollback()
