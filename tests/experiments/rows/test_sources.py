from __future__ import annotations

import json
from pathlib import Path

import pytest

from dspy_fusion.experiments.rows.sources import Source, data_folder, read_rows
from dspy_fusion.programs.errors import ConfigurationError

SOURCE = Source(
    licence="MIT",
    url="https://example.org/sums",
    citation="",
    hub="example/sums",
    splits={"test": "test"},
    files={"test": ("sums/{language}", "elsewhere/{local}")},
    languages={"de": "German", "sw": "Swahili"},
    local_languages={"de": "german"},
)


def put(path: Path, *rows: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rows_come_from_the_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "sums" / "sw.jsonl", {"n": 1}, {"n": 2})
    monkeypatch.setenv("DSPY_FUSION_DATA", str(tmp_path))
    rows = read_rows(SOURCE, "test", language="sw")
    assert [(row.values["n"], row.where) for row in rows] == [
        (n, f"{tmp_path / 'sums' / 'sw.jsonl'}, line {n}") for n in (1, 2)
    ]


def test_files_may_go_by_another_name(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "german.jsonl", {"n": 3})
    assert read_rows(SOURCE, "test", data=tmp_path, language="de")[0].values == {"n": 3}


def test_rows_come_from_the_hub_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library reads a data set in a folder as it reads one on the hub."""
    pytest.importorskip("datasets")
    monkeypatch.delenv("DSPY_FUSION_DATA", raising=False)
    put(tmp_path / "set" / "test.jsonl", {"n": 4})
    source = Source(
        licence="", url="", citation="", hub=str(tmp_path / "set"), splits={"all": "test"}, files={"all": ("n",)}
    )
    row = read_rows(source, "all")[0]
    assert (row.values, row.where) == ({"n": 4}, f"{tmp_path / 'set'}, test, row 0")


def test_rows_that_are_nowhere_say_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSPY_FUSION_DATA", raising=False)
    ways = r".*data=.*DSPY_FUSION_DATA.*'dspy-fusion\[tasks\]' and be online"
    with pytest.raises(ConfigurationError, match=r"example/sums (cannot be had|are not here)" + ways):
        read_rows(SOURCE, "test", language="de")
    with pytest.raises(ConfigurationError, match=r"holds no sums/de\.jsonl\.gz" + ways):
        read_rows(SOURCE, "test", data=tmp_path, language="de")


def test_data_that_are_not_on_the_hub_say_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSPY_FUSION_DATA", raising=False)
    source = Source(licence="", url="https://example.org/sums", citation="", files={"test": ("sums/test",)})
    with pytest.raises(
        ConfigurationError,
        match=r"sums/test\.jsonl\.gz is needed: .* it is not on the hub, but at https://example\.org/sums",
    ):
        read_rows(source, "test")


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no split 'dev'; there are: test"):
        read_rows(SOURCE, "dev", data=tmp_path)
    with pytest.raises(ConfigurationError, match="there is no language 'xx'; there are: de, sw"):
        read_rows(SOURCE, "test", data=tmp_path, language="xx")
    with pytest.raises(ConfigurationError, match="data names '/nowhere', which is no folder"):
        data_folder("/nowhere")


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "sums" / "sw.jsonl")
    with pytest.raises(ConfigurationError, match=r"the split 'test' in .*sw\.jsonl is empty"):
        read_rows(SOURCE, "test", data=tmp_path, language="sw")
