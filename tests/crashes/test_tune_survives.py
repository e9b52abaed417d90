"""Studies that are killed at random moments, and go on:
with one worker to the very trials of a study that nobody disturbed.

Two workers take turns as time has it, so of theirs it is the outcomes that must be equal, program by program and
example by example.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from dspy_fusion.optimizers import TuningReport

from .answering_server import AnsweringServer
from .compare_run import write_models
from .crash_runs import Command, Forker, Kills, moments
from .tune_run import CONFIG, TRIALS, found_by, outcomes_of, told, workers_of, written

WORDS = ("tune", "tune.toml", "--no-tracking", "--out")
IN_FLIGHT = 3 * 14 + 2  # examples at a time, candidates of one at the most; proposals


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: AnsweringServer, start: Forker) -> Path:
    """A folder with an undisturbed run in it."""
    made = tmp_path_factory.mktemp("runs")
    write_models(made, server)
    (made / "tune.toml").write_text(CONFIG)
    start.finish(made, *WORDS, "undisturbed")
    return made


def survive(start: Forker, server: AnsweringServer, folder: Path, seed: int, kills: int) -> int:
    """Kills a study and lets it go on, compares it with the undisturbed one, and returns how many kills met it."""
    asked, out, rng = written(folder / "undisturbed"), f"killed-{seed}", random.Random(seed)
    server.asked.clear()
    made = Kills(server, len(asked), lambda: written(folder / out))
    for share, jitter in moments(rng, kills):
        made.kill(start.start(folder, *WORDS, out), share, jitter)
    start.finish(folder, *WORDS, out)
    made.look()
    assert found_by(folder / out) == found_by(folder / "undisturbed")
    assert outcomes_of(folder / out) == outcomes_of(folder / "undisturbed")
    check_folder(folder / out)
    assert made.redrawn == set()
    assert set(server.asked) == asked == written(folder / out)
    assert len(server.asked) - len(asked) <= made.met * IN_FLIGHT
    return made.met


def check_folder(out: Path) -> None:
    trials = TuningReport.load(out / "tuning_report.json").trials
    assert len(trials) == TRIALS
    assert all(trial.state in ("whole", "dropped") for trial in trials)
    assert told(out) == [trial.number for trial in trials]


def start_two(start: Forker, server: AnsweringServer, folder: Path, out: str) -> Command:
    """Starts two workers and lets neither go on before the other is there."""
    server.open.clear()
    before = len(workers_of(folder / out)) if (folder / out / "tuning.db").exists() else 0
    command = start.start(folder, *WORDS, out, "--workers", "2")
    while command.poll() is None and not (
        (folder / out / "tuning.db").exists() and len(workers_of(folder / out)) >= before + 2
    ):
        time.sleep(0.02)
    server.open.set()
    return command


def kill_second(command: Command, server: AnsweringServer, calls: int) -> int:
    """Kills the second worker alone, after so many calls, and returns whether there was one; the first one goes on."""
    while len(set(server.asked)) < calls and command.poll() is None:
        time.sleep(0.001)
    workers = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    found = [int(child) for child in workers.read_text().split()] if workers.exists() else []
    for child in found:
        os.kill(child, signal.SIGKILL)
    return len(found)


def survive_with_two(start: Forker, server: AnsweringServer, folder: Path, seed: int) -> int:
    """As :func:`survive`, with both workers killed, then the second, and then the first,
    which leaves the other at work.
    """
    out, rng = f"two-{seed}", random.Random(seed)
    server.asked.clear()
    calls = len(written(folder / "undisturbed"))
    made = Kills(server, calls, lambda: written(folder / out))
    shares = sorted(rng.uniform(0.1, 0.9) for _ in range(3))
    made.kill(start_two(start, server, folder, out), shares[0], rng.uniform(0, 0.05))
    command = start_two(start, server, folder, out)
    second = kill_second(command, server, round(shares[1] * calls))
    made.kill(command, shares[2], 0.0, whole_group=False)
    start.finish(folder, *WORDS, out)
    made.look()
    ours, theirs = outcomes_of(folder / out), outcomes_of(folder / "undisturbed")
    assert {key: ours[key] for key in ours.keys() & theirs.keys()} == {
        key: theirs[key] for key in ours.keys() & theirs.keys()
    }
    check_folder(folder / out)
    assert made.redrawn == set()
    assert set(server.asked) == written(folder / out)
    return made.met + second


def test_a_killed_study_ends_as_an_undisturbed_one(folder: Path, server: AnsweringServer, start: Forker) -> None:
    assert survive(start, server, folder, seed=1, kills=3) >= 2


def test_a_finished_study_run_again_finds_the_same_without_a_call(
    folder: Path, server: AnsweringServer, start: Forker
) -> None:
    found = found_by(folder / "undisturbed")
    server.asked.clear()
    start.finish(folder, *WORDS, "undisturbed")
    assert found_by(folder / "undisturbed") == found
    assert server.asked == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc to find the second worker in")
def test_a_study_of_two_killed_workers_ends_with_the_same_outcomes(
    folder: Path, server: AnsweringServer, start: Forker
) -> None:
    survive_with_two(start, server, folder, seed=1)


@pytest.mark.long
def test_studies_survive_many_kills(folder: Path, server: AnsweringServer, start: Forker) -> None:
    found = Counter[str]()
    while found["kills"] < 30:
        found["kills"] += survive(start, server, folder, seed=100 + found["runs"], kills=8)
        found["runs"] += 1
    while found["kills of two workers"] < 9:
        found["kills of two workers"] += survive_with_two(start, server, folder, seed=100 + found["runs of two"])
        found["runs of two"] += 1
    sys.stdout.write(f"\ntune: {dict(found)}\n")
