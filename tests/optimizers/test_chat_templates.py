"""A checkpoint's own chat template: what is learned is what is asked for, or it is refused before anything is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ScriptedLM
from finetuning_problem import EXAMPLES, fine_tuning, program

from dspy_fusion.optimizers.finetuning import SampledProposals
from dspy_fusion.programs import ConfigurationError

pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
pytestmark = pytest.mark.usefixtures("plain_adapter")

BEFORE = "{% for m in messages if m.role != 'assistant' %}#{{ m.role }}#{{ m.content }}\n{% endfor %}"
ANSWER = "{% for m in messages if m.role == 'assistant' %}"
OTHER_BEGINNING = BEFORE + ANSWER + "#b#{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}#a#{% endif %}"
CHANGED = BEFORE + ANSWER + "#a#{{ m.content | upper }}<end>{% endfor %}{% if add_generation_prompt %}#a#{% endif %}"
ENDLESS = BEFORE + ANSWER + "#a#{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}#a#{% endif %}"
ITS_OWN = BEFORE + ANSWER + "#a#{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}#a#{% endif %}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (OTHER_BEGINNING, "asks for an answer by 'a#' but writes 'b#Because"),
        (CHANGED, "writes the answer 'Because.' as 'BECAUSE.<end>'"),
        (ENDLESS, "ends an answer with nothing, so no model could learn where to end"),
    ],
)
def test_a_template_that_would_teach_something_else_is_refused(
    base: Path, tmp_path: Path, template: str, message: str
) -> None:
    lm = ScriptedLM(lambda request: "(a) 1 + 1 = 2")
    tuner = fine_tuning(base, tmp_path / "out", chat_template=template, proposals=SampledProposals(lm, draws=1, keep=1))
    with pytest.raises(ConfigurationError, match=message):
        tuner.compile(program(), trainset=EXAMPLES)
    assert lm.requests == []
    assert not (tmp_path / "out").exists()


def test_a_template_of_its_own_is_trained_and_kept(base: Path, tmp_path: Path) -> None:
    tuner = fine_tuning(base, tmp_path / "out", chat_template=ITS_OWN, epochs=0.5)
    trained: Any = tuner.compile(program(), trainset=EXAMPLES)
    assert trained.finetuning_report.steps == 3
    assert (tmp_path / "out" / "model" / "chat_template.jinja").read_text() == ITS_OWN
    assert json.loads((tmp_path / "out" / "rows.jsonl").read_text().splitlines()[0])["completion"]
