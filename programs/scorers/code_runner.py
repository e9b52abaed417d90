"""Runs one candidate's code against tests: ``python -I code_runner.py``, in a process and a folder of its own.

It reads one JSON object from standard input (``code``, ``tests`` and the limits) and writes a JSON list to standard
output: None for each test that was passed, else the cause. What isolates it is set before any of the code is seen.
Nothing but the standard library is imported, and nothing of this library.

A pass is a test that ran to its end: it is reported with a secret, so ending the process is none; tests have names and
builtins that the code cannot replace, and where a test compares with plain data, an ``__eq__`` of the code's own has no
say. Code that knows this file could still find the secret in the frames of its own process.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import ctypes
import json
import os
import resource
import secrets
import signal
import struct
import sys
import time
import types
from typing import Any

_NEW_USER, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
# Landlock's rights to change the file system, of version 1: writing, removing, and making of every kind.
_WRITES = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))
_READS = 1 << 2 | 1 << 3  # files and folders
_READABLE = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc", "/opt", "/dev/urandom", "/dev/zero")
_READABLE_OF_CORES = ("/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo")
_NO_NEW_PRIVILEGES = 38
_LOOK_SECONDS = 0.005
_PLAIN = (bool, int, float, complex, str, bytes, type(None), list, tuple, dict, set, frozenset)
_CODE, _TEST, _MODULE = "<candidate>", "<test>", "__candidate__"


def main() -> None:
    """Isolates the process and runs the tests."""
    job = json.load(sys.stdin)
    report = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    _limit(job)
    processes = _unshare()
    if processes and (inside := os.fork()):  # the first process of the new space takes all others with it when it ends
        _, status = os.waitpid(inside, 0)
        os._exit(os.waitstatus_to_exitcode(status))
    _confine(os.getcwd())
    results = [_outcome(job["code"], test, job["seconds"]) for test in job["tests"]]
    os.write(report, json.dumps(results).encode())
    os._exit(0)


def _limit(job: dict[str, Any]) -> None:
    seconds = int(job["seconds"]) + 1
    limits = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: job["memory_bytes"],
        resource.RLIMIT_FSIZE: job["file_bytes"],
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    if hasattr(resource, "RLIMIT_NPROC"):
        limits[resource.RLIMIT_NPROC] = job["processes"]
    for kind, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower limit of the system's own stays
            resource.setrlimit(kind, (limit, limit))


def _unshare() -> bool:
    """No network, and a space of processes of its own, where the system allows them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        return False
    own_user = _NEW_USER if os.geteuid() else 0
    if libc.unshare(own_user | _NEW_PROCESSES | _NEW_NETWORK) == 0:
        return True
    libc.unshare(own_user | _NEW_NETWORK)
    return False


def _confine(folder: str) -> None:
    """No writing outside the folder, and no reading but of it, of Python and of the system's libraries (so of no other
    process's environment and of nobody's home), where the kernel has Landlock.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    rights = ctypes.create_string_buffer(struct.pack("<Q", _WRITES | _READS))
    rules = libc.syscall(_LANDLOCK_CREATE, rights, ctypes.c_size_t(8), 0)
    if rules < 0:
        return
    python = {sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path)}
    readable = [*_READABLE, *_READABLE_OF_CORES, *python, *map(os.path.realpath, python)]
    allowed = {path: _READS for path in readable} | {folder: _WRITES | _READS, os.devnull: 1 << 1 | 1 << 2}
    for path, may in allowed.items():
        with contextlib.suppress(OSError):
            place = os.open(path, os.O_PATH)
            may = may if os.path.isdir(path) else may & (1 << 1 | 1 << 2)
            libc.syscall(_LANDLOCK_ADD, rules, 1, ctypes.create_string_buffer(struct.pack("<Qi", may, place)), 0)
            os.close(place)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def _outcome(code: str, test: str, seconds: float) -> str | None:
    """None where the code passes the test. A process of its own for each, so that none can spoil the next."""
    token = secrets.token_hex(8)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _attempt(code, test, token, writing)
    os.close(writing)
    status = _awaited(child, seconds)
    os.set_blocking(reading, False)  # what the code left running may hold the other end
    try:
        said = os.read(reading, 10_000).decode(errors="replace")
    except BlockingIOError:
        said = ""
    os.close(reading)
    if said == token:
        return None
    if said.startswith(token):
        return said[len(token) :]
    return f"it took longer than {seconds:g} seconds" if status is None else f"the process ended with {status}"


def _awaited(child: int, seconds: float) -> int | None:
    """The exit code of a process, or None where it had to be ended."""
    end, is_late = time.monotonic() + seconds, False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if is_late:  # and has been looked for since: this process may have had no turn for so long
            break
        time.sleep(_LOOK_SECONDS)
        is_late = time.monotonic() >= end
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _attempt(code: str, test: str, token: str, writing: int) -> None:
    before = dict(vars(builtins))
    own = os.getpid()
    said = token
    try:
        module = sys.modules[_MODULE] = types.ModuleType(_MODULE)
        names = vars(module)
        exec(compile(code, _CODE, "exec", dont_inherit=True), names)
        tested = {**names, "__builtins__": before, "_equal_": _equal}
        strict = _Strictly().visit(ast.parse(test))
        exec(compile(strict, _TEST, "exec", dont_inherit=True), tested)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the test is not passed)
        said += f"{type(error).__name__}: {error}"[:300]
    if os.getpid() == own:  # and not a process that the code made
        os.write(writing, said.encode(errors="replace"))
    os._exit(0)


class _Strictly(ast.NodeTransformer):
    """Has ``==`` and ``!=`` of a test asked of :func:`_equal`, one comparison at a time."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """Has an equality of the tests also compare the types of its sides."""
        self.generic_visit(node)
        if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            return node
        asked = ast.Call(ast.Name("_equal_", ast.Load()), [node.left, node.comparators[0]], [])
        negated = isinstance(node.ops[0], ast.NotEq)
        made = ast.UnaryOp(ast.Not(), asked) if negated else asked
        return ast.fix_missing_locations(ast.copy_location(made, node))


def _equal(left: Any, right: Any) -> Any:
    """``left == right``; where one side is plain data, an ``__eq__`` of the code that is tested has no say."""
    if type(left) in (list, tuple) and type(left) is type(right):
        return len(left) == len(right) and all(_equal(one, other) for one, other in zip(left, right, strict=True))
    if type(left) is dict and type(right) is dict:
        return left.keys() == right.keys() and all(_equal(part, right[key]) for key, part in left.items())
    for plain, other in ((left, right), (right, left)):
        if type(plain) in _PLAIN and type(other) not in _PLAIN and _is_of_code(type(other)):
            equality: Any = type(plain).__eq__
            return equality(plain, other) is True
    return left == right


def _is_of_code(kind: type) -> bool:
    """Whether what a type says of equality was written by the code that is tested, or holds for everything."""
    equality = getattr(kind, "__eq__", None)
    name = getattr(getattr(equality, "__code__", None), "co_filename", None)
    if name is None:  # of C: one that was put on a type of the code's is no better than one it wrote
        return kind.__module__ == _MODULE and "__eq__" in vars(kind)
    is_nowhere = not name.startswith("<frozen ") and not os.path.exists(name)
    return name == _CODE or is_nowhere or name.endswith(("unittest/mock.py", "mock/mock.py"))


if __name__ == "__main__":
    main()
