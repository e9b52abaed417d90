from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

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
        ("18 (for 3 hens)", "en", "18"),
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


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1{,}000", "1000"),
        ("\\boxed{1{,}000}", "1000"),
        ("1\\,000", "1000"),
        ("\\$125{,}000", "125000"),
        ("3/4 cup", "3/4"),
        ("2 1/2 hours", "5/2"),
        ("3-1/2 inches", "7/2"),
        ("2\u00bd cups", "5/2"),
        ("2\\frac{1}{2}", "5/2"),
        ("\\dfrac{3}{4}", "3/4"),
        ("1.5e3", "1500"),
        ("3 x 10^5", "300000"),
        ("1.5 \u00d7 10\u00b3 eggs", "1500"),
        ("$1.2 million", "1200000"),
        ("3.5 lakh", "350000"),
        ("$12.5k", "12500"),
        ("\u20135", "-5"),
        ("-$5", "-5"),
        ("minus 5 degrees", "-5"),
        ("negative 7", "-7"),
        ("The answer is -5.", "-5"),
        ("Answer: \u22125", "-5"),
        ("#### -5", "-5"),
        ("Answer - 5", "5"),
        ("5 apples (2 red and 3 green)", "5"),
        ("50 miles in 7 hours", "50"),
        ("$42 for 6 hours", "42"),
        ("10:00", "10"),
        ("10:30 am", "21/2"),
        ("US$5.50", "11/2"),
        ("Rs. 1,23,456", "123456"),
        ("1'234", "1234"),
        ("COVID-19 killed 7", "7"),
        ("\u0661\u0662", "12"),
        ("\u0661\u066c\u0662\u0663\u0664\u066b\u0665", "2469/2"),
        ("\\boxed{18\\text{ eggs}}", "18"),
        ("5 x 3", "15"),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, number: str) -> None:
    assert read_number(text) == Fraction(number)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("#### 18 eggs, of 20", "en"),
        ("#### 18\nThat took 3 steps.", "en"),
        ("The answer is 18. There were 20 at first.", "en"),
        ("The answer is: $18", "en"),
        ("**Answer:** 18 (see step 3)", "en"),
        ("Final Answer: 18\n\nExplanation: 20 - 2 are left, as of 3 pm", "en"),
        ("<answer>18</answer>", "en"),
        ('{"answer": 18}', "en"),
        ("$\\boxed{18}$ of 20", "en"),
        ("Die Antwort ist 18, nicht 20", "de"),
        ("La respuesta es 18 de 20", "es"),
        ("La r\u00e9ponse est 18 sur 20", "fr"),
        ("\u041e\u0442\u0432\u0435\u0442: 18 \u0438\u0437 20", "ru"),
        ("\u7b54\u6848\u662f18\uff0c\u4e0d\u662f20", "zh"),
        ("\u7b54\u3048\u306f18\u3067\u300120\u3067\u306f\u3042\u308a\u307e\u305b\u3093", "ja"),
        ("\u0e04\u0e33\u0e15\u0e2d\u0e1a\u0e04\u0e37\u0e2d 18 \u0e44\u0e21\u0e48\u0e43\u0e0a\u0e48 20", "th"),
        ("\u0989\u09a4\u09cd\u09a4\u09b0: \u09e7\u09ee, \u09e8\u09e6 \u09a8\u09af\u09bc", "bn"),
        ("\u0c38\u0c2e\u0c3e\u0c27\u0c3e\u0c28\u0c02: 18, 20 \u0c15\u0c3e\u0c26\u0c41", "te"),
        ("Jibu ni 18, si 20", "sw"),
    ],
)
def test_the_stated_answer_wins_over_what_follows_it(text: str, language: str) -> None:
    assert read_number(text, language) == 18


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("Forty-two apples", "en", 42),
        ("The answer is one hundred and five.", "en", 105),
        ("minus five", "en", -5),
        ("three thousand", "en", 3000),
        ("zweiundvierzig", "de", 42),
        ("cuarenta y dos", "es", 42),
        ("quarante-deux", "fr", 42),
        ("\u0441\u043e\u0440\u043e\u043a \u0434\u0432\u0430", "ru", 42),
        ("\u56db\u5341\u4e8c", "ja", 42),
        ("\u4e00\u767e\u4e8c\u5341", "zh", 120),
        ("\u09b8\u09be\u09a4", "bn", 7),
        ("3\u4e075\u5343\u5186", "ja", 35000),
        ("1,5 Millionen", "de", 1_500_000),
    ],
)
def test_numbers_in_words_are_read(text: str, language: str, number: int) -> None:
    assert read_number(text, language) == number


@pytest.mark.parametrize("text", ["H2O", "ratio 3:4", "no one", "A1", "an egg"])
def test_digits_within_a_name_and_articles_are_no_number(text: str) -> None:
    assert read_number(text) is None


@given(st.integers(-(10**9), 10**9), st.sampled_from(["en", "de", "fr", "hi"]))
def test_whole_numbers_are_read_with_and_without_separators(number: int, language: str) -> None:
    assert read_number(str(number), language) == number
    assert read_number(f"{number:,}", language) == number
    assert read_number(f"{number:,}".replace(",", "\u202f"), language) == number
    assert read_number(f"#### {number}\n(2 steps)", language) == number


@given(st.text(max_size=60))
def test_any_text_is_read_or_not(text: str) -> None:
    number = read_number(text)
    assert number is None or isinstance(number, Fraction)


@pytest.mark.parametrize("text", ["", "I do not know", "1/0", "\\frac{1}{0}", "1.2.3", "a = b", "+-*/"])
def test_no_number_is_none(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize("text", ["9^9^9^9", "9^{9^{9}}", "(9^{99})^{99}", "9**9**9**9", "99!" * 40, "(" * 5000 + "1"])
def test_formulas_that_would_run_away_are_not_worked_out(text: str) -> None:
    number = read_number(text)
    assert number is None or number < 100
