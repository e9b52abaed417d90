from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from shared_data import DATA, needs_data

from benchmarks import ifeval_agreement
from benchmarks.ifeval_flags import compare_recorded, differences
from benchmarks.known_differences import kind_of
from dspy_fusion.experiments.tasks.ifeval_rules import official_scores
from dspy_fusion.programs.errors import ConfigurationError

ROW = {
    "id": "en-1",
    "lang": "en",
    "instruction_id_list": ["punctuation:no_comma"],
    "kwargs": [{}],
    "candidates": [{"model": "a", "response": "x, y", "strict": [False], "loose": [True]}],
}


def written(folder: Path, row: dict[str, object]) -> Path:
    path = folder / "en.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(row).encode()))
    return path


@needs_data
@pytest.mark.parametrize(("language", "share"), [("es", 0.995), ("fr", 0.999)])
def test_recorded_flags_agree_but_for_known_differences(language: str, share: float) -> None:
    found = list(compare_recorded(DATA / "m_ifeval_pool" / f"{language}.jsonl.gz"))
    missed = [difference for one in found for difference in differences(one)]
    assert len(missed) <= (1 - share) * 2 * sum(len(one.instructions) for one in found)
    assert all(kind_of(difference) for difference in missed)


@needs_data
def test_official_scores_of_a_model_agree() -> None:
    found = [
        one for one in compare_recorded(DATA / "m_ifeval_pool" / "fr.jsonl.gz") if one.model.startswith("gpt-4o-2024")
    ]
    assert official_scores(one.ours for one in found) == official_scores(one.recorded for one in found)


def test_a_difference_names_both_sides(tmp_path: Path) -> None:
    (one,) = compare_recorded(written(tmp_path, ROW))
    (difference,) = differences(one)
    assert (difference.prompt, difference.model, difference.loose, difference.ours) == ("en-1", "a", True, False)
    assert kind_of(difference) is None


def test_a_missing_response_follows_nothing(tmp_path: Path) -> None:
    candidate = {"model": "a", "response": None, "strict": [False], "loose": [False]}
    (one,) = compare_recorded(written(tmp_path, ROW | {"candidates": [candidate]}))
    assert differences(one) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"instruction_id_list": ["en:new:thing"]},
            r"en\.jsonl\.gz, line 1 \(en-1\): there is no instruction 'en:new:thing'",
        ),
        (
            {"candidates": [{"model": "a", "response": "", "strict": [], "loose": [True]}]},
            r"line 1: 1 instructions, but 0 strict and 1",
        ),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        list(compare_recorded(written(tmp_path, ROW | change)))


def test_the_benchmark_wants_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DSPY_FUSION_DATA", raising=False)
    assert ifeval_agreement.main([]) == 2
    assert "name the folder" in capsys.readouterr().err
    assert ifeval_agreement.main(["--data", str(tmp_path)]) == 2
    assert "cannot read" in capsys.readouterr().err
