"""Full disks and folders that may not be written: one line, exit code 2, nothing that was completed lost,
and then it goes on.

The full disk is a small file system in memory, which only the command sees. Root writes wherever it likes, so the
read-only folder is that file system, too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dspy_fusion.experiments.records.record_file import read_records

from .answering_server import AnsweringServer
from .compare_run import CONFIG as COMPARE, kept_marks, write_models
from .crash_runs import Forker, forker
from .test_synthesize_survives import CONFIG as SYNTHESIS, PROMPTS, written
from .tune_run import CONFIG as TUNE, outcomes_of

READ_ONLY = "dspy-fusion: cannot write to the folder small/run: Read-only file system"


@dataclass(frozen=True)
class Case:
    """A command, the kilobytes that are too few for it, and how much it has completed in a folder."""

    words: tuple[str, ...]
    kilobytes: int
    completed: Callable[[Path], int]


def rows(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("rows-*"))


CASES = {
    "compare": Case(
        ("compare", "compare.toml", "--no-tracking"), 300, lambda out: len(read_records(out / "records.jsonl"))
    ),
    "tune": Case(("tune", "tune.toml", "--no-tracking"), 700, lambda out: len(outcomes_of(out))),
    "synthesize": Case(("synthesize", "synthesis.toml"), 40, rows),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    made = CASES[request.param]
    return Case((*made.words, "--out", "small/run"), made.kilobytes, made.completed)


@pytest.fixture
def folder(tmp_path: Path, server: AnsweringServer) -> Path:
    write_models(tmp_path, server)
    (tmp_path / "compare.toml").write_text(COMPARE)
    (tmp_path / "tune.toml").write_text(TUNE)
    (tmp_path / "synthesis.toml").write_text(SYNTHESIS)
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in PROMPTS))
    (tmp_path / "small").mkdir()
    server.asked.clear()
    return tmp_path


@pytest.fixture(scope="module")
def apart() -> Iterator[Forker]:
    """Starts commands where ``mount`` has an effect on them alone."""
    words = ("unshare", "-rm")
    probe = [*words, "mount", "-t", "tmpfs", "none", "/tmp"]
    if shutil.which(words[0]) is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this system lets no one mount a file system of their own")
    with forker(*words) as made:
        yield made


def marks(out: Path) -> set[str]:
    """The marks of all answers that a run of any kind has kept."""
    return written(out).union(*(kept_marks(path) for path in out.glob("*bank.db"))) if out.exists() else set()


def complaint(said: str) -> str:
    """The one line of what went wrong."""
    assert "Traceback" not in said
    (line,) = (line for line in said.splitlines() if line.startswith("dspy-fusion:"))
    return line


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    apart: Forker, folder: Path, server: AnsweringServer, case: Case
) -> None:
    apart.shell(folder, f"mount -t tmpfs -o size={case.kilobytes}k none small")
    said = complaint(apart.finish(folder, *case.words, code=2))
    assert "disk is full" in said or "No space left" in said
    apart.shell(folder, "cp -r small/run full && mount -o remount,size=50m small")
    apart.finish(folder, *case.words)
    apart.shell(folder, "cp -r small/run whole")
    kept = marks(folder / "full")
    assert kept <= marks(folder / "whole")
    assert all(server.asked.count(mark) == 1 for mark in kept)
    assert case.completed(folder / "full") < case.completed(folder / "whole")
    apart.shell(folder, "mount -o remount,ro small")
    assert complaint(apart.finish(folder, *case.words, code=2)).startswith(READ_ONLY)


def test_a_read_only_folder_is_one_line_before_any_call(
    apart: Forker, folder: Path, server: AnsweringServer, case: Case
) -> None:
    apart.shell(folder, "mount -t tmpfs -o ro none small")
    assert complaint(apart.finish(folder, *case.words, code=2)).startswith(READ_ONLY)
    assert server.asked == []


def test_a_file_that_may_not_grow_is_one_line_and_the_run_goes_on(start: Forker, folder: Path, case: Case) -> None:
    out = folder / "small" / "run"
    complaint(start.finish(folder, *case.words, code=2, largest_file=case.kilobytes * 1024 // 4))
    kept = marks(out)
    start.finish(folder, *case.words)
    assert kept <= marks(out)
