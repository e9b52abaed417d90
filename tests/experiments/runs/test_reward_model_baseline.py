"""A reward model behind HTTP as the scorer of best of N in a comparison, and as what ranks proposals for training."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.experiments.runs.finetuning_config import FineTuningConfig
from dspy_fusion.programs.errors import ConfigurationError


class Handler(BaseHTTPRequestHandler):
    """Rewards sheets that hold many sevens, far above where a sigmoid would call all of them 1."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reward = 50.0 + body["messages"][1]["content"].count("7")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"data": [[reward]]}]}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
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
