"""Under which key a bank keeps a candidate: the digest of all that its text depends on.

That is the module's whole state and its code, the model, the adapter with its options, the inputs by their content, the
temperature, the seed and the candidate's place. What cannot be told from others of its kind is not kept, and the log
says so once. A class of a user's own whose objects cannot be told apart may say itself what its answers depend on, by a
method ``bank_identity()`` that returns plain data.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import dspy

from ..calls.attempts import Attempt, current_lineage
from ..redaction import know_lm, redacting, without_secrets_in
from ..tasks.hyperparameters import Hyperparameter
from ..tasks.reasoning_room import NO_ROOM
from ..tasks.signatures import plain
from .bank import CandidateBank
from .call_effects import effects_of_calls
from .code_identity import code_identity, is_installed
from .content_digest import Contents, Unkeyable

logger = redacting(logging.getLogger(__name__))
_PASSING = frozenset({"rollout_id", "seed", "temperature", "logprobs", "api_key", "cache", "num_retries", "timeout"})
_STAND_INS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
_OF_PREDICT = frozenset({"stage", "traces", "train", "signature", "demos"})


def keyed(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts with the keys of those that may be kept and have none; what cannot be keyed keeps its empty one."""
    keys = _Keys()
    return [
        replace(attempt, key=keys.key(attempt)) if attempt.banked and not attempt.key else attempt
        for attempt in attempts
    ]


def lm_fingerprint(lm: dspy.BaseLM | None) -> list[Any]:
    """What tells one model from another, for people to read.

    Name, kind and settings, without keys and without what each attempt sets itself; of a custom one its digest too.
    """
    if lm is None:
        return ["recorded"]
    identity = [lm.model, getattr(lm, "model_type", ""), _settings(lm)]
    try:
        own = _own_identity(lm, Contents(_identity, of_model=True))
    except Unkeyable as error:
        own = [str(error)]
    return [*identity, Contents(_identity, of_model=True).digest(own)[:16]] if own else identity


def content_of(value: Any) -> str:
    """The digest of what a function, scorer or class does and holds, the same in every process.

    What it only counts or remembers of its calls is no part of it.

    Raises:
        Unkeyable: it has no content that could be told, such as an open connection.
    """
    return Contents(_identity_of_itself, of_model=True).digest(value)[:16]


class _Keys:
    """Makes the keys of one batch, whose attempts share most of what they depend on."""

    def __init__(self) -> None:
        self._contents = Contents(_identity)
        self._known: dict[int, tuple[Any, str]] = {}
        self._usual = dspy.ChatAdapter()

    def key(self, attempt: Attempt) -> str:
        """The key of an attempt, or an empty string where it cannot be told from others."""
        lm = attempt.lm or dspy.settings.lm
        try:
            material = [
                self._digest(attempt.module),
                self._digest(lm),
                self._digest(attempt.adapter or dspy.settings.adapter or self._usual),
                self._inputs(attempt.inputs),
                None if attempt.asked is None else self._digest(attempt.asked),
                _own(lm, "temperature") if attempt.temperature is None else attempt.temperature,
                _own(lm, "seed") if attempt.seed is None else attempt.seed,
                [*current_lineage(), attempt.layer, attempt.index],
                *([] if attempt.room == NO_ROOM else [vars(attempt.room)]),  # keys from before there were rooms stay
            ]
        except (Unkeyable, RecursionError) as error:
            _say_once(type(attempt.module).__name__, str(error) or type(error).__name__)
            return ""
        return hashlib.sha256(json.dumps(material, default=str).encode()).hexdigest()

    def _digest(self, part: Any) -> str:
        if (known := self._known.get(id(part))) is None:
            known = self._known[id(part)] = (part, self._contents.digest(part))
        return known[1]

    def _inputs(self, inputs: Mapping[str, Any]) -> str:
        if (known := self._known.get(id(inputs))) is None:
            ordered = {name: inputs[name] for name in sorted(inputs)}
            known = self._known[id(inputs)] = (inputs, self._contents.digest(ordered))
        return known[1]


@cache
def _say_once(module: str, why: str) -> None:
    logger.warning("what %s answers is not kept in the bank: %s; a method bank_identity() can say it", module, why)


def _own(lm: dspy.BaseLM | None, name: str) -> Any:
    """A model's own setting, which holds where the attempt sets none."""
    value = (getattr(lm, "kwargs", None) or {}).get(name)
    return value if isinstance(value, int | float | None) else str(value)


def _identity(value: Any, contents: Contents) -> Any:
    if isinstance(value, dspy.Module):
        return _module(value, contents)
    if isinstance(value, dspy.BaseLM):
        return _model(value)
    return code_identity(value, contents)


def _identity_of_itself(value: Any, contents: Contents) -> Any:
    """As ``_identity``, with what an attempt would set of a model, which is its own here."""
    if isinstance(value, dspy.BaseLM):
        return [*_model(value), _own(value, "temperature"), _own(value, "seed")]
    return _identity(value, contents)


def _module(module: dspy.Module, contents: Contents) -> list[Any]:
    """A module's class and state; of a predictor what its prompt is made of."""
    passing = {"_compiled"}
    own: list[Any] = []
    if isinstance(module, dspy.Predict):
        passing |= _OF_PREDICT
        own = [module.signature, [dict(demo.items()) for demo in module.demos]]
    state = {
        name: part.value if isinstance(part, Hyperparameter) else part
        for name, part in vars(module).items()
        if name not in passing and not isinstance(part, CandidateBank)
    }
    lasting = contents.lasting(module, state, effects_of_calls(type(module), of_model=False))
    return ["module", type(module), own, lasting]


def _model(lm: dspy.BaseLM) -> list[Any]:
    """A model by its name, kind, settings and, where it or its engine is a custom one, by that."""
    if stand_in := next((name for name in _STAND_INS if lm.kwargs.get(name)), ""):
        raise Unkeyable(f"{lm.model} has {stand_in}, so another model may answer in its place")
    inner = Contents(_identity, of_model=True)
    own = inner.digest(_own_identity(lm, inner))
    return ["model", lm.model, getattr(lm, "model_type", ""), _settings(lm), own]


def _settings(lm: dspy.BaseLM) -> dict[str, Any]:
    know_lm(lm)
    kwargs = getattr(lm, "kwargs", None) or {}
    return without_secrets_in(plain({name: kwargs[name] for name in sorted(kwargs) if name not in _PASSING}))


def _own_identity(lm: dspy.BaseLM, contents: Contents) -> list[Any]:
    """What tells a custom model or engine from another of its name; empty for DSPy's and this library's own."""
    parts: list[Any] = []
    if (said := getattr(lm, "bank_identity", None)) is not None:
        return [type(lm), said()]
    if not is_installed(type(lm)):
        state = {name: part for name, part in vars(lm).items() if name not in _of_every_lm()}
        parts = [type(lm), contents.lasting(lm, state, effects_of_calls(type(lm), of_model=True))]
    engine = getattr(lm, "engine", None)
    return parts if engine is None or isinstance(engine, str) else [*parts, _engine(engine)]


def _engine(engine: Any) -> Any:
    """An engine by the state that DSPy saves it with, where it has one."""
    if hasattr(engine, "bank_identity") or not (hasattr(engine, "dump_state") and hasattr(engine, "load_state")):
        return engine
    return [type(engine), engine.dump_state()]


@cache
def _of_every_lm() -> frozenset[str]:
    """The attributes that every model has, which its name and settings stand for, or which an attempt sets."""
    return frozenset({*vars(dspy.LM("openai/any")), "update_history", "async_engine", "engine", "known_as"})
