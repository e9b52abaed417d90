"""What a value holds, as bytes that are the same in every process: equal bytes, equal value.

A value's print will not do: arrays and tables elide their middle, and two objects may print alike. What pickling would
keep of a value is walked instead, so arrays, tables, images, models and dataclasses need no case of their own; what
cannot be pickled, such as a connection or a generator, cannot be keyed either. Nothing is ever unpickled.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import io
import logging
import pathlib
import queue
import re
import sys
import threading
import types
import typing
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import dspy
from dspy.utils.unbatchify import Unbatchify

from .call_effects import Effects, effects_of_calls

_PRINTED = (int, float, complex, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction)
_PRINTED = (*_PRINTED, uuid.UUID, range, slice, re.Pattern, type(Ellipsis), type(NotImplemented), datetime.timezone)
_NO_CONTENT = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Event,
    threading.Condition,
    threading.Semaphore,
    threading.local,
    threading.Thread,
    logging.Logger,
    ContextVar,
)
_REMEMBERED = ("history", "callbacks")  # what DSPy keeps, on modules and models, of calls that were made
_WHOLE = (type(iter([])), type(iter(())), type(iter(range(0))), type(iter("")))  # whose arguments hold all they give
_first_sight: weakref.WeakKeyDictionary[Any, dict[str, bytes]] = weakref.WeakKeyDictionary()
_CODE = type | types.FunctionType | types.BuiltinFunctionType | types.MethodType | types.ModuleType
_LONGEST_FILE = 1 << 30  # bytes of a file that is digested


class Unkeyable(Exception):
    """A value cannot be told from others of its kind; the message says which."""


class Digest(bytes):
    """What a value was digested to; it stands for the value."""


class Contents:
    """Digests values.

    Args:
        identity: how code, modules and models are told apart: from such a value to a plain one.
        of_model: whether the values belong to a model, whose answers may count its calls without it being another.
    """

    def __init__(self, identity: Callable[[Any, Contents], Any], *, of_model: bool = False) -> None:
        self._identity, self.of_model = identity, of_model
        self._open: dict[int, int] = {}
        self._lowest = sys.maxsize  # of the open values that the present one refers to
        self._done: dict[int, tuple[Any, bytes]] = {}

    def digest(self, value: Any) -> str:
        """The hexadecimal digest of a value, whatever was digested before it.

        Raises:
            Unkeyable: it has no content that could be told.
        """
        self._done = {}
        try:
            return self.of(value).hex()
        except RecursionError as error:
            raise Unkeyable(f"a {type(value).__name__} is nested too deeply") from error

    def of(self, value: Any) -> bytes:
        """The digest of a value as bytes; see :meth:`digest`."""
        if value is None or isinstance(value, bool):
            return _hash("const", repr(value))
        kind = type(value)
        if kind is str:
            return _hash("str", value)
        if kind in _PRINTED:
            return _hash(kind.__name__, repr(value))
        if kind is Digest:
            return bytes(value)
        if (known := self._done.get(id(value))) is not None:
            return known[1]
        if (place := self._open.get(id(value))) is not None:
            self._lowest = min(self._lowest, place)
            return _hash("above", str(len(self._open) - place))
        return self._entered(value, kind)

    def _entered(self, value: Any, kind: type) -> bytes:
        """The digest of a value that is walked; it is remembered where nothing in it refers to what is around it."""
        place, around = len(self._open), self._lowest
        self._open[id(value)], self._lowest = place, sys.maxsize
        try:
            digest = self._walked(value, kind)
        finally:
            del self._open[id(value)]
        if self._lowest >= place:
            self._done[id(value)] = (value, digest)
            self._lowest = around
        else:
            self._lowest = min(around, self._lowest)
        return digest

    def sequence(self, kind: str, values: Iterable[Any]) -> bytes:
        """The digest of values in their order."""
        return _hash(kind, *(self.of(value) for value in values))

    def _walked(self, value: Any, kind: type) -> bytes:
        if isinstance(own := getattr(kind, "bank_identity", None), types.FunctionType):
            return _hash("own", self.of(kind), self.of(own(value)))
        if kind is dict or kind is types.MappingProxyType:
            return _hash("dict", *(self.of(part) for pair in value.items() for part in pair))
        if kind in (list, tuple):
            return self.sequence(kind.__name__, value)
        if kind in (set, frozenset):
            return _hash(kind.__name__, *sorted(map(self.of, value)))
        if kind in (bytes, bytearray, memoryview):
            return _hash("bytes", bytes(value))
        if isinstance(value, enum.Enum):
            return _hash("enum", self.of(kind), value.name)
        if isinstance(value, pathlib.PurePath):
            return self._path(value)
        if isinstance(value, _NO_CONTENT):
            return _hash("none", kind.__name__)
        return self._other(value)

    def _other(self, value: Any) -> bytes:
        if isinstance(value, type) and issubclass(value, dspy.Signature):
            return self.signature(value)
        if isinstance(value, _CODE | dspy.Module | dspy.BaseLM):
            return _hash("identity", self.of(self._identity(value, self)))
        if isinstance(value, typing.TypeVar):
            return _hash("typevar", value.__name__)
        if (origin := typing.get_origin(value)) is not None:
            return _hash("type", self.of(origin), self.sequence("args", typing.get_args(value)))
        if isinstance(value, staticmethod | classmethod):
            return _hash(type(value).__name__, self.of(value.__func__))
        if isinstance(value, property):
            return self.sequence("property", (value.fget, value.fset, value.fdel))
        if isinstance(value, functools.cached_property):
            return _hash("cached_property", self.of(value.func))
        if isinstance(value, Unbatchify):  # what waits in its queue belongs to calls under way
            return _hash("Unbatchify", self.of(value.batch_fn))
        if isinstance(value, queue.Queue):  # what waits in it, not how much has passed through it
            return _hash(type(value).__name__, str(value.maxsize), self.sequence("waiting", list(value.queue)))
        if isinstance(value, io.BytesIO | io.StringIO):
            return self.sequence(type(value).__name__, (value.getvalue(), value.tell()))
        return self._reduced(value)

    def signature(self, value: type[dspy.Signature]) -> bytes:
        """The digest of what a signature puts into a prompt and expects back."""
        fields = [
            (name, field.annotation, field.metadata, field.json_schema_extra, repr(field.default))
            for name, field in value.fields.items()
        ]
        return self.sequence("signature", (value.instructions, fields))

    def _path(self, value: pathlib.PurePath) -> bytes:
        """A path says which file, and what is in it now."""
        path = pathlib.Path(value)
        try:
            if not path.is_file():
                return _hash("path", str(value))
            if path.stat().st_size > _LONGEST_FILE:
                raise Unkeyable(f"the file {value} is larger than {_LONGEST_FILE >> 20} MiB")
            with path.open("rb") as file:
                return _hash("path", str(value), hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise Unkeyable(f"the file {value} cannot be read: {error.strerror}") from error

    def _reduced(self, value: Any) -> bytes:
        """What pickling would keep: how the value is made, its state, its items."""
        if isinstance(value, weakref.ReferenceType | types.GeneratorType | types.CodeType | types.FrameType):
            if self.of_model and isinstance(value, types.GeneratorType):
                return _hash("generator", repr(value.gi_code.co_qualname))
            raise Unkeyable(f"a {type(value).__name__} has no content of its own")
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            raise Unkeyable(f"a {_name(type(value))} cannot be read: {error}") from error
        if isinstance(reduced, str):
            return _hash("global", type(value).__module__, reduced)
        if isinstance(value, io.IOBase):
            raise Unkeyable(f"a {_name(type(value))} has no content of its own")
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        if self.of_model and isinstance(value, Iterator):  # how far it has come is no part of the model
            arguments, state = (arguments if type(value) in _WHOLE else ()), None
        if isinstance(state, dict):
            state = self.lasting(value, state, effects_of_calls(type(value), of_model=self.of_model))
        parts = [make, arguments, state, list(items or ()), list(pairs or ())]
        return _hash("object", self.of(type(value)), *map(self.of, parts))

    def lasting(self, owner: Any, parts: Mapping[Any, Any], effects: Effects) -> dict[Any, Any]:
        """What an object, function or class holds, in the order of its names, without what only counts or remembers
        calls.
        """
        lasting_items = {}
        for name in sorted(parts, key=str):
            part = parts[name]
            if name in effects.unread or name in _REMEMBERED:
                continue
            if self.of_model and name in effects.changing:
                if isinstance(part, str | int | float | None):
                    continue
                part = self._at_first_sight(owner, name, part)
            lasting_items[name] = part
        return lasting_items

    def _at_first_sight(self, owner: Any, name: str, part: Any) -> bytes:
        try:
            slots = _first_sight.setdefault(owner, {})
        except TypeError:  # it has no weak references, such as an instance of a class with slots
            return self._alone(part)
        return slots[name] if name in slots else slots.setdefault(name, self._alone(part))

    def _alone(self, part: Any) -> bytes:
        """A digest that does not depend on where in another value the part was met."""
        return bytes.fromhex(Contents(self._identity, of_model=True).digest(part))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _hash(kind: str, *parts: str | bytes) -> bytes:
    hash_of_kind = hashlib.sha256(kind.encode())
    for part in parts:
        encoded = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        hash_of_kind.update(len(encoded).to_bytes(8) + encoded)
    return hash_of_kind.digest()
