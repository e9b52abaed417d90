"""A trained program, saved, loaded in a new process, served from its folder and as a whole: it answers the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dspy
import httpx
import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.endpoint.saved_program import load_program

pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
CONFIG = """
task = "worksheets"
base = "embedded/solver"
examples = 8
draws = 2
keep = 2
scorer = ""
program = { program = "propose_aggregate", pool = "embedded/sft", fusor = "base", n = 3, options = { depth = 1 } }
training = { lora = false, batch_size = 4, micro_batch = 4, log_every = 1, threads = 1, device = "cpu" }
"""
SHEET = "(a) 12 + 35\n(b) 81 - 9\n(c) 7 x 6"
LOADS = """
import sys, dspy
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.endpoint.saved_program import load_program
saved = load_program(sys.argv[1], load_models())
with dspy.context(adapter=saved.adapter):
    print(saved.program(worksheet=sys.argv[2]).answers)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "finetune.toml").write_text(CONFIG)
    assert main(["finetune", str(folder / "finetune.toml"), "--out", str(folder / "run"), "--no-tracking"]) == 0
    return folder / "run"


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """The address at which the command serves."""
    command = [sys.executable, "-m", "dspy_fusion.experiments", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" at ")[1].strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=120)


def asked(url: str) -> str:
    model = httpx.get(f"{url}/models", timeout=120).json()["data"][0]["id"]
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": SHEET}]}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=120).json()["choices"][0]["message"]["content"]


def test_it_answers_the_same_everywhere(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = load_program(run / "program.json", load_models())
    fusor: Any = saved.program
    assert fusor.fusor_lm.model.startswith("embedded/run@")
    with dspy.context(adapter=saved.adapter):
        answer = saved.program(worksheet=SHEET).answers
    again = subprocess.run(
        [sys.executable, "-c", LOADS, str(run / "program.json"), SHEET], capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == answer
    with served(str(run)) as url:
        assert asked(url) == answer
    saved.program.save(str(tmp_path / "whole"), save_program=True)
    with served(str(tmp_path / "whole")) as url:  # by the description that lies beside the pickle
        assert asked(url) == answer
    (tmp_path / "whole" / "program.json").unlink()
    capsys.readouterr()
    assert main(["serve", str(tmp_path / "whole")]) == 2
    assert (
        "reading one runs what its writer put there; where it is yours, say --allow-pickle" in capsys.readouterr().err
    )
    with served(str(tmp_path / "whole"), "--allow-pickle") as url:
        assert asked(url) == answer


def test_a_run_without_its_weights_says_so(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = json.loads((run / "program.json").read_text())
    (name,) = (name for name in state if name.endswith("trained"))
    state[name]["model"]["path"] = str(tmp_path / "gone")
    (tmp_path / "program.json").write_text(json.dumps(state))
    assert main(["serve", str(tmp_path / "program.json")]) == 2
    assert "is not there; put it back, or train it again" in capsys.readouterr().err
