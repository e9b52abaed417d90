"""The model catalogue: models.toml, one table a model, turned into ``dspy.LM`` objects.

The built-in embedded models are in every catalogue; a table of the same name goes before them.
"""

from __future__ import annotations

import difflib
import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Unpack

import dspy

from dspy_fusion.programs.calls.refused_options import Refusal, remember
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.redaction import redacting

from ..checkpoints import PREFIX as CHECKPOINT_PREFIX
from ..embedded import PREFIX, SUFFIX
from ..local import PREFIX as LOCAL_PREFIX
from ..model_sampling import ModelSampling
from .entry_tables import check_fallbacks, read_entry
from .model_entry import ModelEntry, Price
from .probe_report import draws_together, kept_complaints, kept_refusals

DEFAULT_FILE = "models.toml"
GGUF_SUFFIX = ".gguf"
logger = redacting(logging.getLogger(__name__))


@dataclass(frozen=True)
class ModelCatalogue:
    """Models by name. Wherever a name is expected, any litellm model string (with a ``/``) does as well.

    Attributes:
        entries: the models, by name.
        file: the file they were read from; empty for the built-in ones alone.
        overrides: the built-in names that the file gives to other models.
    """

    entries: Mapping[str, ModelEntry]
    file: str = ""
    overrides: tuple[str, ...] = ()

    @classmethod
    def builtin(cls) -> ModelCatalogue:
        """The embedded models."""
        return _builtin()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models, in the order in which they were written down."""
        return tuple(self.entries)

    def entry(self, name: str) -> ModelEntry:
        """The model of a name.

        Raises:
            ConfigurationError: no model has that name; the message lists them.
        """
        if name in self.entries:
            return self.entries[name]
        if name.endswith(SUFFIX):
            return ModelEntry(PREFIX + name.removeprefix(PREFIX))
        if name.endswith(GGUF_SUFFIX):
            return ModelEntry(LOCAL_PREFIX + name.removeprefix(LOCAL_PREFIX))
        if name.startswith(CHECKPOINT_PREFIX):
            return ModelEntry(name)
        if all(name.partition("/")):
            return ModelEntry(name)
        near = difflib.get_close_matches(name, self.names, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        names = ", ".join(self.names)
        raise ConfigurationError(
            f"no model is called {name!r}; {hint}known are {names}, and litellm's provider/model strings"
        )

    def lm(self, name: str, *, cache: bool = False, **sampling: Unpack[ModelSampling]) -> dspy.LM:
        """A language model; ``sampling`` goes before the catalogue's defaults.

        Where a probe has found that its server does not follow one of these settings, the log has a warning, once in a
        process; programs do not send it what a probe found to be refused.

        Args:
            name: a name of this catalogue, ``embedded/`` and a name or path, ``checkpoint/`` and a folder in Hugging
                Face's format, or a litellm model string.
            cache: whether DSPy's own cache keeps its answers. That cache does not tell two addresses apart.
            sampling: options such as ``temperature`` and ``max_tokens``.

        Raises:
            ConfigurationError: the name or an option is unknown, or a key is missing (``MissingKey``).
        """
        entry = self.entry(name)
        fallback = self.lm(entry.fallback, cache=cache) if entry.fallback else None
        lm = entry.lm(cache=cache, fallback=fallback, together=draws_together(entry), **sampling)
        for complaint in kept_complaints(replace(entry, sampling={**entry.sampling, **sampling})):
            _warn_once(complaint)
        for option in kept_refusals(entry):
            remember(lm, Refusal(option, None))
        vars(lm)["known_as"] = name  # by which a saved program names it
        return lm

    def prices(self, *names: str) -> dict[str, tuple[float, float]]:
        """The price table of these models (without names, of all) as ``limited`` and ``dollars`` take it,
        by model string.
        """
        entries = {name: self.entry(name) for name in names or self.names}
        models = {name: str(self.lm(name).model) if entry.is_here else entry.model for name, entry in entries.items()}
        return {models[name]: (entry.price.input, entry.price.output) for name, entry in entries.items()}

    def price(self, name: str) -> Price:
        """What a model costs: by the catalogue.

        Else, at its provider's own address, by the list that DSPy brings; else nothing.
        """
        entry = self.entry(name)
        if entry.price != Price() or entry.where or entry.is_here:
            return entry.price
        from .list_prices import list_price  # which reads a list of some megabytes

        return list_price(entry.model) or entry.price


def load_models(path: Path | str | None = None) -> ModelCatalogue:
    """Reads a catalogue.

    A file that was only found in the working directory may be somebody else's, so a line in the log says once that it
    is used, which built-in names it overrides, and which keys it sends where.

    Args:
        path: a TOML file; None takes ``models.toml`` of the working directory where there is one, else the built-in
            models.

    Raises:
        ConfigurationError: the file is missing, is no TOML, a table is wrong, or one has a built-in name without
            ``override = true``.
    """
    is_unasked = path is None
    path = Path(DEFAULT_FILE) if path is None else Path(path)
    if is_unasked and not path.is_file():
        return ModelCatalogue.builtin()
    own = _read(path)
    overrides = tuple(name for name in own if name in ModelCatalogue.builtin().entries)
    entries = {**ModelCatalogue.builtin().entries, **own}
    try:
        check_fallbacks(entries)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    if is_unasked:
        _warn_once(_told(path, own, overrides))
    return ModelCatalogue(entries, str(path), overrides)


def _told(path: Path, own: Mapping[str, ModelEntry], overrides: tuple[str, ...]) -> str:
    """What a file in the working directory changes, in one line."""
    text = f"models are read from {path.resolve()}"
    if overrides:
        text += f"; it overrides the built-in {', '.join(overrides)}"
    sent = [f"{entry.key} to {' and '.join(entry.where) or 'its provider'}" for entry in own.values() if entry.key]
    return text + (f"; it sends {', '.join(dict.fromkeys(sent))}" if sent else "")


@cache
def _warn_once(complaint: str) -> None:
    logger.warning(complaint)


@cache
def _builtin() -> ModelCatalogue:
    return ModelCatalogue(_read(Path(__file__).with_name(DEFAULT_FILE)))


def _read(path: Path) -> dict[str, ModelEntry]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the model catalogue {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the model catalogue {path} is no TOML: {error}") from error
    try:
        return {name: read_entry(name, _without_override(path, name, table)) for name, table in tables.items()}
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _without_override(path: Path, name: str, table: object) -> object:
    """A table without the word that lets it have a built-in name, which it must have for one."""
    is_builtin_file = path == Path(__file__).with_name(DEFAULT_FILE)
    word = table.get("override", False) if isinstance(table, dict) else False
    if not isinstance(word, bool):
        raise ConfigurationError(f"[{name}] override must be true or false, but is {word!r}")
    if not is_builtin_file and not word and name in _builtin().entries:
        raise ConfigurationError(
            f"[{name}] has the name of a built-in model; choose another, or write override = true into the table"
        )
    return {key: value for key, value in table.items() if key != "override"} if isinstance(table, dict) else table
