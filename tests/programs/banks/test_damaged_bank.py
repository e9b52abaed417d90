"""Whatever happens to a bank's file, its candidates come back as they were, are drawn anew, or a BankError says so."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import dspy
import pytest
from conftest import ScriptedLM, answers

from dspy_fusion.programs import BankError, CandidateBank, Vote


def used(path: Path, count: int = 40) -> list[str]:
    """The answers to some questions, drawn or replayed."""
    bank = CandidateBank(path)
    try:
        with dspy.context(lm=ScriptedLM(answers("the very answer " * 40))):
            program = Vote(dspy.Predict("question -> answer"), n=2, bank=bank)
            return [program(question=f"question {number}").answer for number in range(count)]
    finally:
        bank.close()


DAMAGES: dict[str, Callable[[bytearray, random.Random], bytes]] = {
    "one bit": lambda content, rng: _flipped(content, rng, 1),
    "many bits": lambda content, rng: _flipped(content, rng, 200),
    "cut off": lambda content, rng: bytes(content[: rng.randrange(len(content))]),
    "zeros": lambda content, rng: _zeroed(content, rng),
    "pages swapped": lambda content, rng: _swapped(content, rng),
}


def _flipped(content: bytearray, rng: random.Random, count: int) -> bytes:
    for _ in range(count):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _zeroed(content: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    return bytes(content)


def _swapped(content: bytearray, rng: random.Random) -> bytes:
    a, b = (4096 * rng.randrange(len(content) // 4096) for _ in range(2))
    content[a : a + 4096], content[b : b + 4096] = content[b : b + 4096], content[a : a + 4096]
    return bytes(content)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_a_bank_error_or_does_no_harm(kind: str, tmp_path: Path) -> None:
    good = tmp_path / "good.db"
    expected = used(good)
    content, told = good.read_bytes(), []
    for seed in range(15):
        path = tmp_path / f"{seed}.db"
        path.write_bytes(DAMAGES[kind](bytearray(content), random.Random(f"{kind} {seed}")))
        try:
            assert used(path) == expected
        except BankError as error:
            told.append(str(error))
    assert told
    assert all("the bank" in text and "\n" not in text for text in told)


@pytest.mark.parametrize("name", ["a?b.db", "50%20.db", "a#b.db", "two words.db", "ü.db", "a?timeout.db", "plain"])
@pytest.mark.parametrize("form", ["path", "text", "url"])
def test_paths_mean_what_they_say(name: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / "a folder?" / name
    path.parent.mkdir()
    where: Path | str = {"path": path, "text": str(path), "url": f"sqlite:///{path}"}[form]
    CandidateBank(where).close()
    assert path.is_file()
    assert [file.name for file in tmp_path.iterdir()] == ["a folder?"]


def test_options_of_sqlite_in_a_url_still_count(tmp_path: Path) -> None:
    assert len(CandidateBank(f"sqlite:///{tmp_path}/bank.db?timeout=30")) == 0
    assert (tmp_path / "bank.db").is_file()


def test_a_bank_of_the_first_version_is_read_and_says_that_candidates_are_drawn_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:

    path = tmp_path / "bank.db"
    CandidateBank(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE dspy_fusion_bank SET version = 1")
        connection.execute("INSERT INTO dspy_fusion_candidates VALUES ('0', '{}')")
    assert len(CandidateBank(path)) == len(CandidateBank(path)) == 1
    told = [record.getMessage() for record in caplog.records if "older version" in record.getMessage()]
    assert len(told) == 1
    assert "candidates are drawn anew" in told[0]


def test_a_candidate_under_another_key_is_noticed(tmp_path: Path) -> None:

    path = tmp_path / "bank.db"
    used(path, 1)
    with sqlite3.connect(path) as connection:
        (one, first), (two, second) = connection.execute("SELECT key, payload FROM dspy_fusion_candidates").fetchall()
        connection.execute("UPDATE dspy_fusion_candidates SET payload = ? WHERE key = ?", (second, one))
        connection.execute("UPDATE dspy_fusion_candidates SET payload = ? WHERE key = ?", (first, two))
    with pytest.raises(BankError, match="cannot be read: its digest does not fit"):
        used(path, 1)
