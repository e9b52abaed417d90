from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dspy_fusion.experiments.records.record import Record
from dspy_fusion.experiments.records.record_file import RecordFile, read_records
from dspy_fusion.programs import ConfigurationError, RecordError

Make = Callable[..., Record]


def test_record_survives_the_round_trip(record: Make) -> None:
    made = record(
        "fusion", 1, 0.75, fallback="late", answer="a\u2028b", group="sw", aspects={"loose": 1.0}, shown=(1, 0)
    )
    assert Record.from_json(made.to_json()) == made


def test_record_of_an_older_run_can_be_read(record: Make) -> None:
    row = json.loads(record("fusion", 1, 0.75).to_json())
    old = json.dumps({key: value for key, value in row.items() if key not in ("group", "aspects", "shown")})
    assert Record.from_json(old) == record("fusion", 1, 0.75)


def test_torn_last_line_is_cut_off(tmp_path: Path, record: Make) -> None:
    path = tmp_path / "records.jsonl"
    whole = record("a", 0, 1.0).to_json() + "\n"
    path.write_text(torn := whole + record("a", 1, 1.0).to_json()[:40])
    assert len(read_records(path)) == 1
    file = RecordFile(path)
    assert path.read_text() == torn  # which another process may be writing
    file.append(record("a", 1, 0.5))
    assert [found.score for found in read_records(path)] == [1.0, 0.5]


def test_appended_is_readable_at_once(tmp_path: Path, record: Make) -> None:
    file = RecordFile(tmp_path / "records.jsonl")
    file.append(record("a", 0, 1.0))
    assert read_records(file.path) == file.records


def test_last_record_of_a_key_counts(tmp_path: Path, record: Make) -> None:
    file = RecordFile(tmp_path / "records.jsonl")
    file.append(record("a", 0, 0.0, error="QuorumNotMet: no"))
    file.append(record("a", 0, 1.0))
    assert [found.score for found in read_records(file.path)] == [1.0]


def test_threads_do_not_mix_lines(tmp_path: Path, record: Make) -> None:
    file = RecordFile(tmp_path / "records.jsonl")
    threads = [
        threading.Thread(target=lambda i=i: [file.append(record("a", i, 1.0, seed=s)) for s in range(20)])
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_records(file.path)) == 160


def test_damaged_line_names_its_place(tmp_path: Path, record: Make) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(record("a", 0, 1.0).to_json() + "\n{broken\n")
    with pytest.raises(RecordError, match=r"line 2: not a record: '\{broken'"):
        RecordFile(path)


def test_unwritable_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot write records to .*choose another folder"):
        RecordFile(tmp_path / "absent" / "records.jsonl")


def test_best_candidate_is_the_pools_maximum(record: Make) -> None:
    assert record("a", 0, 1.0, pool=(0.2, 0.8)).best_candidate == 0.8
    assert record("a", 0, 1.0, pool=()).best_candidate is None
