"""One command serves the base, collects, frees its memory, trains, serves what was trained and measures before and
after: the whole chain on a small real checkpoint, with servers that really answer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dspy
import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.embedded.huggingface import to_huggingface
from dspy_fusion.serving.endpoint.saved_program import load_program

pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
STAND_IN = Path(__file__).parent.parent.parent / "stand_in_vllm.py"
CONFIG = """
task = "worksheets"
base = "{base}"
server = "{server}"
server_command = "{command}"
examples = 6
held_out = 2
seeds = 1
draws = 3
keep = 2
answer_tokens = 60
program = {{ program = "fusion", pool = "base", fusor = "base", n = 2 }}
[training]
lora = {{ rank = 4 }}
batch_size = 2
micro_batch = 2
checkpoint_every = 1
log_every = 1
threads = 1
device = "cpu"
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_huggingface("solver", tmp_path_factory.mktemp("base") / "solver")


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with vLLM's command line; its starts are in ``starts`` beside it."""
    program = tmp_path / "vllm"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("STAND_IN_VLLM_LOG", str(tmp_path / "starts"))
    return program


def config(folder: Path, base: Path, server: str, command: str = "vllm") -> Path:
    path = folder / "finetune.toml"
    path.write_text(CONFIG.format(base=base, server=server, command=command))
    return path


def finetune(path: Path, out: Path, *further: str) -> int:
    return main(["finetune", str(path), "--out", str(out), "--no-tracking", *further])


def starts(vllm: Path) -> list[list[str]]:
    log = vllm.parent / "starts"
    return [json.loads(line)[1:] for line in log.read_text().splitlines()] if log.exists() else []


def ended(vllm: Path) -> bool:
    ids = [json.loads(line)[0] for line in (vllm.parent / "starts").read_text().splitlines()]
    return not any(Path(f"/proc/{one}").exists() for one in ids)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_the_whole_chain_by_vllms_command_line(
    base: Path, vllm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert finetune(config(tmp_path, base, "vllm", str(vllm)), out) == 0
    shown = capsys.readouterr().out
    assert "trained fusing - base fusing" in shown
    first, second = starts(vllm)
    assert first[:2] == ["serve", str(base)]
    assert "--enable-lora" not in first
    assert second[:2] == ["serve", str(base)]
    assert second[second.index("--lora-modules") + 1] == f"trained={out / 'adapter'}"
    assert second[second.index("--max-lora-rank") + 1] == "8"
    assert ended(vllm)
    report = json.loads((out / "report.json").read_text())
    assert list(report["measured"]["arms"]) == ["base alone", "base fusing", "trained alone", "trained fusing"]
    saved = load_program(out / "program.json", load_models())
    with dspy.context(adapter=saved.adapter):
        assert saved.program(worksheet="(a) 12 + 3").answers  # by transformers, without vLLM
    assert finetune(config(tmp_path, base, "vllm", str(vllm)), out) == 0
    assert capsys.readouterr().out == shown
    assert len(starts(vllm)) == 2  # a second run asks nothing


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_a_killed_chain_goes_on_where_it_was(base: Path, vllm: Path, tmp_path: Path) -> None:
    out, path = tmp_path / "run", config(tmp_path, base, "vllm", str(vllm))
    command = [
        sys.executable,
        "-m",
        "dspy_fusion.experiments",
        "finetune",
        str(path),
        "--out",
        str(out),
        "--no-tracking",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ) as run:
        while run.poll() is None and not (out / "checkpoints" / "checkpoint-1" / ".dspy-fusion.json").exists():
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
    collected = {name: (out / name).read_bytes() for name in ("proposals.jsonl", "rows.jsonl")}
    assert len(starts(vllm)) == 1
    assert finetune(path, out) == 0
    assert {name: (out / name).read_bytes() for name in collected} == collected
    assert ["--lora-modules" in one for one in starts(vllm)] == [False, True]  # the base was not needed again


def test_the_whole_chain_by_transformers_in_this_process(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert finetune(config(tmp_path, base, "transformers"), out) == 0
    assert "trained fusing - trained alone" in capsys.readouterr().out
    proposals = [json.loads(line) for line in (out / "proposals.jsonl").read_text().splitlines()][1:]
    assert len(proposals) == 6
    assert all(one["source"].startswith("checkpoint/") for row in proposals for one in row["value"])
    saved = load_program(out / "program.json", load_models())
    with dspy.context(adapter=saved.adapter):
        assert saved.program(worksheet="(a) 12 + 3\n(b) 9 x 4").answers


def test_what_is_missing_is_told_before_anything_is_drawn(
    base: Path, vllm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    assert finetune(config(tmp_path, base, "vllm", "no-such-vllm"), out) == 2
    assert "needs the program 'no-such-vllm'" in capsys.readouterr().err
    assert not (out / "proposals.jsonl").exists()
    monkeypatch.setenv("STAND_IN_VLLM_FAILS", "1")
    assert finetune(config(tmp_path, base, "vllm", str(vllm)), tmp_path / "other") != 0
    said = capsys.readouterr().err
    assert "No available memory for the cache blocks" in said
    assert len(said.strip().splitlines()[-1]) < 500
