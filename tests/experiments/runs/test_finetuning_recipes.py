"""The shipped recipes can be read, and what they name is there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.runs.finetuning_config import FineTuningConfig
from dspy_fusion.optimizers.finetuning import GivenProposals
from dspy_fusion.programs import ConfigurationError

ROOT = Path(__file__).parent.parent.parent.parent
CONFIGS = ROOT / "experiments" / "configs"


@pytest.mark.parametrize("name", ["finetune", "ultrafeedback", "urial"])
def test_a_recipe_is_read(name: str) -> None:
    config = FineTuningConfig.read(CONFIGS / f"{name}.toml")
    assert config.is_here
    assert config.training.epochs > 0


def test_ultrafeedback_becomes_proposals_with_scores(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("ultrafeedback_rows", ROOT / "examples" / "ultrafeedback" / "rows.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
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
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        FineTuningConfig.parse({**OWN, "program": PROGRAM, **changes})
