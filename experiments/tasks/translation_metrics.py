"""Scores of translations: chrF and BLEU by sacrebleu, and COMET models by unbabel-comet.

The last is an extra of its own because it is large.

Everything is in [0, 1]; sacrebleu's own numbers are 100 times that.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

COMET_MODEL = "Unbabel/XCOMET-XL"
"""The model that FusioN is measured with (arXiv 2510.00931); its licence forbids commercial use,
and the hub asks to accept it.
"""

COMET_MODELS = {"xcomet": COMET_MODEL, "comet": "Unbabel/wmt22-comet-da"}
"""COMET models that a configuration may choose by name; ``comet`` is small and free."""

_ONE_AT_A_TIME = Lock()
_BY_CHARACTER = ("ja", "th")  # no spaces between words, and no tokenizer of theirs without a further package


def sentence_chrf(translation: str, reference: str) -> float:
    """The chrF of one translation (character n-grams up to 6, no words)."""
    return _share(_chrf().sentence_score(translation, [reference]).score)


def sentence_bleu(translation: str, reference: str, language: str = "") -> float:
    """The BLEU of one translation, smoothed and of the orders that it is long enough for.

    ``language`` as in :func:`corpus_bleu`.
    """
    return _share(_bleu(_tokenizer(language), one_sentence=True).sentence_score(translation, [reference]).score)


def corpus_chrf(translations: Sequence[str], references: Sequence[str]) -> float:
    """The chrF of a set of translations: of its n-gram counts, not the mean over sentences.

    Raises:
        ConfigurationError: there are none, or not as many references.
    """
    _check(translations, references)
    return _share(_chrf().corpus_score(translations, [references]).score)


def corpus_bleu(translations: Sequence[str], references: Sequence[str], *, language: str = "") -> float:
    """The BLEU of a set of translations.

    Args:
        translations: one text each.
        references: as many texts.
        language: code of the language, which chooses the tokenizer: ``zh`` for Chinese, by character for Japanese and
            Thai, else ``13a``.

    Raises:
        ConfigurationError: there are none, or not as many references.
    """
    _check(translations, references)
    return _share(_bleu(_tokenizer(language), one_sentence=False).corpus_score(translations, [references]).score)


def comet_scores(
    sources: Sequence[str],
    translations: Sequence[str],
    references: Sequence[str],
    *,
    model: str = COMET_MODEL,
    batch_size: int = 8,
    gpus: int = 1,
) -> list[float]:
    """A COMET model's score of each translation.

    Args:
        sources: the texts that were translated.
        translations: as many texts.
        references: as many texts.
        model: its name on the hub, such as ``Unbabel/wmt22-comet-da``, which is small and free.
        batch_size: how many are scored at a time.
        gpus: how many to use; 0 computes on the CPU.

    Raises:
        ConfigurationError: the package is missing, the model cannot be had, or the lengths differ.
    """
    _check(translations, references)
    _check(translations, sources)
    scorer = _comet(model)
    rows = [{"src": s, "mt": t, "ref": r} for s, t, r in zip(sources, translations, references, strict=True)]
    return [float(score) for score in scorer.predict(rows, batch_size=batch_size, gpus=gpus).scores]


def comet_score(source: str, translation: str, reference: str, *, model: str = COMET_MODEL) -> float:
    """A COMET model's score of one translation, in [0, 1]; on a GPU where torch sees one. One is scored at a time.

    Raises:
        ConfigurationError: the package is missing, or the model cannot be had.
    """
    _comet(model)
    with _ONE_AT_A_TIME:
        (score,) = comet_scores([source], [translation], [reference], model=model, batch_size=1, gpus=_gpus())
    return min(1.0, max(0.0, score))


@cache
def _comet(model: str) -> Any:
    """A COMET model, loaded once."""
    with needs("COMET", "comet"):
        comet: Any = importlib.import_module("comet")
    try:
        return comet.load_from_checkpoint(comet.download_model(model))
    except (OSError, KeyError, ValueError) as error:
        raise ConfigurationError(
            f"cannot have the COMET model {model!r} ({error}); be online and accept its licence on the hub"
        ) from error


def _gpus() -> int:
    torch = sys.modules.get("torch")  # which the model has loaded
    return int(torch is not None and torch.cuda.is_available())


def _share(score: float) -> float:
    return min(score / 100, 1.0)  # rounding carries a perfect score a hair over 100


@cache
def _chrf() -> Any:
    return _sacrebleu().CHRF()


@cache
def _bleu(tokenizer: str, *, one_sentence: bool) -> Any:
    return _sacrebleu().BLEU(tokenize=tokenizer, effective_order=one_sentence)


def _sacrebleu() -> Any:
    with needs("chrF or BLEU", "tasks"):
        from sacrebleu import metrics
    return metrics


def _tokenizer(language: str) -> str:
    base = language.split("_")[0]
    return "zh" if base == "zh" else "char" if base in _BY_CHARACTER else "13a"


def _check(translations: Sequence[str], others: Sequence[str]) -> None:
    if not translations or len(translations) != len(others):
        raise ConfigurationError(
            f"give as many references and sources as translations, but got {len(others)} for {len(translations)}"
        )
