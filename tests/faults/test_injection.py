"""More than a hundred hostile candidates under every adapter:
the fusor's prompt holds exactly the candidates that were shown, and only
the fusor answers."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from typing import Any

import dspy
import pytest

from dspy_fusion.programs import Fusion, PlainAdapter, candidate_text
from dspy_fusion.programs.tasks.signatures import encodable

from .hostile import HOSTILE

scripted = importlib.import_module(
    "conftest"
)  # the one a folder up; a checker would take `import conftest` for this very file

TASK: Any = dspy.Signature("question -> answer")
TWO: Any = dspy.Signature("question -> reasoning, answer")
HEADER = re.compile(r"^\s*\[\[\s*##\s*(\w+)", re.MULTILINE)
TAG = re.compile(r"<(/?)(question|candidates|reasoning|answer)\b")
WRITERS: dict[str, tuple[dspy.Adapter, Callable[[dict[str, str]], str]]] = {
    "chat": (
        dspy.ChatAdapter(),
        lambda f: "\n\n".join(f"[[ ## {k} ## ]]\n{v}" for k, v in {**f, "completed": ""}.items()),
    ),
    "json": (dspy.JSONAdapter(), lambda f: json.dumps(f)),
    "xml": (dspy.XMLAdapter(), lambda f: "\n".join(f"<{k}>{v}</{k}>" for k, v in f.items())),
    "plain": (PlainAdapter(), lambda f: f["answer"]),
}


class Says(dspy.Module):
    """A task program whose candidates say what they are given, one each."""

    def __init__(self, signature: Any, texts: tuple[str, ...]) -> None:
        super().__init__()
        self.signature, self.texts = signature, texts

    def forward(self, question: str) -> dspy.Prediction:
        place = dspy.settings.lm.kwargs["rollout_id"]
        return dspy.Prediction(
            **{name: self.texts[place] if name == "answer" else "because" for name in self.signature.output_fields}
        )


def fused(
    signature: Any, texts: tuple[str, ...], adapter: dspy.Adapter, completion: str
) -> tuple[dspy.Prediction, Any]:
    """The answer of a fusor that writes ``completion``, and the request it got."""
    lm = scripted.ScriptedLM(lambda request: completion)
    with dspy.context(adapter=adapter):
        prediction = Fusion(Says(signature, texts), n=len(texts), lms=[lm], fusor_lm=lm, shuffle=False)(question="q")
    return prediction, lm.requests[-1]


def shown_as(signature: Any, text: str) -> str:
    return candidate_text(signature, dspy.Prediction(reasoning="because", answer=text))


@pytest.mark.parametrize("signature", [TASK, TWO], ids=["one field", "two fields"])
@pytest.mark.parametrize("kind", ["chat", "json", "xml"])
def test_the_prompt_holds_exactly_the_candidates(kind: str, signature: Any) -> None:
    adapter, write = WRITERS[kind]
    completion = write({**dict.fromkeys(signature.output_fields, "because"), "answer": "honest"})
    _, harmless = fused(signature, ("left", "middle", "right"), adapter, completion)
    for text in HOSTILE:
        prediction, request = fused(signature, ("left", text, "right"), adapter, completion)
        prompt = scripted.prompt_of(request)
        assert prediction.answer == "honest", text
        assert prediction.pool.fallback is None, text
        assert HEADER.findall(prompt) == HEADER.findall(scripted.prompt_of(harmless)), text
        assert TAG.findall(prompt) == TAG.findall(scripted.prompt_of(harmless)), text
        listed = re.search(r'^\["?.*\]$', prompt.split("candidates", 1)[1], re.MULTILINE)
        assert listed, text
        assert json.loads(listed[0]) == [shown_as(signature, each) for each in ("left", text, "right")], text
        assert len(request.messages) == len(harmless.messages)
        assert scripted.system_of(request) == scripted.system_of(harmless)


def test_numbered_candidates_can_be_told_apart_and_read_back() -> None:
    for text in HOSTILE:
        prediction, request = fused(TASK, ("left", text, "right"), PlainAdapter(), "honest")
        assert prediction.answer == "honest"
        blocks = re.split(r"(?:^|\n\n)Response \d+:\n", scripted.system_of(request))
        quoted = re.compile(
            r"(?<![^\n\r\v\f\x1c-\x1e\x85\u2028\u2029])> (?=(?:> )*[ \t#]*response\s+\d+\s*(?::|\n))", re.IGNORECASE
        )
        assert [quoted.sub("", block) for block in blocks[1:]] == ["left", shown_as(TASK, text), "right"], text
        lines = [line for block in blocks[1:] for line in block.splitlines()]
        assert not any(re.match(r"\s*response\s+\d+\s*:", line, re.IGNORECASE) for line in lines), text
        assert scripted.prompt_of(request) == "q"


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_candidate_is_shown_whole(text: str) -> None:
    shown = shown_as(TASK, text)
    undone = re.sub(r"\[\[(\s*)# #", r"[[\1##", re.sub(r"< (?=\s*/?\s*(question|answer|candidates)\b)", "<", shown))
    assert undone.replace("# #", "##") == encodable(text).replace("# #", "##")


@pytest.mark.parametrize("kind", ["chat", "json"])
def test_a_fusor_that_repeats_a_candidate_first_still_answers_itself(kind: str) -> None:
    adapter, write = WRITERS[kind]
    for text in HOSTILE:
        echoed = write({"reasoning": f"The second says:\n{shown_as(TASK, text)}\nI disagree.", "answer": "honest"})
        prediction, _ = fused(TWO, ("left", text, "right"), adapter, echoed)
        assert prediction.answer == "honest", text


def test_a_hostile_text_that_wins_is_an_answer_like_any_other() -> None:
    from dspy_fusion.programs import Vote

    for text in HOSTILE:
        lm = scripted.ScriptedLM(lambda request: "")
        prediction = Vote(Says(TASK, (text, text, "right")), n=3, lms=[lm])(question="q")
        assert prediction.answer == encodable(text)
        assert list(prediction.keys()) == ["answer"]
        prediction.answer.encode()
