"""Code is run against tests, as far as it is let."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM

from dspy_fusion.programs import BestOfN, CodeLimits, CodeTests, ConfigurationError, ScorerError
from dspy_fusion.programs.scorers.code_process import extract_code, run_tests, runs_remembered

TESTS = ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]
RIGHT = "def add(a, b):\n    return a + b"
LIMITS = CodeLimits(seconds=60.0, memory_bytes=1 << 29, file_bytes=1 << 20)
SHORT = replace(LIMITS, seconds=1.0)


def program(*codes: str, **options: Any) -> BestOfN:
    lm = ScriptedLM(lambda request: {"code": codes[(request.config.seed or 0) % len(codes)]})
    return BestOfN(dspy.Predict("problem, tests: list[str] -> code"), lms=[lm], n=len(codes), **options)


def test_the_candidate_that_passes_most_tests_is_taken() -> None:
    codes = ("def add(a, b): return 3", "def add(a, b) return", f"Here it is:\n```python\n{RIGHT}\n```\nDone.")
    prediction = program(*codes, scorer=CodeTests(TESTS))(problem="add", tests=[])
    assert [candidate.score for candidate in prediction.pool.candidates] == [0.5, 0.0, 1.0]
    assert "a + b" in prediction.code


def test_tests_may_come_with_the_inputs() -> None:
    for tests in ("tests", lambda inputs: inputs["tests"]):
        best = program("def add(a, b): return a", RIGHT, scorer=CodeTests(tests))
        assert best(problem="add", tests=TESTS).code == RIGHT


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("def add(a, b): return a", "AssertionError"),
        ("def add(a, b) return", "SyntaxError"),
        ("import os; os._exit(0)", "the process ended with 0"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("print('[null, null]'); import os; os._exit(0)", "the process ended with 0"),
        ("x = b'x' * (1 << 30)", "MemoryError"),
        ("open('a', 'wb').write(b'x' * (2 << 20))", "File too large"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("i = 0\nwhile True:\n    i += 1\n    open(f'{i}', 'wb').write(b'x' * 99999)", "it wrote more than|too long"),
    ],
)
def test_code_that_does_wrong_fails_and_comes_to_an_end(code: str, cause: str) -> None:
    (outcome,) = run_tests(f"{code}\n", TESTS[:1], LIMITS)
    assert outcome is not None
    assert any(part in outcome for part in cause.split("|"))


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(600)",
        "import os\nfor i in range(6): os.fork()\nimport time; time.sleep(600)",
    ],
)
def test_code_that_takes_too_long_comes_to_an_end(code: str) -> None:
    assert run_tests(f"{code}\n", TESTS[:1], SHORT) in (
        ["it took longer than 1 seconds"],
        ["all tests together took longer than 3 seconds"],  # where its own process had no turn for so long
    )


EQUAL_TO_ALL = "class Same{base}:\n    def __eq__(self, other): return True\n    def __hash__(self): return 3\n"


@pytest.mark.parametrize(
    "code",
    [
        EQUAL_TO_ALL.format(base="") + "def add(a, b): return Same()",
        EQUAL_TO_ALL.format(base="(int)") + "def add(a, b): return Same(77)",
        "from unittest.mock import ANY\ndef add(a, b): return ANY",
        "import builtins\nbuiltins.AssertionError = type('None', (), {})\ndef add(a, b): return None",
        "__debug = 0\ndef _equal_(a, b): return True\ndef add(a, b):\n    globals()['_equal_'] = _equal_",
        "import sys, os\nsys.exit = os._exit\nsys.exit(0)",
        "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): raise SystemExit(0)",
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'')\n    except OSError: pass\nos._exit(0)",
        "import os\nif os.fork(): os._exit(0)\ndef add(a, b): return a + b",
        "raise SystemExit",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import os\nos.close(3); os.close(4); os.close(5); os.close(6)\ndef add(a, b): return 0",
    ],
)
def test_no_trick_of_the_codes_passes_a_test(code: str) -> None:
    assert None not in run_tests(code, TESTS, LIMITS)


def test_a_replaced_builtin_is_not_the_tests() -> None:
    tests = ["assert all(add(i, i) == 2 * i for i in range(3))", "assert isinstance(add(1, 1), str)"]
    code = "import builtins\nbuiltins.all = builtins.isinstance = lambda *a: True\ndef add(a, b): return 0"
    assert None not in run_tests(code, tests, LIMITS)


def test_values_that_are_no_plain_data_are_compared_as_they_say() -> None:
    code = (
        "from dataclasses import dataclass\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
        "from collections import Counter, OrderedDict, UserDict, namedtuple\nfrom enum import IntEnum\n"
        "@dataclass\nclass Point:\n    x: int\n"
        "class Own:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x\n"
        "Pair = namedtuple('Pair', 'a b')\nclass One(IntEnum):\n    ONE = 1\n"
    )
    tests = [
        "assert Point(1) == Point(1) and Point(1) != Point(2) and Own(1) == Own(1) and Own(1) != Own(2)",
        "assert Decimal('1.0') == 1 and Fraction(2, 2) == 1 and One.ONE == 1 and 1 == One.ONE",
        "assert Pair(1, 2) == (1, 2) and Counter('aa') == {'a': 2} and OrderedDict(a=1) == {'a': 1}",
        "assert UserDict(a=1) == {'a': 1} and [Decimal(1), (1, {'k': [2.0]})] == [1, (1, {'k': [2]})]",
        "assert float('nan') != float('nan') and {1, 2} == {2, 1} and not [1] == (1,) and 1 < 2 == 2",
    ]
    assert run_tests(code, tests, LIMITS) == [None] * len(tests)


def test_no_other_process_is_read_or_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    monkeypatch.setenv("SOME_API_KEY", "secret")
    (tmp_path / "key").write_text("secret")
    if not _has_landlock():
        pytest.skip("this kernel has no Landlock")
    look = (
        "import glob, os, signal\n"
        f"for path in [*glob.glob('/proc/*/environ'), '/proc/{os.getpid()}/environ', {str(tmp_path / 'key')!r}]:\n"
        "    try: held = open(path, 'rb').read()\n"
        "    except OSError: continue\n"
        "    assert b'secret' not in held, path\n"
        f"for target in (os.getppid(), {os.getpid()}):\n"
        "    try: os.kill(target, signal.SIGTERM)\n"
        "    except OSError: pass\n"
    )
    assert run_tests(look + RIGHT, TESTS[:1], LIMITS) in ([None], ["the process ended with -15"])
    assert run_tests(RIGHT, TESTS, LIMITS) == [None, None]  # and this process is alive


def test_what_is_printed_is_nobodys_concern() -> None:
    code = f"import sys\nfor _ in range(20000): print('x' * 1000); print('y' * 1000, file=sys.stderr)\n{RIGHT}"
    assert run_tests(code, TESTS[:1], CodeLimits(seconds=20)) == [None]


def test_a_test_that_never_ends_keeps_no_other_from_its_turn() -> None:
    code = "def add(a, b):\n    while a: pass\n    return b"
    first, second = run_tests(code, TESTS, replace(LIMITS, seconds=3.0))
    assert (first, second) == ("it took longer than 3 seconds", None)


def test_nothing_outside_its_folder_is_touched_and_no_key_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    look = "import os\nassert 'secret' not in str(dict(os.environ))\n"
    spy = f"{look}open({str(tmp_path / 'spy')!r}, 'w').write('x')\n{RIGHT}"
    run_tests(spy, TESTS, LIMITS)
    assert not (tmp_path / "spy").exists() or not _has_landlock()
    assert run_tests(
        f"import os\nassert 'secret' not in str(os.environ)\nopen('own', 'w')\n{RIGHT}", TESTS, LIMITS
    ) == [
        None,
        None,
    ]
    assert not Path("own").exists()


def test_there_is_no_network_where_the_system_allows_that() -> None:
    import http.server
    import threading

    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    code = f"import socket\nsocket.create_connection(('127.0.0.1', {server.server_port}), 1)\n{RIGHT}"
    (outcome, _) = run_tests(code, TESTS, LIMITS)
    server.server_close()
    assert outcome is None or "unreachable" in outcome


def _has_landlock() -> bool:
    import ctypes

    return ctypes.CDLL(None).syscall(444, 0, 0, 1) > 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", "x = 1"),
        ("So:\n```python\nx = 1\n```\nand\n```\noutput\n```", "x = 1"),
        ("```py\nx = 1\n```\nthen\n```python\ny = 2\n```", "x = 1\n\ny = 2"),
        ("```\nx = 1\n```", "x = 1"),
        ("```python\nx = 1", "x = 1"),
        ("~~~python\nx = 1\n~~~", "x = 1"),
    ],
)
def test_code_is_taken_out_of_running_text(text: str, code: str) -> None:
    assert extract_code(text) == code


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CodeTests([]), r"tests must hold at least one test, but got tests=\[\]"),
        (lambda: CodeLimits(seconds=0), "seconds must be a positive number, but got seconds=0"),
        (
            lambda: program(RIGHT, scorer=CodeTests("hidden")),
            r"tests names 'hidden', but the task's inputs are \['problem'",
        ),
        (
            lambda: program(RIGHT, scorer=CodeTests(TESTS, field="text")),
            r"field names 'text', but .* outputs are \['code'\]",
        ),
    ],
)
def test_what_cannot_work_is_said_at_once(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_inputs_without_tests_are_an_error_and_not_a_score() -> None:
    with pytest.raises(ScorerError, match="there are no tests for these inputs"):
        program(RIGHT, scorer=CodeTests("tests"))(problem="add", tests=[])


def test_inside_runs_remembered_the_same_code_is_run_once() -> None:
    odd = "import random; assert random.random() < 0.5"
    with runs_remembered():
        first = [run_tests(f"x = {i}", [odd], LIMITS) for i in range(6)]
        assert [run_tests(f"x = {i}", [odd], LIMITS) for i in range(6)] == first
    assert run_tests("x = 1", ["assert x == 1"], LIMITS) == [None]


def test_inside_runs_remembered_threads_that_want_the_same_run_see_one() -> None:
    ready = threading.Barrier(6)

    def run(_: int) -> list[str | None]:
        ready.wait(timeout=30)
        return run_tests("import os", ["raise ValueError(os.urandom(8))"], LIMITS)

    with runs_remembered(), ThreadPoolExecutor(6) as threads:
        said = list(threads.map(run, range(6)))
    assert "ValueError" in str(said[0])
    assert said == said[:1] * 6


def test_blocks_that_overlap_share_their_runs_which_end_with_the_last() -> None:
    def run() -> list[str | None]:
        return run_tests("import os", ["raise ValueError(os.urandom(8))"], LIMITS)

    first, second = runs_remembered(), runs_remembered()
    first.__enter__()
    second.__enter__()
    known = run()
    first.__exit__(None, None, None)
    assert run() == known
    second.__exit__(None, None, None)
    assert run() != known
