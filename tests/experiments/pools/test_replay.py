"""Recorded answers as the candidates of programs."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Sequence
from typing import Any, Literal

import dspy
import pytest
from conftest import ScriptedLM, answers

from dspy_fusion.experiments.pools.replay import RecordedBank
from dspy_fusion.experiments.recordings.recording import RecordedCandidate, RecordedQuestion
from dspy_fusion.experiments.recordings.store import RecordedSet, RecordedStore
from dspy_fusion.programs import CandidateBank, Fusion, ProposeAggregate, QuorumNotMet, Vote
from dspy_fusion.programs.errors import ConfigurationError

PROBE = RecordedCandidate("a", "long reasoning", "Paris", tokens_in=7, tokens_out=5, logprob=-0.5)


@pytest.fixture
def bank(store: RecordedStore, url: str) -> RecordedBank:
    """Two sets: capitals, asked of three sources, and one question in two languages."""
    capitals = [
        RecordedQuestion(
            "1", "Capital of France?", (PROBE, RecordedCandidate("b/x", "Lyon"), RecordedCandidate("c", "Paris"))
        ),
        RecordedQuestion("2", "Capital of Peru?", (RecordedCandidate("b/x", "Lima"),)),
    ]
    greetings = {"et": "Tere", "ro": "Salut"}
    hi = [
        RecordedQuestion(f"hi-{code}", "Hi", (RecordedCandidate("t", word),), group=code)
        for code, word in greetings.items()
    ]
    for name, questions in (("capitals", capitals), ("hi", hi)):
        store.begin(RecordedSet(name))
        store.add(name, questions)
    return RecordedBank(url)


def vote(bank: RecordedBank, names: Sequence[str], signature: Any = "question -> answer", **options: Any) -> Vote:
    return Vote(
        dspy.Predict(signature), lms=[bank.lm(name) for name in names], bank=bank, **{"n": len(names), **options}
    )


def texts(prediction: Any) -> list[str | None]:
    return [candidate.prediction and candidate.prediction.answer for candidate in prediction.pool.candidates]


def test_sources_answer_without_a_model(bank: RecordedBank) -> None:
    found = vote(bank, ["recorded/capitals/c", "recorded/capitals/b/x", "recorded/c"])(question="  capital of france? ")
    assert found.answer == "Paris"
    assert texts(found) == ["Paris", "Lyon", "Paris"]
    assert [candidate.lm for candidate in found.pool.candidates] == [
        "recorded/capitals/c",
        "recorded/capitals/b/x",
        "recorded/capitals/c",
    ]
    assert all(candidate.replayed for candidate in found.pool.candidates)
    assert len(bank) == 0


def test_text_and_answer_fill_a_tasks_fields(bank: RecordedBank) -> None:
    (candidate,) = vote(bank, ["recorded/a"], "question -> reasoning, answer")(
        question="Capital of France?"
    ).pool.candidates
    assert (candidate.prediction.reasoning, candidate.prediction.answer) == ("long reasoning", "Paris")
    assert (candidate.usage.calls, candidate.usage.tokens_in, candidate.usage.tokens_out, candidate.logprob) == (
        1,
        7,
        5,
        -0.5,
    )
    assert len(candidate.trace) == 1


def test_answers_have_the_tasks_types(bank: RecordedBank) -> None:
    class Which(dspy.Signature):
        question: str = dspy.InputField()
        answer: Literal["Lima", "Quito"] = dspy.OutputField()

    assert vote(bank, ["recorded/b/x"], Which)(question="Capital of Peru?").answer == "Lima"
    with pytest.raises(QuorumNotMet, match=r"ValidationError: .*Input should be 'Lima' or 'Quito'"):
        vote(bank, ["recorded/b/x"], Which)(question="Capital of France?")


def test_a_missing_answer_is_a_failed_candidate(bank: RecordedBank) -> None:
    found = vote(bank, ["recorded/a", "recorded/b/x"])(question="Capital of Peru?")
    assert texts(found) == [None, "Lima"]
    assert found.pool.candidates[0].error == "NotRecorded: 'a' has no recorded answer to question '2'"
    with pytest.raises(QuorumNotMet, match=r"NotRecorded: the question 'Capital of Chad\?' was not recorded"):
        vote(bank, ["recorded/a"])(question="Capital of Chad?")


def test_a_whole_set_deals_its_answers_in_a_seeded_order(bank: RecordedBank) -> None:
    orders = {
        tuple(texts(vote(bank, ["recorded/capitals"], n=3, seed=seed)(question="Capital of France?")))
        for seed in range(20)
    }
    assert {tuple(sorted(filter(None, order))) for order in orders} == {("Lyon", "Paris", "long reasoning")}
    assert len(orders) > 1
    more = vote(bank, ["recorded/capitals"], n=4)(question="Capital of France?")
    assert texts(more)[:3] == texts(vote(bank, ["recorded/capitals"], n=3)(question="Capital of France?"))
    assert (
        more.pool.candidates[3].error
        == "NotRecorded: question '1' has 3 recorded answers, fewer than candidate 3 needs"
    )


def test_one_text_in_several_groups_is_told_apart_by_another_input(bank: RecordedBank) -> None:
    task = "question, language -> answer"
    assert vote(bank, ["recorded/t"], task)(question="Hi", language="ro").answer == "Salut"
    bank.aliases = {"et": "Estonian"}
    assert vote(bank, ["recorded/t"], task)(question="Hi", language="Estonian").answer == "Tere"
    with pytest.raises(QuorumNotMet, match="NotRecorded: 2 recorded questions are 'Hi'"):
        vote(bank, ["recorded/t"])(question="Hi")


def test_a_real_model_fuses_recorded_candidates_and_its_answer_is_kept(bank: RecordedBank) -> None:
    lm = ScriptedLM(answers(fused="both"))
    names = ["recorded/a", "recorded/b/x", "recorded/c"]
    with dspy.context(lm=lm):
        for _ in range(2):
            program = Fusion(
                dspy.Predict("question -> answer"), n=3, lms=[bank.lm(name) for name in names], fusor_lm=lm, bank=bank
            )
            assert program(question="Capital of France?").answer == "both"
    assert len(lm.requests) == len(bank) == 1
    assert "Lyon" in lm.requests[0].messages[-1].text


def test_aggregation_layers_start_from_recorded_proposals(bank: RecordedBank) -> None:
    lm, names = ScriptedLM(answers(fused="made")), ["recorded/b/x", "recorded/c"]
    proposers = [bank.lm(name) for name in names]
    program = ProposeAggregate(
        dspy.Predict("question -> answer"), width=2, depth=2, lms=proposers, fusor_lm=lm, bank=bank
    )
    found = program(question="Capital of France?")
    assert (found.answer, texts(found), len(lm.requests)) == ("made", ["Lyon", "Paris"], 3)


def test_it_answers_in_an_event_loop_too(bank: RecordedBank) -> None:
    found = asyncio.run(vote(bank, ["recorded/c", "recorded/b/x", "recorded/c"]).acall(question="Capital of France?"))
    assert found.answer == "Paris"


def test_recorded_models_are_never_asked(bank: RecordedBank, url: str) -> None:
    with pytest.raises(QuorumNotMet, match="recorded/capitals/a cannot be asked: it stands for recorded answers"):
        Vote(dspy.Predict("question -> answer"), n=1, lms=[bank.lm("recorded/a")], bank=CandidateBank(url))(
            question="Capital of France?"
        )
    program = Fusion(
        dspy.Predict("question -> answer"), n=1, lms=[bank.lm("recorded/a")], fusor_lm=bank.lm("recorded/c"), bank=bank
    )
    with pytest.raises(
        ConfigurationError, match="recorded/capitals/c cannot read candidates: it only has recorded answers"
    ):
        program(question="Capital of France?")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("recorded/z", "there is no recorded model recorded/z; the bank's sets are: capitals, hi"),
        ("recorded/capitals/z", "the set 'capitals' has no source 'z'; it has: a, b/x, c"),
    ],
)
def test_names_that_are_not_there_are_refused(name: str, message: str, bank: RecordedBank) -> None:
    with pytest.raises(ConfigurationError, match=message):
        bank.lm(name)


def test_what_was_recorded_is_part_of_a_models_identity(bank: RecordedBank, url: str) -> None:
    before = bank.lm("recorded/capitals").kwargs
    bank.store.add("capitals", [RecordedQuestion("3", "?", (RecordedCandidate("a", "x"),))])
    assert (
        RecordedBank(url).lm("recorded/capitals").kwargs
        != before
        == RecordedBank(url).lm("recorded/hi").kwargs | before
    )


def test_the_bank_and_its_models_are_copied_by_reference(bank: RecordedBank) -> None:
    assert copy.deepcopy(bank) is bank
    assert type(pickle.loads(pickle.dumps(bank))) is RecordedBank
    assert copy.deepcopy(vote(bank, ["recorded/c"]))(question="Capital of France?").answer == "Paris"
