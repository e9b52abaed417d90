"""A fresh bank, files of recorded answers, and pools made of letters."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.recordings.recording import RecordedCandidate, RecordedQuestion
from dspy_fusion.experiments.recordings.store import RecordedStore
from dspy_fusion.programs import CandidateBank


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bank.db"


@pytest.fixture
def store(url: str) -> RecordedStore:
    return RecordedStore(CandidateBank(url))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes rows as JSON lines, compressed where the name says so, and returns the path;
    a text is written as it is.
    """

    def make(rows: Sequence[Mapping[str, Any] | str], name: str = "answers.jsonl") -> str:
        text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + ("\n" if rows else "")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return str(path)

    return make


@pytest.fixture
def pool() -> Callable[..., RecordedPool]:
    """A pool of which each row is a word: one letter a candidate, a capital is right,
    ``-`` is missing and ``?`` has no readable answer.
    """

    def make(*rows: str, **recorded: Sequence[Sequence[Any]]) -> RecordedPool:
        questions = []
        for number, row in enumerate(rows):
            found = []
            for place, letter in enumerate(row):
                if letter == "-":
                    continue
                more = {name: values[number][place] for name, values in recorded.items()}
                answer = None if letter == "?" else letter
                quality = float(letter.isupper())
                found.append(
                    RecordedCandidate(f"s{place}", **{"text": letter * 3, "answer": answer, "quality": quality, **more})
                )
            questions.append(RecordedQuestion(f"q{number}", f"question {number}", tuple(found)))
        columns = sorted({candidate.source for question in questions for candidate in question.candidates})
        return RecordedPool.of("letters", questions, columns=columns)

    return make
