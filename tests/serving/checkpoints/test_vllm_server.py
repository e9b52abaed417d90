"""A server process of vLLM's kind, with a small program in its place: it never outlives its owner, nor keeps it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import wait_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups need POSIX")
SERVER = """#!{python}
import http.server, json, os, sys
from pathlib import Path
Path({place!r}).write_text(str(os.getpid()))
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = json.dumps({{"data": [{{}}] if {ready} else []}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answer).serve_forever()
"""
OWNER = """
import sys, threading, time
from pathlib import Path
from dspy_fusion.serving.checkpoints.checkpoint_options import CheckpointOptions
from dspy_fusion.serving.checkpoints.vllm_server import VllmOptions, shared_server
server = shared_server(VllmOptions(CheckpointOptions("some/model"), command=sys.argv[1]))
if sys.argv[2] == "starts":
    threading.Thread(target=server.address, daemon=True).start()
    while not Path(sys.argv[3]).exists():
        time.sleep(0.02)
    sys.exit()
try:
    print(server.address(), flush=True)
    time.sleep(120)
except KeyboardInterrupt:
    time.sleep(1)  # in which answers that are under way come in
    print(server.is_alive, flush=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where the server writes its process id; what a test left behind is ended."""
    yield tmp_path / "pid"
    if (tmp_path / "pid").exists() and not is_gone(process := int((tmp_path / "pid").read_text())):
        os.kill(process, signal.SIGKILL)


@pytest.fixture
def owner(tmp_path: Path, place: Path) -> Callable[[str], subprocess.Popen[str]]:
    def started(what: str) -> subprocess.Popen[str]:
        program = tmp_path / "vllm"
        program.write_text(SERVER.format(python=sys.executable, place=str(place), ready=what != "starts"))
        program.chmod(0o755)
        command = [sys.executable, "-c", OWNER, str(program), what, str(place)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    return started


def is_gone(process: int) -> bool:
    """Also where nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_ctrl_c_reaches_it_through_its_owner_alone(owner: Callable[[str], subprocess.Popen[str]], place: Path) -> None:
    with owner("runs") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.stdout.read() == "True\n"
    assert process.returncode == 0
    wait_for(lambda: is_gone(int(place.read_text())), "the server outlives its owner", seconds=60)


def test_its_keeper_is_told_to_end_and_ends_it(owner: Callable[[str], subprocess.Popen[str]], place: Path) -> None:
    with owner("runs") as process:
        assert process.stdout is not None
        process.stdout.readline()
        server = int(place.read_text())
        keeper = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGTERM)
        wait_for(lambda: is_gone(server), "the server outlives its keeper", seconds=60)
        process.kill()


def test_one_that_never_gets_ready_holds_up_no_end(owner: Callable[[str], subprocess.Popen[str]], place: Path) -> None:
    process = owner("starts")
    try:
        process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0
    wait_for(lambda: is_gone(int(place.read_text())), "the server outlives its owner", seconds=60)
