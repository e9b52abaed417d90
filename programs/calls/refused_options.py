"""What a model refuses: reading a refusal out of an error, and remembering per model what is not to be sent again.

Reasoning models take no temperature but 1, some servers no seed, others no log-probabilities; each says so in words of
its own. A refusal names an option that was sent. Any other error is none and stays what it is.
"""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dspy.utils.exceptions import ContextWindowExceededError, LMConfigurationError, LMError, LMUnsupportedFeatureError

from ..redaction import redacting
from .refusal_texts import is_about_the_value, named_options, replacement_for, server_text

logger = redacting(logging.getLogger(__name__))
_STATUSES = {400, 404, 405, 406, 409, 413, 415, 422, 500, 501}
_KEPT = {  # what the request is about, or how it gets there: without it another question would be answered
    "model", "messages", "prompt", "tools", "tool_choice", "functions", "function_call", "timeout", "headers",
    "extra_headers", "api_key", "api_base", "base_url", "api_version", "organization", "rollout_id", "cache",
    "num_retries", "custom_llm_provider", "prompt_cache", "modalities", "audio", "prediction",
}  # fmt: skip
_HOTTEST = (  # the highest temperature that a provider takes, as its API reference or litellm has it
    (r"claude|^anthropic/", 1.0),  # platform.claude.com, Messages API
    (
        r"^(?:bedrock|amazon|sagemaker)\b",
        1.0,
    ),  # docs.aws.amazon.com, inference parameters of Nova, Llama, Mistral, Titan
    (r"^(?:cohere|cohere_chat)/", 1.0),  # docs.cohere.com, Chat API
    (r"^(?:moonshot|zai|minimax)/", 1.0),  # litellm's transformations and the providers' references
    (r"^mistral/", 1.5),  # docs.mistral.ai, chat completions
)


@dataclass(frozen=True)
class Refusal:
    """That a model does not take an option.

    Attributes:
        option: its name, as it was sent.
        value: what was sent.
        replaced_by: the name under which the server wants it instead, or an empty string.
        only_the_value: whether another value may be taken, such as a temperature within the provider's range.
    """

    option: str
    value: Any
    replaced_by: str = ""
    only_the_value: bool = False


@dataclass
class _OfModel:
    """What a model refuses, by the names of its options, for as long as the engine that it was asked through is there:
    another one may come to have that one's address in memory.
    """

    engine: Callable[[], Any]
    by_option: dict[str, list[Refusal]] = field(default_factory=dict)


_lock = threading.Lock()
_known: dict[tuple[str, str], _OfModel] = {}
_logged: set[tuple[str, str]] = set()


def refusals_in(error: BaseException, sent: Mapping[str, Any], preferred: Iterable[str] = ()) -> list[Refusal]:
    """The options that an error says the model does not take; empty for any other error.

    Args:
        error: what a call raised, by any of DSPy's engines.
        sent: the options of the call.
        preferred: which to leave out where two exclude each other.
    """
    if not isinstance(error, LMError) or isinstance(error, ContextWindowExceededError):
        return []
    if not isinstance(error, LMUnsupportedFeatureError) and error.status not in _STATUSES:
        return []
    options = {name: value for name, value in _flat(sent).items() if name not in _KEPT and value is not None}
    text = server_text(error)
    if isinstance(error, LMUnsupportedFeatureError):
        features = [feature.rpartition(".")[2] for feature in error.features]
        if names := [name for name in options if name in features]:
            return [Refusal(name, options[name]) for name in names]
    refusals = []
    for name in named_options(text, options, preferred, is_server_fault=(error.status or 0) >= 500):
        replacement = replacement_for(name, text)
        about_value = not replacement and is_about_the_value(name, text)
        if name in ("max_tokens", "max_completion_tokens") and about_value:
            continue  # too long an answer was asked for, which is for the caller to decide
        refusals.append(Refusal(name, options[name], replacement, about_value))
    return refusals


def remember(lm: Any, refusal: Refusal) -> None:
    """Keeps a refusal for the rest of the process; the option is not sent to this model at this address again."""
    with _lock:
        if (of_model := _of(lm)) is None:
            of_model = _known[_identity(lm)] = _OfModel(_held_loosely(_engine(lm)))
        kept = of_model.by_option.setdefault(refusal.option, [])
        if refusal not in kept:
            kept.append(refusal)


def known_refusal(lm: Any, option: str, value: Any) -> Refusal | None:
    """What is known to stand against sending an option: an earlier refusal, or what DSPy's own client says."""
    with _lock:
        of_model = _of(lm)
        kept = [] if of_model is None else list(of_model.by_option.get(option, ()))
    for refusal in kept:
        if not refusal.only_the_value or _is_no_nearer(value, refusal.value, option):
            return refusal
    if option == "temperature" and value != 1 and _refuses_temperature(lm):
        return Refusal(option, value)
    return None


def refuses(lm: Any, option: str, value: Any = 0.7) -> bool:
    """Whether a model is known not to take an option with this value, before it is asked.

    Besides earlier refusals it is the provider's range of temperatures that speaks, and the client's knowledge of which
    parameters the model takes, which may load litellm.
    """
    if known_refusal(lm, option, value) is not None:
        return True
    if option == "temperature" and value > _hottest(getattr(lm, "model", "")):
        return True
    if not isinstance(getattr(lm, "engine", None), str):
        return False
    try:
        supported = lm.supported_params
    except (LMError, ImportError):
        return False  # the client knows nothing of this model
    return bool(supported) and option not in supported


def log_left_out(model: str, option: str, why: str) -> None:
    """One line per model and option and process."""
    with _lock:
        if (model, option) in _logged:
            return
        _logged.add((model, option))
    logger.warning("%s does not take %s, which is left out from now on: %s", model, option, why)


def forget_refusals() -> None:
    """Forgets all refusals, so that every option is sent to every model again."""
    with _lock:
        _known.clear()
        _logged.clear()


def _of(lm: Any) -> _OfModel | None:
    """What is known of a model. The lock is held."""
    of_model = _known.get(_identity(lm))
    return of_model if of_model is not None and of_model.engine() is _engine(lm) else None


def _identity(lm: Any) -> tuple[str, str]:
    kwargs, engine = getattr(lm, "kwargs", None) or {}, _engine(lm)
    address = kwargs.get("api_base") or kwargs.get("base_url") or ("" if engine is None else str(id(engine)))
    return getattr(lm, "model", ""), str(address)


def _engine(lm: Any) -> Any:
    """The engine of a model without an address, whose refusals are that engine's; None of one of DSPy's own."""
    engine = getattr(lm, "engine", "")
    kwargs = getattr(lm, "kwargs", None) or {}
    return None if isinstance(engine, str) or kwargs.get("api_base") or kwargs.get("base_url") else engine


def _held_loosely(engine: Any) -> Callable[[], Any]:
    try:
        return (lambda: None) if engine is None else weakref.ref(engine)
    except TypeError:  # an object without weak references
        return lambda: engine


def _refuses_temperature(lm: Any) -> bool:
    """DSPy's own guard, which knows families of reasoning models, and stands in the constructor only."""
    guard = getattr(lm, "_get_initial_kwargs", None)
    if guard is None:
        return False
    try:
        guard(temperature=0.5, max_tokens=None)
    except LMConfigurationError:
        return True
    except Exception:  # noqa: BLE001 (a model class of the user's own, with other arguments)
        return False
    return False


def _hottest(model: str) -> float:
    return next((highest for pattern, highest in _HOTTEST if re.search(pattern, model)), float("inf"))


def _is_no_nearer(value: Any, refused: Any, option: str) -> bool:
    """Whether a value lies where one was refused already, or beyond it."""
    if isinstance(value, int | float) and isinstance(refused, int | float) and option != "seed":
        return value >= refused if refused > 0 else value <= refused
    return value == refused


def _flat(sent: Mapping[str, Any]) -> dict[str, Any]:
    body = sent.get("extra_body")
    return {**(body if isinstance(body, Mapping) else {}), **{k: v for k, v in sent.items() if k != "extra_body"}}


def without(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Options without one of them, also where it stands in ``extra_body``."""
    rest = {key: value for key, value in options.items() if key != name}
    if isinstance(body := rest.get("extra_body"), Mapping) and name in body:
        rest["extra_body"] = {key: value for key, value in body.items() if key != name}
    return rest
