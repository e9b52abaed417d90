"""A small file that holds too much is refused before it fills the memory."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from dspy_fusion.experiments.rows.row_files import read_file
from dspy_fusion.experiments.rows.row_limits import limited_rows
from dspy_fusion.experiments.synthesis.prompts import stream_rows
from dspy_fusion.programs import ConfigurationError


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz", "rows.jsonl"])
@pytest.mark.parametrize("reader", [read_file, stream_rows])
def test_a_line_that_is_too_long_is_refused_without_being_read(
    name: str, reader: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSPY_FUSION_MAX_LINE_MIB", "1")
    path = tmp_path / name
    with gzip.open(path, "wb") if name.endswith("gz") else path.open("wb") as file:
        file.write(b'{"a": 1}\n')
        for _ in range(40):
            file.write(b"x" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(ConfigurationError, match=r"line 2 has more than 1 MiB; remove it, or set DSPY_FUSION_MAX_LINE"):
        list(reader(path))  # type: ignore[operator]
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_a_file_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSPY_FUSION_MAX_FILE_MIB", "0.5")
    path = tmp_path / "rows.jsonl.gz"
    with gzip.open(path, "wb") as file:
        file.write(b'{"a": 1}\n' * 100_000)
    with pytest.raises(ConfigurationError, match=r"holds more than 0.5 MiB once it is unpacked; split it, or set DSPY"):
        list(read_file(path))


def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"a": ["x" * (1 << 20)] * 4}), path)
    monkeypatch.setenv("DSPY_FUSION_MAX_FILE_MIB", "1")
    with pytest.raises(ConfigurationError, match="holds more than 1 MiB once it is unpacked"):
        list(read_file(path))


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan"])
def test_a_limit_that_is_none_is_refused(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSPY_FUSION_MAX_LINE_MIB", value)
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(ConfigurationError, match="DSPY_FUSION_MAX_LINE_MIB must be a positive number of MiB"):
        list(read_file(tmp_path / "a.jsonl"))


def test_rows_of_a_data_set_are_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSPY_FUSION_MAX_LINE_MIB", "1")
    rows = [{"a": "x"}, {"a": ["y" * (1 << 19)] * 2, "b": {"c": "z"}}]
    kept = limited_rows(rows, "owner/name", first=7)
    assert next(kept) == {"a": "x"}
    with pytest.raises(ConfigurationError, match=r"owner/name, row 8 has more than 1 MiB; remove it, or set DSPY"):
        next(kept)
    monkeypatch.setenv("DSPY_FUSION_MAX_FILE_MIB", "0.125")
    with pytest.raises(ConfigurationError, match=r"owner/name holds more than 0\.125 MiB once it is unpacked"):
        list(limited_rows([{"a": "x" * 1000}] * 200, "owner/name"))


@pytest.mark.parametrize("reader", [read_file, stream_rows])
def test_a_parquet_row_that_is_too_long_is_refused(
    reader: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"a": ["x" * 10] * 7 + ["x" * (3 << 20)]}), path)
    monkeypatch.setenv("DSPY_FUSION_MAX_LINE_MIB", "1")
    with pytest.raises(ConfigurationError, match=r"row 7 has more than 1 MiB"):
        list(reader(path))  # type: ignore[operator]


def test_a_cell_that_is_nested_too_deeply_is_text(tmp_path: Path) -> None:
    deep = "[" * 100_000
    (tmp_path / "a.csv").write_text(f'a,b\n"{deep}",1\n')
    (row,) = read_file(tmp_path / "a.csv")
    assert row.values["a"] == deep
