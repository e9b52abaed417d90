"""WMT24++: segments of news, literature, speech and social media from English into 55 languages and variants (arXiv
2502.12404).

The score of an answer is its chrF. Segments that the publisher marks as bad sources are not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .loading import Loader, UnreadableAnswer
from .math_answers import language_of
from .task import Setup, Task
from .translation_metrics import COMET_MODELS, comet_score, sentence_bleu, sentence_chrf

LANGUAGES = MappingProxyType(
    {
        "ar_EG": "Arabic (Egypt)",
        "ar_SA": "Arabic (Saudi Arabia)",
        "bg_BG": "Bulgarian",
        "bn_IN": "Bengali (India)",
        "ca_ES": "Catalan",
        "cs_CZ": "Czech",
        "da_DK": "Danish",
        "de_DE": "German",
        "el_GR": "Greek",
        "es_MX": "Spanish (Mexico)",
        "et_EE": "Estonian",
        "fa_IR": "Persian",
        "fi_FI": "Finnish",
        "fil_PH": "Filipino",
        "fr_CA": "French (Canada)",
        "fr_FR": "French (France)",
        "gu_IN": "Gujarati",
        "he_IL": "Hebrew",
        "hi_IN": "Hindi",
        "hr_HR": "Croatian",
        "hu_HU": "Hungarian",
        "id_ID": "Indonesian",
        "is_IS": "Icelandic",
        "it_IT": "Italian",
        "ja_JP": "Japanese",
        "kn_IN": "Kannada",
        "ko_KR": "Korean",
        "lt_LT": "Lithuanian",
        "lv_LV": "Latvian",
        "ml_IN": "Malayalam",
        "mr_IN": "Marathi",
        "nl_NL": "Dutch",
        "no_NO": "Norwegian",
        "pa_IN": "Punjabi",
        "pl_PL": "Polish",
        "pt_BR": "Portuguese (Brazil)",
        "pt_PT": "Portuguese (Portugal)",
        "ro_RO": "Romanian",
        "ru_RU": "Russian",
        "sk_SK": "Slovak",
        "sl_SI": "Slovenian",
        "sr_RS": "Serbian",
        "sv_SE": "Swedish",
        "sw_KE": "Swahili (Kenya)",
        "sw_TZ": "Swahili (Tanzania)",
        "ta_IN": "Tamil",
        "te_IN": "Telugu",
        "th_TH": "Thai",
        "tr_TR": "Turkish",
        "uk_UA": "Ukrainian",
        "ur_PK": "Urdu",
        "vi_VN": "Vietnamese",
        "zh_CN": "Chinese (simplified, mainland)",
        "zh_TW": "Chinese (traditional, Taiwan)",
        "zu_ZA": "Zulu",
    }
)
"""The 55 target languages; on the hub the direction into ``de_DE`` is the configuration ``en-de_DE``."""

SOURCE = Source(
    licence="Apache-2.0",
    url="https://huggingface.co/datasets/google/wmt24pp",
    citation="arXiv 2502.12404",
    hub="google/wmt24pp",
    config="en-{language}",
    revision="fd7405c06494bc66a57b25f55d217a72f96e60dc",
    splits=MappingProxyType({"test": "train"}),
    files=MappingProxyType({"test": ("wmt24pp/en-{language}", "fusion_translation_wmt24pp/{local}")}),
    sizes=MappingProxyType({"test": 55 * 998}),
    languages=LANGUAGES,
    local_languages=MappingProxyType({"et_EE": "et", "ro_RO": "ro", "tr_TR": "tr", "uk_UA": "uk"}),
)

INSTANCE = MappingProxyType(
    {
        "text": "The bridge will stay closed until Monday.",
        "target_language": "German",
        "translation": "Die Brücke bleibt bis Montag gesperrt.",
    }
)


class Translate(dspy.Signature):
    """Translate the English text. Keep its meaning, tone and line breaks; write as a native speaker would."""

    text: str = dspy.InputField()
    target_language: str = dspy.InputField()
    translation: str = dspy.OutputField(desc="the translation, and nothing else")


def make_task(setup: Setup) -> Task:
    """The task."""
    loader = Loader(SOURCE, setup, _example, group=language_of, packages=("sacrebleu",))
    return Task(
        name="wmt24pp",
        instructions=Translate.instructions,
        program=lambda instructions: dspy.Predict(Translate.with_instructions(instructions)),
        adapter=dspy.ChatAdapter,
        examples=loader,
        metric=chrf,
        metrics={"chrf": chrf, "bleu": bleu, **{name: _comet(model) for name, model in COMET_MODELS.items()}},
        answer_text=lambda outputs: str(outputs.get("translation") or ""),
        comparable=False,
        source=SOURCE,
        splits=tuple(SOURCE.files),
        instance=INSTANCE,
        group=language_of,
        aspects=_aspects,
        set_aside=loader.set_aside,
    )


def chrf(example: dspy.Example, prediction: dspy.Prediction) -> float:
    """The chrF of the translation."""
    return sentence_chrf(str(prediction.get("translation") or ""), example.translation)


def bleu(example: dspy.Example, prediction: dspy.Prediction) -> float:
    """The smoothed BLEU of the translation."""
    return sentence_bleu(str(prediction.get("translation") or ""), example.translation, language_of(example))


def _comet(model: str) -> Callable[[dspy.Example, dspy.Prediction], float]:
    """A COMET model's score of the translation."""

    def score(example: dspy.Example, prediction: dspy.Prediction) -> float:
        translation = str(prediction.get("translation") or "")
        return comet_score(example.text, translation, example.translation, model=model)

    return score


def _aspects(example: dspy.Example, prediction: dspy.Prediction) -> Mapping[str, float]:
    return {"chrF": chrf(example, prediction), "BLEU": bleu(example, prediction)}


def _example(row: Row, language: str, number: int) -> dspy.Example | None:
    if row.values.get("is_bad_source"):
        return None
    text, reference = str(row.get("source", "src") or ""), str(row.get("target", "ref") or "")
    if not (text.strip() and reference.strip()):
        raise UnreadableAnswer("the text or its reference translation is empty")
    name = row.values.get("segment_id", row.values.get("id", number))
    example = dspy.Example(
        id=f"{language}-{name}",
        text=text,
        target_language=LANGUAGES[language],
        language_code=language,
        domain=str(row.values.get("domain", "")),
        translation=reference,
    )
    return example.with_inputs("text", "target_language")
