from __future__ import annotations

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.tasks import TASKS, load_task


def test_every_task_is_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["tasks"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_described_without_its_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", name]) == 0
    said = capsys.readouterr().out
    task = load_task(name)
    assert task.source.licence in said
    assert task.instructions.splitlines()[0][:60] in said
    assert all(str(value).splitlines()[0] in said for value in task.instance.values() if str(value))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_says_what_it_is(name: str) -> None:
    task = load_task(name)
    assert (task.name, bool(task.splits), bool(task.source.licence), bool(task.source.url)) == (name, True, True, True)
    assert task.instance


def test_an_unknown_task_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "gsm9k"]) == 2
    assert "there is no task 'gsm9k'; there are: worksheets, gsm8k" in capsys.readouterr().err
