"""The shipped recipes can be read, what they name is there, and each runs to its end on a small checkpoint."""

from __future__ import annotations

import importlib.util
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.runs.finetuning_config import FineTuningConfig
from dspy_fusion.optimizers.finetuning import GivenProposals
from dspy_fusion.programs import ConfigurationError
from dspy_fusion.serving.embedded.arithmetic import answer_text, draw_worksheet, question_text
from dspy_fusion.serving.embedded.huggingface import to_huggingface

ROOT = Path(__file__).parent.parent.parent.parent
CONFIGS = ROOT / "experiments" / "configs"


@pytest.mark.parametrize("name", ["finetune", "ultrafeedback", "urial"])
def test_a_recipe_is_read(name: str) -> None:
    config = FineTuningConfig.read(CONFIGS / f"{name}.toml")
    assert config.is_here
    assert config.training.epochs > 0


def rows_module() -> Any:
    """``examples/ultrafeedback/rows.py``."""
    spec = importlib.util.spec_from_file_location("ultrafeedback_rows", ROOT / "examples" / "ultrafeedback" / "rows.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ultrafeedback_becomes_proposals_with_scores(tmp_path: Path) -> None:
    module = rows_module()
    scored = [("short", 4.0), ("long and right", 8.5), ("wrong", 1.0), ("", 9.0)]
    item = {
        "instruction": "Why?",
        "completions": [{"response": text, "overall_score": score, "model": "m"} for text, score in scored],
    }
    same = {"instruction": "Who?", "completions": [{"response": "a", "overall_score": 1.0}] * 4}
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (item, same)))
    assert module.main(tmp_path / "out.jsonl", tmp_path / "data.jsonl") == 1
    (row,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert row["response"] == "long and right"
    import dspy

    example = dspy.Example(**row).with_inputs("prompt")
    task: Any = dspy.Signature("prompt -> response")
    given = GivenProposals(scores="scores", keep=2).of(example, dspy.Predict(task), task)
    assert [one.outputs["response"] for one in given] == ["long and right", "short"]


def test_urial_is_a_template_that_ends_where_the_model_answers() -> None:
    jinja2 = pytest.importorskip("jinja2")
    text = (ROOT / "examples" / "urial" / "urial.jinja").read_text()
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    source = text.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    asked = [{"role": "system", "content": "Join them."}, {"role": "user", "content": "Why?"}]
    shown = template.from_string(source).render(messages=asked, add_generation_prompt=True)
    assert shown.endswith("# Question:\n```\nWhy?\n```\n\n# Answer:\n```\n")
    assert shown.index("Join them.") < shown.index("# Question:")
    answered = [*asked, {"role": "assistant", "content": "Because."}]
    whole = template.from_string(source).render(messages=answered)
    assert whole.startswith(shown)
    assert whole.removeprefix(shown).startswith("Because.\n```\n")


OWN = {"data": "x.jsonl", "inputs": ["q"], "output": "a", "metric": "exact", "base": "folder"}
PROGRAM = {"program": "fusion", "pool": "base", "fusor": "base"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "proposers is missing.*or have the base served here"),
        ({"server": "tgi"}, "server"),
        ({"base": "embedded/aft", "server": "vllm"}, "an embedded base needs no server"),
        ({"server": "vllm", "serve": "aft"}, "leave one out"),
        ({"server": "vllm", "objective": "dpo", "scorer": ""}, 'objective = "dpo" needs a scorer'),
        ({"proposers": "student", "held_out": 5}, 'set server = "vllm" or "transformers", or set it to 0'),
        ({"server": "vllm", "from_answer": "worst"}, "from_answer"),
        ({"server": "vllm", "from_answer": "best"}, "give from, too"),
        ({"server": "vllm", "from": "rows.jsonl", "objective": "grpo"}, "would change nothing"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        FineTuningConfig.parse({**OWN, "program": PROGRAM, **changes})


class RewardsDigits(BaseHTTPRequestHandler):
    """A reward model as vLLM serves one, which likes digits."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reward = sum(sign.isdigit() for sign in body["messages"][-1]["content"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"data": [[float(reward)]]}]}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def reward_model() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RewardsDigits)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def small_base(folder: Path, *, has_template: bool) -> Path:
    """A checkpoint of a real architecture with a long context and random weights, and a tokenizer of single signs; a
    seventh of them end its answers, so that they do end.
    """
    transformers = pytest.importorskip("transformers")
    to_huggingface("solver", folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=284, max_position_embeddings=8192, **sizes)
    config.eos_token_id = config.pad_token_id = json.loads((folder / "config.json").read_text())["eos_token_id"]
    transformers.set_seed(0)
    model = transformers.LlamaForCausalLM(config)
    model.generation_config.eos_token_id = [config.eos_token_id, *range(240, 280)]
    model.save_pretrained(folder)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**told, "model_max_length": 8192}))
    if not has_template:
        (folder / "chat_template.jinja").unlink()
    return folder


def published(path: Path, count: int) -> Path:
    """Rows in the columns of UltraFeedback as it is published, which ``rows.py`` makes ours of."""
    rng, lines = random.Random(0), []
    for _ in range(count):
        parts = draw_worksheet(rng)
        right = answer_text(parts)
        answers = [right, right[:-1], right.replace("1", "7"), "I do not know."]
        completions = [
            {"response": text, "overall_score": 9.0 - place, "model": "m"} for place, text in enumerate(answers)
        ]
        lines.append(json.dumps({"instruction": question_text(parts), "completions": completions}) + "\n")
    (path.parent / "published.jsonl").write_text("".join(lines))
    assert rows_module().main(path, path.parent / "published.jsonl") == count
    return path


STEPS = "batch_size = 2\nmicro_batch = 2\nlog_every = 1\nthreads = 1\ndevice = 'cpu'"


@pytest.mark.parametrize("name", ["ultrafeedback", "urial"])
def test_a_recipe_runs_to_its_end(
    name: str, tmp_path: Path, reward_model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shipped, but for the models, the number of rows and the steps."""
    pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    monkeypatch.chdir(ROOT)  # the recipe names its chat template from there
    text = (CONFIGS / f"{name}.toml").read_text().replace("micro_batch = 4", STEPS)
    path, out = tmp_path / f"{name}.toml", tmp_path / "run"
    path.write_text(text.replace("http://127.0.0.1:8000", reward_model))
    rows = str(published(tmp_path / "ultrafeedback.jsonl", 8))
    base = small_base(tmp_path / "base", has_template=name != "urial")
    asked = ["--data", rows, *(["--file", rows] if name == "ultrafeedback" else []), "--base", str(base)]
    asked += ["--server", "transformers", "--references", "embedded/aft", "--answer-tokens", "24"]
    asked += ["--examples", "8", "--held-out", "2", "--seeds", "1", "--no-tracking", "--out", str(out)]
    assert main(["finetune", str(path), *asked]) == 0, capsys.readouterr().err
    assert "trained fusing - base fusing" in capsys.readouterr().out
    proposals = [json.loads(line)["value"] for line in (out / "proposals.jsonl").read_text().splitlines()[1:]]
    learned = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    trained_on = 6 if name == "ultrafeedback" else 8  # of its own rows those held out come before the others
    assert len(learned) <= trained_on
    assert len(learned) == len(proposals)
    assert {len(kept) for kept in proposals} == {4 if name == "ultrafeedback" else 5}
    for kept in proposals:
        scores = [one["score"] for one in kept]
        assert scores == sorted(scores, reverse=True)
        assert all(one["outputs"]["response"].count("\n```") == 0 for one in kept)
