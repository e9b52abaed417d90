"""A program file that somebody else wrote: nothing in it is imported or run, and nothing changes where calls go."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Optional, Union

import dspy
import pytest
from dspy.signatures.signature import make_signature

from dspy_fusion.experiments.runs.served import served_program
from dspy_fusion.programs import BestOfN, ConfigurationError, Fusion, LMJudge, PlainAdapter, Vote
from dspy_fusion.serving import ModelCatalogue, embedded_lm
from dspy_fusion.serving.endpoint.saved_program import load_program, restore, save_program

OWN: dict[str, Any] = {"lms": [embedded_lm("plus")], "fusor_lm": embedded_lm("aft")}
Change = Callable[[dict[str, Any]], Any]


def _set(*path: str, value: Any) -> Change:
    def change(state: dict[str, Any]) -> None:
        for name in path[:-1]:
            state = state[name]
        state[path[-1]] = value

    return change


def _config(name: str, value: Any = "http://127.0.0.1:9/v1") -> Change:
    return _set("program", "config", value={name: value})


ABOUT = "dspy_fusion"
HOSTILE: dict[str, tuple[Change, str]] = {
    **{
        name: (_config(name), f"the config of program has '{name}', which a file must not set")
        for name in ("api_base", "base_url", "api_key", "headers", "extra_headers", "extra_body", "model", "engine")
    },
    "temperature of a wrong type": (_config("temperature", {"a": 1}), "temperature = .*wrong type"),
    "a model": (_set("fusor", "lm", value={"model": "openai/x", "api_base": "http://127.0.0.1:9"}), "names a model"),
    "an attribute": (_set("program", "forward", value="x"), "program has 'forward', which a file must not set"),
    "callbacks": (_set("fusor", "callbacks", value=[]), "fusor has 'callbacks', which a file must not set"),
    "a further part": (_set("evil", value={}), "it has 'evil', which a Fusion lacks"),
    "a part of a hyperparameter": (_set("n", "high", value=9), "n has 'high', which a file must not set"),
    "instructions": (_set("program", "signature", "instructions", value=["x"]), "must be texts"),
    "demos": (_set("program", "demos", value=["x"]), "the demos of program must be a list of tables"),
    "a field's text": (_set("program", "signature", "fields", value=[{"prefix": 1, "description": ""}] * 2), "texts"),
    "a type": (_set(ABOUT, "task", "signature", value="question: evilmod -> answer"), "the type evilmod of a field"),
    "a dotted type": (
        _set(ABOUT, "task", "signature", value="q: evilmod.X -> answer"),
        "the type evilmod.X of a field",
    ),
    "an inner type": (_set(ABOUT, "task", "signature", value="q: list[evilmod.X] -> a"), "the type evilmod.X"),
    "a call": (_set(ABOUT, "task", "signature", value="q: __import__('evilmod') -> a"), "the type __import__"),
    "a default": (_set(ABOUT, "task", "signature", value="q=__import__('evilmod') -> a"), "cannot be read"),
    "a body": (_set(ABOUT, "task", "signature", value="q): import evilmod\ndef f(x -> a"), "cannot be read"),
    "a body after a remark": (_set(ABOUT, "task", "signature", value="q -> a): import evilmod #"), "cannot be read"),
    "a name of DSPy's": (
        _set(ABOUT, "task", "signature", value="demos -> a"),
        "'demos', which is a name of DSPy's own",
    ),
    "a hidden name": (_set(ABOUT, "task", "signature", value="__class__ -> a"), "'__class__', which is a name of"),
    "an empty literal": (_set(ABOUT, "task", "signature", value="q: Literal[()] -> a"), "cannot be made"),
    "calls without end": (_set("n", "value", value=10**30), "a file may set 1000 at most"),
    "models without end": (_set(ABOUT, "lms", value=["plus"] * 1000), "at most 256"),
    "what is kept": (_set("n", "kept", value={"evil": 1}), "n's kept has 'evil', which a file must not set"),
    "a calibration": (_set("n", "kept", value={"calibration": {"x": 1}}), "the state of a calibration is damaged"),
    "a step back": (_set(ABOUT, "lms", value=["openai/../x"]), "must not choose an address"),
    "a model's options": (
        _set(ABOUT, "lms", value=[{"name": "plus", "sampling": {"api_base": "http://127.0.0.1:9"}}]),
        "a model's sampling has 'api_base', which a file must not set",
    ),
    "a model that says more": (_set(ABOUT, "lms", value=[{"name": "plus", "api_base": "x"}]), "is named by a text"),
    "a name that moves the cursor": (_set(ABOUT, "name", value="\x1b[2J"), "the program's name"),
    "a literal": (_set(ABOUT, "task", "signature", value="q: Literal[evilmod.X] -> a"), "Literal takes texts"),
    "depth": (_set(ABOUT, "task", "signature", value=f"q: {'list[' * 900}str{']' * 900} -> a"), "cannot be read|deep"),
    "length": (_set(ABOUT, "task", "signature", value=f"{'q, ' * 90000}r -> a"), "is none"),
    "a module": (_set(ABOUT, "task", "module", value="os.system"), "a task program of the kind 'os.system'"),
    "a scorer": (
        _set(ABOUT, "scorer", value={"kind": "evilmod.f", "lm": None, "options": {}}),
        "of the kind 'evilmod.f'",
    ),
    "an adapter": (_set(ABOUT, "adapter", value="evilmod.A"), "an? adapter of the kind 'evilmod.A'"),
    "an adapter's option": (
        _set(ABOUT, "adapter", value={"kind": "ChatAdapter", "options": {"__class__": True}}),
        "the option '__class__'",
    ),
    "an option": (_set(ABOUT, "options", value={"fusor": "evilmod"}), "options has 'fusor' .*must not set"),
    "an option's value": (_set(ABOUT, "options", value={"seed": {"a": 1}}), "options has 'seed'"),
    "an address": (_set(ABOUT, "lms", value=["huggingface/http://127.0.0.1:9"]), "must not choose an address"),
    "a hidden address": (_set(ABOUT, "fusor_lm", value="huggingface/https:evil"), "must not choose an address"),
    "a newer version": (_set(ABOUT, "version", value=99), "is of version 99.*use a newer library"),
    "true as a version": (_set(ABOUT, "version", value=True), "is of version True"),
    "a constraint": (_set(ABOUT, "task", "constraints", value={"worksheet": {"pattern": "x"}}), "known are gt, ge"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_a_file_must_not_say_is_refused_by_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evilmod.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "p.json"
    save_program(Fusion(dspy.Predict("worksheet -> answers"), n=3, **OWN), path)
    state = json.loads(path.read_text())
    change, message = HOSTILE[kind]
    change(state)
    path.write_text(json.dumps(state))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_program(path, ModelCatalogue.builtin())
    assert "\n" not in str(caught.value)
    assert "evilmod" not in sys.modules


def test_a_refused_state_leaves_the_program_as_it_was() -> None:
    program = Fusion(dspy.Predict("question -> answer"), n=3)
    state = json.loads(json.dumps(program.dump_state()))
    state["program"]["signature"]["instructions"] = "Changed."
    state["fusor"]["config"] = {"api_base": "http://127.0.0.1:9"}
    with pytest.raises(ConfigurationError, match="api_base"):
        restore(program, state)
    assert program.program.signature.instructions != "Changed."


def test_a_program_keeps_its_own_models() -> None:
    program = dspy.Predict("question -> answer")
    program.lm = embedded_lm("aft")
    state = json.loads(json.dumps(dspy.Predict("question -> answer").dump_state()))
    restore(program, {"self": state})
    assert program.lm is not None


class Types(dspy.Signature):
    """Sort."""

    when: date = dspy.InputField()
    moment: datetime | None = dspy.InputField()
    price: Decimal = dspy.InputField()
    picture: dspy.Image = dspy.InputField()
    before: dspy.History = dspy.InputField()
    words: dict[str, list[tuple[int, ...]]] = dspy.InputField()
    either: Union[int, str] = dspy.InputField()  # noqa: UP007
    maybe: Optional[Literal["a", 1, True]] = dspy.InputField()  # noqa: UP045
    anything: Any = dspy.InputField()
    names: set[str] = dspy.OutputField(desc="whose", max_length=4)
    score: int = dspy.OutputField(ge=0, le=10)
    bare: list = dspy.OutputField()


@pytest.mark.parametrize("module", [dspy.Predict, dspy.ChainOfThought])
def test_types_and_bounds_come_back(module: Any, tmp_path: Path) -> None:
    program = Vote(module(Types), n=2, lms=OWN["lms"], tolerance=0.5)
    save_program(program, tmp_path / "p.json")
    loaded = load_program(tmp_path / "p.json", ModelCatalogue.builtin()).program
    assert {name: (f.annotation, f.metadata, f.json_schema_extra) for name, f in loaded.signature.fields.items()} == {
        name: (f.annotation, f.metadata, f.json_schema_extra) for name, f in program.signature.fields.items()
    }
    assert vars(loaded)["tolerance"] == 0.5


def test_sampling_options_of_predictors_and_options_of_adapters_come_back(tmp_path: Path) -> None:
    program = Fusion(dspy.Predict("question -> answer", temperature=0.3, max_tokens=50), n=8, quorum=7, **OWN)
    save_program(program, tmp_path / "p.json", adapter=dspy.ChatAdapter(use_json_adapter_fallback=False))
    loaded = load_program(tmp_path / "p.json", ModelCatalogue.builtin())
    assert loaded.program.program.config == {"temperature": 0.3, "max_tokens": 50}
    assert (loaded.program.n.value, loaded.program.quorum) == (8, 7)
    assert loaded.adapter.use_json_adapter_fallback is False


class ChainOfThought(dspy.ChainOfThought):
    """Of the same name as DSPy's, and another."""


def _with_lm() -> dspy.Predict:
    module = dspy.Predict("question -> answer")
    module.lm = embedded_lm("aft")
    return module


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vote(dspy.Predict("q -> a", api_base="http://x"), lms=OWN["lms"]), "config of program has 'api_base'"),
        (lambda: Vote(ChainOfThought("q -> a"), lms=OWN["lms"]), "of the kind '.*ChainOfThought' cannot be kept"),
        (lambda: Vote(_with_lm(), lms=OWN["lms"]), "program has a model of its own"),
        (lambda: Vote(dspy.Predict("q -> a"), normalize=str.lower, lms=OWN["lms"]), "the function normalize="),
        (
            lambda: BestOfN(dspy.Predict("q -> a"), scorer=LMJudge(), lms=OWN["lms"]),
            "the LMJudge has no model of its own",
        ),
    ],
)
def test_what_a_file_would_lose_is_refused_when_it_is_saved(
    make: Callable[[], dspy.Module], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        save_program(make(), tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()


def test_a_file_of_the_first_version_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    program = Vote(dspy.Predict(make_signature("worksheet -> answers")), n=2, lms=OWN["lms"], temperature=None)
    save_program(program, path, adapter=PlainAdapter())
    state = json.loads(path.read_text())
    options = {"seed": 0, "quorum": 1, "fields": ["answers"]}
    state[ABOUT] |= {"version": 1, "temperature": False, "options": options}
    path.write_text(json.dumps(state))
    assert load_program(path, ModelCatalogue.builtin()).program.temperature is None


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "make",
    [lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path), _pipe, Path.mkdir],
    ids=["a device", "a loop", "a pipe", "a folder"],
)
def test_what_is_no_file_is_not_read(make: Callable[[Path], Any], tmp_path: Path) -> None:
    make(tmp_path / "program.json")
    with pytest.raises(ConfigurationError, match=r"cannot read the program|holds no program\.json"):
        served_program(tmp_path, ModelCatalogue.builtin())
    with pytest.raises(ConfigurationError, match="cannot read the program"):
        load_program(tmp_path / "program.json", ModelCatalogue.builtin())


def test_a_pickle_beside_it_is_never_read(tmp_path: Path) -> None:
    Fusion(dspy.Predict("worksheet -> answers"), n=3, **OWN).save(tmp_path / "whole", save_program=True)
    (tmp_path / "whole" / "program.pkl").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    assert served_program(tmp_path / "whole", ModelCatalogue.builtin()).name == "whole"
    (tmp_path / "whole" / "program.json").unlink()
    with pytest.raises(ConfigurationError, match=r"reading one runs what its writer put there.*--allow-pickle"):
        served_program(tmp_path / "whole", ModelCatalogue.builtin())
    with pytest.raises(ConfigurationError, match="is no JSON"):
        load_program(tmp_path / "whole" / "program.pkl", ModelCatalogue.builtin())
