"""Options that can be seen: ``help``, ``inspect`` and error messages name all options of a class."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints, is_typeddict

from .errors import UnknownOption

# What other libraries, and everyday speech, call an option of ours; the first one that the class has is meant.
_ALSO_CALLED = {
    "aggregator": ("fusor",),
    "aggregator_lm": ("fusor_lm",),
    "cache": ("bank",),
    "callback": ("on_progress",),
    "concurrency": ("max_concurrency", "num_threads"),
    "criteria": ("rubric",),
    "judge": ("lm", "scorer"),
    "judge_lm": ("lm",),
    "judges": ("judges", "scorer"),
    "k": ("n", "subset", "width", "window"),
    "layers": ("depth",),
    "llm": ("lm", "lms"),
    "lm": ("lm", "lms"),
    "log_dir": ("output", "storage"),
    "max_trials": ("trials",),
    "max_workers": ("max_concurrency", "num_threads"),
    "min_successes": ("quorum",),
    "model": ("lm", "lms"),
    "models": ("lms",),
    "module": ("program",),
    "n": ("n", "width"),
    "n_samples": ("n", "width"),
    "num_agents": ("width",),
    "num_candidates": ("n", "width", "proposals"),
    "num_layers": ("depth",),
    "num_samples": ("n", "width"),
    "num_threads": ("num_threads", "max_concurrency"),
    "num_trials": ("trials",),
    "num_workers": ("max_concurrency", "num_threads"),
    "output_dir": ("output",),
    "prompt": ("instructions",),
    "prompt_model": ("proposer",),
    "random_state": ("seed",),
    "reducer": ("fusor",),
    "reflection_lm": ("proposer",),
    "reward": ("scorer", "reward"),
    "reward_fn": ("scorer", "reward"),
    "rounds": ("depth", "repeats"),
    "samples": ("n", "width"),
    "temp": ("temperature",),
    "threads": ("num_threads", "max_concurrency"),
    "timeout": ("deadline_seconds", "timeout_seconds"),
    "verifier": ("scorer",),
    "workers": ("max_concurrency", "num_threads"),
}
_OPTIONS_LINE = re.compile(r"^ +\*\*options: .*(?:\n {9,}.*)*$", re.MULTILINE)


class _Signature:
    """A class's signature with every option in it, made when it is first asked for; instances keep their own."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        return signature_of_class(owner)


class VisibleOptions:
    """Base of classes whose constructors' options are all known.

    An ``__init__`` states its options as parameters or as ``**options: Unpack[...]`` of a TypedDict. An option that is
    none of them is refused with an error that names the class the user wrote and the option that was probably meant.
    In a class's docstring the line ``**options: ...`` becomes the options' own descriptions.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = _Signature()
        if (init := vars(cls).get("__init__")) is not None:
            cls.__init__ = _checked(init)
        if line := _OPTIONS_LINE.search(vars(cls).get("__doc__") or ""):
            lines = "\n".join(_described(cls))
            cls.__doc__ = line.string[: line.start()] + (lines or line.group()) + line.string[line.end() :]


def option_names(init: Callable[..., Any]) -> tuple[str, ...] | None:
    """The keyword arguments a constructor takes, or None where it takes any."""
    names = []
    for name, parameter in list(inspect.signature(init).parameters.items())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            options = _typed_options(init)
            if options is None:
                return None
            names += options.__annotations__
        elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            names.append(name)
    return tuple(names)


def signature_of_class(cls: type) -> inspect.Signature:
    """How a class is called, with the options of ``**options`` one by one and their defaults."""
    first, *inherited = _constructors(cls)
    names, signature = option_names(first), inspect.signature(first)
    own = list(signature.parameters.values())[1:]
    parameters = {p.name: p for p in own if p.kind is not p.VAR_KEYWORD}
    for init in inherited if len(parameters) < len(own) else ():
        further = inspect.signature(init).parameters.values()
        for parameter in further:
            if parameter.kind is parameter.KEYWORD_ONLY and (names is None or parameter.name in names):
                parameters.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in further):
            break
    rest = [p for p in own if p.kind is p.VAR_KEYWORD and names is None]
    return inspect.Signature([*parameters.values(), *rest])


def refuse_unknown(owner: str, unknown: Iterable[str], names: Iterable[str]) -> None:
    """Raises ``UnknownOption`` where there is an option of which nothing is known.

    Args:
        owner: what the user wrote: a class or a function.
        unknown: the options that are not known; with none, nothing happens.
        names: those that are.
    """
    if not (wrong := list(unknown)):
        return
    names = list(names)
    meant = {name: _probably_meant(name, names) for name in wrong}
    listed = f"option{'s' if len(wrong) > 1 else ''} {' and '.join(repr(name) for name in wrong)}"
    hints = [repr(other) if len(wrong) == 1 else f"{other!r} for {name!r}" for name, other in meant.items() if other]
    advice = f"did you mean {', '.join(hints)}?" if hints else f"it has {', '.join(names)}"
    raise UnknownOption(f"{owner} has no {listed}; {advice}")


def _checked(init: Callable[..., None]) -> Callable[..., None]:
    known = functools.cache(lambda: option_names(init))  # read with the first object: importing costs nothing

    @functools.wraps(init)
    def checked(self: object, *args: Any, **options: Any) -> None:
        names = known()
        if names is not None:
            refuse_unknown(type(self).__name__, (name for name in options if name not in names), names)
        init(self, *args, **options)

    return checked


def _probably_meant(name: str, names: Sequence[str]) -> str | None:
    plain = {other.replace("_", "").lower(): other for other in names}
    word = name.replace("_", "").lower()
    if word in plain:
        return plain[word]
    also = next((other for other in _ALSO_CALLED.get(name.lower(), ()) if other in names), None)
    begun = [key for key in plain if len(word) > 3 and key.startswith(word)]
    close = begun or difflib.get_close_matches(word, plain, n=1, cutoff=0.7)
    return also or (plain[close[0]] if close else None)


def _constructors(cls: type) -> Iterator[Callable[..., Any]]:
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if inspect.isfunction(init):
            yield init


def _typed_options(init: Callable[..., Any]) -> type[Any] | None:
    """The TypedDict of ``**options: Unpack[...]``."""
    for parameter in inspect.signature(init).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD and "Unpack" in str(parameter.annotation):
            module = inspect.unwrap(init).__globals__
            hint = get_type_hints(SimpleNamespace(__annotations__={"options": parameter.annotation}), module)["options"]
            options = get_args(hint)[0]
            return options if is_typeddict(options) else None
    return None


def _described(cls: type) -> Iterator[str]:
    """The descriptions of a class's unpacked options, as lines of a section ``Args``."""
    shown: set[Any] = set()
    for init in _constructors(cls):
        options = _typed_options(init)
        if options is not None and options not in shown:
            shown.add(options)
            _, _, lines = (options.__doc__ or "").partition("Attributes:\n")
            yield lines.rstrip()
