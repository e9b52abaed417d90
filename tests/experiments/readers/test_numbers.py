from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest

from dspy_fusion.experiments.readers.numbers import read_number


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("18", "en", "18"),
        ("The answer is **18**.", "en", "18"),
        ("$1,080.00 a week", "en", "1080"),
        ("-5", "en", "-5"),
        ("\N{MINUS SIGN}5 degrees", "en", "-5"),
        ("50%", "en", "50"),
        ("3 + 4 = 7 eggs", "en", "7"),
        ("Solution ... #### 2,125", "en", "2125"),
        ("\\boxed{18} eggs, of 20", "en", "18"),
        ("18 (for 3 hens)", "en", "3"),
    ],
)
def test_the_stated_number_is_read(text: str, language: str, number: str) -> None:
    assert read_number(text, language) == Fraction(number)


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("১৮", "bn", "18"),
        ("৫,৬৫,৩২১ টাকা", "bn", "565321"),
        ("๑,๒๕๐ บาท", "th", "1250"),
        ("౧౮", "te", "18"),
        ("\uff11\uff0c\uff15\uff10\uff10円", "ja", "1500"),
        ("12万円", "ja", "120000"),
        ("答案是18。", "zh", "18"),
        ("1.000", "de", "1000"),
        ("1.000", "en", "1"),
        ("1,000", "de", "1000"),
        ("2,5 Liter", "de", "5/2"),
        ("1.234,56 €", "es", "123456/100"),
        ("0.125", "de", "1/8"),
        ("1\u202f000,5", "fr", "2001/2"),
        ("1 000 рублей", "ru", "1000"),
    ],
)
def test_scripts_and_separators_follow_the_language(text: str, language: str, number: str) -> None:
    assert read_number(text, language) == Fraction(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7/2", "7/2"),
        ("3 1/2", "7/2"),
        ("3½", "7/2"),
        ("\\frac{7}{2}", "7/2"),
        ("$\\sqrt{16}$", "4"),
        ("2 * 9", "18"),
        ("1.2\\times 10^3", "1200"),
        ("10³", "1000"),
    ],
)
def test_formulas_are_worked_out_in_any_thread(text: str, number: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        assert set(threads.map(read_number, [text] * 4)) == {Fraction(number)}


@pytest.mark.parametrize("text", ["", "I do not know", "1/0", "\\frac{1}{0}", "1.2.3", "a = b", "+-*/"])
def test_no_number_is_none(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize("text", ["9^9^9^9", "9^{9^{9}}", "(9^{99})^{99}", "9**9**9**9", "99!" * 40, "(" * 5000 + "1"])
def test_formulas_that_would_run_away_are_not_worked_out(text: str) -> None:
    number = read_number(text)
    assert number is None or number < 100
