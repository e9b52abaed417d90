from __future__ import annotations

import pytest

from dspy_fusion.experiments.readers.name_matching import names_one_of


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("nairobi", "Nairobi"),
        ("The Nile.", "Nile"),
        ("It is Mary Baker Eddy.", "Mary Baker Eddy"),
        ("WHOI", "Woods Hole Oceanographic Institution (WHOI)"),
        ("とんかつです", "とんかつ"),
        ("ลาบ", "ลาบ (Larb)"),
        ("सुकुमा विकी", "सुकुमा विकी (Sukuma Wiki)"),
        ("१९११", "1911"),
        ("In 1856.", "1856"),
        ("1932", "1932年"),
        ("J D Salinger", "J. D. Salinger"),
    ],
)
def test_an_accepted_name_is_found(answer: str, accepted: str) -> None:
    assert names_one_of(answer, ["something else", accepted])


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ("", "Nairobi"),
        ("Mombasa", "Nairobi"),
        ("Nilometer", "Nile"),
        ("between 1856 and 1860", "1856"),
        ("18560", "1856"),
        ("6 June", "16"),
        ("Nairobi " + "or one of many other towns " * 5, "Nairobi"),
        ("anything", "()"),
    ],
)
def test_another_name_is_not(answer: str, accepted: str) -> None:
    assert not names_one_of(answer, [accepted])
