"""A reward model behind HTTP as the scorer of best of N in a comparison, and as what ranks proposals for training."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.experiments.runs.finetuning_config import FineTuningConfig
from dspy_fusion.optimizers.finetuning import read_training_rows
from dspy_fusion.programs.errors import ConfigurationError


def reward(answer: str) -> float:
    return 50.0 + answer.count("7")


class Handler(BaseHTTPRequestHandler):
    """Rewards sheets that hold many sevens, far above where a sigmoid would call all of them 1."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question, answer = (message["content"] for message in body["messages"])
        self.asked.append((question, answer))
        if self.path.startswith("/broken"):
            self.send_error(500, "out of memory")
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"data": [[reward(answer)]]}]}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_it_chooses_in_a_comparison_and_its_raw_rewards_are_recorded(
    config: CompareConfig, lab: Any, tmp_path: Path, address: str
) -> None:
    options = {"address": address, "model": "rm"}
    best = StrategyConfig("best of 3, reward", "best_of_n", "both", scorer="reward_model", scorer_options=options)
    comparison = prepare(replace(config, strategies=(best,)), lab, tmp_path)
    comparison.run(lambda record: None)
    for record in comparison.records.records:
        rewards = [candidate.scorer_score for candidate in record.candidates]
        assert rewards == [50.0 + str(candidate.text).count("7") for candidate in record.candidates]
        assert record.answer == record.candidates[rewards.index(max(rewards))].text


def test_without_an_address_it_is_one_line(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    best = StrategyConfig("best", "best_of_n", "both", scorer="reward_model")
    with pytest.raises(ConfigurationError, match=r"strategy 'best': .*address"):
        prepare(replace(config, strategies=(best,)), lab, tmp_path)


def test_a_training_says_where_its_reward_model_is() -> None:
    table = {"task": "worksheets", "base": "embedded/sft", "scorer": "reward_model"}
    table |= {"program": {"program": "fusion", "pool": "embedded/sft"}}
    with pytest.raises(ConfigurationError, match='scorer = "reward_model" needs scorer_options'):
        FineTuningConfig.parse(table)
    made = FineTuningConfig.parse({**table, "scorer_options": {"address": "http://127.0.0.1:1", "model": "rm"}})
    assert made.scorer_options["model"] == "rm"


def test_a_configuration_names_it() -> None:
    strategy = {"name": "b", "program": "best_of_n", "pool": "plus", "scorer": "reward_model"}
    table = {"task": "worksheets", "strategy": [{**strategy, "scorer_options": {"address": "http://x", "model": "m"}}]}
    assert CompareConfig.parse(table).strategies[0].scorer == "reward_model"


TRAINING = """
task = "worksheets"
base = "embedded/aft"
examples = 6
held_out = 2
seeds = 1
draws = 4
keep = 2
scorer = "reward_model"
scorer_options = {{ address = "{address}", model = "rm" }}
program = {{ program = "fusion", pool = "embedded/aft", fusor = "embedded/aft", n = 2 }}
training = {{ lora = false, batch_size = 4, micro_batch = 4, log_every = 1, threads = 1, device = "cpu" }}
"""


def test_it_ranks_the_proposals_of_a_training_that_runs_to_its_end(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    Handler.asked.clear()
    (tmp_path / "finetune.toml").write_text(TRAINING.format(address=address))
    out = tmp_path / "run"
    assert main(["finetune", str(tmp_path / "finetune.toml"), "--out", str(out), "--no-tracking"]) == 0
    assert "trained fusing - base fusing" in capsys.readouterr().out
    drawn: dict[str, list[str]] = {}
    for question, answer in Handler.asked:
        drawn.setdefault(question, []).append(answer)
    assert len(drawn) == 6
    rows = list(read_training_rows(out / "rows.jsonl"))
    prompts = ["\n".join(message["content"] for message in row.prompt) for row in rows]
    for question, answers in drawn.items():
        assert len(answers) == 4
        (prompt,) = [text for text in prompts if question.rpartition("\n\n")[2] in text]
        rewards = sorted((reward(answer) for answer in answers), reverse=True)
        assert min(rewards) >= 50
        shown = [answer for answer in set(answers) if answer in prompt]
        assert all(reward(answer) >= rewards[1] for answer in shown)
        assert any(reward(answer) == rewards[0] for answer in shown)


def test_a_reward_model_that_answers_nonsense_ends_a_training_with_one_line(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    (tmp_path / "finetune.toml").write_text(TRAINING.format(address=address + "/broken"))
    out = tmp_path / "run"
    assert main(["finetune", str(tmp_path / "finetune.toml"), "--out", str(out), "--no-tracking"]) == 2
    error = capsys.readouterr().err
    assert "the reward model at" in error
    assert "Traceback" not in error
