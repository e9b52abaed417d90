"""Syntheses that are killed at random moments, and go on until they have the rows of one that nobody disturbed,
byte for byte.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from .answering_server import AnsweringServer, marks_in
from .compare_run import write_models
from .crash_runs import Forker, Kills, moments

CONFIG = """
teachers = ["one", "two"]
samples = 2
shard_rows = 7
concurrency = 4
models = "models.toml"

[prompts]
file = "prompts.jsonl"
language = "en"

[best]
scorer = "judge"
model = "judge"

[fusion]
fusor = "fusor"

[gates]
language = false
"""
WORDS = ("synthesize", "synthesis.toml", "--out")
PROMPTS = [f"Tell of the {i}th voyage of the ship, where it went and what it brought home" for i in range(24)]
IN_FLIGHT = 4 * 9  # rows at a time, calls of one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: AnsweringServer, start: Forker) -> Path:
    """A folder with an undisturbed run in it."""
    made = tmp_path_factory.mktemp("runs")
    write_models(made, server)
    (made / "synthesis.toml").write_text(CONFIG)
    (made / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in PROMPTS))
    start.finish(made, *WORDS, "undisturbed")
    return made


APART = ("run.json", "mlflow.json", "outbox.jsonl")  # what says when a run was, or which one it is for MLflow


def files_of(folder: Path) -> dict[str, str]:
    """What lies in a folder when all is done, but for the lock, when it was begun, and the index,
    whose layout depends on its past.
    """
    kept = [
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix in (".jsonl", ".json") and path.name not in APART
    ]
    return {path.name: path.read_text() for path in kept}


def written(folder: Path) -> set[str]:
    """The marks of the answers in whole rows; of a row that was not written, every call is made again."""
    lines = [
        line
        for path in folder.glob("rows-*")
        for line in path.read_text().split("\n")[:-1]
        if path.suffix != ".partial"
    ]
    return set().union(*(marks_in(line) for line in lines))


def survive(start: Forker, server: AnsweringServer, folder: Path, seed: int, kills: int) -> int:
    """Kills a synthesis and lets it go on, compares it with the undisturbed one, and returns how many kills met it."""
    calls, out, rng = len(PROMPTS) * 9, f"killed-{seed}", random.Random(seed)
    server.asked.clear()
    made = Kills(server, calls, lambda: written(folder / out))
    for share, jitter in moments(rng, kills):
        made.kill(start.start(folder, *WORDS, out), share, jitter)
    start.finish(folder, *WORDS, out)
    made.look()
    assert files_of(folder / out) == files_of(folder / "undisturbed")
    assert not list((folder / out).glob("*.part*"))
    assert made.redrawn == set()
    assert len(set(server.asked)) == calls
    assert len(server.asked) - calls <= made.met * IN_FLIGHT
    return made.met


def test_a_killed_synthesis_ends_with_the_rows_of_an_undisturbed_one(
    folder: Path, server: AnsweringServer, start: Forker
) -> None:
    assert survive(start, server, folder, seed=1, kills=3) >= 2


@pytest.mark.long
def test_syntheses_survive_many_kills(folder: Path, server: AnsweringServer, start: Forker) -> None:
    found = Counter[str]()
    while found["kills"] < 40:
        found["kills"] += survive(start, server, folder, seed=100 + found["runs"], kills=8)
        found["runs"] += 1
    sys.stdout.write(f"\nsynthesize: {dict(found)}\n")
