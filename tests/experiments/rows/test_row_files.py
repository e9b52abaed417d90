from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from dspy_fusion.experiments.rows.row_files import Row, read_file
from dspy_fusion.programs.errors import ConfigurationError

ROWS = [{"question": "1 + 1?\u2028", "choices": ["1", "2"]}, {"question": 'a, "b"', "choices": ["3"]}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def written(path: Path) -> Path:
    if path.name.endswith(".csv"):
        path.write_text('question,choices\n1 + 1?\u2028,"[""1"", ""2""]"\n"a, ""b""","[""3""]"\n', encoding="utf-8")
    elif path.suffix == ".parquet":
        from pyarrow import Table
        from pyarrow.parquet import write_table

        write_table(Table.from_pylist(ROWS), path)
    else:
        path.write_bytes(gzip.compress(LINES.encode()) if path.suffix == ".gz" else LINES.encode())
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.csv", "rows.parquet"])
def test_every_format_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    assert [dict(row.values) for row in read_file(written(tmp_path / name))] == ROWS


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbfquestion,answer\n?,1\n")
    assert [dict(row.values) for row in read_file(tmp_path / "rows.csv")] == [{"question": "?", "answer": "1"}]


def broken_gzip(path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"n": %d}\n' % (n * 7919) for n in range(50_000)))
    path.write_bytes(whole[: len(whole) // 2])


def test_a_broken_gzip_file_names_the_last_good_line(tmp_path: Path) -> None:
    broken_gzip(tmp_path / "rows.jsonl.gz")
    with pytest.raises(ConfigurationError, match=r"rows\.jsonl\.gz is a broken gzip file after line \d{4,}"):
        list(read_file(tmp_path / "rows.jsonl.gz"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b'{"a": 1}\n{"a": \n', r"rows\.jsonl, line 2 is no JSON"),
        ("rows.jsonl", b'{"a": 1}\n\n[1]\n', r"rows\.jsonl, line 3 is no JSON object, but a list"),
        ("rows.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', r"rows\.jsonl, line 2 is no UTF-8"),
        ("rows.jsonl.gz", b'{"a": 1}\n', r"rows\.jsonl\.gz is a broken gzip file after line 0"),
        ("rows.csv", b"a,b\n1,2\n3\n", r"rows\.csv, line 3 has another number of cells than the head"),
        ("rows.csv", b'a,b\n1,"2\n', r"rows\.csv is no CSV after line 1 "),
        ("rows.parquet", b"PAR", r"rows\.parquet is no Parquet file"),
        ("rows.txt", b"", r"cannot tell the format of .*rows\.txt"),
    ],
)
def test_what_is_broken_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        list(read_file(tmp_path / name))


def test_a_missing_column_is_named_with_those_there_are() -> None:
    row = Row({"prompt": "?", "label": 1}, "rows.jsonl, line 7")
    message = r"rows\.jsonl, line 7 lacks a column 'question' \(or 'query'\); its columns are: prompt, label"
    with pytest.raises(ConfigurationError, match=message):
        row.get("question", "query")
