from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from shared_data import DATA, needs_data

from benchmarks.chrf_counts import chrf_counts, chrf_of
from benchmarks.recorded_translations import Language, read_language
from benchmarks.translation import LANGUAGES, main
from benchmarks.translation_contest import CORPUS, SENTENCES, contest, score
from dspy_fusion.programs import ConfigurationError

TEXTS = ["the cat sat", "a", "", "  spaced   out ", "ein Haus am See", "completely different"]
REFERENCES = ["the cat sat down", "ab", "nothing", "spaced out", "ein Haus am Meer", "words"]


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def row(document: str, ours: str, theirs: str, **rest: object) -> dict[str, object]:
    given = {"doc": document, "ref": "a right answer", "usi5_fusion": ours, "trank5": None}
    return {**given, **dict.fromkeys(("default", "sc_corrected", "bon5"), theirs), **rest}


def language(tmp_path: Path, better: bool) -> Language:
    texts = ("a right answer", "a wrong one") if better else ("a right", "a right")
    return read_language(written(tmp_path / "xx.jsonl.gz", [row(f"d{i // 2}", *texts) for i in range(24)]))


def test_counts_give_sacrebleus_scores() -> None:
    chrf = pytest.importorskip("sacrebleu").CHRF()
    counts = chrf_counts(TEXTS, REFERENCES)
    sentences = [
        chrf.sentence_score(text, [reference]).score / 100 for text, reference in zip(TEXTS, REFERENCES, strict=True)
    ]
    assert chrf_of(counts) == pytest.approx(np.array(sentences))
    assert chrf_of(counts.sum(axis=0)) == pytest.approx(chrf.corpus_score(TEXTS, [REFERENCES]).score / 100)


def test_a_method_that_is_always_better_is_found_so(tmp_path: Path) -> None:
    for measure in (CORPUS, SENTENCES):
        found = contest([language(tmp_path, better=True)], "usi5_fusion", "bon5", measure)
        assert found.difference.low > 0.5
        assert found.difference.n == 12
        assert found.p < 0.002


def test_equal_methods_are_not_told_apart(tmp_path: Path) -> None:
    found = contest([language(tmp_path, better=False)], "usi5_fusion", "bon5", CORPUS)
    assert (found.difference.mean, found.p) == (0.0, 1.0)


def test_languages_are_averaged(tmp_path: Path) -> None:
    both = [language(tmp_path, better=True), language(tmp_path, better=False)]
    alone = [score([one], "usi5_fusion", CORPUS).mean for one in both]
    assert score(both, "usi5_fusion", CORPUS).mean == pytest.approx(np.mean(alone))


def test_a_method_that_was_not_recorded_is_left_out_and_empty_texts_are_counted(tmp_path: Path) -> None:
    found = read_language(written(tmp_path / "xx.jsonl.gz", [row("d", "x", "y"), row("e", "", "y")]))
    assert list(found.methods) == ["default", "sc_corrected", "bon5", "usi5_fusion"]
    assert list(found.methods["usi5_fusion"].empty) == [False, True]
    assert len(found.without(found.methods["usi5_fusion"].empty).documents) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no segments"),
        ([{"doc": "d", "ref": "r"}], "line 1 lacks a column 'default'"),
        ([row("d", "x", "y"), row("d", "x", "y", ref=None)], "line 2: 'ref' must be a text, but is None"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_language(written(tmp_path / "xx.jsonl.gz", rows))


def test_a_missing_folder_is_a_line_and_a_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "absent")]) == 2
    assert "absent" in capsys.readouterr().err


@needs_data
def test_recorded_fusion_is_not_ahead_of_recorded_best_of_five() -> None:
    pytest.importorskip("sacrebleu")
    assert DATA is not None
    folder = DATA / "fusion_translation_wmt24pp"
    languages = [read_language(folder / f"{name}.jsonl.gz", most=150) for name in LANGUAGES]
    found = contest(languages, "usi5_fusion", "bon5", CORPUS, resamples=1000, flips=1000)
    assert found.difference.low < 0
    assert abs(found.difference.mean) < 0.02


@needs_data
def test_the_benchmark_agrees_with_sacrebleu(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sacrebleu")
    assert main(["--data", str(DATA), "--segments", "40"]) == 0
    told = capsys.readouterr().out
    assert "160 segments counted" in told
    assert "usi5_fusion minus bon5" in told
