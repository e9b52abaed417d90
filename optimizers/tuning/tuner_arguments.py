"""What an OptunaTuner is given, checked before anything is called; each check raises ``ConfigurationError``."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import dspy
import optuna

from dspy_fusion.programs import ConfigurationError
from dspy_fusion.programs.banks.databases import without_password
from dspy_fusion.programs.tasks.adapter_names import AdapterName
from dspy_fusion.programs.tasks.reasoning_room import Room

from .effort import Effort
from .scores.objective import example_digest
from .search_space import SearchSpace, shows_candidates


def check_options(
    effort: Effort,
    *,
    objectives: tuple[str, ...],
    tolerance: float,
    threads: int,
    sampler: object,
    max_errors: float,
    instructions: object,
    measures: object = None,
    adapters: object = (),
    reasoning: object = (),
) -> None:
    """What the tuner is made with."""
    check_texts(instructions)
    if not 0 <= max_errors < 1:
        raise ConfigurationError(f"max_errors must be a share in [0, 1), but got max_errors={max_errors!r}")
    if effort.trials < 1:
        raise ConfigurationError(f"trials must be at least 1, but got trials={effort.trials!r}")
    check_measures(measures, objectives)
    check_adapters(adapters)
    check_rooms(reasoning)
    if tolerance < 0:
        raise ConfigurationError(f"tolerance must be at least 0, but got tolerance={tolerance!r}")
    if not 0 <= effort.racing_error < 1 or not 0 <= effort.holdout < 1:
        raise ConfigurationError(
            f"racing_error and holdout must be in [0, 1), but got {effort.racing_error!r} and {effort.holdout!r}"
        )
    if threads < 1:
        raise ConfigurationError(f"num_threads must be at least 1, but got num_threads={threads!r}")
    if sampler is not None and not isinstance(sampler, optuna.samplers.BaseSampler):
        raise ConfigurationError(
            f"sampler must be an Optuna sampler such as TPESampler(seed=0), but got sampler={sampler!r}"
        )


def check_measures(measures: object, objectives: object) -> None:
    """Further measures, and the objectives that may name one."""
    measures = {} if measures is None else measures
    if not isinstance(measures, Mapping):
        raise ConfigurationError(f'measures must be a table such as {{"length": f}}, but got {_shown(measures)}')
    for name, measure in measures.items():
        if not isinstance(name, str) or not name.isidentifier() or name in ("quality", "cost", "score", "feedback"):
            raise ConfigurationError(f"a measure's name must be a word of its own, such as 'length', but got {name!r}")
        if not callable(measure):
            raise ConfigurationError(
                f"the measure {name!r} must be a function (example, prediction, usage) -> number, but got"
                f" {_shown(measure)}"
            )
    listed: tuple[Any, ...] = objectives if isinstance(objectives, tuple) else ()
    is_known = listed[:1] == ("quality",) and len(listed) <= 2
    second = listed[1] if len(listed) == 2 else "cost"
    if not is_known or not isinstance(second, str) or not second.isidentifier() or second == "quality":
        raise ConfigurationError(
            "objectives must be ('quality',), ('quality', 'cost') or 'quality' and the name of a measure of which less"
            f" is better, but got objectives={objectives!r}"
        )


def check_adapters(adapters: object) -> None:
    """Ways of asking models to choose from."""
    known = get_args(AdapterName)
    wrong = adapters if isinstance(adapters, str) or not isinstance(adapters, Sequence) else None
    wrong = next((name for name in adapters if name not in known), None) if wrong is None else wrong  # type: ignore
    if wrong is not None:
        raise ConfigurationError(f"adapters must be a list of {', '.join(known)}, but got {_shown(wrong)}")


def check_rooms(rooms: object) -> None:
    """Rooms for reasoning to choose from."""
    if isinstance(rooms, str) or not isinstance(rooms, Sequence) or any(not isinstance(room, str) for room in rooms):
        raise ConfigurationError(f"reasoning must be a list of texts such as 'field', but got {_shown(rooms)}")
    for room in rooms:
        Room.of(room)


def check_given(student: Any, examples: Sequence[Any]) -> None:
    """What ``compile`` is given: a module, and examples that say what of them is input."""
    if not isinstance(student, dspy.Module):
        raise ConfigurationError(f"compile() tunes a dspy.Module, but got a {type(student).__name__}")
    for place, example in enumerate(examples):
        if not isinstance(example, dspy.Example):
            raise ConfigurationError(
                f"examples must be dspy.Examples, but number {place} is a {type(example).__name__}"
            )
        if example._input_keys is None:
            raise ConfigurationError(
                f"example number {place} does not say which of its fields are inputs; call its with_inputs(...)"
            )


def space_of(
    student: dspy.Module,
    instructions: Any,
    demos: Mapping[str, Sequence[Sequence[Any]]],
    tune_task: bool,
    exclude: Sequence[str],
    given_alone: bool,
    adapters: Sequence[str] = (),
    reasoning: Sequence[str] = (),
) -> SearchSpace:
    """The space of a program, with its own texts checked like the given ones.

    Where a task is to be tuned on ``given_alone``, without a proposing model, it must have texts to choose from.
    """
    space = SearchSpace.of(
        student,
        instructions=instructions,
        tune_task=tune_task,
        exclude=exclude,
        adapters=adapters,
        reasoning=reasoning,
    )
    parts = dict(student.named_predictors())
    own = {path: texts for path, texts in space.instructions.items() if not shows_candidates(parts[path], path)}
    if tune_task and given_alone and all(len(texts) < 2 for texts in own.values()):
        raise ConfigurationError(
            f"tune_task has nothing to choose from; give instructions={{path: [...]}} for one of {sorted(own)}, or a"
            " proposer"
        )
    for path, texts in space.instructions.items():
        _check_text(f"the instruction of {path}", texts[0])
    for path, sets in demos.items():
        if path not in parts:
            raise ConfigurationError(f"demos names {path!r}, which is no predictor of the program")
        space = space.with_demos(path, sets)
    return space


def check_trainset(train: Sequence[dspy.Example], scored: Sequence[dspy.Example]) -> None:
    """Whether there are examples to make demos of that no trial and no final comparison is scored on."""
    if not train:
        raise ConfigurationError("demo_sets are made of a trainset; give compile() one beside the valset")
    if both := len({example_digest(example) for example in train} & {example_digest(example) for example in scored}):
        raise ConfigurationError(
            f"{both} example(s) of the trainset are in the valset or testset too, whose answers demos would give away;"
            " take them out of one of them"
        )


def split(
    examples: Sequence[dspy.Example], testset: Sequence[dspy.Example] | None, *, holdout: float, seed: int
) -> tuple[list[dspy.Example], list[dspy.Example]]:
    """Which examples trials are scored on, in a seeded order without repeats, and which no trial sees."""
    by_key = {example_digest(example): example for example in examples}
    order = sorted(by_key)
    random.Random(seed).shuffle(order)
    kept_back = 0 if testset is not None else round(len(order) * holdout)
    scored_on = [by_key[key] for key in order[: len(order) - kept_back]]
    if len(scored_on) < 2:
        raise ConfigurationError(
            f"a study scores its trials on at least 2 examples, but got {len(scored_on)}; give a larger valset"
        )
    if testset is None:
        return scored_on, [by_key[key] for key in order[len(order) - kept_back :]]
    if both := sum(example_digest(example) in by_key for example in testset):
        raise ConfigurationError(
            f"{both} example(s) of the testset are in the valset too; take them out of one of them"
        )
    return scored_on, list(testset)


def check_texts(instructions: object) -> None:
    """Whether instructions are texts that can be kept and sent: per predictor path, or for all fusors."""
    if instructions is None:
        return
    by_path = instructions if isinstance(instructions, Mapping) else {"": instructions}
    for path, texts in by_path.items():
        where = f"instructions[{path!r}]" if path else "instructions"
        if isinstance(texts, str) or not isinstance(texts, Sequence):
            raise ConfigurationError(f"{where} must be a list of texts, but got {_shown(texts)}")
        for place, text in enumerate(texts):
            _check_text(f"{where}, number {place},", text)


def _check_text(where: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError(f"{where} must be a text, but got {_shown(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{where} holds a lone surrogate, {text[error.start]!r} at character {error.start}, which no model and no"
            " database takes; take it out"
        ) from error


def storage_url(storage: object) -> str:
    """The URL of a study's storage; of a path, that of the SQLite file there."""
    if isinstance(storage, os.PathLike):
        return f"sqlite:///{os.fspath(storage)}"
    if not isinstance(storage, str):
        raise ConfigurationError(
            f"storage must be a path or the URL of an SQLite or PostgreSQL database, which the scores are kept in too,"
            f" but got a {type(storage).__name__}"
        )
    scheme, mark, rest = storage.partition("://")
    if not mark and ("/" in storage or os.path.splitext(storage)[1]):
        return f"sqlite:///{storage}"
    if mark and scheme.partition("+")[0] not in ("sqlite", "postgresql", "postgres"):
        raise ConfigurationError(
            f"storage must be SQLite or PostgreSQL, but got storage={without_password(storage)!r}; give a path,"
            " sqlite:///... or postgresql://..."
        )
    if mark and scheme.startswith("sqlite") and (rest in ("", "/") or ":memory:" in rest or "mode=memory" in rest):
        raise ConfigurationError(
            f"storage={storage!r} lies in memory, where no other connection finds it; give a path, such as tuning.db"
        )
    return storage


def bank_url(storage: str) -> str:
    """Where the answers of a study's models are kept: in a file beside its own, or in the same database."""
    if storage.startswith("sqlite:///") and storage.endswith(".db"):
        return f"{storage.removesuffix('.db')}-bank.db"
    return f"{storage}-bank" if storage.startswith("sqlite") else storage


def _shown(value: object) -> str:
    return " ".join(repr(value).split())[:80]
