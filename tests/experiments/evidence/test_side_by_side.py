from __future__ import annotations

from collections.abc import Callable

from dspy_fusion.experiments.evidence.side_by_side import Gallery, gallery
from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.records.record import CandidateRecord, Record

Make = Callable[..., Record]


def shown(config: CompareConfig, records: list[Record], **options: object) -> Gallery:
    return gallery(summarize(config, records), records, **options)  # type: ignore[arg-type]


def test_widest_margins_come_first_and_counts_are_of_all(config: CompareConfig, record: Make) -> None:
    found = shown(config, [record("fusion", i, i / 10) for i in range(11)], each=2)
    assert [(sheet.outcome, sheet.record.score) for sheet in found.sheets] == [
        ("won", 1.0), ("won", 0.9), ("tied", 0.5), ("lost", 0.0), ("lost", 0.1),
    ]  # fmt: skip
    assert found.counts == ({"won": 5, "tied": 1, "lost": 5},)
    assert (len(found.sheets), found.total) == (5, 11)


def test_groups_take_turns(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", i, 1 - i / 100, group="de" if i < 9 else "sw") for i in range(12)]
    assert [sheet.record.group for sheet in shown(config, records, each=4).sheets] == ["de", "sw", "de", "sw"]


def test_fusing_strategies_come_first_and_oracles_not_at_all(config: CompareConfig, record: Make) -> None:
    records = [record(name, 0, 0.25) for name in ("single", "vote", "vote per part", "oracle", "fusion")]
    assert shown(config, records).names == ("fusion", "vote per part", "vote")


def test_what_is_new_in_a_fused_answer_is_marked(config: CompareConfig, record: Make) -> None:
    candidates = (CandidateRecord("one two three four", "m", 0.5), CandidateRecord("else", "m", 0.5))
    (sheet,) = shown(config, [record("fusion", 0, 0.5, answer="one two three five", candidates=candidates)]).sheets
    assert [(piece.text, piece.mark) for piece in sheet.answer.pieces] == [("one two three ", ""), ("five", "new")]


def test_right_lines_are_marked_where_the_task_can_tell(config: CompareConfig, record: Make) -> None:
    def marker(expected: str, answer: str) -> list[bool]:
        return [line == "a" for line in answer.splitlines()]

    (sheet,) = shown(config, [record("fusion", 0, 0.5, answer="a\nb")], marker=marker).sheets
    assert [(piece.text, piece.mark) for piece in sheet.answer.pieces] == [("a\n", "right"), ("b\n", "wrong")]


def test_candidates_say_where_they_were_shown_and_whether_they_are_the_answer(
    config: CompareConfig, record: Make
) -> None:
    made = record("fusion", 0, 0.5, shown=(1, 0))
    (sheet,) = shown(config, [record("fusion", 0, 0.5, shown=(1, 0), answer=made.candidates[0].text)]).sheets
    assert [candidate.remark for candidate in sheet.candidates] == ["shown 2., same as the answer", "shown 1."]


def test_long_texts_are_cut_and_say_by_how_much(config: CompareConfig, record: Make) -> None:
    (sheet,) = shown(config, [record("fusion", 0, 0.5, answer="x" * 10_000)]).sheets
    assert (len(sheet.answer.text), sheet.answer.left_out) == (6_000, 4_000)


def test_examples_end_where_the_page_would_grow_too_long(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", i, i / 10, answer="word " * 200) for i in range(11)]
    found = shown(config, records, most=3_000)
    assert (len(found.sheets), found.total) == (2, 11)


def test_failed_candidates_are_shown_with_their_reason(config: CompareConfig, record: Make) -> None:
    candidates = (CandidateRecord("a", "m", 0.5), CandidateRecord(None, "m", 0.0, error="too long"))
    (sheet,) = shown(config, [record("fusion", 0, 0.5, candidates=candidates)]).sheets
    assert sheet.candidates[1].text == "(failed) too long"


def test_nothing_to_show_is_an_empty_gallery(config: CompareConfig, record: Make) -> None:
    assert shown(config, [record("single", 0, 1.0)]).sheets == ()
