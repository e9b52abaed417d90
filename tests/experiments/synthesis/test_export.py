from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dspy_fusion.experiments.synthesis.export import export, exported_rows
from dspy_fusion.experiments.synthesis.training_rows import Shape
from dspy_fusion.optimizers.finetuning import read_training_rows
from dspy_fusion.programs.errors import ConfigurationError

BEST = {"scorer": "judge", "model": "judge"}


def loaded(file: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    kind = "parquet" if file.suffix == ".parquet" else "json"
    return datasets.load_dataset(kind, data_files=str(file), split="train", cache_dir=str(file.parent / "cache"))


@pytest.fixture
def out(scene: Any) -> Path:
    scene.answers("judge", lambda request: "9/10" if "two says" in str(request.system) else "1/10")
    scene.prompts(*(f"prompt {i}" for i in range(5)), "refuse")
    scene.answers("fusor", lambda request: "I cannot help." if "refuse" in str(request.messages) else "fused: fine")
    scene.run(best=BEST)
    return scene.folder / "out"


@pytest.mark.parametrize("to", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("shape", "examples", "columns"),
    [
        ("sft", 5, ["prompt", "completion"]),
        ("aft", 5, ["prompt", "completion"]),
        ("preference", 15, ["prompt", "chosen", "rejected"]),
    ],
)
def test_datasets_reads_every_format(out: Path, shape: str, to: str, examples: int, columns: list[str]) -> None:
    made = export(out, Shape(shape), to=to)
    found = loaded(made.file)
    assert (made.examples, len(found), found.column_names) == (examples, examples, columns)
    expected = [example for row in made_rows(out) for example in Shape(shape).examples(row)]
    assert found.to_list() == expected


def made_rows(out: Path) -> list[Any]:
    from dspy_fusion.experiments.synthesis.shards import finished_files
    from dspy_fusion.experiments.synthesis.synthesized_rows import read_rows

    return [row for file in finished_files(out) for row in read_rows(file) if row.dropped is None]


def test_the_folder_is_a_data_set_with_a_card(out: Path) -> None:
    datasets = pytest.importorskip("datasets")
    made = export(out, Shape("sft"), licence="cc-by-4.0: mine")
    assert len(datasets.load_dataset(str(made.folder), split="train", cache_dir=str(out / "cache"))) == 5
    _, head, text = (made.folder / "README.md").read_text().split("---\n", 2)
    told = yaml.safe_load(head)
    assert told["license"] == "cc-by-4.0: mine"
    assert told["configs"][0]["data_files"] == [{"split": "train", "path": "sft.jsonl"}]
    for wanted in (
        "teacher `one`: `scripted/one`",
        "fusor `fusor`",
        "| rows kept | 5 |",
        "| dropped: refusal | 1 |",
        "sha256",
    ):
        assert wanted in text


@pytest.mark.parametrize("shape", ["sft", "aft", "preference"])
def test_llama_factory_is_told_the_columns(out: Path, shape: str) -> None:
    made = export(out, Shape(shape, reader="llama-factory"), to="parquet")
    (entry,) = json.loads((made.folder / "dataset_info.json").read_text()).values()
    assert entry["file_name"] == made.file.name
    assert set(entry["columns"].values()) <= set(loaded(made.file).column_names)
    assert entry.get("ranking", False) == (shape == "preference")


@pytest.mark.parametrize("shape", ["sft", "aft", "preference"])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_one_reader_reads_what_is_exported(out: Path, shape: str, kind: str) -> None:
    made = export(out, Shape(shape), to=kind)
    rows = list(read_training_rows(made.file))
    assert [row.to_line() for row in rows] == [row.to_line() for row in exported_rows(out, Shape(shape))]
    assert all(bool(row.rejected) == (shape == "preference") for row in rows)


def test_messages_of_pairs_are_for_trl_alone(out: Path) -> None:
    made = export(out, Shape("preference"))
    assert not (made.folder / "dataset_info.json").exists()
    assert loaded(made.file)[0]["chosen"] == [{"role": "assistant", "content": "fused: fine"}]


def test_unfinished_files_are_left_out_and_said_to_be(scene: Any) -> None:
    synthesis = scene.prepare()
    with pytest.raises(RuntimeError, match="crash"):
        synthesis.go_on(lambda row: (_ for _ in ()).throw(RuntimeError("crash")))
    synthesis.close()
    with pytest.raises(ConfigurationError, match=r"no row of .*out gives an example: no file of rows is finished yet"):
        export(scene.folder / "out", Shape("sft"))


def test_nothing_kept_is_said_with_the_reasons(scene: Any) -> None:
    scene.run(gates={"language": False, "near_duplicates": 0, "min_characters": 1000})
    with pytest.raises(ConfigurationError, match=r'of 6 rows 0 were kept; dropped: \{"length": 6\}'):
        export(scene.folder / "out", Shape("sft"))


def test_a_large_export_goes_in_row_groups(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from dspy_fusion.experiments.synthesis.example_files import write_examples

    count = write_examples(
        ({"prompt": str(i), "chosen": "a", "rejected": "b"} for i in range(2500)), tmp_path / "p.parquet", "parquet"
    )
    file = parquet.ParquetFile(tmp_path / "p.parquet")
    assert (count, file.metadata.num_rows, file.metadata.num_row_groups) == (2500, 2500, 3)
