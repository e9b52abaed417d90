"""Which code a function or class is: where it stands, what it says, and what it uses from around it.

Code of installed packages goes by its name and its package's version. A user's own goes by its byte code, constants,
defaults, closures, and the globals and classes it names, however deep, so two functions or classes of one name are one
only where they do the same. Byte code belongs to a version of Python: under another one, candidates are drawn anew.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator
from typing import Any

from .call_effects import effects, effects_of_calls
from .content_digest import Contents, Digest, Unkeyable

_INSTALLED = ("site-packages", "dist-packages", "dspy_fusion")
_FUNCTIONS = (types.FunctionType, staticmethod, classmethod, property)


def code_identity(value: Any, contents: Contents) -> list[Any]:
    """What tells a function, class, method or module from others, as plain data and further values to be digested."""
    if isinstance(value, types.ModuleType):
        return ["module", value.__name__, _version(value.__name__)]
    if isinstance(value, types.MethodType):
        return ["method", value.__func__, value.__self__]
    if isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__ if not isinstance(value.__self__, types.ModuleType | type(None)) else None
        return ["builtin", value.__module__, value.__qualname__, owner]
    if is_installed(value):
        return ["installed", value.__module__, value.__qualname__, _version(value.__module__)]
    return _class(value, contents) if isinstance(value, type) else _function(value, contents)


def is_installed(value: Any) -> bool:
    """Whether a function or class belongs to an installed package, or to Python, and is found there by its name."""
    module = sys.modules.get(value.__module__ or "")
    if module is None or not _is_of_package(value.__module__):
        return False
    owner: Any = module
    for part in value.__qualname__.split("."):
        owner = getattr(owner, part, None)
    return owner is value or (owner is not None and getattr(owner, "__func__", None) is value)


def _function(value: types.FunctionType, contents: Contents) -> list[Any]:
    own = effects(value)
    cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
    closed = contents.lasting(value, {name: _held(cell) for name, cell in cells}, own)
    used = contents.lasting(value, dict(_globals_of(value)), own)
    return [
        "function",
        value.__module__,
        value.__qualname__,
        _digest(value.__code__),
        value.__defaults__,
        value.__kwdefaults__,
        closed,
        {name: _usable(part, contents) for name, part in used.items()},
    ]


def _class(value: type, contents: Contents) -> list[Any]:
    own = {name: part for name, part in vars(value).items() if _is_own(name, part)}
    lasting = contents.lasting(value, own, effects_of_calls(value, of_model=contents.of_model))
    members = {name: _usable(part, contents) for name, part in lasting.items()}
    bases = [base for base in value.__bases__ if base is not object]
    fields = [
        (name, field.annotation, field.metadata, field.default, field.default_factory)
        for name, field in (getattr(value, "__pydantic_fields__", None) or {}).items()
    ]
    return ["class", value.__module__, value.__qualname__, bases, members, fields]


def _is_own(name: str, part: Any) -> bool:
    """Whether the user wrote a member of a class, and neither Python nor pydantic put it there.

    Python makes empty annotations when somebody looks for them.
    """
    if name.startswith("__"):
        return (name == "__annotations__" and bool(part)) or isinstance(part, _FUNCTIONS)
    return not name.startswith("_abc_") and name != "model_config"


def _usable(part: Any, contents: Contents) -> Any:
    """A value that code names, or only its kind where it cannot be told from others, such as a connection."""
    try:
        contents.of(part)
    except Unkeyable:
        return ["cannot be keyed", type(part).__module__, type(part).__qualname__]
    return part


def _held(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _globals_of(value: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function names, and what it takes from modules of the user's own."""
    names = _names(value.__code__)
    for name in names:
        if name not in value.__globals__:
            continue
        part = value.__globals__[name]
        yield name, part
        if isinstance(part, types.ModuleType) and not _is_of_package(part.__name__):
            yield from ((f"{name}.{inner}", vars(part)[inner]) for inner in names if inner in vars(part))


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[str, ...]:
    nested = (name for part in code.co_consts if isinstance(part, types.CodeType) for name in _names(part))
    return tuple(sorted({*code.co_names, *nested}))


@functools.lru_cache(maxsize=4096)
def _digest(code: types.CodeType) -> Digest:
    """That of a function's byte code, which never changes."""
    return Digest(Contents(code_identity).of(_code(code)))


def _code(code: types.CodeType) -> list[Any]:
    """A function's byte code without the places in files that it remembers."""
    constants = [_code(part) if isinstance(part, types.CodeType) else part for part in code.co_consts]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return [sys.version_info[:2], code.co_code, constants, names, code.co_flags, code.co_argcount]


@functools.lru_cache(maxsize=4096)
def _is_of_package(module: str) -> bool:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("builtins", "dspy_fusion"):
        return top != "__main__"
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return any(part in file.replace("\\", "/").split("/") for part in _INSTALLED)


@functools.lru_cache(maxsize=4096)
def _version(module: str) -> str:
    top = module.partition(".")[0]
    return "" if top in sys.stdlib_module_names else str(getattr(sys.modules.get(top), "__version__", ""))
