"""Packages whose names are loaded when they are first asked for, so that importing one costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# The extra that a part of this library needs; a deeper part goes before the part it lies in.
_EXTRAS = {
    "dspy_fusion.optimizers.finetuning": "finetune",
    "dspy_fusion.optimizers": "optimizers",
    "dspy_fusion.serving.endpoint": "serve",
    "dspy_fusion.serving.local": "local",
    "dspy_fusion.serving": "serving",
    "dspy_fusion.experiments": "experiments",
}


def lazy_names(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What makes a package lazy: its ``__getattr__``, its ``__dir__`` and its ``__all__``.

    Args:
        package: the package's ``__name__``.
        homes: from modules, relative to the package, to the names that they define.

    Returns:
        Three values for the package to keep under those three names. A name whose module needs a library that is not
        installed raises :class:`MissingExtra`.
    """
    home_of = {name: f"{package}{module}" for module, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_part(home_of[name], name), name)
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(home_of)
    return load, lambda: sorted({*vars(sys.modules[package]), *names}), names


def import_part(module: str, wanted_by: str) -> Any:
    """Imports a module of this library; ``wanted_by`` is what the error about a missing library is about."""
    extra = next((extra for part, extra in _EXTRAS.items() if module.startswith(part)), "all")
    from dspy_fusion.programs.extras import needs

    with needs(wanted_by, extra):
        return importlib.import_module(module)
