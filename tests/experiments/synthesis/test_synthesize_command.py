"""The real command on the embedded models: made, killed, exported, and every mistake in one line."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.inference_server import inference_server
from dspy_fusion.experiments.__main__ import main
from dspy_fusion.serving.embedded import embedded_model

WEIGHTS = Path(embedded_model.__file__).with_name("weights")
needs_weights = pytest.mark.skipif(
    not (WEIGHTS / "aft.safetensors").exists(), reason=f"the embedded weights are not in {WEIGHTS}"
)
CONFIG = """
teachers = ["plus", "minus", "times"]
rows = 40
shard_rows = 15
concurrency = 8
[prompts]
task = "worksheets"
[best]
scorer = "likelihood"
[fusion]
fusor = "aft"
instructions = "AGGREGATE"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(CONFIG)
    return tmp_path / "s.toml"


def served(config: Path, address: str) -> None:
    """Prompts, and a catalogue of two models that answer and one that does not."""
    (config.parent / "p.jsonl").write_text("".join(json.dumps({"prompt": f"prompt {i}"}) + "\n" for i in range(50)))
    addresses = {"one": address, "two": address, "down": f"{address}/nothing"}
    tables = (
        f'[{name}]\nmodel = "openai/{name}"\naddress = "{at}"\nengine = "native"\n' for name, at in addresses.items()
    )
    (config.parent / "models.toml").write_text("".join(tables))


def command(config: Path, *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "dspy_fusion.experiments", "synthesize", *options]
    return subprocess.Popen(words, cwd=config.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows_in(out: Path) -> list[str]:
    return [line for path in sorted(out.glob("rows-*.jsonl")) for line in path.read_text().split("\n") if line]


def written(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("rows-*") if path.suffix in (".jsonl", ".part"))


@needs_weights
def test_rows_are_made_counted_and_exported(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthesize", str(config), "--out", "out", "--rows", "12"]) == 0
    said = capsys.readouterr()
    assert "12/12 rows" in said.err
    assert "next: dspy-fusion synthesize export out --format sft" in said.out
    assert "times" in said.out
    for shape, to in (("sft", "jsonl"), ("aft", "parquet"), ("preference", "jsonl")):
        assert main(["synthesize", "export", "out", "--format", shape, "--to", to, "--license", "apache-2.0"]) == 0
        assert "examples of 12 kept rows (of 12)" in capsys.readouterr().out
    sft = json.loads((config.parent / "out/exports/sft/sft.jsonl").read_text().splitlines()[0])
    assert [message["role"] for message in (*sft["prompt"], *sft["completion"])] == ["system", "user", "assistant"]


def test_a_command_killed_at_any_moment_ends_as_an_undisturbed_one(config: Path) -> None:
    with inference_server(0, 0.05) as server:
        served(config, server.address)
        options = [
            "--prompts",
            "p.jsonl",
            "--teachers",
            "one,two",
            "--fusor",
            "one",
            "--concurrency",
            "4",
            "--shard-rows",
            "20",
        ]
        assert command(config, *options, "--out", "whole").wait(400) == 0
        rng, out = random.Random(4), config.parent / "killed"
        server.count(reset=True)
        for share in sorted(rng.uniform(0.05, 0.95) for _ in range(3)):
            process = command(config, *options, "--out", "killed")
            while server.count().requests < 3 * 50 * share and process.poll() is None:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert command(config, *options, "--out", "killed").wait(400) == 0
        assert server.count().requests - 3 * 50 <= 3 * 3 * 4  # kills, calls of a row, rows in flight
    assert len(rows_in(out)) == 50
    assert rows_in(out) == rows_in(config.parent / "whole")


@needs_weights
def test_options_alone_do_without_a_configuration_file(config: Path) -> None:
    options = [
        "--prompts",
        "task:worksheets",
        "--teachers",
        "plus, minus",
        "--scorer",
        "likelihood",
        "--rows",
        "3",
        "--out",
        "out",
    ]
    assert main(["synthesize", *options]) == 0
    assert json.loads(rows_in(config.parent / "out")[0])["fused"] is None


def test_a_server_that_is_not_there_is_named_with_its_teacher(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with inference_server(0, 0.0) as server:
        served(config, server.address)
        assert (
            main(["synthesize", "--prompts", "p.jsonl", "--teachers", "one,down", "--fusor", "one", "--out", "out"])
            == 2
        )
    assert (
        "dspy-fusion: the teacher 'down' failed on all of the first 12 rows" in capsys.readouterr().err.splitlines()[-1]
    )
    assert written(config.parent / "out") >= 12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.toml"], "cannot read the configuration nowhere.toml"),
        ([], "give a configuration file, or --prompts or --data with --teachers"),
        (["s.toml", "--teachers", "plus"], "give either a configuration file or --teachers, not both"),
        (["s.toml", "out"], "a second word is for export alone, but got 'out'"),
        (["s.toml", "--temperature", "3"], "temperature must be at most 2, but got temperature=3.0"),
        (["--prompts", "p.jsonl", "--teachers", "plus"], "cannot read p.jsonl: No such file or directory"),
        (
            ["--prompts", "q.jsonl", "--teachers", "plus"],
            "q.jsonl, line 1 lacks a column 'prompt'; its columns are: question",
        ),
        (["export", "out"], "export takes a folder and --format, one of sft, aft, preference"),
        (["export", "out", "--format", "sft"], "out holds no synthesis: run.json: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (config.parent / "q.jsonl").write_text('{"question": "why?"}\n')
    assert main(["synthesize", *words]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (config.parent / "out").exists()
