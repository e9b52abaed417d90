"""For each type of instruction: its arguments, a response that follows it, and one that does not."""

from __future__ import annotations

from typing import Any

Case = tuple[str, dict[str, Any], str, str]

ENGLISH_TEXT = "the old lighthouse keeper climbs the stairs every evening and lights the lamp for the ships"
SPANISH_TEXT = "el viejo farero sube la escalera cada tarde y enciende la lámpara para los barcos que vuelven"
FRENCH_TEXT = "le vieux gardien du phare monte les marches chaque soir et allume la lampe pour les bateaux"

ENGLISH: list[Case] = [
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "GO to the FAR-OFF sea",
        "GO to sea",
    ),
    ("change_case:english_capital", {}, ENGLISH_TEXT.upper(), ENGLISH_TEXT),
    ("change_case:english_lowercase", {}, ENGLISH_TEXT, FRENCH_TEXT),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hello."}, "say hello. Hello!", "Hello! Say hello."),
    ("combination:two_responses", {}, "one\n******\ntwo", "one\n******\none"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name], at [place]", "[name], here"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Yours\np. p. s. write", "Yours\nP.S. write"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "Maybe."),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', '{"a": [1]} as wanted'),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Day", "num_sections": 2},
        "Day 1\na\nDay 2\nb",
        "Day 1\na\nDay two",
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "Two:\n* a\n - b", "Two:\n* a\n- b\n- c"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* and * *"),
    ("detectable_format:title", {}, "<<a song>>\nla", "<< >>\nla"),
    ("keywords:existence", {"keywords": ["War", "c++"]}, "in wartime C++ was slow", "in wartime c was slow"),
    ("keywords:forbidden_words", {"forbidden_words": ["war"]}, "in wartime", "the War ended"),
    ("keywords:frequency", {"keyword": "sea", "frequency": 2, "relation": "less than"}, "Sea", "sea, overseas"),
    ("keywords:letter_frequency", {"letter": "E", "let_frequency": 2, "let_relation": "at least"}, "Eel", "ear"),
    ("language:response_language", {"language": "fr"}, FRENCH_TEXT, ENGLISH_TEXT),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
        "a\n\n'Then, b",
        "a\n\nb then",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***", "a\n***\n***\nb"),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "Mr. Po left. He ran.",
        "Mr. Po left early.",
    ),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "well-known", "a well-known"),
    ("punctuation:no_comma", {}, "one; two", "one, two"),
    ("startend:end_checker", {"end_phrase": "The end."}, 'so\n"the END." ', "The end. So"),
    ("startend:quotation", {}, ' "all of it" ', '"all" of it'),
]

SPANISH: list[Case] = [
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 1, "capital_relation": "al menos"},
        "el MAR",
        "el Mar",
    ),
    ("change_case:spanish_capital", {}, SPANISH_TEXT.upper(), FRENCH_TEXT.upper()),
    ("change_case:spanish_lowercase", {}, SPANISH_TEXT, SPANISH_TEXT.capitalize()),
    ("combination:repeat_prompt", {"prompt_to_repeat": "¿Qué tal?"}, "¿Qué tal? Bien.", "Bien."),
    ("combination:two_responses", {}, "uno******dos", "uno"),
    ("detectable_content:number_placeholders", {"num_placeholders": 1, "relation": "como máximo"}, "[a]", "[a] [b]"),
    ("detectable_content:postscript", {"postscript_marker": "P.D."}, "Adiós\nP. D. Escribe", "Adiós"),
    ("detectable_format:constrained_response", {}, "Quizás.", "Tal vez."),
    ("detectable_format:json_format", {}, "{}", "{"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "SECCIÓN", "num_sections": 1, "relation": "al menos"},
        "SECCIÓN 1\na",
        "a",
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "* a\n- b", "- a"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 1, "relation": "al menos"}, "*a*", "a"),
    ("detectable_format:title", {}, "<<a>>", "a"),
    ("keywords:existence", {"keywords": ["ecosistema"]}, "los ecosistemas", "el mar"),
    ("keywords:forbidden_words", {"forbidden_words": ["mar"]}, "el martes", "el mar"),
    ("keywords:frequency", {"keyword": "mar", "frequency": 1, "relation": "como máximo"}, "el mar", "mar y mar"),
    ("keywords:letter_frequency", {"letter": "b", "let_frequency": 1, "let_relation": "al menos"}, "B", "v"),
    ("language:response_language", {"language": "es"}, SPANISH_TEXT, FRENCH_TEXT),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "Con él"},
        "Con él, sí",
        "Sí",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a***b", "a"),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "como máximo"},
        "1. Mar.\n2. Sol.",
        "El mar. El sol. El río.",
    ),
    (
        "length_constraints:number_words",
        {"num_words": 2, "relation": "como máximo"},
        "1. medio-día claro.",
        "el mar azul",
    ),
    ("punctuation:exclamation_marks", {}, "¡Hola!", "¡ !"),
    ("punctuation:no_comma", {}, "a", "a, b"),
    ("punctuation:question_marks", {}, "¿Qué?", "Qué?"),
    ("special_character:dieresis", {"let_frequency": 1}, "un pingüino", "un pinguino"),
    ("special_character:enie", {"let_frequency": 1}, "el niño", "la niña y el niño"),
    ("special_character:tildes", {"num_words": 1, "relation": "al menos"}, "canción", "cancion"),
    ("startend:end_checker", {"end_phrase": "Un saludo"}, "Gracias. Un saludo.", "Un saludo. Gracias."),
    ("startend:quotation", {}, '"a"', "«a»"),
]

FRENCH: list[Case] = [
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "moins de"},
        "la MER",
        "la MER, le CIEL",
    ),
    ("change_case:french_capital", {}, FRENCH_TEXT.upper(), ENGLISH_TEXT.upper()),
    ("change_case:french_lowercase", {}, FRENCH_TEXT, SPANISH_TEXT),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Ça va ?"}, "Ça va ? Oui.", "Oui."),
    ("combination:two_responses", {}, "a******b", "a******"),
    ("detectable_content:informal_address", {}, "prends ton temps", "prenez votre temps"),
    ("detectable_content:no_digits", {}, "trois", "3"),
    ("detectable_content:number_placeholders", {"num_placeholders": 1}, "[nom]", "nom"),
    ("detectable_content:postscript", {"postscript_marker": "P.-S."}, "Adieu\np.-s. écris", "Adieu"),
    ("detectable_format:constrained_response", {}, "Peut-être.", "Si."),
    ("detectable_format:json_format", {}, "[1]", "[1"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 1},
        "Section 1",
        "Section I",
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "- a", "a"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, "*a*", "a"),
    ("detectable_format:title", {}, "## la mer ##", "# la mer"),
    ("keywords:existence", {"keywords": ["mer"]}, "la mer", "le ciel"),
    ("keywords:forbidden_words", {"forbidden_words": ["mer"]}, "merci", "la mer"),
    ("keywords:frequency", {"keyword": "mer", "frequency": 1, "relation": "au moins"}, "la mer", "le ciel"),
    ("keywords:letter_frequency", {"letter": "j", "let_frequency": 1, "let_relation": "au moins"}, "J", "g"),
    ("language:response_language", {"language": "ja"}, "灯台の光が海を照らしています。", FRENCH_TEXT),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "Cela"},
        "cela va",
        "Celas va",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 1}, "a", "a***b"),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "moins de"},
        "M. Po est parti.",
        "Il part. Elle reste.",
    ),
    ("length_constraints:number_words", {"num_words": 2, "relation": "au moins"}, "la mer", "mer"),
    ("punctuation:no_comma", {}, "a", "a, b"),
    ("special_character:accents", {"word_to_accentuate": {"deja": "déjà"}}, "Déjà la mer", "déja la mer"),
    ("special_character:ethel_or_cedilla", {"forbidden_char": "ç"}, "ca va", "Ça va"),
    ("special_character:no_accents", {}, "la foret", "la forêt"),
    ("startend:end_checker", {"end_phrase": "D'autres questions ?"}, "Oui. D'autres questions ?", "Oui."),
    ("startend:quotation", {}, "« oui »", "« oui"),
]

JAPANESE: list[Case] = [
    ("combination:repeat_prompt", {"prompt_to_repeat": "海は?"}, "海は? 青い。", "青い。"),
    ("combination:two_responses", {}, "青******緑", "青"),
    ("detectable_content:number_placeholders", {"num_placeholders": 1}, "[名前]", "名前"),
    ("detectable_content:postscript", {"postscript_marker": "追伸"}, "では\n追伸 また", "では"),
    ("detectable_format:constrained_response", {}, "はい、そうです。", "はい。"),
    ("detectable_format:json_format", {}, "{}", "海"),
    ("detectable_format:multiple_sections", {"section_spliter": "章", "num_sections": 1}, "第1章 海", "1章 海"),
    ("detectable_format:nominal_ending", {"count": 1}, "青い海。", "海は青いです。"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 1}, "・海", "- 海"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, "《海》", "*海*"),
    ("detectable_format:number_numbered_lists", {"num_items": 1}, "1. 海", "1 海"),
    ("detectable_format:title", {}, "『海』", "「海」"),
    ("keywords:existence", {"keywords": ["創造性"]}, "その創造性を見る", "創造を見る"),
    ("keywords:forbidden_words", {"forbidden_words": ["海"]}, "海外へ行く", "海へ行く"),
    ("keywords:frequency", {"keyword": "色落ち", "frequency": 2, "relation": "以上"}, "色落ちと色落ち", "色落ち"),
    ("keywords:letter_frequency", {"letter": "じ", "let_frequency": 2, "let_relation": "未満"}, "じ", "じジ"),
    ("language:response_language", {"language": "fr"}, FRENCH_TEXT, "灯台の光が海を照らしています。"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "分子"},
        "海\n\n「分子は",
        "海\n\n海の分子",
    ),
    ("length_constraints:number_letters", {"num_letters": 3, "relation": "未満"}, "海外", "海外へ"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "海***空", "海"),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "以上"}, "海です。空です。", "海です。"),
    ("letters:furigana", {}, "海\uff08うみ\uff09", "海"),
    ("letters:hiragana_only", {}, "うみ、そら!", "うみソラ"),
    ("letters:kanji", {"kanji_limit": 2, "relation": "未満"}, "海へ", "海外へ"),
    ("letters:kansuuji", {}, "三つ", "3つ"),
    ("letters:katakana_only", {}, "ウミー。", "ウミへ行く"),
    ("letters:no_hiragana", {}, "海ウミ", "海へ"),
    ("letters:no_katakana", {}, "海へ", "ウミ"),
    ("punctuation:no_comma", {}, "海。", "海、空"),
    ("punctuation:no_period", {}, "海、空", "海。"),
    ("startend:end_checker", {"end_phrase": "他に質問は?"}, "「海。他に質問は?」", "他に質問は? 海"),
    ("startend:quotation", {}, "「海」", "『海』"),
    ("startend:sentence_unified_end", {"ending": "です"}, "海です。「空だ。」青いです。", "海です。空だ。"),
]

CASES: list[Case] = ENGLISH + [
    (f"{language}:{name}", *rest)  # pyright: ignore[reportAssignmentType] (a slice of a tuple has no fixed length)
    for language, cases in (("en", ENGLISH), ("es", SPANISH), ("fr", FRENCH), ("ja", JAPANESE))
    for name, *rest in cases
]
