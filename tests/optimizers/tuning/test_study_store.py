from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dspy_fusion.optimizers.tuning.scores.study_store import Outcome, StudyStore
from dspy_fusion.programs import ConfigurationError, RecordError, Usage

OUTCOME = Outcome("e1", 0.5, 3.0, Usage(4, 40, 8), Usage(1, 10, 2), 0.75, feedback="so so", candidates=("a", "b"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def test_outcomes_come_back_as_they_were_kept(url: str) -> None:
    StudyStore(url, "s").keep("p", OUTCOME)
    assert StudyStore(url, "s").outcomes("p") == {"e1": OUTCOME}


def test_programs_and_studies_are_kept_apart(url: str) -> None:
    store = StudyStore(url, "s")
    store.keep("p", OUTCOME)
    assert store.outcomes("other") == StudyStore(url, "other").outcomes("p") == {}


def test_the_first_outcome_stays(url: str) -> None:
    store = StudyStore(url, "s")
    store.keep("p", OUTCOME)
    store.keep("p", Outcome("e1", 1.0))
    assert store.outcomes("p")["e1"].score == 0.5


def test_totals_tell_what_was_spent_from_what_was_replayed(url: str) -> None:
    store = StudyStore(url, "s")
    assert store.totals().spent == Usage()
    store.keep("p", OUTCOME)
    store.keep("q", OUTCOME)
    totals = store.totals()
    assert (totals.spent, totals.replayed, totals.cost) == (Usage(2, 20, 4), Usage(6, 60, 12), 1.5)


def test_texts_keep_their_places(url: str) -> None:
    store = StudyStore(url, "s")
    store.add_texts("fusor", ["one", "two"], "given")
    store.add_texts("fusor", ["two", "three", "three"], "reflected")
    assert store.texts("fusor") == [("one", "given"), ("two", "given"), ("three", "reflected")]


def test_texts_are_added_all_or_none(url: str, tmp_path: Path) -> None:
    store = StudyStore(url, "s")
    with sqlite3.connect(tmp_path / "study.db") as connection:
        stop = "begin select raise(abort, 'pulled the plug'); end"
        connection.execute(f"create trigger t before insert on dspy_fusion_texts when new.place = 1 {stop}")
    with pytest.raises(
        RecordError, match=r"cannot write to the study's storage: pulled the plug; what was completed before is safe"
    ):
        store.add_texts("fusor", ["one", "two"], "given")
    assert store.texts("fusor") == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, not a database " * 50)
    with pytest.raises(ConfigurationError, match=r"cannot open the storage .*notes\.txt.*not a database"):
        StudyStore(f"sqlite:///{tmp_path / 'notes.txt'}", "s")


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table orders (id integer)")
    with pytest.raises(ConfigurationError, match=r"shop\.db' is a database but holds no studies"):
        StudyStore(f"sqlite:///{tmp_path / 'shop.db'}", "s")


def test_passwords_are_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot open the storage 'nosql://me:\*\*\*@host/db'"):
        StudyStore("nosql://me:secret@host/db", "s")
