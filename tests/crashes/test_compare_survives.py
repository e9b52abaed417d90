"""Comparisons that are killed at random moments, and go on until they have the records of one that nobody disturbed.

The long form is ``pytest -m long tests/crashes -s``.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from .answering_server import AnsweringServer
from .compare_run import CONFIG, kept_marks, records_of, write_models
from .crash_runs import Forker, Kills, moments

WORDS = ("compare", "compare.toml", "--no-tracking", "--out")
IN_FLIGHT = 3 * 3  # examples at a time, calls of one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: AnsweringServer, start: Forker) -> Path:
    """A folder with an undisturbed run in it."""
    made = tmp_path_factory.mktemp("runs")
    write_models(made, server)
    (made / "compare.toml").write_text(CONFIG)
    start.finish(made, *WORDS, "undisturbed")
    return made


def survive(start: Forker, server: AnsweringServer, folder: Path, seed: int, kills: int) -> int:
    """Kills a comparison and lets it go on, compares it with the undisturbed one, and returns how many kills met it."""
    asked, out, rng = kept_marks(folder / "undisturbed" / "bank.db"), f"killed-{seed}", random.Random(seed)
    server.asked.clear()
    made = Kills(server, len(asked), lambda: kept_marks(folder / out / "bank.db"))
    for share, jitter in moments(rng, kills):
        made.kill(start.start(folder, *WORDS, out), share, jitter)
    start.finish(folder, *WORDS, out)
    made.look()
    assert records_of(folder / out) == records_of(folder / "undisturbed")
    assert made.redrawn == set()
    assert set(server.asked) == asked == kept_marks(folder / out / "bank.db")
    assert len(server.asked) - len(asked) <= made.met * IN_FLIGHT
    return made.met


def test_a_killed_comparison_ends_with_the_records_of_an_undisturbed_one(
    folder: Path, server: AnsweringServer, start: Forker
) -> None:
    assert survive(start, server, folder, seed=1, kills=3) >= 2


@pytest.mark.long
def test_comparisons_survive_many_kills(folder: Path, server: AnsweringServer, start: Forker) -> None:
    found = Counter[str]()
    while found["kills"] < 40:
        found["kills"] += survive(start, server, folder, seed=100 + found["runs"], kills=8)
        found["runs"] += 1
    sys.stdout.write(f"\ncompare: {dict(found)}\n")
