from __future__ import annotations

import ast
from typing import Any

import pytest

from dspy_fusion.programs.syntax import parsed


def test_a_reading_that_another_thread_spoilt_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read, failures = ast.parse, [SystemError("AST constructor recursion depth mismatch (before=159, after=156)")] * 3

    def spoilt(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return read(*arguments, **options)

    monkeypatch.setattr(ast, "parse", spoilt)
    assert ast.unparse(parsed("a = 1")) == "a = 1"


def test_what_no_reading_helps_with_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SyntaxError):
        parsed("a = = 1")
    monkeypatch.setattr(ast, "parse", lambda *_: (_ for _ in ()).throw(SystemError("broken")))
    with pytest.raises(SystemError, match="broken"):
        parsed("a = 1")
