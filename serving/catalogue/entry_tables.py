"""Reading one table of models.toml, with a message in one line for everything that can be wrong with it."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

from ..embedded import PREFIX
from ..local import PREFIX as LOCAL_PREFIX
from ..model_sampling import check_sampling
from .model_entry import ENGINES, ModelEntry, Price

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_TEXTS = ("model", "engine", "key", "about", "fallback", "gguf", "sha256")
_NOT_EMBEDDED = ("address", "addresses", "engine", "key", "max_concurrency", "timeout", "fallback", "one_request")
_LOCAL = ("gguf", "sha256", "parallel", "threads", "lora")
_NOT_LOCAL = (*_NOT_EMBEDDED, "gpus")


def read_entry(name: str, table: object) -> ModelEntry:
    """Reads the table called ``name``.

    Raises:
        ConfigurationError: a key is unknown, missing or of the wrong kind; the message names it.
    """
    if not isinstance(table, dict):
        raise ConfigurationError(f'{name} is {table!r}; a model is a table: [{name}] and below it model = "..."')
    if "gguf" in table:
        table = {"model": f"{LOCAL_PREFIX}{name}", **table}
    allowed = [item.name for item in fields(ModelEntry)]
    for key in table:
        if key not in allowed:
            raise ConfigurationError(f"[{name}] has an unknown key {key!r}; allowed are {', '.join(allowed)}")
    _check_texts(name, table)
    _check_numbers(name, table)
    check_sampling(table.get("sampling", {}), f"[{name}]")
    _check_local(name, table)
    apart = ("address", "addresses", "price", "lora")
    rest = {key: value for key, value in table.items() if key not in apart} | {"lora": tuple(table.get("lora", ()))}
    entry = ModelEntry(**rest, **_read_addresses(name, table), price=_read_price(name, table.get("price", {})))
    if not isinstance(entry.one_request, bool | None):
        raise ConfigurationError(f"[{name}] one_request must be true or false, but is {entry.one_request!r}")
    if entry.one_request and entry.why_not_together:
        raise ConfigurationError(
            f"[{name}] one_request = true does not go with {entry.why_not_together}; leave one of them out"
        )
    return entry


def check_fallbacks(entries: dict[str, ModelEntry]) -> None:
    """Raises ``ConfigurationError`` when a fallback is no model of the catalogue, or leads back to its own model."""
    for name in entries:
        chain = [name]
        while fallback := entries[chain[-1]].fallback:
            if fallback not in entries:
                raise ConfigurationError(f"[{chain[-1]}] fallback is {fallback!r}; known are {', '.join(entries)}")
            if fallback in chain:
                raise ConfigurationError(
                    f"[{name}] falls back on itself: {' -> '.join([*chain, fallback])}; leave out one fallback"
                )
            chain.append(fallback)


def _read_addresses(name: str, table: dict[str, Any]) -> dict[str, Any]:
    if "address" in table and "addresses" in table:
        raise ConfigurationError(f"[{name}] has address and addresses; write all of them into addresses")
    key = "addresses" if "addresses" in table else "address"
    value = table.get(key, "")
    texts = value if isinstance(value, list) else [value]
    if (key == "addresses" and not isinstance(value, list)) or not texts:
        raise ConfigurationError(
            f'[{name}] {key} is {value!r}; give a list of URLs such as ["http://gpu1:8000/v1", "http://gpu2:8000/v1"]'
        )
    for text in texts:
        if (text or isinstance(value, list)) and not (isinstance(text, str) and re.match(r"https?://.", text)):
            raise ConfigurationError(f'[{name}] {key} is {text!r}; give a URL such as "http://localhost:8000/v1"')
    if double := [text for text in texts if texts.count(text) > 1]:
        raise ConfigurationError(f"[{name}] {key} has {double[0]!r} twice; write each address once")
    return {"address": texts[0]} if len(texts) == 1 else {"addresses": tuple(texts)}


def _check_texts(name: str, table: dict[str, Any]) -> None:
    for key in _TEXTS:
        if not isinstance(table.get(key, ""), str):
            raise ConfigurationError(f"[{name}] {key} must be a text, but is {table[key]!r}")
    model = table.get("model", "")
    if not all(model.partition("/")):
        raise ConfigurationError(
            f'[{name}] model is {model!r}; give a provider and a model, such as "hosted_vllm/Qwen/Qwen3-8B"'
        )
    if table.get("engine", "litellm") not in ENGINES:
        raise ConfigurationError(f"[{name}] engine is {table['engine']!r}; choose one of {', '.join(ENGINES)}")
    if "key" in table and not _VARIABLE.fullmatch(table["key"]):
        raise ConfigurationError(
            f'[{name}] key must name an environment variable, such as "OPENAI_API_KEY"; never write a key itself'
        )
    if model.startswith(PREFIX) and (present := [key for key in _NOT_EMBEDDED if key in table]):
        raise ConfigurationError(f"[{name}] is embedded and runs in this process; leave out {present[0]}")


def _check_local(name: str, table: dict[str, Any]) -> None:
    is_local = table["model"].startswith(LOCAL_PREFIX)
    if is_local and (present := [key for key in _NOT_LOCAL if key in table]):
        raise ConfigurationError(f"[{name}] is a local model, run on this machine; leave out {present[0]}")
    if not is_local and (present := [key for key in _LOCAL if key in table]):
        raise ConfigurationError(f"[{name}] {present[0]} goes with gguf only, a file that is run on this machine")
    lora = table.get("lora", [])
    if not isinstance(lora, list) or not all(isinstance(path, str) for path in lora):
        raise ConfigurationError(f'[{name}] lora is {lora!r}; give a list of files such as ["adapter.gguf"]')


def _check_numbers(name: str, table: dict[str, Any]) -> None:
    for key in ("context", "max_concurrency", "parallel", "threads"):
        if key in table and (type(table[key]) is not int or table[key] < 1):
            raise ConfigurationError(f"[{name}] {key} must be a whole number from 1, but is {table[key]!r}")
    for key in ("timeout", "gpus"):
        if key in table and not (_is_number(table[key]) and table[key] > 0):
            raise ConfigurationError(f"[{name}] {key} must be a positive number, but is {table[key]!r}")


def _read_price(name: str, price: object) -> Price:
    numbers = price.values() if isinstance(price, dict) else [None]
    if (
        not isinstance(price, dict)
        or set(price) - {"input", "output"}
        or not all(_is_number(number) for number in numbers)
    ):
        raise ConfigurationError(
            f"[{name}] price is {price!r}; write {{ input = 0.15, output = 0.60 }}, in US dollars a million tokens"
        )
    return Price(**price)


def _is_number(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < float("inf")
