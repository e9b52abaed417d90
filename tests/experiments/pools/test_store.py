from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from dspy_fusion.experiments.recordings.recording import RecordedCandidate, RecordedQuestion
from dspy_fusion.experiments.recordings.store import Added, RecordedSet, RecordedStore, open_store
from dspy_fusion.programs import BankError, CandidateBank
from dspy_fusion.programs.errors import ConfigurationError


def question(number: int, *sources: str) -> RecordedQuestion:
    return RecordedQuestion(
        f"q{number}", f"text {number}", tuple(RecordedCandidate(source, "x") for source in sources or ("m",))
    )


def test_questions_come_back_in_the_order_in_which_they_came(store: RecordedStore) -> None:
    store.begin(RecordedSet("s"))
    store.add("s", [question(3), question(1, "b", "a")])
    store.add("s", [question(2), question(1, "c")])
    assert [found.id for found in store.questions("s")] == ["q3", "q1", "q2"]
    assert [candidate.source for candidate in store.questions("s")[1].candidates] == ["b", "a", "c"]


def test_sets_are_apart(store: RecordedStore) -> None:
    for name in ("one", "two"):
        store.begin(RecordedSet(name, task="gsm8k"))
        assert store.add(name, [question(1)]) == Added(1, 1)
    assert store.sets == (RecordedSet("one", "gsm8k", "", 1, 1), RecordedSet("two", "gsm8k", "", 1, 1))


def test_a_set_is_found_by_name_or_by_being_alone(store: RecordedStore, url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"holds no recorded generations; dspy-fusion bank import FILE brings some in"
    ):
        store.set_named()
    store.begin(RecordedSet("one"))
    assert open_store(url).set_named().name == "one"
    store.begin(RecordedSet("two"))
    with pytest.raises(ConfigurationError, match="holds several sets; name one of: one, two"):
        store.set_named()
    with pytest.raises(ConfigurationError, match="holds no set 'three'; it holds: one, two"):
        store.set_named("three")


def test_two_writers_add_each_candidate_once(url: str) -> None:
    many = [question(number, "a", "b") for number in range(300)]
    added: list[Added] = []

    def write() -> None:
        store = RecordedStore(CandidateBank(url))
        added.append(store.add("s", many))

    CandidateBank(url)
    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.candidates for one in added) == 600
    assert len(RecordedStore(CandidateBank(url)).questions("s")) == 300


def test_a_bank_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"there is no bank at 'sqlite:///.*absent\.db'; dspy-fusion bank import FILE --bank"
    ):
        open_store(f"sqlite:///{tmp_path}/absent.db")
    assert not (tmp_path / "absent.db").exists()


def test_another_database_is_no_bank(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(BankError, match="is a database but no candidate bank"):
        open_store(f"sqlite:///{tmp_path}/other.db")


def test_a_torn_candidate_is_an_error(store: RecordedStore, tmp_path: Path) -> None:
    store.begin(RecordedSet("s"))
    store.add("s", [question(1)])
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("UPDATE dspy_fusion_recorded_candidates SET payload = '{\"sour'")
    with pytest.raises(BankError, match=r"the set 's' in the bank .* cannot be read"):
        store.questions("s")
