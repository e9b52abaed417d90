from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dspy_fusion.programs.pools.folding import folded_text


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Paris", "PARIS."),
        ("Paris", "Paris!"),
        ("Paris", "  paris ,"),
        ("Paris", "\uff30\uff41\uff52\uff49\uff53"),
        ("Paris", "**Paris**"),
        ("Paris", "*Paris*."),
        ("Paris", "**Paris.**"),
        ("Paris", "__Paris__"),
        ("Paris", "_Paris_"),
        ("Paris", "`Paris`"),
        ("Paris", '"Paris"'),
        ("Paris", "\u201cParis.\u201d"),
        ("Paris", "\u00abParis\u00bb"),
        ("Paris", "'Paris'"),
        ("Paris", "Par\u200bis\ufeff"),
        ("Paris", "Par\u00adis"),
        ("Paris", "P\u200daris"),
        ("New York", "New\u00a0York"),
        ("New York", "new\n york"),
        ("Paris, France", "Paris France"),
        ("St. Louis", "St Louis"),
        ("it's", "it\u2019s"),
        ("1-2", "1\u20132"),
        ("-1", "\u22121"),
        ("the **big** one", "the big one"),
        ("\u0968\u096a", "24"),
        ("caf\u00e9", "cafe\u0301"),
        ("10\u00b2", "10^2"),
        ("3\u00bd", "3 1/2"),
        ("\u6771\u4eac", "\u6771\u4eac\u3002"),
        ("\u0926\u093f\u0932\u094d\u0932\u0940\u0964", "\u0926\u093f\u0932\u094d\u0932\u0940"),
        ("H\u2082O", "H2O"),
        ("5 MHz", "5 mhz"),
        ("5 PM", "5 pm"),
        ("1 mb", "1 MB"),
        ("Stra\u00dfe", "STRASSE"),
    ],
)
def test_dress_makes_no_difference(left: str, right: str) -> None:
    assert folded_text(left) == folded_text(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("C", "C++"),
        ("C", "C#"),
        ("1", "-1"),
        ("35", "3.5"),
        ("a.b", "ab"),
        (".NET", "NET"),
        ("50%", "50"),
        ("$5", "5"),
        ("5!", "5"),
        ("n!", "n"),
        ("10\u00b2", "102"),
        ("3\u00bd", "31/2"),
        ("__init__", "init"),
        ("2*3*4", "234"),
        ("*args", "args"),
        ("snake_case_name", "snakecasename"),
        ("resume", "r\u00e9sum\u00e9"),
        ("\u0e40\u0e01\u0e32", "\u0e40\u0e01\u0e48\u0e32"),
        ("\u0915\u093f", "\u0915"),
        ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc", "\u0646\u0627\u0645\u0647\u0627\u06cc"),
        ("5 mW", "5 MW"),
        ("100 Mb", "100 MB"),
        ("10:30", "1030"),
        ("1,2", "12"),
        ("?", "!"),
        ("...", ""),
        ("a/b", "ab"),
        ("well-known", "wellknown"),
        ("He said 'no' and 'yes'", "He said no and yes"),
    ],
)
def test_meaning_makes_a_difference(left: str, right: str) -> None:
    assert folded_text(left) != folded_text(right)


@given(st.text(max_size=40))
def test_folding_is_stable_and_ignores_case_space_and_bold(text: str) -> None:
    folded = folded_text(text)
    assert folded_text(f"  {text}\t") == folded
    assert folded == " ".join(folded.split())
    assert bool(folded) == bool(folded_text(text + "\u200b"))
