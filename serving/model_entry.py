"""One table of models.toml: what a model is called, where it answers, and what it costs. Keys are named, never written down."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError, MissingKey

from .embedded.embedded_lm import PREFIX, embedded_lm

ENGINES = {"litellm": "litellm", "native": "lm15"}
SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "max_tokens", "seed", "stop", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "logprobs", "top_logprobs", "reasoning_effort", "extra_body",
)  # fmt: skip
_NOT_NATIVE = ("top_k", "min_p", "repetition_penalty", "extra_body")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_NO_KEY = "none"


@dataclass(frozen=True)
class Price:
    """US dollars for a million prompt tokens (``input``) and for a million completion tokens (``output``)."""

    input: float = 0.0
    output: float = 0.0

    def cost_usd(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost."""
        return (tokens_in * self.input + tokens_out * self.output) / 1_000_000


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be asked.

    Attributes:
        model: a litellm model string such as ``hosted_vllm/Qwen/Qwen3-8B``, or ``embedded/`` and a name or path.
        address: base URL of its server, such as ``http://localhost:8000/v1``; empty for the provider's own.
        engine: ``litellm``, or ``native`` for DSPy's own client, which is faster and knows fewer options.
        sampling: defaults of its sampling options, out of ``SAMPLING``.
        context: how many tokens it takes, or None where that is not known.
        price: what it costs.
        key: the environment variable that holds its key; empty for the provider's usual one, or none at an ``address``.
        about: one line for people.
    """

    model: str
    address: str = ""
    engine: str = "litellm"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    context: int | None = None
    price: Price = Price()
    key: str = ""
    about: str = ""

    @property
    def is_embedded(self) -> bool:
        """Whether it runs in this process."""
        return self.model.startswith(PREFIX)

    def lm(self, *, cache: bool = False, **sampling: Any) -> dspy.LM:
        """The model as DSPy takes it; ``sampling`` goes before the entry's defaults.

        The engine is always set, for DSPy would otherwise choose one per call by the options of that call.

        Raises:
            MissingKey: the variable that should hold its key is not set.
            ConfigurationError: an option is unknown, or the native engine would drop it.
        """
        options = {**self.sampling, **sampling}
        check_sampling(options, self.model)
        if self.is_embedded:
            return embedded_lm(self.model, cache=cache, **options)
        if self.engine == "native" and (dropped := [name for name in _NOT_NATIVE if name in options]):
            raise ConfigurationError(f'{self.model}: the native engine does not send {dropped[0]}; use engine = "litellm"')
        return dspy.LM(self.model, engine=ENGINES[self.engine], cache=cache, **self._connection(), **options)

    def _connection(self) -> dict[str, str]:
        connection = {"api_base": self.address} if self.address else {}
        if self.key:
            if not os.environ.get(self.key):
                raise MissingKey(f"{self.model} needs a key: set the environment variable {self.key}")
            connection["api_key"] = os.environ[self.key]
        elif self.address:
            # Without one litellm would send the provider's own key, such as OPENAI_API_KEY, to this address.
            connection["api_key"] = _NO_KEY
        return connection


def read_entry(name: str, table: object) -> ModelEntry:
    """Reads the table called ``name``.

    Raises:
        ConfigurationError: a key is unknown, missing or of the wrong kind; the message names it.
    """
    if not isinstance(table, dict):
        raise ConfigurationError(f'{name} is {table!r}; a model is a table: [{name}] and below it model = "..."')
    allowed = [item.name for item in fields(ModelEntry)]
    for key in table:
        if key not in allowed:
            raise ConfigurationError(f"[{name}] has an unknown key {key!r}; allowed are {', '.join(allowed)}")
    _check_texts(name, table)
    if "context" in table and (type(table["context"]) is not int or table["context"] < 1):
        raise ConfigurationError(f"[{name}] context must be a whole number from 1, but is {table['context']!r}")
    check_sampling(table.get("sampling", {}), f"[{name}]")
    return ModelEntry(**{**table, "price": _read_price(name, table.get("price", {}))})


def check_sampling(options: object, where: str) -> None:
    """Refuses sampling options that are no table or that are not known."""
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{where} sampling is {options!r}; write it as a table: sampling = {{ temperature = 0.7 }}")
    for name in options:
        if name not in SAMPLING:
            raise ConfigurationError(f"{where} has an unknown sampling option {name!r}; allowed are {', '.join(SAMPLING)}")


def _check_texts(name: str, table: dict[str, Any]) -> None:
    for key in ("model", "address", "engine", "key", "about"):
        if not isinstance(table.get(key, ""), str):
            raise ConfigurationError(f"[{name}] {key} must be a text, but is {table[key]!r}")
    model, address = table.get("model", ""), table.get("address", "")
    if not all(model.partition("/")):
        raise ConfigurationError(f'[{name}] model is {model!r}; give a provider and a model, such as "hosted_vllm/Qwen/Qwen3-8B"')
    if address and not re.match(r"https?://.", address):
        raise ConfigurationError(f'[{name}] address is {address!r}; give a URL such as "http://localhost:8000/v1"')
    if table.get("engine", "litellm") not in ENGINES:
        raise ConfigurationError(f"[{name}] engine is {table['engine']!r}; choose one of {', '.join(ENGINES)}")
    if "key" in table and not _VARIABLE.fullmatch(table["key"]):
        raise ConfigurationError(f'[{name}] key must name an environment variable, such as "OPENAI_API_KEY"; never write a key itself')
    if model.startswith(PREFIX) and (present := [key for key in ("address", "engine", "key") if key in table]):
        raise ConfigurationError(f"[{name}] is embedded and runs in this process; leave out {present[0]}")


def _read_price(name: str, price: object) -> Price:
    numbers = price.values() if isinstance(price, dict) else [None]
    if not isinstance(price, dict) or set(price) - {"input", "output"} or not all(_is_price(number) for number in numbers):
        raise ConfigurationError(f"[{name}] price is {price!r}; write {{ input = 0.15, output = 0.60 }}, in US dollars a million tokens")
    return Price(**price)


def _is_price(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < float("inf")
