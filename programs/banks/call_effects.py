"""What calling something changes: counters, call logs and caches, which are no part of what a value is.

A module whose code writes an attribute but never reads it, such as a count of its calls, is the same module after a
call; where its code reads it back, it may answer otherwise, and is another one. A model is the same model however often
it was called, so what its code changes counts as it was when the model was first seen. Only code that a call can reach
counts: what a setter changes is a setting.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..syntax import parsed

_ENTRIES = frozenset("__call__ acall forward aforward complete stream generate agenerate basic_request request".split())
_MUTATORS = frozenset(
    "append appendleft extend insert add update setdefault pop popleft popitem remove discard clear put put_nowait"
    " subtract sort reverse write inc increment".split()
)


@dataclass
class Effects:
    """The names that code writes and that it reads: of attributes, or of variables from around it."""

    written: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)

    @property
    def unread(self) -> set[str]:
        """What is written and never read back."""
        return self.written - self.read

    @property
    def changing(self) -> set[str]:
        """What is written and read back."""
        return self.written & self.read


def effects(function: types.FunctionType) -> Effects:
    """What a function does to the variables around it; nothing where its source is not to be had."""
    return _effects(function.__code__)


@functools.lru_cache(maxsize=4096)
def _effects(code: types.CodeType) -> Effects:
    tree = _tree(code)
    return Effects() if tree is None else _Reader.of([tree]).variables


@functools.lru_cache(maxsize=1024)
def effects_of_calls(kind: type, *, of_model: bool) -> Effects:
    """What calling an object of a class does to attributes, in all methods that a call can reach.

    An object that cannot be called is changed by its owner's calls only: where that is a model, by all of its methods.
    """
    methods = dict(_methods(kind))
    left = [name for name in methods if name in _ENTRIES]
    if not left and of_model:
        left = [name for name in methods if not _is_setting(name)]
    reached: dict[str, ast.AST] = {}
    while left:
        name = left.pop()
        if name in reached or (tree := _tree(methods[name].__code__)) is None:
            continue
        reached[name] = tree
        left += [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in methods]
    return _Reader.of(list(reached.values())).attributes


def _methods(kind: type) -> Iterator[tuple[str, types.FunctionType]]:
    """The methods of a class and of its bases that have a source of their own, those of bases first."""
    from .code_identity import is_installed

    for part in reversed(kind.__mro__):
        for name, member in vars(part).items():
            function: Any = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(function, types.FunctionType) and not is_installed(part):
                yield name, inspect.unwrap(function)


def _is_setting(name: str) -> bool:
    return name.startswith(("set", "configure", "with", "load", "__init", "__post_init", "__new__"))


def _tree(code: types.CodeType) -> ast.AST | None:
    """The syntax of a function; of a lambda, that of all lambdas in its statement."""
    try:
        tree = parsed(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None  # no file, or a part of a statement that does not stand alone
    if code.co_name != "<lambda>":
        return tree
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    return ast.Tuple(list[ast.expr](bodies), ast.Load()) if bodies else None


class _Reader(ast.NodeVisitor):
    """Collects the names: of attributes, whosever they are, and of variables."""

    def __init__(self) -> None:
        self.attributes, self.variables = Effects(), Effects()

    @classmethod
    def of(cls, trees: list[ast.AST]) -> _Reader:
        reader = cls()
        for tree in trees:
            reader.visit(tree)
        return reader

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._note(self.attributes, node.ctx, node.attr)
        self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        self._note(self.variables, node.ctx, node.id)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Load):
            self.generic_visit(node)
        else:
            self._write(node.value)
            self.visit(node.slice)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._write(node.target)
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        """A statement that only calls a mutator writes; where its result is used, it reads too."""
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _MUTATORS:
            self._write(call.func.value)
            for part in (*call.args, *call.keywords):
                self.visit(part)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
            self._write(node.func.value)
        self.generic_visit(node)

    @staticmethod
    def _note(effects: Effects, context: ast.expr_context, name: str) -> None:
        (effects.read if isinstance(context, ast.Load) else effects.written).add(name)

    def _write(self, node: ast.AST) -> None:
        """What is changed: the innermost attribute or variable that an expression begins with."""
        while isinstance(node, ast.Subscript):
            self.visit(node.slice)
            node = node.value
        if isinstance(node, ast.Attribute):
            inner: ast.AST = node
            while isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Attribute):
                inner = inner.value
            self.attributes.written.add(inner.attr if isinstance(inner, ast.Attribute) else node.attr)
        elif isinstance(node, ast.Name):
            self.variables.written.add(node.id)
        else:
            self.visit(node)
