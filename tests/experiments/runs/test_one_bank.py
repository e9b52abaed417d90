"""One bank in PostgreSQL for a diagnosis and several comparisons, of several processes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from postgresql_server import new_database, postgresql_server

from dspy_fusion import Fusion, Vote, compare, diagnose
from dspy_fusion.programs import CandidateBank

scripted = importlib.import_module("conftest")
ROWS = [dspy.Example(question=f"{n} + 1", answer=str(n + 1)).with_inputs("question") for n in range(6)]
COMPARE = """
import sys, dspy
from dspy_fusion import PlainAdapter, Vote, compare, embedded_lm
rows = [{"worksheet": f"(a) {n} + 1", "answers": f"(a) {n} + 1 = {n + 1}"} for n in range(4)]
vote = Vote(dspy.Predict("worksheet -> answers"), n=3, lms=[embedded_lm("plus")])
compare({"vote": vote}, rows, "exact", inputs=["worksheet"], output="answers", bank=sys.argv[1], out=sys.argv[2],
        adapter=PlainAdapter(), tracking=False, progress=False)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    return new_database(server)


def add(request: Any) -> dict[str, str]:
    text = next(line for line in scripted.prompt_of(request).splitlines() if " + " in line).strip()
    return {"answer": str(sum(int(part) for part in text.split(" + ")))}


def test_what_a_diagnosis_drew_is_replayed_by_comparisons(url: str, tmp_path: Path) -> None:
    lm, solve = scripted.ScriptedLM(add, name="scripted/adder"), dspy.Predict("question -> answer")
    options: dict[str, Any] = {"output": "answer", "bank": url, "tracking": False, "progress": False}
    with dspy.context(lm=lm):
        diagnose(solve, ROWS, "exact", n=4, out=tmp_path / "look", **options)
        assert len(lm.requests) == 24
        compare({"vote": Vote(solve, n=4)}, ROWS, "exact", out=tmp_path / "run", **options)
        assert len(lm.requests) == 24
        programs = {"fused": Fusion(solve, n=3, fusor_lm=lm)}
        compare(programs, ROWS, "exact", out=tmp_path / "other", **options)
        assert len(lm.requests) == 30  # the fusions
    assert len(CandidateBank(url)) == 30


def test_processes_fill_one_bank_side_by_side(url: str, tmp_path: Path) -> None:
    before = len(CandidateBank(url))
    command = [sys.executable, "-c", COMPARE, url]
    runs = [subprocess.Popen([*command, str(tmp_path / str(place))], stderr=subprocess.PIPE) for place in range(2)]
    for run in runs:
        _, said = run.communicate(timeout=400)
        assert run.returncode == 0, said.decode()
    assert len(CandidateBank(url)) == before + 12
