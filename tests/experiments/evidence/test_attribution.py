from __future__ import annotations

from collections.abc import Callable

import pytest

from dspy_fusion.experiments.evidence.attribution import attribution, attribution_table
from dspy_fusion.experiments.evidence.followed_candidates import followed, following
from dspy_fusion.experiments.evidence.origins import few_models
from dspy_fusion.experiments.presentation.figure_style import ALL_AGREE, NEW, OTHERS
from dspy_fusion.experiments.records.record import CandidateRecord, PartRecord, Record

Make = Callable[..., Record]
TEXTS = ("the cat sat on the mat", "a dog lay in the sun")


def fused(record: Make, answer: str | None, texts: tuple[str | None, ...] = TEXTS, **rest: object) -> Record:
    candidates = tuple(CandidateRecord(text, f"model{i}", 0.5) for i, text in enumerate(texts))
    return record("fusion", 0, 0.5, answer=answer, candidates=candidates, **{"parts": (), **rest})


def test_words_are_shared_out_over_the_candidates(record: Make) -> None:
    found = following(fused(record, "the cat sat on a dog lay in brand new snow"))
    assert found is not None
    assert (*found.given, found.common, found.new) == pytest.approx((4 / 11, 4 / 11, 0, 3 / 11))


def test_parts_are_shared_out_where_the_task_has_them(record: Make) -> None:
    parts = (
        PartRecord("a", "+", True, True, (0,)),
        PartRecord("b", "+", True, True, (0, 1)),
        PartRecord("c", "+", False, False, ()),
    )
    found = following(fused(record, "x", parts=parts))
    assert found is not None
    assert (*found.given, found.common, found.new) == pytest.approx((1 / 3, 0, 1 / 3, 1 / 3))


def test_a_failed_candidate_gives_nothing_and_stands_in_nobodys_way(record: Make) -> None:
    found = following(fused(record, "the cat sat", (None, TEXTS[0])))
    assert found is not None
    assert (found.given, found.common) == ((0.0, 0.0), 1.0)


@pytest.mark.parametrize(
    "rest", [{"answer": None, "error": "no"}, {"answer": "x", "fallback": "late"}, {"answer": "x", "texts": (None,)}]
)
def test_what_no_fusor_wrote_is_not_attributed(record: Make, rest: dict[str, object]) -> None:
    assert followed([fused(record, **rest)]) == []  # type: ignore[arg-type]


def test_shares_are_means_by_model_and_add_up(record: Make) -> None:
    pairs = followed([fused(record, TEXTS[0]), fused(record, "the cat sat on something else entirely now")])
    found = attribution("fusion", pairs)
    assert found is not None
    assert dict(found.shares) == pytest.approx({ALL_AGREE: 0, "model0": 0.75, "model1": 0, NEW: 0.25})
    assert (found.copies, found.used, found.answers, found.unit) == (0.5, 1.0, 2, "words")
    assert found.main_source == pytest.approx(0.75)


def test_table_names_every_origin(record: Make) -> None:
    found = attribution("fusion", followed([fused(record, "the cat sat on snow")]))
    assert found is not None
    table = attribution_table([found])
    row = dict(zip(table.heads, table.rows[0], strict=True))
    assert (row["model0"], row["model1"], row["new"], row["copies %"]) == ("80.0", "0.0", "20.0", "0.0")


def test_nothing_to_attribute_gives_nothing() -> None:
    assert attribution("fusion", []) is None


def test_many_models_become_a_few_and_the_rest() -> None:
    shares = [{ALL_AGREE: 0.1, **{f"m{i}": i / 100 for i in range(12)}}]
    (few,) = few_models(shares, most=3)
    assert few == pytest.approx({ALL_AGREE: 0.1, "m11": 0.11, "m10": 0.10, OTHERS: 0.45})
    assert few_models(shares, most=12) == shares
