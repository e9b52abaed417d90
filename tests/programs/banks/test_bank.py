from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import dspy
import pytest
import sqlalchemy as sa
from conftest import ScriptedLM, answers
from sqlalchemy import event

from dspy_fusion.programs import BankError, CandidateBank, Fusion, Vote


def url(path: Path) -> str:
    return f"sqlite:///{path}/bank.db"


def vote(bank: CandidateBank, **options: Any) -> Vote:
    return Vote(dspy.Predict("question -> answer"), bank=bank, **options)


def test_a_larger_n_draws_only_what_is_missing(tmp_path: Path) -> None:
    lm, bank = ScriptedLM(answers("a", "b")), CandidateBank(url(tmp_path))
    with dspy.context(lm=lm):
        vote(bank, n=3)(question="q")
        vote(bank, n=8)(question="q")
        Fusion(dspy.Predict("question -> answer"), n=5, bank=bank)(question="q")
    assert len(lm.requests) == len(bank) == 8 + 1


@pytest.mark.parametrize("change", ["instructions", "temperature", "seed", "model", "setting", "input", "adapter"])
def test_whatever_the_text_depends_on_makes_another_candidate(change: str, tmp_path: Path) -> None:
    bank, program = CandidateBank(url(tmp_path)), dspy.Predict("question -> answer")
    with dspy.context(lm=ScriptedLM(answers("a"))):
        Vote(program, n=2, bank=bank)(question="q")
    if change == "instructions":
        program.signature = program.signature.with_instructions("Be brief.")
    options = {"temperature": {"temperature": 0.1}, "seed": {"seed": 50}}.get(change, {})
    lm = ScriptedLM(answers("a"), name="scripted/other" if change == "model" else "scripted/model")
    lm = lm.copy(top_p=0.5) if change == "setting" else lm
    adapter = dspy.XMLAdapter() if change == "adapter" else None
    said = "<answer>a</answer>" if change == "adapter" else None
    with dspy.context(lm=ScriptedLM(lambda r: said) if said else lm, adapter=adapter):
        Vote(program, n=2, bank=bank, **options)(question="r" if change == "input" else "q")
    assert len(bank) == 4


def test_a_lost_connection_is_not_kept_but_an_unparsable_answer_is(tmp_path: Path) -> None:
    def broken(request: Any) -> Any:
        if request.config.seed == 0:
            raise ConnectionError("reset")
        return "no fields" if request.config.seed == 1 else {"answer": "a"}

    lm, bank = ScriptedLM(broken), CandidateBank(url(tmp_path))
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
        vote(bank, n=3)(question="q")
        pool = vote(bank, n=3)(question="q").pool
    assert len(lm.requests) == 3 + 1
    assert [candidate.replayed for candidate in pool.candidates] == [False, True, True]


def test_programs_that_ask_at_once_share_one_draw(tmp_path: Path) -> None:
    lm, bank = ScriptedLM(answers("a", "b", "c")), CandidateBank(url(tmp_path))
    dspy.configure(lm=lm)
    threads = [threading.Thread(target=lambda: vote(bank, n=3, lms=[lm])(question="q")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lm.requests) == 3


def test_recorded_answers_are_replayed_without_a_model(tmp_path: Path) -> None:
    bank = CandidateBank(url(tmp_path))
    program = vote(bank, n=3)
    bank.fill(program.attempts({"question": "q"}, 3), [{"answer": "x"}, {"answer": "y"}, {"answer": "y"}])
    assert program(question="q").answer == "y"
    with pytest.raises(BankError, match="1 recorded answers do not fit 3 attempts"):
        bank.fill(program.attempts({"question": "q"}, 3), [{"answer": "x"}])


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bank.db").write_text("<html>not a bank</html>" * 100)
    with pytest.raises(BankError, match=r"cannot open the bank 'sqlite:.*file is not a database"):
        CandidateBank(url(tmp_path))


@pytest.mark.parametrize("moment", ["CREATE TABLE dspy_fusion_bank", "INSERT INTO dspy_fusion_bank"])
def test_a_bank_that_another_makes_at_the_same_moment_is_opened(moment: str, tmp_path: Path) -> None:
    begun: list[str] = []
    others: list[CandidateBank] = []

    def another_first(_: Any, __: Any, statement: str, *rest: Any) -> None:
        if " ".join(statement.split()).startswith(moment) and not begun:
            begun.append(moment)
            others.append(CandidateBank(url(tmp_path)))

    event.listen(sa.Engine, "before_cursor_execute", another_first)
    try:
        bank = CandidateBank(url(tmp_path))
    finally:
        event.remove(sa.Engine, "before_cursor_execute", another_first)
    assert len(bank) == len(others[0]) == 0


def test_another_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(BankError, match="is a database but no candidate bank"):
        CandidateBank(url(tmp_path))


def test_another_version_is_refused(tmp_path: Path) -> None:
    CandidateBank(url(tmp_path)).close()
    with sqlite3.connect(tmp_path / "bank.db") as connection:
        connection.execute("UPDATE dspy_fusion_bank SET version = 99")
    with pytest.raises(BankError, match="is of version 99, but this library writes version 2"):
        CandidateBank(url(tmp_path))


@pytest.mark.parametrize("bad", ["nonsense", "sqlite:////no/such/folder/bank.db", "martian://bank"])
def test_an_address_that_leads_nowhere_is_refused(bad: str) -> None:
    with pytest.raises(BankError, match=f"cannot open the bank '{bad}'"):
        CandidateBank(bad)


def test_a_torn_candidate_is_an_error_and_not_an_answer(tmp_path: Path) -> None:
    bank = CandidateBank(url(tmp_path))
    with dspy.context(lm=ScriptedLM(answers("a"))):
        vote(bank, n=1)(question="q")
        with sqlite3.connect(tmp_path / "bank.db") as connection:
            connection.execute("UPDATE dspy_fusion_candidates SET payload = '{\"answ'")
        with pytest.raises(BankError, match="cannot be read"):
            vote(bank, n=1)(question="q")


def test_a_nested_replay_costs_what_it_cost_when_it_was_made(tmp_path: Path) -> None:
    bank = CandidateBank(url(tmp_path))
    with dspy.context(lm=ScriptedLM(answers("a", "b"))):
        first = Vote(Fusion(dspy.Predict("question -> answer"), n=2, bank=bank), n=2)(question="q").pool
        second = Vote(Fusion(dspy.Predict("question -> answer"), n=2, bank=bank), n=2)(question="q").pool
    assert first.total == second.total
    assert first.total.calls == 6


def test_a_password_is_not_shown() -> None:
    with pytest.raises(BankError, match=r"cannot open the bank 'martian://me:\*\*\*@host/bank'"):
        CandidateBank("martian://me:secret@host/bank")
