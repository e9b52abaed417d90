# ruff: noqa: RUF001 (words of other scripts are no slips of the pen)
"""The language of an input is said where it is plain, and else nothing is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from shared_data import DATA, needs_data

from dspy_fusion.programs.tasks.languages import input_language

SENTENCES = {
    "German": "Wie viele Äpfel hat Anna noch, wenn sie drei von ihren zwölf an die Kinder im Garten verteilt?",
    "French": "Combien de pommes reste-t-il à Anne si elle en donne trois aux enfants dans le jardin ?",
    "Spanish": "¿Cuántas manzanas le quedan a Ana si da tres de sus doce manzanas a los niños en el jardín?",
    "Italian": "Quante mele ha ancora Anna se ne dà tre delle sue dodici ai bambini che sono nel giardino?",
    "Portuguese": "Quantas maçãs a Ana ainda tem se ela der três das suas doze maçãs para as crianças no jardim?",
    "Dutch": "Hoeveel appels heeft Anna nog als zij er drie van haar twaalf aan de kinderen in de tuin geeft?",
    "Russian": "Сколько яблок осталось у Анны, если она отдала три из двенадцати яблок детям в саду?",
    "Ukrainian": "Скільки яблук залишилося в Анни, якщо вона віддала три з дванадцяти яблук дітям у саду?",
    "Japanese": "アンナは12個のりんごのうち3個を子どもたちにあげました。何個残っていますか。",
    "Chinese": "安娜把十二个苹果中的三个给了花园里的孩子们，她还剩下几个苹果？",
    "Korean": "안나는 사과 열두 개 중에서 세 개를 아이들에게 주었습니다. 몇 개가 남았습니까?",
    "Arabic": "كم عدد التفاحات التي بقيت مع آنا إذا كانت قد أعطت ثلاث تفاحات إلى الأطفال في الحديقة؟",
    "Hindi": "अन्ना के पास बारह सेब थे और उसने बच्चों को तीन सेब दिए, तो उसके पास कितने सेब हैं?",
    "Greek": "Πόσα μήλα έχει ακόμη η Άννα αν δώσει τρία από τα δώδεκα στα παιδιά;",
    "Thai": "แอนนามีแอปเปิลสิบสองผลและให้เด็กสามผล เธอเหลือแอปเปิลกี่ผล",
    "Swahili": "Je, Anna ana matofaa mangapi kama alikuwa na kumi na mbili na kuwapa watoto wa bustani matatu?",
}  # fmt: skip
NOT_SAID = (
    "", "Hola", "Was?", "Wie viele?", "今日は", "12 + 30 = ?", "Paris, Berlin, Madrid, Roma, Lisboa, Amsterdam, Wien",
    "How many apples does Anna have left if she gives three of her twelve apples to the children in the garden?",
    "Translate into German: the weather is nice today and we are going to the park with our friends.",
    "def f(x):\n    return [y for y in x if y is not None]  # la vie en rose",
    "What does the Russian word яблоко mean, and how is it used in everyday speech?",
)  # fmt: skip


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_says_its_language(language: str) -> None:
    assert input_language([SENTENCES[language]]) == language


@pytest.mark.parametrize("text", NOT_SAID)
def test_nothing_is_said_of_english_or_what_is_not_plain(text: str) -> None:
    assert input_language([text]) is None


def test_inputs_in_two_languages_are_in_none() -> None:
    assert input_language([SENTENCES["German"], SENTENCES["Russian"]]) is None


NAMES = {
    "bn": "Bengali", "de": "German", "en": None, "es": "Spanish", "fr": "French", "ja": "Japanese", "ru": "Russian",
    "sw": "Swahili", "te": "Telugu", "th": "Thai", "zh": "Chinese",
}  # fmt: skip


@needs_data
@pytest.mark.parametrize("code", NAMES)
def test_real_questions_are_never_put_down_to_another_language(code: str) -> None:
    path = Path(DATA or "") / "mgsm" / f"{code}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        said = [input_language([json.loads(line)["question"]]) for line in lines]
    assert set(said) <= {NAMES[code], None}
    assert said.count(NAMES[code]) >= 0.85 * len(said)
