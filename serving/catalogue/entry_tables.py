"""Reading one table of models.toml, with a message in one line for everything that can be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, Strict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # which pydantic needs before Python 3.12

from dspy_fusion.programs.errors import ConfigurationError

from ..embedded import PREFIX
from ..local import PREFIX as LOCAL_PREFIX
from ..model_sampling import check_sampling
from .model_entry import ENGINES, ModelEntry, Price

# What is said of a value that is not allowed stands with its type; pydantic reads the type and passes over the text.
Text = Annotated[str, "must be a text, but is {value!r}"]
Count = Annotated[int, Field(ge=1), "must be a whole number from 1, but is {value!r}"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), "must be a positive number, but is {value!r}"]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Url = Annotated[str, Field(pattern="^https?://.")]
_Urls = Annotated[tuple[_Url, ...], Strict(False), Field(min_length=1)]
_NOT_EMBEDDED = ("address", "addresses", "engine", "key", "max_concurrency", "timeout", "fallback", "one_request")
_LOCAL = ("gguf", "sha256", "parallel", "threads", "lora")
_NOT_LOCAL = (*_NOT_EMBEDDED, "gpus")


class _Price(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    input: Dollars
    output: Dollars


class _Table(TypedDict, total=False):
    """The keys of a table; what they mean is told at :class:`ModelEntry`."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    model: Annotated[
        str,
        Field(pattern="^[^/]+/."),
        'is {value!r}; give a provider and a model, such as "hosted_vllm/Qwen/Qwen3-8B"',
    ]
    address: Annotated[
        _Urls,
        BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
        'is {value!r}; give a URL such as "http://localhost:8000/v1"',
    ]
    addresses: Annotated[
        _Urls, 'is {value!r}; give a list of URLs such as ["http://gpu1:8000/v1", "http://gpu2:8000/v1"]'
    ]
    engine: Annotated[Literal["litellm", "native"], f"is {{value!r}}; choose one of {', '.join(ENGINES)}"]
    sampling: Annotated[dict[str, Any], "is {value!r}; write it as a table: sampling = {{ temperature = 0.7 }}"]
    context: Count
    price: Annotated[_Price, "is {value!r}; write {{ input = 0.15, output = 0.60 }}, in US dollars a million tokens"]
    key: Annotated[
        str,
        Field(pattern="^[A-Z][A-Z0-9_]*$"),
        'must name an environment variable, such as "OPENAI_API_KEY"; never write a key itself',
    ]
    about: Text
    max_concurrency: Count
    timeout: Positive
    fallback: Text
    gpus: Positive
    one_request: Annotated[bool, "must be true or false, but is {value!r}"]
    gguf: Text
    sha256: Text
    parallel: Count
    threads: Count
    lora: Annotated[tuple[str, ...], Strict(False), 'is {value!r}; give a list of files such as ["adapter.gguf"]']


_READER = TypeAdapter(_Table)
_SAID = {
    key: next(part for part in kind.__metadata__ if isinstance(part, str))
    for key, kind in get_type_hints(_Table, include_extras=True).items()
}


def read_entry(name: str, table: object) -> ModelEntry:
    """Reads the table called ``name``.

    Raises:
        ConfigurationError: a key is unknown, missing or of the wrong kind; the message names it.
    """
    if not isinstance(table, dict):
        raise ConfigurationError(f'{name} is {table!r}; a model is a table: [{name}] and below it model = "..."')
    table = {"model": f"{LOCAL_PREFIX}{name}" if "gguf" in table else "", **table}
    if table.get("address") == "":
        del table["address"]  # as where there is none
    try:
        values: dict[str, Any] = {**_READER.validate_python(table)}
    except ValidationError as error:
        raise ConfigurationError(f"[{name}] {_told(error, table)}") from None
    check_sampling(values.get("sampling", {}), f"[{name}]")
    _check_place(name, values)
    values |= {**_addresses(name, values), "price": Price(**values.get("price", {}))}
    entry = ModelEntry(**values)
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


def _told(error: ValidationError, table: Mapping[str, Any]) -> str:
    """The first thing that is wrong, an unknown key before all others, since it may be why another is missing."""
    wrong: Any = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden" or len(item["loc"]) > 1)[0]
    key, *within = wrong["loc"]
    if key not in _SAID:
        return f"has an unknown key {key!r}; allowed are {', '.join(_SAID)}"
    if within and key in ("address", "addresses"):
        return f"{key} {_SAID['address'].format(value=wrong['input'])}"
    said = _SAID["addresses" if key == "address" else key]
    return f"{key} {said.format(value=table[key])}"


def _addresses(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """One address as ``address``, several as ``addresses``, however they were written."""
    if "address" in values and "addresses" in values:
        raise ConfigurationError(f"[{name}] has address and addresses; write all of them into addresses")
    key = "addresses" if "addresses" in values else "address"
    urls = values.get(key, ())
    if twice := [url for url in urls if urls.count(url) > 1]:
        raise ConfigurationError(f"[{name}] {key} has {twice[0]!r} twice; write each address once")
    return {"address": urls[0] if len(urls) == 1 else "", "addresses": urls if len(urls) > 1 else ()}


def _check_place(name: str, values: Mapping[str, Any]) -> None:
    """Refuses keys that say nothing where the model runs."""
    model, is_local = values["model"], values["model"].startswith(LOCAL_PREFIX)
    if model.startswith(PREFIX) and (present := [key for key in _NOT_EMBEDDED if key in values]):
        raise ConfigurationError(f"[{name}] is embedded and runs in this process; leave out {present[0]}")
    if is_local and (present := [key for key in _NOT_LOCAL if key in values]):
        raise ConfigurationError(f"[{name}] is a local model, run on this machine; leave out {present[0]}")
    if not is_local and (present := [key for key in _LOCAL if key in values]):
        raise ConfigurationError(f"[{name}] {present[0]} goes with gguf only, a file that is run on this machine")
