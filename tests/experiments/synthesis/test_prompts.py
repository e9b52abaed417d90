from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.synthesis.prompts import Source, open_source
from dspy_fusion.experiments.synthesis.synthesis_config import SynthesisConfig
from dspy_fusion.programs.errors import ConfigurationError

ROWS = [{"prompt": f"prompt {i}\nwith a line, and \u2028 a separator", "lang": "pt-BR"} for i in range(5)]


def source(*, rows: int = 0, **prompts: Any) -> Source:
    return open_source(SynthesisConfig.parse({"prompts": prompts, "teachers": ["a"], "rows": rows}))


def write(path: Path) -> Path:
    """The rows in the format that a file's name says."""
    opened = gzip.open if path.suffix == ".gz" else open
    if ".jsonl" in path.name:
        with opened(path, "wt", encoding="utf-8") as file:
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in ROWS))
    elif ".csv" in path.name:
        with opened(path, "wt", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ROWS[0])
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.csv", "p.csv.gz", "p.parquet"])
def test_every_format_gives_the_same_prompts_from_any_place(tmp_path: Path, name: str) -> None:
    found = source(file=str(write(tmp_path / name)), language_column="lang")
    assert found.total == 5
    assert [prompt.text for prompt in found.read()] == [row["prompt"] for row in ROWS]
    assert [(prompt.index, prompt.language) for prompt in found.read(3)] == [(3, "pt-br"), (4, "pt-br")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "p.jsonl",
            '{"prompt": "a"}\n{"question": "b"}\n',
            r"p.jsonl, line 2 lacks a column 'prompt'; its columns are: question",
        ),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": \n', r"p.jsonl, line 2 is no JSON"),
        ("p.jsonl", "[1]\n", r"p.jsonl, line 1 is no JSON object"),
        ("p.jsonl", '{"prompt": [1]}\n', r"p.jsonl, line 1: the column 'prompt' holds a list, but a prompt is a text"),
        ("p.jsonl", "", r"p.jsonl holds no rows"),
        ("p.csv", "prompt,lang\na,en\nb\n", r"p.csv, line 3 has another number of cells than the head"),
        ("p.csv", "question\na\n", r"p.csv, line 2 lacks a column 'prompt'; its columns are: question"),
        ("p.csv", b"prompt\n\xff\xfe\n", r"p.csv, .* is no UTF-8"),
        ("p.jsonl", b'{"prompt": "\xff"}\n', r"p.jsonl, line 1 is no UTF-8"),
        ("p.jsonl.gz", b"no gzip", r"p.jsonl.gz is a broken gzip file"),
        ("p.csv.gz", gzip.compress(b"prompt\n" + b"a\n" * 5000, mtime=0)[:40], r"p.csv.gz is a broken gzip file"),
        ("p.parquet", b"no parquet", r"p.parquet is no Parquet file"),
        ("p.txt", "a", r"cannot tell the format of .*p.txt"),
    ],
)
def test_a_broken_file_is_found_before_any_call(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError, match=message):
        source(file=str(tmp_path / name))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read nowhere/p.jsonl: No such file"):
        source(file="nowhere/p.jsonl")


def test_a_missing_prompt_is_blank(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": null}\n')
    assert [prompt.text for prompt in source(file=str(tmp_path / "p.jsonl")).read()] == [""]


def test_another_content_is_another_source(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl")
    before = source(file=str(path)).about
    path.write_text('{"prompt": "other"}\n')
    assert source(file=str(path)).about != before


def test_a_task_gives_its_questions_and_instructions() -> None:
    found = source(task="worksheets", split="train", rows=3)
    texts = [prompt.text for prompt in found.read()]
    assert len(texts) == 3
    assert texts[0].startswith("(a) ")
    assert found.system
    assert [prompt.index for prompt in found.read(2)] == [2]


@pytest.mark.parametrize(
    ("prompts", "rows", "message"),
    [
        ({"task": "worksheets"}, 0, "rows=0 asks for all of worksheets"),
        ({"task": "worksheets", "split": "dev"}, 3, "has no split 'dev'; it has: "),
        ({"task": "nothing"}, 3, "there is no task 'nothing'"),
    ],
)
def test_a_task_that_cannot_be_had_is_refused(prompts: dict[str, str], rows: int, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        source(rows=rows, **prompts)


def test_a_data_set_of_the_hub_is_streamed(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    write(tmp_path / "train.jsonl")
    found = source(hub=str(tmp_path))
    assert found.total is None
    assert [prompt.text for prompt in found.read(1)] == [row["prompt"] for row in ROWS[1:]]
    with pytest.raises(ConfigurationError, match=r"lacks a column 'question'; its columns are: prompt, lang"):
        source(hub=str(tmp_path), column="question")
    with pytest.raises(ConfigurationError, match=r"the data set .* cannot be had"):
        source(hub=str(tmp_path), split="dev")
