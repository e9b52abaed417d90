from __future__ import annotations

import importlib.util

import dspy
import pytest
from shared_data import DATA, needs_data

from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.experiments.tasks.translation_metrics import (
    comet_scores,
    corpus_bleu,
    corpus_chrf,
    sentence_bleu,
    sentence_chrf,
)
from dspy_fusion.experiments.tasks.wmt24pp import LANGUAGES
from dspy_fusion.programs.errors import ConfigurationError

TEXTS = ["The bridge is closed until Monday.", "Nobody knew why."]


def test_scores_lie_between_nothing_and_the_reference() -> None:
    for score in (sentence_chrf, sentence_bleu):
        assert score(TEXTS[0], TEXTS[0]) == pytest.approx(1)
        assert 0 < score("The bridge is closed until Tuesday.", TEXTS[0]) < 1
        assert score("", TEXTS[0]) == 0


def test_corpus_scores_are_those_of_the_counts() -> None:
    half = [TEXTS[0], "Who?"]
    assert corpus_chrf(TEXTS, TEXTS) == corpus_bleu(TEXTS, TEXTS) == 1
    assert corpus_chrf(half, TEXTS) != pytest.approx(sum(map(sentence_chrf, half, TEXTS)) / 2, abs=0.01)


def test_bleu_has_words_in_scripts_without_spaces() -> None:
    assert corpus_bleu(["橋は月曜日まで閉鎖されます"], ["橋は月曜日まで閉鎖される"], language="ja_JP") > 0.5
    assert corpus_bleu(["桥将关闭到周一"], ["桥将关闭到星期一"], language="zh_CN") > 0.3


def test_lengths_must_agree() -> None:
    with pytest.raises(ConfigurationError, match="got 1 for 2"):
        corpus_chrf(TEXTS, TEXTS[:1])


@pytest.mark.skipif(importlib.util.find_spec("comet") is not None, reason="unbabel-comet is installed")
def test_comet_without_its_package_names_the_extra() -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'dspy-fusion\[comet\]'"):
        comet_scores(TEXTS, TEXTS, TEXTS)


def test_there_are_55_directions() -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES.values())) == 55
    source = load_task("wmt24pp").source
    assert [source.config.format(language=code) for code in ("de_DE", "zu_ZA")] == ["en-de_DE", "en-zu_ZA"]


@needs_data
def test_the_metric_is_the_chrf_of_the_recorded_reference() -> None:
    task = load_task("wmt24pp", data=DATA, languages=["uk_UA"])
    example = task.examples("test", 1)[0]
    answer = dspy.Prediction(translation=example.translation[: len(example.translation) // 2])
    assert (
        task.metric(example, answer)
        == task.aspects(example, answer)["chrF"]
        == sentence_chrf(answer.translation, example.translation)
    )  # type: ignore[misc]
