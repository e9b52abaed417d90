from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.judging.pairs import RECORDED, read_pairs, sampled
from dspy_fusion.programs import ConfigurationError

LINE = {
    "id": "1",
    "input": "2 + 2?",
    "output_1": "4",
    "output_2": "5",
    "label": 1,
    "subset": "sums",
    RECORDED: ["1", "2"],
}


def written(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in LINE.items() if key != name}


def test_a_pair_knows_which_answer_is_better(tmp_path: Path) -> None:
    (pair,) = read_pairs(written(tmp_path, LINE))
    assert (pair.id, pair.input, pair.a, pair.b, pair.better, pair.subset) == ("1", "2 + 2?", "4", "5", "A", "sums")
    assert pair.recorded == ()


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        (["1", "2"], ("A", "B")),
        ([2, 1], ("B", "A")),
        ("1", ("A",)),
        (["tie", "0"], ("tie", "tie")),
        (["1", "hm"], ("A", None)),
        (None, (None,)),
    ],
)
def test_recorded_verdicts_are_read_per_order(recorded: Any, said: tuple[str | None, ...], tmp_path: Path) -> None:
    (pair,) = read_pairs(written(tmp_path, {**LINE, RECORDED: recorded}), recorded=RECORDED)
    assert pair.recorded == said


def test_ids_and_subsets_may_be_left_out(tmp_path: Path) -> None:
    lines = [{key: LINE[key] for key in ("input", "output_1", "output_2", "label")}] * 2
    assert [(pair.id, pair.subset) for pair in read_pairs(written(tmp_path, *lines))] == [("0", ""), ("1", "")]


@pytest.mark.parametrize("name", ["input", "output_1", "output_2", "label", RECORDED])
def test_a_missing_column_is_named_with_file_and_line(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, LINE, {**without(name), "id": "2"})
    with pytest.raises(ConfigurationError, match=f"pairs.jsonl, line 2 lacks a column '{name}'; its columns are: id, "):
        read_pairs(path, recorded=RECORDED)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({**LINE, "id": "2", "label": 3}, "line 2: the label must be 1 or 2, for the better output, but it is '3'"),
        ({**LINE, "id": "2", "label": None}, "line 2: the label must be 1 or 2"),
        ({**LINE, "id": "2", "output_1": ["4"]}, "line 2: input and outputs must be texts"),
        (LINE, "two pairs have the id '1': .*line 1, and .*line 2; remove one"),
        ('{"id": "2", ', "line 2 is no JSON"),
        ("[1]", "line 2 is no JSON object"),
    ],
)
def test_a_bad_line_is_named(line: dict[str, Any] | str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_pairs(written(tmp_path, LINE, line))


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no pairs; each line needs input, output_1, output_2 and label"):
        read_pairs(written(tmp_path))


def test_a_broken_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(gzip.compress((json.dumps(LINE) + "\n").encode() * 50)[:-20])
    with pytest.raises(ConfigurationError, match=r"pairs\.jsonl\.gz is a broken gzip file"):
        read_pairs(path)


def test_without_a_file_the_data_folder_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSPY_FUSION_DATA", raising=False)
    with pytest.raises(ConfigurationError, match="give a file of pairs, or set DSPY_FUSION_DATA"):
        read_pairs(None)


def test_a_part_is_drawn_by_seed_and_keeps_the_order(tmp_path: Path) -> None:
    pairs = read_pairs(written(tmp_path, *({**LINE, "id": str(i)} for i in range(30))))
    drawn = [[int(pair.id) for pair in sampled(pairs, 5, seed=seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == sorted(drawn[0])
    assert sampled(pairs, 99) == pairs
    with pytest.raises(ConfigurationError, match="at least one example is needed, but got 0"):
        sampled(pairs, 0)
