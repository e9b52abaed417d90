from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from switch_server import html_server, switch_server

from dspy_fusion.programs.calls.refused_options import known_refusal
from dspy_fusion.serving.catalogue.model_entry import ModelEntry
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.catalogue.probe import probe
from dspy_fusion.serving.catalogue.probe_report import (
    Finding,
    ProbeReport,
    complaints,
    keep_report,
    kept_report,
    probe_file,
)

OPTIONS = ["seed", "n", "top_k", "min_p", "logprobs", "response schema", "stop", "context"]


def probed(engine: str = "litellm", **switches: Any) -> dict[str, Finding]:
    with switch_server(**switches) as server:
        return dict(probe(ModelEntry("hosted_vllm/m", engine=engine), server.address).findings)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_server_that_honours_everything_is_found_to() -> None:
    findings = probed(context=500)
    assert {name: finding.verdict for name, finding in findings.items()} == dict.fromkeys(
        ["answers", *OPTIONS], "honoured"
    )
    assert (findings["context"].tokens, findings["n"].note) == (
        500,
        "two completions in one request, with the seeds s and s + 1",
    )


@pytest.mark.parametrize("option", ["seed", "n", "top_k", "min_p", "logprobs", "response_format", "stop"])
@pytest.mark.parametrize(("switch", "verdict"), [("ignore", "ignored"), ("refuse", "refused")])
def test_what_a_server_ignores_or_refuses_is_found_out(option: str, switch: str, verdict: str) -> None:
    findings = probed(context=500, **{option: switch})
    name = "response schema" if option == "response_format" else option
    assert findings[name].verdict == verdict
    assert findings["stop" if option != "stop" else "logprobs"].verdict == "honoured"


def test_what_the_client_leaves_out_is_not_the_servers_fault() -> None:
    findings = probed("native", context=500)
    assert {name for name, finding in findings.items() if finding.verdict == "not sent"} == {"n", "top_k", "min_p"}


def test_an_unlisted_context_is_found_by_a_long_prompt() -> None:
    with switch_server(context=300, is_loading=True) as server:
        finding = probe(ModelEntry("hosted_vllm/m", context=800), server.address).findings["context"]
    assert (finding.verdict, finding.tokens) == ("honoured", 300)


def test_a_silent_server_is_one_finding() -> None:
    findings = probed(status=500)
    assert list(findings) == ["answers"]
    assert findings["answers"].verdict == "failed"
    with switch_server() as server:
        gone = server.address
    assert "Connection refused" in probe(ModelEntry("hosted_vllm/m"), gone).findings["answers"].note


def test_what_is_no_refusal_is_a_failure() -> None:
    with switch_server(delay_seconds=1.0) as slow:
        assert probe(ModelEntry("hosted_vllm/m", timeout=0.2), slow.address).findings["answers"].verdict == "failed"
    with html_server() as address:
        finding = probe(ModelEntry("hosted_vllm/m"), address).findings["answers"]
    assert (finding.verdict, "<html>" in finding.note) == ("failed", True)


def test_an_embedded_model_is_probed_like_a_server() -> None:
    verdicts = {
        name: finding.verdict for name, finding in probe(ModelEntry("embedded/sft", context=1024)).findings.items()
    }
    assert {name: verdicts[name] for name in ("seed", "top_k", "logprobs", "stop")} == dict.fromkeys(
        ("seed", "top_k", "logprobs", "stop"), "honoured"
    )
    assert (verdicts["n"], verdicts["min_p"]) == ("not sent", "not sent")


def test_reports_are_kept_by_endpoint() -> None:
    findings = {"seed": Finding("honoured", "n"), "context": Finding("honoured", "", 512)}
    report = ProbeReport("openai/m", "http://a/v1", "litellm", "2026-11-23", findings)
    keep_report(report)
    path = keep_report(ProbeReport("openai/m", "http://b/v1", "litellm", "2026-11-23", {}))
    assert path == probe_file()
    assert kept_report("openai/m", "http://a/v1", "litellm") == report
    assert kept_report("openai/m", "http://a/v1", "native") is None
    assert len(json.loads(path.read_text())) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"x": 3}', "\x00"])
def test_an_unreadable_file_of_reports_is_an_empty_one(content: str) -> None:
    probe_file().parent.mkdir(parents=True)
    probe_file().write_text(content)
    assert kept_report("openai/m", "", "litellm") is None
    keep_report(ProbeReport("openai/m", "", "litellm", "2026-11-23", {}))
    assert kept_report("openai/m", "", "litellm") is not None


def test_settings_that_are_not_followed_are_complained_about() -> None:
    entry = ModelEntry("openai/m", sampling={"top_k": 20, "stop": ["x"]}, context=4096)
    findings = {
        "top_k": Finding("ignored", "n"),
        "seed": Finding("refused", "400"),
        "context": Finding("honoured", "", 2048),
    }
    assert complaints(entry, [ProbeReport("openai/m", "http://a/v1", "litellm", "2026-11-23", findings)]) == [
        "openai/m at http://a/v1: top_k = 20 is ignored (n)",
        "openai/m at http://a/v1: the seed of each candidate is refused (400)",
        "openai/m at http://a/v1: context = 4096, but the server takes 2048 tokens",
    ]


def test_a_model_that_was_probed_warns_once_when_it_is_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "models.toml").write_text(
        '[m]\nmodel = "openai/m"\naddress = "http://warns/v1"\nsampling = { top_k = 20 }'
    )
    keep_report(ProbeReport("openai/m", "http://warns/v1", "litellm", "2026-11-23", {"top_k": Finding("ignored", "n")}))
    for _ in range(2):
        load_models(tmp_path / "models.toml").lm("m")
    assert caplog.text.count("top_k = 20 is ignored") == 1


def test_what_a_probe_found_refused_is_known_before_the_first_call(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text('[m]\nmodel = "openai/m"\naddress = "http://refuses/v1"')
    verdicts = {"seed": Finding("refused", "400"), "logprobs": Finding("honoured"), "n": Finding("not sent")}
    keep_report(ProbeReport("openai/m", "http://refuses/v1", "litellm", "2026-11-23", verdicts))
    lm = load_models(tmp_path / "models.toml").lm("m")
    assert [name for name in ("seed", "logprobs", "n") if known_refusal(lm, name, 1)] == ["seed"]
