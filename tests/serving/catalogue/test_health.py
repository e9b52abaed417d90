from __future__ import annotations

from pathlib import Path

import pytest
from switch_server import html_server, switch_server

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.serving.catalogue.health import health
from dspy_fusion.serving.catalogue.model_entry import ModelEntry
from dspy_fusion.serving.catalogue.probe_report import kept_report


def test_each_address_says_how_it_is() -> None:
    with switch_server() as well, switch_server(is_loading=True) as loading:
        with switch_server() as gone:
            pass
        states = health(ModelEntry("openai/m", addresses=(well.address, loading.address, gone.address)))
    assert [(state.running, state.waiting) for state in states] == [(3, 0), (None, None), (None, None)]
    assert [state.problem.partition(" ")[0] for state in states] == ["", "503", "[Errno"]


def test_a_port_that_answers_html_is_no_model_server() -> None:
    with html_server() as address:
        (state,) = health(ModelEntry("openai/m", address=address))
    assert state.problem == 'something else answers there: "<html>a router\'s login page</html>"'


def test_a_model_without_address_is_not_asked() -> None:
    assert health(ModelEntry("openai/m")) == []


def test_the_command_shows_health_and_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "models.toml"
    with switch_server(seed="ignore", context=900) as server:
        path.write_text(f'[m]\nmodel = "openai/m"\naddress = "{server.address}"\nmax_concurrency = 7')
        assert main(["models", "--models-file", str(path), "--health"]) == 0
        assert "answers in" in (shown := capsys.readouterr().out)
        assert "7" in shown
        assert main(["models", "--models-file", str(path), "--probe"]) == 0
        said = capsys.readouterr()
        assert "two equal seeds gave different texts" in said.out
        assert "the seed of each candidate is ignored" in said.err
        assert "probes.json" in said.err
    assert main(["models", "--models-file", str(path), "--probe", "m"]) == 1
    assert "not kept" in capsys.readouterr().err
    assert (
        kept_report("openai/m", server.address, "litellm").findings["seed"].verdict == "ignored"
    )  # as it was found before
    assert main(["models", "--models-file", str(path), "--health"]) == 1
    assert main(["models", "--models-file", str(path), "--probe", "nothing"]) == 2
