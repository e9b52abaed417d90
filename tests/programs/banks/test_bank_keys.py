"""A bank never answers for another: whatever a candidate's text depends on is in its key."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.util
import logging
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dspy
import numpy as np
import pandas as pd
import pydantic
import pytest
from conftest import ScriptedLM, answers
from dspy.lm15 import Response
from PIL import Image

from dspy_fusion.programs import CandidateBank, PlainAdapter, Vote


def asked(program: dspy.Module, bank: CandidateBank, lm: dspy.BaseLM, /, adapter: Any = None, **inputs: Any) -> str:
    """The answer of one candidate through the bank."""
    with dspy.context(lm=lm, adapter=adapter):
        return Vote(program, n=1, bank=bank, signature="question -> answer")(**inputs).answer


@pytest.fixture
def bank(tmp_path: Path) -> CandidateBank:
    return CandidateBank(tmp_path / "bank.db")


ASKED: list[str] = []


class Fixed(dspy.BaseLM):
    """A model of the older kind, which says what it was made with."""

    def __init__(self, text: str) -> None:
        super().__init__("fixed/model", cache=False)
        self.text = text

    def forward(self, prompt: Any = None, messages: Any = None, **kwargs: Any) -> Any:
        ASKED.append(self.text)
        content = f"[[ ## answer ## ]]\n{self.text}\n\n[[ ## completed ## ]]"
        choice = SimpleNamespace(message=SimpleNamespace(content=content, tool_calls=None), finish_reason="stop")
        return SimpleNamespace(choices=[choice], usage={}, model="fixed/model")


class Record(pydantic.BaseModel):
    name: str
    when: datetime.date = datetime.date(2026, 1, 1)


@dataclasses.dataclass
class Point:
    x: float
    names: frozenset[str] = frozenset()


def frame(middle: int) -> pd.DataFrame:
    values = list(range(2000))
    values[1000] = middle
    return pd.DataFrame({"a": values, "b": [str(value) for value in values]})


def array(middle: int) -> np.ndarray:
    values = np.arange(5000)
    values[2500] = middle
    return values


def picture(shade: int) -> Image.Image:
    made = Image.new("RGB", (64, 64))
    made.putpixel((30, 30), (shade, 0, 0))
    return made


PAIRS: dict[str, tuple[Any, Any]] = {
    "array": (array(1), array(2)),
    "array of another type": (np.zeros(3, np.float32), np.zeros(3, np.int32)),
    "array of another shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "array of objects": (np.array([{"a": 1}], dtype=object), np.array([{"a": 2}], dtype=object)),
    "frame": (frame(1), frame(2)),
    "frame of other columns": (frame(1), frame(1).rename(columns={"a": "c"})),
    "series": (frame(1)["a"], frame(2)["a"]),
    "picture": (picture(1), picture(2)),
    "bytes": (b"\xff\x00", b"\xff\x01"),
    "number and text": (1, "1"),
    "whole and float": (1, 1.0),
    "dataclass": (Point(1.0, frozenset("ab")), Point(1.0, frozenset("ac"))),
    "pydantic": (Record(name="a"), Record(name="a", when=datetime.date(2026, 1, 2))),
    "datetime": (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.date(2026, 1, 1)),
    "nested": ({"a": [array(1)]}, {"a": [array(2)]}),
    "order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "history": (
        dspy.History(messages=[{"question": "a", "answer": "b"}]),
        dspy.History(messages=[{"question": "a", "answer": "c"}]),
    ),
    "surrogates": ("a\ud800", "a\ud801"),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_inputs_are_told_apart_by_what_they_hold(kind: str, bank: CandidateBank) -> None:
    class Blind(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predict = dspy.Predict("size -> answer")

        def forward(self, question: Any) -> dspy.Prediction:
            return self.predict(size="some")

    lm, (one, other) = ScriptedLM(answers("a")), PAIRS[kind]
    for value in (one, other, one, other):
        assert asked(Blind(), bank, lm, question=value) == "a"
    assert len(lm.requests) == len(bank) == 2


def test_who_looks_for_annotations_makes_no_other_module_of_it(bank: CandidateBank) -> None:
    class Plain(dspy.Module):
        def forward(self, question: str) -> dspy.Prediction:
            return dspy.Predict("question -> answer")(question=question)

    lm = ScriptedLM(answers("a"))
    asked(Plain(), bank, lm, question="q")
    assert Plain.__annotations__ == {}  # which Python keeps in the class from now on
    asked(Plain(), bank, lm, question="q")
    assert len(lm.requests) == len(bank) == 1


def test_files_are_told_apart_by_what_is_in_them(bank: CandidateBank, tmp_path: Path) -> None:
    lm, file = ScriptedLM(answers("a")), tmp_path / "notes.txt"
    for text in ("first", "second", "first"):
        file.write_text(text)
        asked(dspy.Predict("question -> answer"), bank, lm, question=file)
    assert len(lm.requests) == 2


def test_state_outside_the_predictors_counts(bank: CandidateBank) -> None:
    class Styled(dspy.Module):
        def __init__(self, style: str, tools: list[Callable[..., Any]] | None = None) -> None:
            super().__init__()
            self.predict, self.style, self.tools = dspy.Predict("question, style -> answer"), style, tools or []

        def set_style(self, style: str) -> None:
            self.style = style

        def forward(self, question: str) -> dspy.Prediction:
            return self.predict(question=question, style=self.style + "".join(tool() for tool in self.tools))

    lm, module = ScriptedLM(answers("a")), Styled("brief")
    asked(module, bank, lm, question="q")
    module.set_style("long")
    asked(module, bank, lm, question="q")
    asked(Styled("long"), bank, lm, question="q")
    assert len(lm.requests) == 2
    word = "x"
    asked(Styled("long", [lambda: word]), bank, lm, question="q")
    asked(Styled("long", [lambda: word + "y"]), bank, lm, question="q")
    assert len(lm.requests) == 4


def test_what_a_module_only_counts_does_not(bank: CandidateBank) -> None:
    class Counting(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predict, self.calls, self.log = dspy.Predict("question -> answer"), 0, []

        def forward(self, question: str) -> dspy.Prediction:
            self.calls += 1
            self.log.append(question)
            return self.predict(question=question)

    lm, module = ScriptedLM(answers("a")), Counting()
    for _ in range(3):
        asked(module, bank, lm, question="q")
    assert (len(lm.requests), module.calls) == (1, 1)


def test_what_a_module_remembers_does(bank: CandidateBank) -> None:
    class Remembering(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predict, self.turns = dspy.Predict("question, before -> answer"), []

        def forward(self, question: str) -> dspy.Prediction:
            answer = self.predict(question=question, before=list(self.turns))
            self.turns.append(question)
            return answer

    lm, module = ScriptedLM(answers("a")), Remembering()
    asked(module, bank, lm, question="q")
    asked(module, bank, lm, question="q")
    assert len(lm.requests) == 2


def test_a_retriever_is_known_by_its_passages_however_often_it_was_asked(bank: CandidateBank) -> None:
    class Retrieving(dspy.Module):
        def __init__(self, *passages: str) -> None:
            super().__init__()
            self.search = dspy.Embeddings(list(passages), dspy.Embedder(lengths), k=1)
            self.respond = dspy.Predict("context: list[str], question -> answer")

        def forward(self, question: str) -> dspy.Prediction:
            return self.respond(context=self.search(question).passages, question=question)

    lm, module = ScriptedLM(answers("a")), Retrieving("a b", "c")
    for _ in range(3):
        asked(module, bank, lm, question="q")
    asked(Retrieving("a b", "c"), bank, lm, question="q")
    assert len(lm.requests) == 1
    asked(Retrieving("a b", "d"), bank, lm, question="q")
    assert len(lm.requests) == 2


def lengths(texts: list[str]) -> Any:
    """An embedding that tells texts apart by their length."""
    return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def test_a_queue_is_what_waits_in_it(bank: CandidateBank) -> None:
    class Queued(dspy.Module):
        def __init__(self, *left: str) -> None:
            super().__init__()
            self.predict, self.left = dspy.Predict("question, left -> answer"), queue.Queue[str]()
            for text in left:
                self.left.put(text)

        def forward(self, question: str) -> dspy.Prediction:
            return self.predict(question=question, left=list(self.left.queue))

    lm, used = ScriptedLM(answers("a")), Queued("x")
    used.left.get()
    for module in (used, Queued(), Queued("x")):
        asked(module, bank, lm, question="q")
    assert len(lm.requests) == 2


def test_custom_models_of_one_name_are_told_apart(bank: CandidateBank) -> None:
    program = dspy.Predict("question -> answer")
    first, second = ScriptedLM(answers("one")), ScriptedLM(answers("two"))
    assert [asked(program, bank, lm, question="q") for lm in (first, second, first)] == ["one", "two", "one"]
    assert (len(first.requests), len(second.requests)) == (1, 1)
    old = [Fixed("one"), Fixed("two")]
    assert [asked(program, bank, lm, question="q") for lm in (*old, old[0])] == ["one", "two", "one"]
    assert ASKED == ["one", "two"]


def test_a_model_that_counts_its_calls_is_still_the_same(bank: CandidateBank) -> None:
    left = ["one", "two", "three"]
    lm = ScriptedLM(lambda request: {"answer": left.pop(0)})
    program = dspy.Predict("question -> answer")
    assert [asked(program, bank, lm, question=text) for text in ("p", "q", "p", "q")] == ["one", "two", "one", "two"]


def test_a_models_own_temperature_counts_where_the_program_sets_none(bank: CandidateBank) -> None:
    lm = ScriptedLM(answers("a"))
    program = Vote(dspy.Predict("question -> answer"), n=1, bank=bank, temperature=None)
    for temperature in (0.2, 0.9, 0.2):
        with dspy.context(lm=lm.copy(temperature=temperature)):
            program(question="q")
    assert len(lm.requests) == 2


def test_adapters_of_one_class_with_other_options_are_told_apart(bank: CandidateBank) -> None:
    lm, program = ScriptedLM(answers("a")), dspy.Predict("question -> answer")
    adapters = [None, dspy.ChatAdapter(), dspy.ChatAdapter(use_json_adapter_fallback=False), PlainAdapter()]
    for adapter in adapters:
        asked(program, bank, lm, adapter, question="q")
    assert len(lm.requests) == 3


def test_classes_of_one_name_in_two_files_are_told_apart(bank: CandidateBank, tmp_path: Path) -> None:
    lm = ScriptedLM(answers("a"))
    for folder, style in (("one", "brief"), ("two", "long"), ("three", "brief")):
        asked(_from_file(tmp_path / folder, f"STYLE = {style!r}"), bank, lm, question="q")
        asked(_from_file(tmp_path / folder, "STYLE = 'x'", ending=f".{style}()"), bank, lm, question="q")
    assert len(lm.requests) == 4


def _from_file(folder: Path, constant: str, ending: str = "") -> dspy.Module:
    folder.mkdir(exist_ok=True)
    file = folder / "their_module.py"
    file.write_text(
        f"import dspy\n{constant}\nclass Word(str):\n    brief = str.lower\n    long = str.upper\n"
        "class Module(dspy.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.predict = dspy.Predict('question, style -> answer')\n    def forward(self, question):\n"
        f"        return self.predict(question=question, style=Word(STYLE){ending})\n"
    )
    spec = importlib.util.spec_from_file_location("their_module", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["their_module"] = module
    spec.loader.exec_module(module)
    return module.Module()


def test_what_cannot_be_keyed_is_not_kept_and_says_so_once(
    bank: CandidateBank, caplog: pytest.LogCaptureFixture
) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    lm = ScriptedLM(answers("a"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert asked(dspy.Predict("question -> answer"), bank, lm, question=numbers()) == "a"
    assert (len(lm.requests), len(bank)) == (3, 0)
    told = [record.getMessage() for record in caplog.records if "not kept in the bank" in record.getMessage()]
    assert told == [
        "what Predict answers is not kept in the bank: a generator has no content of its own; "
        "a method bank_identity() can say it"
    ]


def test_a_class_may_say_itself_what_its_answers_depend_on(bank: CandidateBank) -> None:
    class Connection:
        def __init__(self, where: str) -> None:
            self.where, self.socket = where, numbers()

        def bank_identity(self) -> list[str]:
            return [self.where]

    def numbers() -> Iterator[int]:
        yield 1

    lm, program = ScriptedLM(answers("a")), dspy.Predict("question -> answer")
    for where in ("here", "there", "here"):
        asked(program, bank, lm, question=Connection(where))
    assert len(lm.requests) == 2


def test_keys_are_the_same_in_every_process(tmp_path: Path) -> None:
    code = """
import dspy, sys
sys.path.insert(0, {tests!r})
from conftest import ScriptedLM, answers
from dspy_fusion.programs import CandidateBank, Vote
lm = ScriptedLM(answers("a"))
with dspy.context(lm=lm):
    Vote(dspy.Predict("question, names: set[str] -> answer"), n=2, bank=CandidateBank({bank!r}))(
        question="q", names={{"ann", "bob", "carl", "dora"}})
print(len(lm.requests))
"""
    code = code.format(tests=str(Path(__file__).parents[2]), bank=str(tmp_path / "bank.db"))
    made = []
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed}
        )
        made.append(done.stdout.strip() or done.stderr)
    assert made == ["2", "0", "0"]


def test_answers_of_a_stand_in_are_not_kept(bank: CandidateBank) -> None:
    from dspy_fusion.serving.replicas.affinity import affinity_of
    from dspy_fusion.serving.replicas.router import RoutedLM

    class Down:
        def complete(self, request: Any) -> Response:
            raise dspy.LMTransportError("down")

    stand_in = ScriptedLM(lambda request: {"answer": "stand-in"}, name="scripted/other")
    down = RoutedLM("some/model", affinity=affinity_of(("some/model",), None), fallback=stand_in, engine=Down())
    down.num_retries = 0
    program = dspy.Predict("question -> answer")
    assert [asked(program, bank, down, question="q") for _ in range(2)] == ["stand-in", "stand-in"]
    assert (len(bank), len(stand_in.requests)) == (0, 2)


def test_bytes_that_are_no_text_are_kept_and_replayed(bank: CandidateBank) -> None:
    class Raw(dspy.Module):
        def forward(self, question: str) -> dspy.Prediction:
            return dspy.Prediction(answer=b"\xff\xfe")

    for _ in range(2):
        with dspy.context(lm=ScriptedLM(answers("a"))):
            answer = Vote(Raw(), n=1, bank=bank, signature="question -> answer: bytes")(question="q").answer
            assert answer == b"\xff\xfe"
